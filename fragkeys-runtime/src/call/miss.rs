//! A call that found no entry: it runs, or shares the run of another.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::keep::Keep;
use super::request::{Looked, Request};
use crate::cache::Budget;
use crate::commit;
use crate::error::{Error, ErrorKind};
use crate::flight::{self, Answer, Role, Runner, Ticket, Turn};
use crate::inherit::apart;
use crate::key::Place;
use crate::lease::Lease;
use crate::outcome::{Outcome, Report};
use crate::value::{Ops, Plan, Reading};

/// What a call knows after its look.
pub(super) struct Miss {
    pub(super) request: Request,
    /// Where a value belongs under the versions of the look (I1).
    pub(super) place: Arc<Place>,
    /// What time is left to store one.
    pub(super) budget: Budget,
    /// From before the look.
    pub(super) ticket: Ticket,
    /// The head of what the look found and is no answer; nothing if it found nothing.
    pub(super) known: Bytes,
    /// Whatever is cached or under way, this call runs.
    pub(super) is_anew: bool,
    /// While it runs for all processes.
    pub(super) lease: Option<Lease>,
}

/// What there is to do.
pub(super) enum Part<T> {
    /// Nothing: another call ran.
    Return(T),
    /// Run, for others too if there is a runner.
    Run(Option<Runner>),
}

/// The answer of a call whose entry was not found. Without a miss, the cache could not be used:
/// the body's answer it is.
pub(super) async fn run<R, T, K, B>(
    miss: Option<Miss>,
    plan: Plan<R, T>,
    report: Report,
    keep: K,
    body: B,
) -> R
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    // Also if its scope has ended when the body has: it may have read what was rolled back.
    let began_inside = commit::is_inside();
    // In one place: a future takes the room of each place that awaits it.
    let body = pin!(body);
    let Some(mut miss) = miss else { return body.await };
    let runner = match miss.part(&plan.ops.reading).await {
        Part::Return(value) => {
            miss.request.cache.counters().shared.add();
            report.tell(Outcome::Shared);
            return (plan.join)(value);
        }
        Part::Run(runner) => runner,
    };
    miss.request.begins_to_run();
    let output = match &runner {
        Some(runner) => flight::lead(vec![runner.flight().clone()], apart(body)).await,
        None => apart(body).await,
    };
    miss.request.has_run();
    // Only the value is kept over the await below: an `Err` need not be `Send`.
    let value = match (plan.split)(output) {
        Ok(value) => value,
        Err(output) => {
            miss.settle_failed();
            runner.into_iter().for_each(Runner::fail);
            return output;
        }
    };
    let keep = keep(&value);
    if keep == Keep::Alone {
        miss.settle_failed();
        runner.into_iter().for_each(Runner::fail);
        return (plan.join)(value);
    }
    let is_outdated = runner.as_ref().is_some_and(Runner::is_outdated);
    let may_store =
        miss.request.is_kept(keep) && !began_inside && !is_outdated && miss.request.may_store();
    let outcome = miss.keep(&plan.ops, &value, may_store, runner).await;
    miss.settle(outcome);
    if let Some(outcome) = outcome {
        report.tell(outcome);
    }
    (plan.join)(value)
}

impl Miss {
    pub(super) async fn part<T>(&mut self, reading: &Reading<T>) -> Part<T> {
        /// More often, something is stored and lost again at once.
        const MOST_LOOKS: usize = 4;
        let cache = self.request.cache.clone();
        // What a transaction sees is nobody else's to have, nor the other way round.
        if !self.request.may_store() || cache.flight_wait().is_zero() {
            return Part::Run(None);
        }
        if self.is_anew {
            return Part::Run(cache.flights().begin_anew(&self.request.flight_key(&self.place)));
        }
        for _ in 0..MOST_LOOKS {
            let key = self.request.flight_key(&self.place);
            let began = Instant::now();
            let mut lease_wait = cache.lease_wait();
            let turn = match cache.flights().join(&key, self.ticket, flight::is_led_here) {
                Role::Run(runner) => Some(Turn::Run(runner)),
                Role::Share(answer) => Some(Turn::Share(answer)),
                Role::Wait(waiter) => {
                    let turn = flight::wait(waiter, cache.flight_wait()).await;
                    // All waiting together has that bound.
                    lease_wait =
                        lease_wait.min(cache.flight_wait().saturating_sub(began.elapsed()));
                    turn
                }
                Role::Alone => None,
                Role::LookAgain => match self.look_again(reading).await {
                    Ok(Some(value)) => return Part::Return(value),
                    Ok(None) => continue,
                    Err(_) => None,
                },
            };
            return match turn {
                Some(Turn::Run(runner)) => self.lead(reading, runner, lease_wait).await,
                Some(Turn::Share(answer)) => self.read(reading, &answer),
                None => Part::Run(None),
            };
        }
        Part::Run(None)
    }

    async fn look_again<T>(&mut self, reading: &Reading<T>) -> Result<Option<T>, Error> {
        self.ticket = self.request.cache.flights().ticket();
        let Looked { value, place } = self.request.look(reading, &mut self.budget).await?;
        self.place = place;
        Ok(value)
    }

    /// What another's run gave. It was encoded with this call's codec, and read back by then.
    fn read<T>(&self, reading: &Reading<T>, answer: &Answer) -> Part<T> {
        let format = self.request.cache.format();
        match answer.as_ref().map(|payload| (reading.decode)(format, payload)) {
            Some(Ok(value)) => Part::Return(value),
            Some(Err(_)) | None => Part::Run(None),
        }
    }

    /// Gives a value to those who wait, and stores it. Says how the call was answered, if that
    /// is news.
    pub(super) async fn keep<T>(
        &mut self,
        ops: &Ops<T>,
        value: &T,
        may_store: bool,
        mut runner: Option<Runner>,
    ) -> Option<Outcome> {
        let request = &self.request;
        #[cfg(fragkeys_broken)]
        if crate::broken::leaves_out("fence")
            && let Ok(now) = request.place(&mut self.budget).await
        {
            self.place = now;
        }
        // One that is not stored is still the answer of a run that others wait for.
        if !may_store && !runner.as_ref().is_some_and(Runner::is_awaited) {
            return None;
        }
        let Ok(encoded) = request.encode(ops, value) else {
            runner.into_iter().for_each(Runner::disband);
            return None;
        };
        // They need not wait for the store. The runner is kept until it has it: who comes
        // meanwhile does not find it there yet.
        if let Some(runner) = &mut runner {
            runner.share(Some(encoded.payload.clone()), may_store);
        }
        if !may_store {
            return None;
        }
        let sealed = request.seal(&self.place, ops.reading.nearby, encoded).ok()?;
        let stored = request.put(&self.place, sealed, &mut self.budget).await;
        // Refreshed or evicted meanwhile, and perhaps stored behind that: a miss is better.
        if runner.is_some_and(|runner| runner.is_outdated()) {
            let _ = request.remove(&self.place, &mut self.budget).await;
            return Some(Outcome::NotStored);
        }
        Some(match stored {
            Ok(()) => Outcome::Miss,
            Err(error) if error.kind() == ErrorKind::TooLarge => Outcome::NotStored,
            Err(_) => Outcome::Bypass,
        })
    }
}
