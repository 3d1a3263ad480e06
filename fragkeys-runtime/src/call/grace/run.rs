//! A run of a function with grace: before its caller's eyes, or behind its back.

use std::pin::pin;

use super::super::miss::{Miss, Part};
use super::super::problem::{Problem, warn_once};
use super::super::request::Seen;
use super::Fallback;
use super::limited::Limited;
use crate::cache::Cache;
use crate::call::Keep;
use crate::commit;
use crate::envelope;
use crate::flight::{self, Alarm, Role, Runner, in_time};
use crate::global::{self, Given};
use crate::grace::Enlisted;
use crate::inherit::apart;
use crate::outcome::Outcome;
use crate::together::{First, first};
use crate::value::Plan;

/// A body that runs or is to run, and all that is needed to store what it gives.
pub(super) struct Running<R, T, K, B> {
    miss: Miss,
    /// None before it is known that nobody else runs, and where nobody can share.
    runner: Option<Runner>,
    plan: Plan<R, T>,
    keep: Option<K>,
    body: Limited<R, B>,
    /// Also if its scope has ended when the body has: it may have read what was rolled back.
    began_inside: bool,
}

/// Begins, or goes on with, a run that nobody waits for.
pub(super) type Behind<R, T, K, B> = fn(Running<R, T, K, B>, Enlisted);

/// How it ended to wait for a run.
pub(super) enum Ended<R, T> {
    Output(R),
    /// The run goes on; this is given.
    Old(T, Enlisted),
}

pub(super) fn behind<R, T, K, B>(running: Running<R, T, K, B>, enlisted: Enlisted)
where
    R: 'static,
    T: Send + Sync + 'static,
    K: FnOnce(&T) -> Keep + Send + 'static,
    B: Future<Output = R> + Send + 'static,
{
    // Whom its calls would tell of their tags has its value by now.
    let given = Given { heir: None, ..global::given() };
    let run = global::with_given(given, running.behind(enlisted));
    #[cfg(feature = "tracing")]
    let run = tracing::Instrument::in_current_span(run);
    tokio::spawn(run);
}

impl<R, T, K, B> Running<R, T, K, B>
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    pub(super) fn new(
        miss: Miss,
        runner: Option<Runner>,
        plan: Plan<R, T>,
        keep: K,
        body: Limited<R, B>,
    ) -> Self {
        let began_inside = commit::is_inside();
        Running { miss, runner, plan, keep: Some(keep), body, began_inside }
    }

    /// Runs. Dropped before its end, it can go on.
    async fn output(&mut self) -> R {
        self.miss.request.begins_to_run();
        let body = &mut self.body;
        let output = match &self.runner {
            Some(runner) => flight::lead(vec![runner.flight().clone()], apart(body)).await,
            None => apart(body).await,
        };
        self.miss.request.has_run();
        output
    }

    /// Runs; or, past a caller's patience, gives what stands in for it, if the run can go on.
    pub(super) async fn output_or_old(
        &mut self,
        fallback: &mut Fallback<T>,
        patience: Option<Alarm>,
        can_go_on: bool,
    ) -> Ended<R, T> {
        let cache = self.miss.request.cache.clone();
        let key = self.miss.place.key.clone();
        let mut output = pin!(self.output());
        if let Some(output) = in_time(output.as_mut(), patience.as_ref()).await {
            return Ended::Output(output);
        }
        if can_go_on && let Ok(enlisted) = cache.background().take_over(&key) {
            match first(output.as_mut(), fallback.take()).await {
                First::One(output) => return Ended::Output(output),
                First::Other(Some(value)) => return Ended::Old(value, enlisted),
                First::Other(None) => {}
            }
        }
        Ended::Output(output.await)
    }

    /// The value in an output, and what becomes of it; or an output that is its caller's alone,
    /// which means that the source fails.
    pub(super) fn judge(&mut self, output: R) -> Result<(T, Keep), R> {
        let failures = self.miss.request.cache.failures();
        let judged = match (self.plan.split)(output) {
            Err(output) => Err(output),
            Ok(value) => match self.keep.take().map_or(Keep::Never, |keep| keep(&value)) {
                Keep::Alone => Err((self.plan.join)(value)),
                keep => Ok((value, keep)),
            },
        };
        // First: who is let in next looks there.
        match &judged {
            Ok(_) => failures.forget(&self.miss.place.key),
            Err(_) => {
                failures.note(&self.miss.place.key);
                self.miss.settle_failed();
                self.runner.take().into_iter().for_each(Runner::fail);
            }
        }
        judged
    }

    /// Gives a value to those who wait, and stores it.
    pub(super) async fn store(mut self, value: &T, keep: Keep) -> Option<Outcome> {
        let runner = self.runner.take();
        let is_outdated = runner.as_ref().is_some_and(Runner::is_outdated);
        let request = &mut self.miss.request;
        let may_store =
            request.is_kept(keep) && !is_outdated && !self.began_inside && request.may_store();
        let outcome = self.miss.keep(&self.plan.ops, value, may_store, runner).await;
        self.miss.settle(outcome);
        outcome
    }

    /// Is it still needed, and does nobody else run?
    async fn may_begin(&mut self) -> bool {
        /// What was stored since its look may be of others; more often than that, the next call tries.
        const MOST_LOOKS: usize = 4;
        let flights = self.miss.request.cache.flights().clone();
        let key = self.miss.request.flight_key(&self.miss.place);
        for _ in 0..MOST_LOOKS {
            match flights.join(&key, self.miss.ticket, flight::is_led_here) {
                Role::Run(runner) => {
                    let part = self.miss.lead_at_once(&self.plan.ops.reading, runner).await;
                    let Some(Part::Run(runner)) = part else { return false };
                    self.runner = runner;
                    return true;
                }
                Role::LookAgain if self.is_still_there().await => {}
                _ => return false,
            }
        }
        false
    }

    /// Looks again: is what its caller has found still there?
    async fn is_still_there(&mut self) -> bool {
        let Miss { request, place, budget, known, ticket, .. } = &mut self.miss;
        *ticket = request.cache.flights().ticket();
        let Ok(Seen { place: now, entry, .. }) = request.find(budget).await else { return false };
        now.key == place.key && entry.is_some_and(|entry| envelope::head(&entry) == &known[..])
    }

    /// All of it, with nobody who waits.
    async fn behind(mut self, mut enlisted: Enlisted) {
        let cache = self.miss.request.cache.clone();
        let mut unfinished = Unfinished { cache: cache.clone(), key: None };
        enlisted.turn().await;
        if self.runner.is_none() && !self.may_begin().await {
            return;
        }
        cache.counters().refreshes.add();
        unfinished.key = Some(self.miss.place.key.clone());
        let output = self.output().await;
        let Ok((value, keep)) = self.judge(output) else {
            return warn_once(&self.miss.request.name, Problem::FailedRefresh, || {
                "a run that nobody waited for has failed; the old value is given for as long as \
                 it may be. `Cache::stats` counts them from now on"
                    .to_owned()
            });
        };
        unfinished.key = None;
        self.store(&value, keep).await;
    }
}

/// A run that has not given a value yet. Dropped, it has failed: by an `Err`, a panic, or with its
/// runtime.
struct Unfinished {
    cache: Cache,
    key: Option<String>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.cache.counters().failed_refreshes.add();
            self.cache.failures().note(&key);
        }
    }
}
