//! One call of a function that asks for grace: what it is given while its value is old, or its
//! source fails. Functions that do not ask pay nothing for it.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use self::fallback::Fallback;
use self::limited::Limited;
pub use self::limited::{Limit, TimedOut};
use self::run::{Behind, Ended, Running, behind};
use super::miss::{Miss, Part};
use super::ordered::follow;
use super::problem::{Problem, warn_once};
use super::request::Seen;
use super::{Call, Keep, Request, prepare};
use crate::around::{Order, Wish};
use crate::cache::{Budget, Cache};
use crate::clock;
use crate::commit;
use crate::envelope;
use crate::error::{Error, ErrorKind};
use crate::flight::{self, Alarm, Role, Runner, in_time};
use crate::grace::{Age, Freshness, Grace, Refused};
use crate::inherit::{self, Obstacle};
use crate::key::Place;
use crate::outcome::{Outcome, Report};
use crate::store::Put;
use crate::together::{First, first};
use crate::value::{Plan, Reading};

mod fallback;
mod limited;
mod run;

/// Runs a cached call with grace. Whoever finds an old value, and is to run, does so itself.
pub fn run_graced<R, T, K, B>(
    call: Call,
    plan: Plan<R, T>,
    grace: Grace,
    keep: K,
    limit: Limit<R>,
    body: B,
) -> impl Future<Output = R>
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    let jitter = call.jitter;
    let keep = move |value: &T| keep(value).jittered(jitter);
    begin(call, plan, grace, keep, Limited::new(limit, body), None)
}

/// The same where runs may go on without their callers, as they own all that they need.
pub fn run_graced_behind<R, T, K, B>(
    call: Call,
    plan: Plan<R, T>,
    grace: Grace,
    keep: K,
    limit: Limit<R>,
    body: B,
) -> impl Future<Output = R>
where
    R: 'static,
    T: Send + Sync + 'static,
    K: FnOnce(&T) -> Keep + Send + 'static,
    B: Future<Output = R> + Send + 'static,
{
    let jitter = call.jitter;
    let keep = move |value: &T| keep(value).jittered(jitter);
    begin(call, plan, grace, keep, Limited::new(limit, body), Some(behind))
}

fn begin<R, T, K, B>(
    call: Call,
    plan: Plan<R, T>,
    grace: Grace,
    keep: K,
    mut body: Limited<R, B>,
    behind: Option<Behind<R, T, K, B>>,
) -> impl Future<Output = R>
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    let order = Order::take(&call.instance.name);
    let report = Report::claim();
    let mut request = prepare(call, &plan, &report);
    if let Some(request) = &mut request {
        request.grace = Some(Box::new(Graced { grace, began: None, ran_for: Duration::ZERO }));
    }
    async move {
        if let Some(order) = order {
            if matches!(order.wish(), Wish::Bypass) {
                body.lift();
            }
            return Box::pin(follow(order, request, plan, report, keep, body)).await;
        }
        match request {
            Some(request) => {
                answer(request, Parts { plan, grace, report, keep, body, behind }).await
            }
            None => body.await,
        }
    }
}

/// What a call goes on with.
struct Parts<R, T, K, B> {
    plan: Plan<R, T>,
    grace: Grace,
    report: Report,
    keep: K,
    body: Limited<R, B>,
    behind: Option<Behind<R, T, K, B>>,
}

/// A value that is there, and how old it is.
pub(super) struct Aged<T> {
    pub(super) value: T,
    pub(super) age: Age,
}

/// A look that takes what is old as well.
struct LookedAged<T> {
    place: Arc<Place>,
    found: Option<Aged<T>>,
    /// The head of whatever is there.
    head: Bytes,
}

async fn answer<R, T, K, B>(mut request: Request, parts: Parts<R, T, K, B>) -> R
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    let ticket = request.cache.flights().ticket();
    let mut budget = request.budget();
    let looked = match request.look_aged(&parts.plan.ops.reading, &mut budget).await {
        Ok(looked) => looked,
        Err(error) => {
            if error.kind() == ErrorKind::Tag {
                warn_once(&request.name, Problem::NoVersion, || error.to_string());
            }
            request.cache.counters().bypassed.add();
            parts.report.tell(Outcome::Bypass);
            return parts.body.await;
        }
    };
    let LookedAged { place, found, head } = looked;
    let now = clock::since_1970();
    let freshness = found.as_ref().map(|found| parts.grace.judge(&found.age, now));
    let cache = request.cache.clone();
    let miss = Miss { request, place, budget, ticket, known: head, is_anew: false, lease: None };
    // Boxed, so that a hit does not carry the room for it around.
    match (found, freshness) {
        (Some(found), Some(Freshness::Fresh)) => parts.output(&cache, Outcome::Hit, found.value),
        // A run of a transaction's is not stored.
        (Some(found), Some(Freshness::Due)) if commit::is_inside() => {
            parts.output(&cache, Outcome::Hit, found.value)
        }
        (Some(found), Some(Freshness::Due)) => {
            Box::pin(parts.give(miss, found.value, Outcome::Hit)).await
        }
        (Some(found), Some(Freshness::Expired)) if !commit::is_inside() => {
            Box::pin(parts.give(miss, found.value, Outcome::Stale)).await
        }
        (found, _) => Box::pin(parts.miss(miss, found)).await,
    }
}

impl<R, T, K, B> Parts<R, T, K, B>
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    /// The output for a value that was there.
    fn output(&self, cache: &Cache, outcome: Outcome, value: T) -> R {
        tell(cache, &self.report, outcome);
        (self.plan.join)(value)
    }

    /// Gives what is there, and sees to it that somebody runs for the next value.
    async fn give(self, mut miss: Miss, found: T, outcome: Outcome) -> R {
        let cache = miss.request.cache.clone();
        let key = &miss.place.key;
        if !cache.failures().admits(key) {
            return self.output(&cache, outcome, found);
        }
        if let Some(behind) = self.behind {
            match cache.background().enlist(key) {
                Ok(enlisted) => {
                    let output = self.output(&cache, outcome, found);
                    behind(Running::new(miss, None, self.plan, self.keep, self.body), enlisted);
                    return output;
                }
                Err(Refused::Nowhere) => {}
                Err(refused) => {
                    if refused == Refused::Full {
                        cache.counters().refused_refreshes.add();
                    }
                    return self.output(&cache, outcome, found);
                }
            }
        }
        let flight = miss.request.flight_key(&miss.place);
        let part = match cache.flights().join(&flight, miss.ticket, flight::is_led_here) {
            Role::Run(runner) => miss.lead_at_once(&self.plan.ops.reading, runner).await,
            _ => None,
        };
        match part {
            Some(Part::Run(runner)) => {
                cache.counters().refreshes.add();
                self.run(miss, runner, Fallback::at_hand(found, outcome), None).await
            }
            Some(Part::Return(value)) => {
                cache.counters().shared.add();
                self.report.tell(Outcome::Shared);
                (self.plan.join)(value)
            }
            // Somebody does already, or just has.
            None => self.output(&cache, outcome, found),
        }
    }

    /// Runs, or shares the run of another; unless an old value is to stand in for that.
    async fn miss(self, mut miss: Miss, found: Option<Aged<T>>) -> R {
        let cache = miss.request.cache.clone();
        let key = miss.place.key.clone();
        cache.counters().misses.add();
        self.report.tell(Outcome::NotStored);
        // What a transaction sees is nobody else's to have, nor the other way round.
        let may_stand_in = self.grace.stands_in() && !commit::is_inside();
        let mut fallback = match may_stand_in {
            true => Fallback::of(&miss.request, &self.plan.ops.reading, self.grace, found),
            false => Fallback::none(),
        };
        let began = Instant::now();
        if may_stand_in
            && !cache.failures().admits(&key)
            && let Some(value) = fallback.take().await
        {
            return self.output(&cache, Outcome::Stale, value);
        }
        let mut patience = self.grace.patience().filter(|_| may_stand_in).and_then(Alarm::after);
        let part = {
            let mut part = pin!(miss.part(&self.plan.ops.reading));
            match in_time(part.as_mut(), patience.as_ref()).await {
                Some(part) => part,
                // Who runs goes on, and the others are given the old value.
                None => match first(part.as_mut(), fallback.take()).await {
                    First::Other(Some(value)) => {
                        return self.output(&cache, Outcome::Stale, value);
                    }
                    First::Other(None) => {
                        patience = None;
                        part.await
                    }
                    First::One(part) => part,
                },
            }
        };
        let runner = match part {
            Part::Return(value) => {
                cache.counters().shared.add();
                self.report.tell(Outcome::Shared);
                return (self.plan.join)(value);
            }
            Part::Run(runner) => runner,
        };
        // It is this one's turn because the one before it has failed.
        if may_stand_in
            && cache.failures().has_failed_since(&key, began)
            && let Some(value) = fallback.take().await
        {
            miss.settle_failed();
            runner.into_iter().for_each(Runner::fail);
            return self.output(&cache, Outcome::Stale, value);
        }
        self.run(miss, runner, fallback, patience).await
    }

    /// Runs. Past its patience it gives the old value and lets the run go on, if that can.
    async fn run(
        self,
        miss: Miss,
        runner: Option<Runner>,
        mut fallback: Fallback<T>,
        patience: Option<Alarm>,
    ) -> R {
        let Parts { plan, report, keep, body, behind, .. } = self;
        let cache = miss.request.cache.clone();
        let join = plan.join;
        let mut running = Running::new(miss, runner, plan, keep, body);
        let output = match running.output_or_old(&mut fallback, patience, behind.is_some()).await {
            Ended::Output(output) => output,
            Ended::Old(value, enlisted) => {
                if let Some(behind) = behind {
                    behind(running, enlisted);
                }
                tell(&cache, &report, Outcome::Stale);
                return join(value);
            }
        };
        match running.judge(output) {
            Ok((value, keep)) => {
                if let Some(outcome) = running.store(&value, keep).await {
                    report.tell(outcome);
                }
                join(value)
            }
            Err(output) => match fallback.take().await {
                Some(value) => {
                    tell(&cache, &report, fallback.outcome());
                    join(value)
                }
                None => output,
            },
        }
    }
}

/// Counts and tells a value that was there.
fn tell(cache: &Cache, report: &Report, outcome: Outcome) {
    match outcome {
        Outcome::Hit => cache.counters().hits.add(),
        _ => {
            cache.counters().stale.add();
            inherit::refuse(Obstacle::Unknown);
        }
    }
    report.tell(outcome);
}

/// What a request of such a function knows beside.
pub(crate) struct Graced {
    pub(super) grace: Grace,
    began: Option<Instant>,
    ran_for: Duration,
}

impl Graced {
    /// The times of a value that is made now.
    pub(super) fn age(&self, timeout: Duration) -> Age {
        let created = clock::since_1970();
        Age { created, expires: created.saturating_add(timeout), ran_for: self.ran_for }
    }
}

impl Request {
    /// A run begins.
    pub(super) fn begins_to_run(&mut self) {
        if let Some(graced) = &mut self.grace {
            graced.began.get_or_insert_with(Instant::now);
        }
    }

    /// It has ended.
    pub(super) fn has_run(&mut self) {
        if let Some(graced) = &mut self.grace
            && let Some(began) = graced.began.take()
        {
            graced.ran_for = began.elapsed();
        }
    }

    async fn look_aged<T>(
        &self,
        reading: &Reading<T>,
        budget: &mut Budget,
    ) -> Result<LookedAged<T>, Error> {
        let Seen { place, entry, removals } = self.find(budget).await?;
        let open = |entry: &Bytes| self.open_aged(&place, reading, entry, removals);
        let found = entry.as_ref().and_then(open);
        let head = entry.map(|entry| entry.slice_ref(envelope::head(&entry))).unwrap_or_default();
        Ok(LookedAged { place, found, head })
    }

    /// The value of an entry that is this call's, however old.
    pub(super) fn open_aged<T>(
        &self,
        place: &Place,
        reading: &Reading<T>,
        entry: &[u8],
        removals: u64,
    ) -> Option<Aged<T>> {
        let opened = envelope::open_aged(entry, &self.address(place));
        let value = self.decode(reading, opened.map(|(payload, _)| payload))?;
        let (_, age) = opened?;
        let left = || match &self.grace {
            Some(graced) => graced.grace.fresh_for(&age, clock::since_1970()),
            None => Duration::ZERO,
        };
        self.keep_found(reading.nearby, place, &value, entry.len(), left, removals);
        Some(Aged { value, age })
    }
}

/// An entry, how long it need not be looked at again, and what points to it.
type SealedGraced = (Option<Vec<u8>>, Duration, Option<(Place, Vec<u8>)>);

impl Request {
    pub(super) fn seal_graced(
        &self,
        graced: &Graced,
        place: &Place,
        payload: &[u8],
    ) -> SealedGraced {
        let grace = graced.grace;
        let age = graced.age(self.timeout);
        let entry = envelope::seal_aged(&self.address(place), payload, &age);
        let fresh_for = grace.fresh_for(&age, age.created);
        let pointer = grace.stands_in().then(|| self.identity.pointer(self.cache.prefix()));
        let pointer = pointer.and_then(|pointer| {
            let kept_for = grace.kept_for(self.timeout);
            let bytes = envelope::seal(&pointer.address, &place.pointed_to(), kept_for)?;
            Some((pointer, bytes))
        });
        (entry, fresh_for, pointer)
    }

    /// Stores an entry for as long as it may be given, and what points to it, in one round trip.
    pub(super) async fn put_graced(
        &self,
        graced: &Graced,
        place: &Arc<Place>,
        entry: Vec<u8>,
        pointer: Option<(Place, Vec<u8>)>,
        budget: &mut Budget,
    ) -> Result<(), Error> {
        let timeout = graced.grace.kept_for(self.timeout);
        let put = |place, entry| Put { identity: self.identity.clone(), place, entry, timeout };
        let entry = put(place.clone(), entry);
        let pointer = pointer.map(|(place, bytes)| put(Arc::new(place), bytes));
        self.cache.put_beside(entry, pointer, budget).await
    }
}
