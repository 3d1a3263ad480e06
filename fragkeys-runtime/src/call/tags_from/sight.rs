//! What a call knows before its body runs, and what it stores then.

use std::collections::HashMap;
use std::sync::Arc;

use super::list;
use crate::cache::Budget;
use crate::call::problem::{Problem, warn_once};
use crate::call::request::{Encoded, Looked, Request};
use crate::commit;
use crate::error::{Error, ErrorKind};
use crate::key::{Identity, Place};
use crate::outcome::Outcome;
use crate::store::Found;
use crate::tag::Tag;
use crate::value::{Nearby, Ops, Reading};
use crate::version::Version;

pub(super) struct Sight<T> {
    /// About the tags that are known before, and their versions.
    request: Request,
    versions: Vec<Version>,
    /// About all the tags that the value had the last time, and where it stands.
    all: Option<(Request, Arc<Place>)>,
    pub(super) value: Option<T>,
}

impl<T> Sight<T> {
    /// Looks for the value with the tags of last time; where it is not, or nobody knows these here,
    /// for the list of them. `None` where the cache cannot be used.
    pub(super) async fn look(
        request: Request,
        reading: &Reading<T>,
        budget: &mut Budget,
    ) -> Option<Self> {
        let counters = request.cache.counters();
        match find(&request, reading, budget).await {
            Ok((versions, all, value)) => {
                let counter = if value.is_some() { &counters.hits } else { &counters.misses };
                counter.add();
                Some(Sight { versions, all, value, request })
            }
            Err(error) => {
                if error.kind() == ErrorKind::Tag {
                    warn_once(&request.name, Problem::NoVersion, || error.to_string());
                }
                counters.bypassed.add();
                None
            }
        }
    }

    pub(super) fn may_store(&self) -> bool {
        self.request.may_store()
    }

    /// The key of the value; of the list, where its tags are not known.
    pub(super) fn key(&self) -> String {
        match &self.all {
            Some((_, place)) => place.key.clone(),
            None => self.request.identity.at(&self.versions).key,
        }
    }

    pub(super) async fn evict(self, budget: &mut Budget) -> bool {
        let Some((all, place)) = self.all else { return false };
        all.remove(&place, budget).await.unwrap_or(false)
    }

    /// What is to be stored of a value with these tags, if anything.
    pub(super) fn result(self, ops: &Ops<T>, value: &T, tags: Vec<Tag>) -> Option<ToStore<T>> {
        let own = list::own(tags, &self.request.identity);
        let own = own.map_err(|text| warn_once(&self.request.name, Problem::Tags, || text)).ok()?;
        let identity = Arc::new(list::with(&self.request.identity, &own));
        let is_listed =
            self.all.as_ref().is_some_and(|(all, _)| all.identity.bytes == identity.bytes);
        let list = (!is_listed).then(|| own.clone());
        let place = self
            .versions_of(&own)
            .map(|own| identity.at(&self.versions.iter().copied().chain(own).collect::<Vec<_>>()));
        // With a tag whose version was not read before the body ran, nobody knows whether it was bumped since.
        let entry = match place {
            Some(place) => Some((place, self.request.encode(ops, value).ok()?)),
            None => None,
        };
        let nearby = ops.reading.nearby;
        Some(ToStore {
            request: self.request,
            versions: self.versions,
            identity,
            list,
            entry,
            nearby,
        })
    }

    /// As they were read before the body ran.
    fn versions_of(&self, own: &[Tag]) -> Option<Vec<Version>> {
        let (all, place) = match &self.all {
            Some(all) => all,
            None => return own.is_empty().then(Vec::new),
        };
        let tags = &all.identity.tags;
        let known: HashMap<&Tag, Version> =
            tags.iter().zip(place.versions.iter().copied()).collect();
        own.iter().map(|tag| known.get(tag).copied()).collect()
    }
}

type Seen<T> = (Vec<Version>, Option<(Request, Arc<Place>)>, Option<T>);

async fn find<T>(
    request: &Request,
    reading: &Reading<T>,
    budget: &mut Budget,
) -> Result<Seen<T>, Error> {
    let number = request.identity.tags.len();
    let mut versions = None;
    let mut all = None;
    if let Some(identity) = list::recall(request) {
        let (looked, value) = look_for_all(request, identity, reading, budget).await?;
        // From the first look: nothing that is stored is newer than these.
        versions = Some(looked.1.versions[..number].to_vec());
        all = Some(looked);
        if value.is_some() {
            return Ok((versions.unwrap_or_default(), all, value));
        }
    }
    if commit::holds_any(&request.cache, &request.identity.tags) {
        return Err(Error::new(ErrorKind::Held, "a bump of one of its tags waits for the commit"));
    }
    let Found { place, entry } = request.look_up(budget).await?;
    let listed = entry.and_then(|entry| list::open(&place, &entry));
    let listed = listed.map(|own| list::with(&request.identity, &own));
    let mut value = None;
    if let Some(identity) = listed
        && all.as_ref().is_none_or(|(all, _)| all.identity.bytes != identity.bytes)
    {
        let identity = Arc::new(identity);
        list::remember(request, &identity);
        let (looked, found) = look_for_all(request, identity, reading, budget).await?;
        versions = Some(looked.1.versions[..number].to_vec());
        all = Some(looked);
        value = found;
    }
    Ok((versions.unwrap_or_else(|| place.versions.to_vec()), all, value))
}

async fn look_for_all<T>(
    request: &Request,
    identity: Arc<Identity>,
    reading: &Reading<T>,
    budget: &mut Budget,
) -> Result<((Request, Arc<Place>), Option<T>), Error> {
    let all = request.of(identity);
    let Looked { value, place } = all.look(reading, budget).await?;
    Ok(((all, place), value))
}

pub(super) struct ToStore<T> {
    request: Request,
    versions: Vec<Version>,
    /// With all tags of the value.
    identity: Arc<Identity>,
    /// The tags of its own, if the list must be written.
    list: Option<Vec<Tag>>,
    entry: Option<(Place, Encoded<T>)>,
    nearby: Option<Nearby<T>>,
}

impl<T> ToStore<T> {
    pub(super) async fn store(self, budget: &mut Budget) -> Outcome {
        let ToStore { request, versions, identity, list, entry, nearby } = self;
        let mut outcome = Outcome::NotStored;
        if let Some((place, encoded)) = entry {
            let all = request.of(identity.clone());
            if let Ok(sealed) = all.seal(&place, nearby, encoded) {
                outcome = match all.put(&place, sealed, budget).await {
                    Ok(()) => Outcome::Miss,
                    Err(error) if error.kind() == ErrorKind::TooLarge => Outcome::NotStored,
                    Err(_) => Outcome::Bypass,
                };
            }
        }
        if let Some(own) = list {
            list::remember(&request, &identity);
            let place = request.identity.at(&versions);
            if let Some(entry) = list::seal(&request, &place, &own) {
                let (cache, timeout) = (&request.cache, request.timeout);
                // Without it others do not know the tags; that costs them a run.
                let _ = cache.put(&request.identity, &place, entry, timeout, budget).await;
            }
        }
        outcome
    }
}
