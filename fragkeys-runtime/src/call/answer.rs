//! The answer to a call: from the cache, or by running the body.

use std::sync::Arc;

use super::problem::{Problem, warn_once};
use super::request::{Looked, Request};
use crate::cache::Budget;
use crate::commit;
use crate::error::ErrorKind;
use crate::key::Place;
use crate::outcome::{Outcome, Report};
use crate::value::{Plan, Reading};

/// Answers from the cache or by running the body, whose value is then stored under the
/// versions that were read before it began (I1). Without a request, the body's answer it is.
pub(crate) async fn answer<R, T, F, B>(
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
    // Also if its scope has ended when the body has: it may have read what was rolled back.
    let began_inside = commit::is_inside();
    let miss = match request {
        None => None,
        Some(request) => match request.look_for_call(&plan.ops.reading, &report).await {
            Ok(value) => return (plan.join)(value),
            Err(place) => place.map(|(place, budget)| (request, place, budget)),
        },
    };
    // Awaited in this one place: a future takes the room of each place that awaits it.
    let output = body.await;
    let Some((request, place, mut budget)) = miss else { return output };
    // Only the value is kept over the await below: an `Err` need not be `Send`.
    let value = match (plan.split)(output) {
        Ok(value) => value,
        Err(output) => return output,
    };
    if !began_inside
        && request.may_store()
        && cache_if(&value)
        && let Ok(entry) = request.seal(&place, &plan.ops, &value)
    {
        // Boxed, so that a hit does not carry the room for it around.
        let outcome = match Box::pin(request.put(&place, entry, &mut budget)).await {
            Ok(()) => Outcome::Miss,
            Err(error) if error.kind() == ErrorKind::TooLarge => Outcome::NotStored,
            Err(_) => Outcome::Bypass,
        };
        report.tell(outcome);
    }
    (plan.join)(value)
}

impl Request {
    /// The value; or where to store one, and what time is left for it, unless that is in vain.
    async fn look_for_call<T>(
        &self,
        reading: &Reading<T>,
        report: &Report,
    ) -> Result<T, Option<(Arc<Place>, Budget)>> {
        let counters = self.cache.counters();
        let mut budget = self.cache.budget();
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
