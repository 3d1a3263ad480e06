//! A call with *late* tags: those that nobody knows before its body has run. The value tells them
//! (`tags_from`), or they are those of the cached calls in the body (`inherit_tags`).
//!
//! Its entry depends on all of its tags, as any entry does. Which ones are late stands in an entry of
//! its own, the *list*, under the versions of the tags that are known before. A process that saw the
//! list asks for the entry at once, and its versions, as ever.
//!
//! A value is stored under versions that were read before it was made (I1). Of a tag that a call in
//! the body has, that is the version as of which that call was answered. Of one that the value tells,
//! it is known if the last value had it, too; if it is new, only the list is stored, and the next call reads them
//! all. To go by the time of a version that was read later was refused: an `INCR` leaves none.

use std::pin::Pin;
use std::sync::Arc;

use super::ordered::offered;
use super::request::Request;
use super::{Call, Telling, prepare};
use crate::around::{Order, Reply, Wish};
use crate::cache::Budget;
use crate::commit;
use crate::inherit::{self, Heritage, Obstacle};
use crate::outcome::{Outcome, Report};
use crate::site::Site;
use crate::tag::Tag;
use crate::value::Plan;

mod cutoff;
mod list;
mod sight;

use cutoff::{End, Last};
use sight::{Sight, ToStore};

/// As [`run`](super::run), for a value with late tags.
pub fn run_with_late_tags<R, T, F, G, B>(
    call: Call,
    plan: Plan<R, T>,
    cache_if: F,
    tags_from: G,
    body: B,
) -> impl Future<Output = R>
where
    F: FnOnce(&T) -> bool,
    G: FnOnce(&T) -> Vec<Tag>,
    B: Future<Output = R>,
{
    let order = Order::take(&call.instance.name);
    let report = Report::claim();
    let site = call.site;
    let request = prepare(call, &plan, &report);
    // Calls of this kind are nested in each other, and each future has room for a multiple of what
    // it calls: apart, so that it is not the product of all of those.
    let body = Box::pin(body);
    answer(Asked { request, site, report, order }, plan, cache_if, tags_from, body)
}

struct Asked {
    request: Option<Request>,
    site: &'static Site,
    report: Report,
    order: Option<Arc<Order>>,
}

async fn answer<R, T, F, G, B>(
    mut asked: Asked,
    plan: Plan<R, T>,
    cache_if: F,
    tags_from: G,
    body: Pin<Box<B>>,
) -> R
where
    F: FnOnce(&T) -> bool,
    G: FnOnce(&T) -> Vec<Tag>,
    B: Future<Output = R>,
{
    if let Some(telling) = Telling::of(&mut asked.request, &plan) {
        return Box::pin(telling.tell(answer(asked, plan, cache_if, tags_from, body))).await;
    }
    let Asked { request, site, report, order } = asked;
    // Also if its scope has ended when the body has: it may have read what was rolled back.
    let began_inside = commit::is_inside();
    let wish = order.as_ref().map(|order| order.wish());
    let request = request.filter(|_| !matches!(wish, Some(Wish::Bypass)));
    if let (Some(Wish::Prime), Some(order)) = (wish, &order) {
        // Nobody knows whose tags would have been taken over.
        let request = request.filter(|_| !site.inherits_tags);
        // At once: it is there for as long as this is polled for the first time.
        let value = offered(order.taken_by(), plan.take, plan.split);
        let primed = Box::pin(prime(request, &plan, cache_if, tags_from, value)).await;
        return order.reply(Reply::Primed(primed)).await;
    }
    let mut looked = None;
    if let Some(mut request) = request {
        let mut budget = request.budget();
        let (cuts_off, reading) = (site.has_early_cutoff, &plan.ops.reading);
        let sight = Box::pin(Sight::look(request, cuts_off, reading, &mut budget)).await;
        looked = sight.map(|sight| (sight, budget));
    }
    report.tell(if looked.is_some() { Outcome::NotStored } else { Outcome::Bypass });
    if let Some((sight, _)) = &mut looked
        && matches!(wish, None | Some(Wish::Peek))
        && let Some(value) = sight.value.take()
    {
        sight.bequeath();
        report.tell(Outcome::Hit);
        return (plan.join)(value);
    }
    if let Some(wish) = wish.filter(|wish| !matches!(wish, Wish::Refresh | Wish::Bypass))
        && let Some(order) = order
    {
        return order.reply(reply(wish, &order, looked).await).await;
    }
    let (end, heritage) = match looked.as_mut().filter(|_| site.inherits_tags) {
        Some((sight, _)) => {
            let last = sight.last.take().filter(|_| wish.is_none());
            cutoff::run(sight.heir(last.as_ref()), last, body).await
        }
        None => (End::Ran(inherit::apart(body).await), Heritage::default()),
    };
    // Only the value is kept over the await below: an `Err` need not be `Send`.
    let value = match end {
        End::CutOff(Last { value, until, .. }) => {
            looked.iter_mut().for_each(|(sight, _)| sight.note_cut_off(until));
            value
        }
        End::Ran(output) => match (plan.split)(output) {
            Ok(value) => value,
            Err(output) => {
                inherit::refuse(Obstacle::Unknown);
                return output;
            }
        },
    };
    let result = looked.and_then(|(sight, budget)| {
        let may_store = !began_inside && sight.may_store() && cache_if(&value);
        let result =
            may_store.then(|| sight.result(&plan.ops, &value, tags_from(&value), heritage));
        Some((result.flatten()?, budget))
    });
    match result {
        Some((result, mut budget)) => {
            result.bequeath();
            report.tell(Box::pin(result.store(&mut budget)).await);
        }
        None => inherit::refuse(Obstacle::Unknown),
    }
    (plan.join)(value)
}

/// What is answered to an order that runs nothing, and finds no value to give.
async fn reply<T>(wish: Wish, order: &Order, looked: Option<(Sight<T>, Budget)>) -> Reply {
    match (wish, looked) {
        (Wish::Evict, Some((sight, mut budget))) => {
            Reply::Evicted(Box::pin(sight.evict(&mut budget)).await)
        }
        (Wish::Evict, None) => Reply::Evicted(false),
        (Wish::KeyOf, Some((sight, _))) => Reply::Key(sight.key()),
        (Wish::KeyOf, None) => Reply::Key(format!("{}:?", order.taken_by())),
        _ => {
            inherit::refuse(Obstacle::Unknown);
            Reply::NotCached
        }
    }
}

/// Stores a value as if the function had returned it now; says whether it is stored.
async fn prime<R, T, F, G>(
    request: Option<Request>,
    plan: &Plan<R, T>,
    cache_if: F,
    tags_from: G,
    value: Option<T>,
) -> bool
where
    F: FnOnce(&T) -> bool,
    G: FnOnce(&T) -> Vec<Tag>,
{
    let (Some(mut request), Some(value)) = (request, value) else { return false };
    if !request.may_store() || !cache_if(&value) {
        return false;
    }
    let tags = tags_from(&value);
    let mut budget = request.budget();
    match ToStore::given(request, &plan.ops, &value, tags, &mut budget).await {
        Some(result) => result.store(&mut budget).await == Outcome::Miss,
        None => false,
    }
}
