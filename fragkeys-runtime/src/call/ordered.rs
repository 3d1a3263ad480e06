//! A call that is to do something else than answer: see `around`.

use std::pin::pin;
use std::sync::Arc;

use super::miss::{Miss, run};
use super::request::{Looked, Request};
use crate::around::{Order, Reply, Wish};
use crate::outcome::{Outcome, Report};
use crate::value::{Plan, Reading};

/// Does what was ordered.
pub(super) async fn follow<R, T, F, B>(
    order: Arc<Order>,
    request: Option<Request>,
    plan: Plan<R, T>,
    report: Report,
    cache_if: F,
    body: B,
) -> R
where
    F: FnOnce(&T) -> bool,
    B: Future<Output = R>,
{
    let body = pin!(body);
    let reply = match order.wish() {
        Wish::Bypass => {
            report.tell(Outcome::Bypass);
            return body.await;
        }
        Wish::Refresh => {
            let miss = match request {
                Some(request) => request.miss_anew(&report).await,
                None => None,
            };
            return run(miss, plan, report, cache_if, body).await;
        }
        Wish::Peek => match peek(request, &plan.ops.reading).await {
            Some(value) => {
                report.tell(Outcome::Hit);
                return (plan.join)(value);
            }
            None => Reply::NotCached,
        },
        Wish::Evict => Reply::Evicted(evict(request).await),
        Wish::KeyOf => Reply::Key(key_of(request, order.taken_by()).await),
    };
    order.reply(reply).await
}

async fn peek<T>(request: Option<Request>, reading: &Reading<T>) -> Option<T> {
    let request = request?;
    let counters = request.cache.counters();
    match request.look(reading, &mut request.cache.budget()).await {
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
    let Some(request) = request else { return false };
    let mut budget = request.cache.budget();
    let Ok(place) = request.place(&mut budget).await else { return false };
    // First: what is under way must not come back behind the removal.
    request.cache.flights().forget(&request.flight_key(&place));
    request.remove(&place, &mut budget).await.unwrap_or(false)
}

async fn key_of(request: Option<Request>, name: &str) -> String {
    let Some(request) = request else { return format!("{name}:?") };
    match request.place(&mut request.cache.budget()).await {
        Ok(place) => place.key.clone(),
        Err(_) => format!("{}:?", request.identity.key_base),
    }
}

impl Request {
    /// As after a look that found nothing, whatever is there.
    async fn miss_anew(self, report: &Report) -> Option<Miss> {
        let ticket = self.cache.flights().ticket();
        let mut budget = self.cache.budget();
        let place = match self.place(&mut budget).await {
            Ok(place) => place,
            Err(_) => {
                self.cache.counters().bypassed.add();
                report.tell(Outcome::Bypass);
                return None;
            }
        };
        report.tell(Outcome::NotStored);
        Some(Miss { request: self, place, budget, ticket, is_anew: true, lease: None })
    }
}
