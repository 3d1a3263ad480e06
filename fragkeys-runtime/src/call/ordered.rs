//! A call that is to do something else than answer: see `around`.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;

use super::keep::Keep;
use super::miss::{Miss, run};
use super::problem::{Problem, warn_once};
use super::request::{Looked, Request};
use crate::around::{Order, Reply, Wish, take_offer};
use crate::inherit::{self, Obstacle};
use crate::outcome::{Outcome, Report};
use crate::value::{Plan, Reading, Unboxed};

/// Does what was ordered.
pub(super) async fn follow<R, T, K, B>(
    order: Arc<Order>,
    request: Option<Request>,
    plan: Plan<R, T>,
    report: Report,
    keep: K,
    body: B,
) -> R
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    let body = pin!(body);
    let reply = match order.wish() {
        Wish::Bypass => {
            inherit::refuse(Obstacle::Unknown);
            report.tell(Outcome::Bypass);
            return body.await;
        }
        Wish::Refresh => {
            let miss = match request {
                Some(request) => request.miss_anew(&report).await,
                None => None,
            };
            match &miss {
                Some(Miss { request, place, .. }) => request.bequeath(&request.identity, place),
                None => inherit::refuse(Obstacle::Unknown),
            }
            return run(miss, plan, report, keep, body).await;
        }
        Wish::Peek => match peek(request, &plan.ops.reading).await {
            Some(value) => {
                report.tell(Outcome::Hit);
                return (plan.join)(value);
            }
            None => {
                inherit::refuse(Obstacle::Unknown);
                Reply::NotCached
            }
        },
        Wish::Evict => Reply::Evicted(evict(request).await),
        Wish::Prime => {
            // At once: it is there for as long as this is polled for the first time.
            let value = offered(order.taken_by(), plan.take, plan.split);
            Reply::Primed(prime(request, &plan, keep, value).await)
        }
        Wish::KeyOf => Reply::Key(key_of(request, order.taken_by()).await),
    };
    order.reply(reply).await
}

async fn peek<T>(request: Option<Request>, reading: &Reading<T>) -> Option<T> {
    let mut request = request?;
    let mut budget = request.budget();
    let counters = request.cache.counters();
    match request.look(reading, &mut budget).await {
        Ok(Looked { value, .. }) => {
            let counter = if value.is_some() { &counters.hits } else { &counters.misses };
            counter.add();
            value
        }
        Err(_) => None,
    }
}

/// A failing store has been counted and logged by then.
async fn evict(request: Option<Request>) -> bool {
    let Some(mut request) = request else { return false };
    let mut budget = request.budget();
    let Ok(place) = request.place(&mut budget).await else { return false };
    // First: what is under way must not come back behind the removal.
    request.cache.flights().forget(&request.flight_key(&place));
    request.remove(&place, &mut budget).await.unwrap_or(false)
}

/// The value of the output that is offered to a call in the place of a run, if it has one.
pub(super) fn offered<R, V>(
    name: &str,
    take: Option<Unboxed<R>>,
    split: fn(R) -> Result<V, R>,
) -> Option<V> {
    let offer = take_offer()?;
    let Some(take) = take else {
        warn_once(name, Problem::Unprimable, || {
            "`prime` stores nothing for it, as its return type may borrow: bind its type              parameters to `'static`, and name types in the place of `Self::Name`"
                .to_owned()
        });
        return None;
    };
    let Some(output) = take(offer) else {
        warn_once(name, Problem::OtherOutput, || {
            "`prime` was given an output of another type: the future must give what this call              returns, and nothing that is made of it"
                .to_owned()
        });
        return None;
    };
    split(output).ok()
}

/// Stores a value as if the function had returned it now; says whether it is stored.
async fn prime<R, T>(
    request: Option<Request>,
    plan: &Plan<R, T>,
    keep: impl FnOnce(&T) -> Keep,
    value: Option<T>,
) -> bool {
    let (Some(request), Some(value)) = (request, value) else { return false };
    let Some(mut miss) = request.miss_anew(&Report::nobodys()).await else { return false };
    if !miss.request.is_kept(keep(&value)) || !miss.request.may_store() {
        return false;
    }
    // What is under way must not be stored behind it; who comes meanwhile shares it.
    let flights = miss.request.cache.flights().clone();
    let runner = flights.begin_anew(&miss.request.flight_key(&miss.place));
    miss.keep(&plan.ops, &value, true, runner).await == Some(Outcome::Miss)
}

async fn key_of(request: Option<Request>, name: &str) -> String {
    let Some(mut request) = request else { return format!("{name}:?") };
    let mut budget = request.budget();
    match request.place(&mut budget).await {
        Ok(place) => place.key.clone(),
        Err(_) => format!("{}:?", request.identity.key_base),
    }
}

impl Request {
    /// As after a look that found nothing, whatever is there.
    async fn miss_anew(mut self, report: &Report) -> Option<Miss> {
        let ticket = self.cache.flights().ticket();
        let mut budget = self.budget();
        let place = match self.place(&mut budget).await {
            Ok(place) => place,
            Err(_) => {
                self.cache.counters().bypassed.add();
                report.tell(Outcome::Bypass);
                return None;
            }
        };
        report.tell(Outcome::NotStored);
        Some(Miss {
            request: self,
            place,
            budget,
            ticket,
            known: Bytes::new(),
            is_anew: true,
            lease: None,
        })
    }
}
