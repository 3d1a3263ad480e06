//! The answer to a call: from the cache, or by running the body.

use std::sync::Arc;

use bytes::Bytes;

use super::Telling;
use super::keep::Keep;
use super::miss::{Miss, run};
use super::ordered::follow;
use super::problem::{Problem, warn_once};
use super::request::{Looked, Request};
use crate::around::Order;
use crate::cache::Budget;
use crate::error::ErrorKind;
use crate::key::Place;
use crate::outcome::{Outcome, Report};
use crate::value::{Plan, Reading};

/// Answers from the cache or by running the body, whose value is then stored under the
/// versions that were read before it began (I1). Without a request, the body's answer it is.
pub(crate) async fn answer<R, T, K, B>(
    mut request: Option<Request>,
    plan: Plan<R, T>,
    report: Report,
    order: Option<Arc<Order>>,
    keep: K,
    body: B,
) -> R
where
    K: FnOnce(&T) -> Keep,
    B: Future<Output = R>,
{
    if let Some(telling) = Telling::of(&mut request, &plan) {
        let answer = answer(request, plan, report, order, keep, body);
        return Box::pin(telling.tell(answer)).await;
    }
    if let Some(order) = order {
        return Box::pin(follow(order, request, plan, report, keep, body)).await;
    }
    let miss = match request {
        None => None,
        Some(mut request) => {
            let ticket = request.cache.flights().ticket();
            let budget = request.budget();
            match request.look_for_call(&plan.ops.reading, &report, budget).await {
                Ok(value) => return (plan.join)(value),
                Err(place) => place.map(|(place, budget)| Miss {
                    request,
                    place,
                    budget,
                    ticket,
                    known: Bytes::new(),
                    is_anew: false,
                    lease: None,
                }),
            }
        }
    };
    // Boxed, so that a hit does not carry the room for it around.
    Box::pin(run(miss, plan, report, keep, body)).await
}

impl Request {
    /// The value; or where to store one, and what time is left for it, unless that is in vain.
    async fn look_for_call<T>(
        &self,
        reading: &Reading<T>,
        report: &Report,
        mut budget: Budget,
    ) -> Result<T, Option<(Arc<Place>, Budget)>> {
        let counters = self.cache.counters();
        match self.look(reading, &mut budget).await {
            Ok(Looked { value: Some(value), .. }) => {
                counters.hits.add();
                report.tell(Outcome::Hit);
                Ok(value)
            }
            Ok(Looked { value: None, place }) => {
                counters.misses.add();
                report.tell(Outcome::NotStored);
                Err(Some((place, budget)))
            }
            Err(error) => {
                if error.kind() == ErrorKind::Tag {
                    warn_once(&self.name, Problem::NoVersion, || error.to_string());
                }
                counters.bypassed.add();
                report.tell(Outcome::Bypass);
                Err(None)
            }
        }
    }
}
