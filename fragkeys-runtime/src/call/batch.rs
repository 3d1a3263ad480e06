//! One call for many elements, each with an entry and tags of its own: what is cached comes from
//! the cache, and the body runs once for the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Call, Problem, Request, warn_once};
use crate::batch::{BatchPlan, ElementOps, Elements, MapOps};
use crate::cache::{Budget, Cache};
use crate::commit;
use crate::error::{Error, ErrorKind};
use crate::global;
use crate::key::{Identity, Place};
use crate::outcome::{Outcome, Report};
use crate::site::{Instance, Path, Site};
use crate::store::{Found, Put};
use crate::value::{Ops, Reading};

/// How many entries one pipeline asks for or stores at most.
const ELEMENTS: usize = 1_000;
/// How many versions one pipeline asks for at most, unless a single entry has more.
const TAGS: usize = 10_000;
/// How many bytes of entries one pipeline stores at most, unless a single entry has more.
const BYTES: usize = 16 << 20;

/// A batch as the macro puts it together.
pub struct Batch<K> {
    site: &'static Site,
    instance: Arc<Instance>,
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
            let mut call = Call::of(self.site, self.instance.clone());
            call.has_unencodable = !(self.ops.encode)(element, &mut call.bytes);
            // Two that only serde cannot tell apart share an entry, and are two all the same.
            let alike = seen.entry(call.bytes.clone()).or_default();
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
    cache_if: F,
    body: B,
) -> impl Future<Output = R>
where
    F: FnMut(&V) -> bool,
    B: Future<Output = R>,
{
    let report = Report::claim();
    let Batch { site, instance, ops, keys, calls, missing } = batch;
    let cache = cache_of(site, &instance);
    let item = |call| Item::new(call, cache.as_ref(), &plan.ops.reading, &report);
    let items = Items { all: calls.into_iter().map(item).collect(), cache };
    answer(Asked { keys, clone: ops.clone, missing, items, report }, plan, cache_if, body)
}

/// The cache that all elements are looked for in; `None` where none can be.
fn cache_of(site: &Site, instance: &Instance) -> Option<Cache> {
    let refuse = |problem, text: &str| warn_once(&instance.name, problem, || text.to_owned());
    if let Some(twin) = &instance.twin {
        refuse(Problem::Twin, twin);
        return None;
    }
    let cache = global::cache_for(site.cache_name);
    cache.inspect_err(|error| refuse(Problem::NoCache, &error.to_string())).ok()
}

/// What a batch asks its cache, and its body.
struct Asked<K, V> {
    keys: Vec<K>,
    clone: fn(&K) -> K,
    missing: Missing<K>,
    items: Items<V>,
    report: Report,
}

/// Answers from the cache, and by running the body for what is not there: once, and not at all
/// where everything is. Values are stored under the versions that were read before it began (I1).
async fn answer<R, M, K, V, F, B>(
    asked: Asked<K, V>,
    plan: BatchPlan<R, M, K, V>,
    mut cache_if: F,
    body: B,
) -> R
where
    F: FnMut(&V) -> bool,
    B: Future<Output = R>,
{
    let Asked { keys, clone, missing, mut items, report } = asked;
    // Also if its scope has ended when the body has: it may have read what was rolled back.
    let began_inside = commit::is_inside();
    let mut budget = items.cache.as_ref().map(Cache::budget);
    if let Some(budget) = &mut budget {
        items.look(&plan.ops.reading, budget).await;
    }
    report.tell(items.outcome());
    let rest = keys.iter().zip(&items.all).filter(|(_, item)| item.value.is_none());
    let rest: Vec<K> = rest.map(|(key, _)| clone(key)).collect();
    if rest.is_empty() {
        return (plan.join)(items.add_to((plan.map.empty)(), keys, &plan.map));
    }
    missing.put(rest);
    let output = body.await;
    // Only the values are kept over the await below: an `Err` need not be `Send`.
    let map = match (plan.split)(output) {
        Ok(map) => map,
        Err(output) => return output,
    };
    let mut next = if began_inside { keys.len() } else { 0 };
    while let Some(budget) = &mut budget
        && next < keys.len()
    {
        let value_of = |at: usize| (plan.map.get)(&map, keys.get(at)?).filter(|it| cache_if(it));
        let entries = items.seal_some(&mut next, &plan.ops, value_of);
        // Boxed, so that a batch of hits does not carry the room for it around.
        Box::pin(items.put(entries, budget)).await;
    }
    report.tell(items.outcome());
    (plan.join)(items.add_to(map, keys, &plan.map))
}

/// The elements of a batch on their way through the cache, in order.
struct Items<V> {
    all: Vec<Item<V>>,
    cache: Option<Cache>,
}

struct Item<V> {
    /// `None` if it cannot be cached.
    request: Option<Request>,
    /// Where its value belongs, if it was looked for in vain.
    place: Option<Arc<Place>>,
    value: Option<V>,
    outcome: Outcome,
}

impl<V> Items<V> {
    /// Looks for all of them, so many at once as one pipeline takes.
    async fn look(&mut self, reading: &Reading<V>, budget: &mut Budget) {
        let Some(cache) = self.cache.clone() else { return };
        let mut next = 0;
        while next < self.all.len() {
            let (places, identities, timeout) = self.some_to_look_for(&cache, &mut next);
            let answers = cache.look_many(&identities, timeout, budget).await;
            for (at, answer) in places.into_iter().zip(answers) {
                if let Some(item) = self.all.get_mut(at) {
                    item.take(answer, reading);
                }
            }
        }
    }

    /// From `next` on, those that may be looked for, and the longest of their timeouts.
    fn some_to_look_for(
        &mut self,
        cache: &Cache,
        next: &mut usize,
    ) -> (Vec<usize>, Vec<Arc<Identity>>, Duration) {
        let (mut places, mut identities, mut timeout) = (Vec::new(), Vec::new(), Duration::ZERO);
        let mut tags = 0;
        for (at, item) in self.all.iter_mut().enumerate().skip(*next) {
            let Some(request) = &item.request else { continue };
            if commit::holds_any(cache, &request.identity.tags) {
                item.bypass();
                continue;
            }
            tags += request.identity.tags.len();
            if identities.len() == ELEMENTS || (tags > TAGS && !identities.is_empty()) {
                *next = at;
                return (places, identities, timeout);
            }
            places.push(at);
            identities.push(request.identity.clone());
            timeout = timeout.max(request.timeout);
        }
        *next = self.all.len();
        (places, identities, timeout)
    }

    /// From `next` on, the entries of what can be stored.
    fn seal_some<'a>(
        &self,
        next: &mut usize,
        ops: &Ops<V>,
        mut value_of: impl FnMut(usize) -> Option<&'a V>,
    ) -> Vec<(usize, Put)>
    where
        V: 'a,
    {
        let mut entries = Vec::new();
        let mut bytes = 0;
        while *next < self.all.len() && entries.len() < ELEMENTS && bytes < BYTES {
            let at = *next;
            *next += 1;
            if let Some(item) = self.all.get(at)
                && let (Some(request), Some(place)) = (&item.request, &item.place)
                && request.may_store()
                && let Some(value) = value_of(at)
                && let Ok(entry) = request.seal(place, ops, value)
            {
                bytes += entry.len();
                let (identity, timeout) = (request.identity.clone(), request.timeout);
                entries.push((at, Put { identity, place: place.clone(), entry, timeout }));
            }
        }
        entries
    }

    async fn put(&mut self, entries: Vec<(usize, Put)>, budget: &mut Budget) {
        let (places, entries): (Vec<usize>, Vec<Put>) = entries.into_iter().unzip();
        let Some(cache) = self.cache.clone() else { return };
        let stored = cache.put_many(entries, budget).await;
        for (at, stored) in places.into_iter().zip(stored) {
            if let Some(item) = self.all.get_mut(at) {
                item.note(stored);
            }
        }
    }

    /// Adds what the cache gave to what the body did, which has the last word.
    fn add_to<M, K>(self, mut map: M, keys: Vec<K>, ops: &MapOps<M, K, V>) -> M {
        for (key, item) in keys.into_iter().zip(self.all) {
            if let Some(value) = item.value
                && (ops.get)(&map, &key).is_none()
            {
                (ops.insert)(&mut map, key, value);
            }
        }
        map
    }

    /// A hit if all of them were, else the worst that befell one.
    fn outcome(&self) -> Outcome {
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Hit => 0,
            Outcome::Miss => 1,
            Outcome::NotStored => 2,
            Outcome::Bypass => 3,
        };
        self.all.iter().map(|item| item.outcome).max_by_key(rank).unwrap_or(Outcome::Hit)
    }
}

impl<V> Item<V> {
    fn new(call: Call, cache: Option<&Cache>, reading: &Reading<V>, report: &Report) -> Self {
        let item = |request, outcome| Item { request, place: None, value: None, outcome };
        let Some(request) = cache.and_then(|cache| request(call, cache, reading)) else {
            return item(None, Outcome::Bypass);
        };
        item(request.that_can_hold(reading, report), Outcome::NotStored)
    }

    /// Takes what a look gave.
    fn take(&mut self, answer: Result<Found, Error>, reading: &Reading<V>) {
        let Some(request) = &self.request else { return };
        match answer {
            Ok(Found { place, entry }) => {
                self.value = entry.and_then(|entry| request.open(&place, reading, &entry));
                self.place = Some(place);
            }
            Err(error) => {
                if error.kind() == ErrorKind::Tag {
                    warn_once(&request.name, Problem::NoVersion, || error.to_string());
                }
                return self.bypass();
            }
        }
        let counters = request.cache.counters();
        if self.value.is_some() {
            counters.hits.add();
            self.outcome = Outcome::Hit;
        } else {
            counters.misses.add();
        }
    }

    fn bypass(&mut self) {
        self.outcome = Outcome::Bypass;
        if let Some(request) = &self.request {
            request.cache.counters().bypassed.add();
        }
    }

    /// Takes what storing it gave.
    fn note(&mut self, stored: Result<(), Error>) {
        self.outcome = match stored {
            Ok(()) => Outcome::Miss,
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                if let Some(request) = &self.request {
                    warn_once(&request.name, Problem::Unstorable, || error.to_string());
                }
                Outcome::NotStored
            }
            Err(_) => Outcome::Bypass,
        };
    }
}

/// What one element asks of the cache; `None` if there is no key for it.
fn request<T>(mut call: Call, cache: &Cache, reading: &Reading<T>) -> Option<Request> {
    let name = call.instance.name.clone();
    if call.has_unencodable {
        warn_once(&name, Problem::Unencodable, || {
            "the `Serialize` of an argument returned an error, so there is no key".to_owned()
        });
        return None;
    }
    let codec = (reading.codec)(cache.format());
    Some(Request {
        timeout: call.jittered_timeout(cache),
        identity: call.identity(cache, codec),
        sealed_with: Vec::new(),
        name,
        cache: cache.clone(),
    })
}
