//! What a call knows before its body runs, and what it stores then.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_128;

use super::cutoff::{self, Last};
use super::list::{self, List, Recipe};
use crate::cache::Budget;
use crate::call::problem::{Problem, warn_once};
use crate::call::request::{Encoded, Looked, Request};
use crate::commit;
use crate::error::{Error, ErrorKind};
use crate::inherit::{Heir, Heritage};
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
    /// The call with the tags that the list in the store tells.
    listed: Option<Arc<Identity>>,
    pub(super) value: Option<T>,
    /// With early cutoff.
    pub(super) last: Option<Last<T>>,
    has_early_cutoff: bool,
}

impl<T> Sight<T> {
    /// Looks for the value with the tags of last time; where it is not, or nobody knows these here,
    /// for the list of them. `None` where the cache cannot be used.
    pub(super) async fn look(
        request: Request,
        has_early_cutoff: bool,
        reading: &Reading<T>,
        budget: &mut Budget,
    ) -> Option<Self> {
        let counters = request.cache.counters();
        match find(&request, reading, budget).await {
            Ok(Seen { versions, all, listed, value, recipe }) => {
                let counter = if value.is_some() { &counters.hits } else { &counters.misses };
                counter.add();
                let last = match (&listed, recipe, &value) {
                    (Some(all), Some(recipe), None) if has_early_cutoff => {
                        cutoff::last(&request, all, &versions, recipe, reading, budget).await
                    }
                    _ => None,
                };
                Some(Sight { versions, all, listed, value, last, has_early_cutoff, request })
            }
            Err(error) => {
                if error.kind() == ErrorKind::Tag {
                    warn_once(&request.name, Problem::NoVersion, || error.to_string());
                }
                counters.bypassed.add();
                request.bequeath_nothing();
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
        if self.has_early_cutoff {
            // With its recipe: else the value from before the last bump could stand again.
            let list = self.request.identity.at(&self.versions);
            let _ = self.request.cache.remove(&list, budget).await;
        }
        let Some((all, place)) = self.all else { return false };
        all.remove(&place, budget).await.unwrap_or(false)
    }

    /// Who takes over the tags of the calls in the body.
    pub(super) fn heir(&self, last: Option<&Last<T>>) -> Arc<Heir> {
        let parts = || last.map(|last| last.parts.clone()).unwrap_or_default();
        let parts = self.has_early_cutoff.then(parts);
        Heir::new(&self.request.cache, &self.request.identity, parts)
    }

    /// The value is the last one, and is right no longer than that was.
    pub(super) fn note_cut_off(&mut self, until: Instant) {
        let left = until.saturating_duration_since(Instant::now());
        self.request.timeout = self.request.timeout.min(left);
        self.request.cache.counters().cut_off.add();
    }

    /// Tells the heir around it what the value that was found depends on.
    pub(super) fn bequeath(&self) {
        match &self.all {
            Some((all, place)) => self.request.bequeath(&all.identity, place),
            None => self.request.bequeath_nothing(),
        }
    }

    /// What is to be stored of a value that tells these tags, and is made of that, if anything.
    pub(super) fn result(
        self,
        ops: &Ops<T>,
        value: &T,
        told: Vec<Tag>,
        heritage: Heritage,
    ) -> Option<ToStore<T>> {
        let Heritage { versions: inherited, obstacle, parts } = heritage;
        let refuse = |text: String| warn_once(&self.request.name, Problem::Tags, || text);
        if let Some(obstacle) = obstacle {
            obstacle.lasting().into_iter().for_each(refuse);
            return None;
        }
        let told = list::told(told, &self.request.identity).map_err(refuse).ok()?;
        let late = list::late(&told, &inherited, &self.request.identity).map_err(refuse).ok()?;
        let identity = Arc::new(list::with(&self.request.identity, &late));
        let is_listed = self.listed.as_ref().is_some_and(|listed| listed.bytes == identity.bytes);
        let late_versions = self.versions_of(&late, &told, &inherited);
        let place = late_versions.as_ref().map(|late| {
            identity.at(&self.versions.iter().chain(late).copied().collect::<Vec<_>>())
        });
        // With a tag whose version was not read before its part of the value was made, nobody knows
        // whether it was bumped since.
        let entry = match place {
            Some(place) => Some((Arc::new(place), self.request.encode(ops, value).ok()?)),
            None => None,
        };
        let is_reproducible = self.has_early_cutoff && parts.known().is_some();
        let recipe = entry.as_ref().zip(late_versions).filter(|_| is_reproducible);
        let recipe = recipe.map(|((_, encoded), versions)| Recipe {
            versions,
            value: xxh3_128(&encoded.payload),
            parts,
        });
        let list = (!is_listed || self.has_early_cutoff).then_some(List { late, recipe });
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

    /// Of a tag that the value tells, as it was read before the body ran. Of others, as of which the
    /// calls in it were answered. If those differ, or a tag that was known before has moved, there is
    /// none that the whole value goes by.
    fn versions_of(
        &self,
        late: &[Tag],
        told: &HashSet<Tag>,
        inherited: &HashMap<Tag, Version>,
    ) -> Option<Vec<Version>> {
        let agrees = |tag: &Tag, version: &Version| {
            inherited.get(tag).is_none_or(|inherited| inherited == version)
        };
        let before = &self.request.identity.tags;
        if !before.iter().zip(&self.versions).all(|(tag, version)| agrees(tag, version)) {
            return None;
        }
        let known: HashMap<&Tag, Version> = match &self.all {
            Some((Request { identity, .. }, place)) => {
                identity.tags.iter().zip(place.versions.iter().copied()).collect()
            }
            None => HashMap::new(),
        };
        let version = |tag: &Tag| match told.contains(tag) {
            true => known.get(tag).copied().filter(|version| agrees(tag, version)),
            false => inherited.get(tag).copied(),
        };
        late.iter().map(version).collect()
    }
}

/// What there is before the body runs: see [`Sight`].
struct Seen<T> {
    versions: Vec<Version>,
    all: Option<(Request, Arc<Place>)>,
    listed: Option<Arc<Identity>>,
    value: Option<T>,
    /// Of what stands under these very `versions` of the tags that are known before.
    recipe: Option<Recipe>,
}

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
            let versions = versions.unwrap_or_default();
            return Ok(Seen { versions, all, listed: None, value, recipe: None });
        }
    }
    if commit::holds_any(&request.cache, &request.identity.tags) {
        return Err(Error::new(ErrorKind::Held, "a bump of one of its tags waits for the commit"));
    }
    let Found { place, entry } = request.look_up(budget).await?;
    let list = entry.and_then(|entry| list::open(&place, &entry));
    let (late, recipe) = list.map(|List { late, recipe }| (late, recipe)).unzip();
    let listed = late.map(|late| Arc::new(list::with(&request.identity, &late)));
    let mut value = None;
    if let Some(identity) = &listed
        && all.as_ref().is_none_or(|(all, _)| all.identity.bytes != identity.bytes)
    {
        list::remember(request, identity);
        let (looked, found) = look_for_all(request, identity.clone(), reading, budget).await?;
        versions = Some(looked.1.versions[..number].to_vec());
        all = Some(looked);
        value = found;
    }
    let versions = versions.unwrap_or_else(|| place.versions.to_vec());
    let recipe = recipe.flatten().filter(|_| *versions == *place.versions);
    Ok(Seen { versions, all, listed, value, recipe })
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
    /// If it must be written.
    list: Option<List>,
    entry: Option<(Arc<Place>, Encoded<T>)>,
    nearby: Option<Nearby<T>>,
}

impl<T> ToStore<T> {
    /// Of a value that is given and not made: all versions are read now, as it is not older.
    pub(super) async fn given(
        request: Request,
        ops: &Ops<T>,
        value: &T,
        tags: Vec<Tag>,
        budget: &mut Budget,
    ) -> Option<Self> {
        let refuse = |text: String| warn_once(&request.name, Problem::Tags, || text);
        let told = list::told(tags, &request.identity).map_err(refuse).ok()?;
        let late = list::late(&told, &HashMap::new(), &request.identity).map_err(refuse).ok()?;
        let encoded = request.encode(ops, value).ok()?;
        let identity = Arc::new(list::with(&request.identity, &late));
        let place = request.of(identity.clone()).place(budget).await.ok()?;
        let mut versions = place.versions.to_vec();
        versions.truncate(request.identity.tags.len());
        let list = Some(List { late, recipe: None });
        let entry = Some((place, encoded));
        let nearby = ops.reading.nearby;
        Some(ToStore { request, versions, identity, list, entry, nearby })
    }

    /// Tells the heir around it what the value depends on, as of which versions.
    pub(super) fn bequeath(&self) {
        match &self.entry {
            Some((place, _)) => self.request.bequeath(&self.identity, place),
            None => self.request.bequeath_nothing(),
        }
    }

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
        if let Some(list) = list {
            list::remember(&request, &identity);
            let place = request.identity.at(&versions);
            if let Some(entry) = list::seal(&request, &place, &list) {
                let (cache, timeout) = (&request.cache, request.timeout);
                // Without it others do not know the tags; that costs them a run.
                let _ = cache.put(&request.identity, &place, entry, timeout, budget).await;
            }
        }
        outcome
    }
}
