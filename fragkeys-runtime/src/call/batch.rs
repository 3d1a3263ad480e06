//! One call for many elements, each with an entry and tags of its own: what is cached comes from
//! the cache, and the body runs once for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Call;
use super::keep::Keep;
use super::ordered::offered;
use super::problem::{Problem, warn_once};
use crate::around::{Order, Reply, Wish};
use crate::batch::{BatchPlan, ElementOps, Elements};
use crate::cache::Cache;
use crate::commit;
use crate::flight;
use crate::global::{self, Given};
use crate::inherit::{self, Obstacle, apart};
use crate::outcome::Report;
use crate::site::{Instance, Path, Site};

mod item;
mod ordered;
mod share;

use item::{Item, Items};

/// A batch as the macro puts it together.
pub struct Batch<K> {
    site: &'static Site,
    instance: &'static Instance,
    ops: ElementOps<K>,
    keys: Vec<K>,
    calls: Vec<Call>,
    missing: Missing<K>,
}

impl<K> Batch<K> {
    pub fn new<R, M, V>(
        site: &'static Site,
        path: Path,
        plan: &BatchPlan<R, M, K, V>,
        elements: &Elements<'_, K>,
    ) -> Self {
        Batch {
            site,
            instance: site.instance(path, plan.ops.reading.find_shape),
            ops: elements.ops,
            keys: Vec::with_capacity(elements.all.len()),
            calls: Vec::with_capacity(elements.all.len()),
            missing: Missing::default(),
        }
    }

    /// The elements, each once, and the call that each of them stands for.
    pub fn calls<'a>(&self, elements: Elements<'a, K>) -> std::vec::IntoIter<(&'a K, Call)> {
        let mut seen: HashMap<Vec<u8>, Vec<&K>> = HashMap::with_capacity(elements.all.len());
        let mut calls = Vec::with_capacity(elements.all.len());
        for element in elements.all {
            let mut call = Call::of(self.site, self.instance);
            call.has_unencodable = !(self.ops.encode)(element, &mut call.bytes);
            // Two that only serde cannot tell apart share an entry, and are two all the same.
            let alike = seen.entry(call.bytes.as_slice().to_vec()).or_default();
            if !alike.iter().any(|seen| (self.ops.is_same)(seen, element)) {
                alike.push(element);
                calls.push((element, call));
            }
        }
        calls.into_iter()
    }

    pub fn add(&mut self, element: &K, call: Call) {
        self.keys.push((self.ops.clone)(element));
        self.calls.push(call);
    }

    /// What the body will find its elements in.
    pub fn missing(&self) -> Missing<K> {
        self.missing.clone()
    }
}

/// The elements that the body is to answer for, in the order in which they were first given. A
/// place to put them, and not an argument of the body, so that the body is a future like others.
pub struct Missing<K>(Arc<Mutex<Vec<K>>>);

impl<K> Missing<K> {
    pub fn take(self) -> Vec<K> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, elements: Vec<K>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = elements;
    }
}

impl<K> Clone for Missing<K> {
    fn clone(&self) -> Self {
        Missing(self.0.clone())
    }
}

impl<K> Default for Missing<K> {
    fn default() -> Self {
        Missing(Arc::default())
    }
}

/// Runs a batch: the answer is the cache's and the body's, and never an error of ours (I5).
pub fn run_batch<R, M, K, V, F, B>(
    batch: Batch<K>,
    plan: BatchPlan<R, M, K, V>,
    mut cache_if: F,
    body: B,
) -> impl Future<Output = R>
where
    F: FnMut(&V) -> bool,
    B: Future<Output = R>,
{
    begin(batch, plan, move |value: &V| Keep::of_condition(cache_if(value)), body)
}

/// The same where each value says for how long it is kept.
pub fn run_batch_kept<R, M, K, V, F, B>(
    batch: Batch<K>,
    plan: BatchPlan<R, M, K, V>,
    mut keep: F,
    body: B,
) -> impl Future<Output = R>
where
    F: FnMut(&V) -> Keep,
    B: Future<Output = R>,
{
    let jitter = batch.calls.first().map_or(0.0, |call| call.jitter);
    begin(batch, plan, move |value: &V| keep(value).jittered(jitter), body)
}

fn begin<R, M, K, V, F, B>(
    batch: Batch<K>,
    plan: BatchPlan<R, M, K, V>,
    keep: F,
    body: B,
) -> impl Future<Output = R>
where
    F: FnMut(&V) -> Keep,
    B: Future<Output = R>,
{
    let report = Report::claim();
    let Batch { site, instance, ops, keys, calls, missing } = batch;
    let order = Order::take(&instance.name);
    let is_bypassed = order.as_ref().is_some_and(|order| matches!(order.wish(), Wish::Bypass));
    let (cache, given) = if is_bypassed { None } else { cache_of(site, instance) }.unzip();
    let Given { view, heir, .. } = given.unwrap_or_default();
    if is_bypassed {
        inherit::refuse(Obstacle::Unknown);
    }
    // Found out once for all elements.
    let asked = cache.as_ref().filter(|_| !calls.is_empty());
    let asked = asked.map(|cache| (cache, cache.access()));
    let item = |call| Item::new(call, asked.as_ref(), heir.as_ref(), &plan.ops.reading, &report);
    let all: Vec<Item<V>> = calls.into_iter().map(item).collect();
    if all.iter().any(|item| item.request.is_none()) {
        inherit::refuse(Obstacle::Uncachable(instance.name.clone()));
    }
    let items = Items { all, cache, view };
    answer(Asked { keys, clone: ops.clone, missing, items, report, order }, plan, keep, body)
}

/// The cache that all elements are looked for in, and what else was given to the call; `None`
/// where none can be.
fn cache_of(site: &Site, instance: &Instance) -> Option<(Cache, Given)> {
    let refuse = |problem, text: &str| warn_once(&instance.name, problem, || text.to_owned());
    if let Some(twin) = &instance.twin {
        refuse(Problem::Twin, twin);
        return None;
    }
    let given = global::given_for(site.cache_name);
    given.inspect_err(|error| refuse(Problem::NoCache, &error.to_string())).ok()
}

/// What a batch asks its cache, and its body.
struct Asked<K, V> {
    keys: Vec<K>,
    clone: fn(&K) -> K,
    missing: Missing<K>,
    items: Items<V>,
    report: Report,
    order: Option<Arc<Order>>,
}

/// Answers from the cache, and by running the body for what is not there: once, and not at all
/// where everything is. Values are stored under the versions that were read before it began (I1).
async fn answer<R, M, K, V, F, B>(
    asked: Asked<K, V>,
    plan: BatchPlan<R, M, K, V>,
    mut keep: F,
    body: B,
) -> R
where
    F: FnMut(&V) -> Keep,
    B: Future<Output = R>,
{
    let Asked { keys, clone, missing, mut items, report, order } = asked;
    let offered = match &order {
        Some(order) if matches!(order.wish(), Wish::Prime) => {
            offered(order.taken_by(), plan.take, plan.split)
        }
        _ => None,
    };
    // Also if its scope has ended when the body has: it may have read what was rolled back.
    let began_inside = commit::is_inside();
    let ticket = items.cache.as_ref().map(|cache| cache.flights().ticket());
    let mut budget = items.cache.as_ref().map(Cache::budget);
    if let Some(budget) = &mut budget {
        items.look(&plan.ops.reading, budget).await;
    }
    report.tell(items.outcome());
    if let Some(order) = order {
        if let Some(map) = offered {
            let value_of = |at: usize| (plan.map.get)(&map, keys.get(at)?);
            let stored = items.prime(&plan.ops, budget.as_mut(), value_of, keep);
            return order.reply(Reply::Primed(Box::pin(stored).await)).await;
        }
        let reply = Box::pin(items.follow(&order, budget.as_mut())).await;
        if let Some(reply) = reply {
            return order.reply(reply).await;
        }
    } else if let (Some(budget), Some(ticket)) = (&mut budget, ticket)
        && items.all.iter().any(Item::is_missing)
    {
        // Boxed, as all that is not about hits.
        Box::pin(items.share(&plan.ops.reading, budget, ticket)).await;
        report.tell(items.outcome());
    }
    let rest = keys.iter().zip(&items.all).filter(|(_, item)| item.is_missing());
    let rest: Vec<K> = rest.map(|(key, _)| clone(key)).collect();
    if rest.is_empty() {
        return (plan.join)(items.add_to((plan.map.empty)(), keys, &plan.map));
    }
    missing.put(rest);
    let output = flight::lead(items.flights(), apart(body)).await;
    // Only the values are kept over the await below: an `Err` need not be `Send`.
    let map = match (plan.split)(output) {
        Ok(map) => map,
        Err(output) => {
            items.fail();
            return output;
        }
    };
    let mut next = if began_inside { keys.len() } else { 0 };
    while let Some(budget) = &mut budget
        && next < keys.len()
    {
        let value_of = |at: usize| (plan.map.get)(&map, keys.get(at)?);
        let entries = items.seal_some(&mut next, &plan.ops, value_of, &mut keep);
        // Boxed, so that a batch of hits does not carry the room for it around.
        Box::pin(items.put(entries, budget)).await;
    }
    report.tell(items.outcome());
    (plan.join)(items.add_to(map, keys, &plan.map))
}
