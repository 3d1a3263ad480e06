//! The elements of a batch on their way through the cache: looked for, and stored, so many at
//! once as one pipeline takes.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::MapOps;
use crate::cache::{Budget, Cache};
use crate::call::keep::Keep;
use crate::call::problem::{Problem, warn_once};
use crate::call::request::Sealed;
use crate::call::{Call, Request};
use crate::commit;
use crate::error::{Error, ErrorKind};
use crate::flight::{Key, Runner};
use crate::inherit::Heir;
use crate::key::{Identity, Place};
use crate::outcome::{Outcome, Report};
use crate::store::{Access, Found, Put};
use crate::value::{Ops, Reading};
use crate::view::View;

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
    pub(super) view: Option<Arc<View>>,
}

pub(super) struct Item<V> {
    /// `None` if it cannot be cached.
    pub(super) request: Option<Request>,
    /// Where its value belongs, if that is known.
    pub(super) place: Option<Arc<Place>>,
    pub(super) value: Option<V>,
    /// Another call has just found out that there is none.
    pub(super) is_absent: bool,
    /// While this call runs for it, for others as well.
    pub(super) runner: Option<Runner>,
    pub(super) outcome: Outcome,
}

impl<V> Items<V> {
    /// Looks for all of them, so many at once as one pipeline takes.
    pub(super) async fn look(&mut self, reading: &Reading<V>, budget: &mut Budget) {
        self.look_for(|_| true, reading, budget).await;
    }

    /// Looks for some once more.
    pub(super) async fn look_again(
        &mut self,
        some: &[usize],
        reading: &Reading<V>,
        budget: &mut Budget,
    ) {
        // They are in order.
        self.look_for(|at| some.binary_search(&at).is_ok(), reading, budget).await;
    }

    async fn look_for(
        &mut self,
        is_asked: impl Fn(usize) -> bool,
        reading: &Reading<V>,
        budget: &mut Budget,
    ) {
        let Some(cache) = self.cache.clone() else { return };
        let mut next = 0;
        while next < self.all.len() {
            let (places, identities, timeout) = self.some_to_look_for(&cache, &mut next, &is_asked);
            let mut answers = cache.look_many(&identities, timeout, budget).await;
            if let Some(view) = &self.view {
                answers = Box::pin(view.agree_on_many(&cache, &identities, answers, budget)).await;
            }
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
        is_asked: impl Fn(usize) -> bool,
    ) -> (Vec<usize>, Vec<Arc<Identity>>, Duration) {
        let (mut places, mut identities, mut timeout) = (Vec::new(), Vec::new(), Duration::ZERO);
        let mut tags = 0;
        for (at, item) in self.all.iter_mut().enumerate().skip(*next) {
            let Some(request) = item.request.as_ref().filter(|_| is_asked(at)) else { continue };
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

    /// From `next` on, gives what the body gave to those who wait for it, and makes entries of what
    /// can be stored.
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
                && item.is_missing()
                && let Some(put) = item.give(value_of(at), ops, &mut keep)
            {
                bytes += put.entry.len();
                entries.push((at, put));
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
            let Some(item) = self.all.get_mut(at) else { continue };
            item.note(stored);
            // Refreshed or evicted meanwhile, and perhaps stored behind that: a miss is better.
            let is_outdated = item.runner.take().is_some_and(|runner| runner.is_outdated());
            if let Some(place) = item.place.as_ref().filter(|_| is_outdated) {
                let _ = cache.remove(place, budget).await;
                item.outcome = Outcome::NotStored;
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
        cache: Option<&(&Cache, Access)>,
        heir: Option<&Arc<Heir>>,
        reading: &Reading<V>,
        report: &Report,
    ) -> Self {
        let shape = call.instance.shape;
        let item = |request, outcome| Item {
            request,
            place: None,
            value: None,
            is_absent: false,
            runner: None,
            outcome,
        };
        let Some(request) = cache.and_then(|cache| request(call, cache, heir, reading)) else {
            return item(None, Outcome::Bypass);
        };
        item(request.that_can_hold(reading, shape, report), Outcome::NotStored)
    }

    /// Must the body be asked for it?
    pub(super) fn is_missing(&self) -> bool {
        self.value.is_none() && !self.is_absent
    }

    /// Who else would ask for it; nobody for what must not be stored.
    pub(super) fn flight_key(&self) -> Option<Key> {
        let request = self.request.as_ref().filter(|request| request.may_store())?;
        Some(request.flight_key(self.place.as_ref()?))
    }

    /// Gives what the body gave, a value or none, to those who wait for it; and what to store.
    fn give(
        &mut self,
        value: Option<&V>,
        ops: &Ops<V>,
        keep: &mut impl FnMut(&V) -> Keep,
    ) -> Option<Put> {
        let (Some(request), Some(place)) = (&mut self.request, &self.place) else {
            return None;
        };
        let Some(value) = value else {
            if let Some(mut runner) = self.runner.take() {
                runner.share(None, false);
            }
            return None;
        };
        let is_outdated = self.runner.as_ref().is_some_and(Runner::is_outdated);
        let may_store = request.is_kept(keep(value)) && !is_outdated && request.may_store();
        if !may_store && !self.runner.as_ref().is_some_and(Runner::is_awaited) {
            self.runner = None;
            return None;
        }
        let Ok(encoded) = request.encode(ops, value) else {
            self.runner.take().into_iter().for_each(Runner::disband);
            return None;
        };
        if let Some(runner) = &mut self.runner {
            runner.share(Some(encoded.payload.clone()), may_store);
        }
        let sealed = may_store.then(|| request.seal(place, None, encoded).ok()).flatten();
        let Some(Sealed { entry, .. }) = sealed else {
            self.runner = None;
            return None;
        };
        let (identity, timeout) = (request.identity.clone(), request.timeout);
        Some(Put { identity, place: place.clone(), entry, timeout })
    }

    /// Takes what a look gave.
    fn take(&mut self, answer: Result<Found, Error>, reading: &Reading<V>) {
        let Some(request) = &self.request else { return };
        match answer {
            Ok(Found { place, entry }) => {
                request.bequeath(&request.identity, &place);
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
            request.bequeath_nothing();
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
fn request<T>(
    mut call: Call,
    (cache, access): &(&Cache, Access),
    heir: Option<&Arc<Heir>>,
    reading: &Reading<T>,
) -> Option<Request> {
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
        identity: call.identity(cache, access, codec),
        sealed_with: Vec::new(),
        grace: None,
        is_leased: false,
        name,
        cache: Cache::clone(cache),
        access: Access::default(),
        view: None,
        heir: heir.cloned(),
        is_part: false,
    })
}
