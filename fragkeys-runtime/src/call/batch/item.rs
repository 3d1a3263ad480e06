//! The elements of a batch on their way through the cache: looked for, and stored, so many at
//! once as one pipeline takes.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::MapOps;
use crate::cache::{Budget, Cache};
use crate::call::keep::Keep;
use crate::call::problem::{Problem, warn_once};
use crate::call::{Call, Request};
use crate::commit;
use crate::error::{Error, ErrorKind};
use crate::key::{Identity, Place};
use crate::outcome::{Outcome, Report};
use crate::store::{Found, Put};
use crate::value::{Ops, Reading};

/// How many entries one pipeline asks for or stores at most.
const ELEMENTS: usize = 1_000;
/// How many versions one pipeline asks for at most, unless a single entry has more.
const TAGS: usize = 10_000;
/// With so many bytes of entries, a pipeline that stores them takes no further one.
const BYTES: usize = 16 << 20;

/// The elements of a batch on their way through the cache, in order.
pub(super) struct Items<V> {
    pub(super) all: Vec<Item<V>>,
    pub(super) cache: Option<Cache>,
}

pub(super) struct Item<V> {
    /// `None` if it cannot be cached.
    request: Option<Request>,
    /// Where its value belongs, if that is known.
    pub(super) place: Option<Arc<Place>>,
    pub(super) value: Option<V>,
    outcome: Outcome,
}

impl<V> Items<V> {
    /// Looks for all of them, so many at once as one pipeline takes.
    pub(super) async fn look(&mut self, reading: &Reading<V>, budget: &mut Budget) {
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
    pub(super) fn seal_some<'a>(
        &mut self,
        next: &mut usize,
        ops: &Ops<V>,
        value_of: impl Fn(usize) -> Option<&'a V>,
        mut keep: impl FnMut(&V) -> Keep,
    ) -> Vec<(usize, Put)>
    where
        V: 'a,
    {
        let mut entries = Vec::new();
        let mut bytes = 0;
        while *next < self.all.len() && entries.len() < ELEMENTS && bytes < BYTES {
            let at = *next;
            *next += 1;
            if let Some(item) = self.all.get_mut(at)
                && let (Some(request), Some(place)) = (&mut item.request, &item.place)
                && item.value.is_none()
                && let Some(value) = value_of(at)
                && request.is_kept(keep(value))
                && request.may_store()
                && let Ok(encoded) = request.encode(ops, value)
                && let Ok(sealed) = request.seal(place, None, encoded)
            {
                let entry = sealed.entry;
                bytes += entry.len();
                let (identity, timeout) = (request.identity.clone(), request.timeout);
                entries.push((at, Put { identity, place: place.clone(), entry, timeout }));
            }
        }
        entries
    }

    /// Says how many are stored.
    pub(super) async fn put(&mut self, entries: Vec<(usize, Put)>, budget: &mut Budget) -> usize {
        let (places, entries): (Vec<usize>, Vec<Put>) = entries.into_iter().unzip();
        let Some(cache) = self.cache.clone() else { return 0 };
        let stored = cache.put_many(entries, budget).await;
        let number = stored.iter().filter(|stored| stored.is_ok()).count();
        for (at, stored) in places.into_iter().zip(stored) {
            if let Some(item) = self.all.get_mut(at) {
                item.note(stored);
            }
        }
        number
    }

    /// Adds what the cache gave to what the body did, which has the last word.
    pub(super) fn add_to<M, K>(self, mut map: M, keys: Vec<K>, ops: &MapOps<M, K, V>) -> M {
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
    pub(super) fn outcome(&self) -> Outcome {
        let rank = |outcome: &Outcome| match outcome {
            Outcome::Hit => 0,
            Outcome::Shared => 1,
            Outcome::Miss => 2,
            Outcome::Stale => 3,
            Outcome::NotStored => 4,
            Outcome::Bypass => 5,
        };
        self.all.iter().map(|item| item.outcome).max_by_key(rank).unwrap_or(Outcome::Hit)
    }
}

impl<V> Item<V> {
    pub(super) fn new(
        call: Call,
        cache: Option<&Cache>,
        reading: &Reading<V>,
        report: &Report,
    ) -> Self {
        let shape = call.instance.shape;
        let item = |request, outcome| Item { request, place: None, value: None, outcome };
        let Some(request) = cache.and_then(|cache| request(call, cache, reading)) else {
            return item(None, Outcome::Bypass);
        };
        item(request.that_can_hold(reading, shape, report), Outcome::NotStored)
    }

    /// Takes what a look gave.
    fn take(&mut self, answer: Result<Found, Error>, reading: &Reading<V>) {
        let Some(request) = &self.request else { return };
        match answer {
            Ok(Found { place, entry }) => {
                self.value = entry.and_then(|entry| request.open(&place, reading, &entry, 0));
                let counters = request.cache.counters();
                if self.value.is_some() {
                    counters.hits.add();
                    self.outcome = Outcome::Hit;
                } else {
                    counters.misses.add();
                }
                self.place = Some(place);
            }
            Err(error) => {
                if error.kind() == ErrorKind::Tag {
                    warn_once(&request.name, Problem::NoVersion, || error.to_string());
                }
                self.bypass();
            }
        }
    }

    /// Its key, for a person.
    pub(super) fn key(&self, name: &str) -> String {
        match (&self.place, &self.request) {
            (Some(place), _) => place.key.clone(),
            (None, Some(request)) => format!("{}:?", request.identity.key_base),
            (None, None) => format!("{name}:?"),
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
        near: None,
        timeout: call.jittered_timeout(cache),
        identity: call.identity(cache, codec),
        sealed_with: Vec::new(),
        grace: None,
        is_leased: false,
        name,
        cache: cache.clone(),
    })
}
