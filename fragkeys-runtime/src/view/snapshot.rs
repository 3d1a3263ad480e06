//! The versions of one request, each as it was read first.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::cache::Cache;
use crate::tag::{Kind, Tag};
use crate::version::Version;

/// Tags, at most.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Snapshot(Mutex<Vec<(Cache, HashMap<Tag, Seen>)>>);

/// How a tag is seen.
#[derive(Clone, Copy, Debug)]
enum Seen {
    At(Version),
    /// As the next call reads it, but no older than that: a bump of one's own.
    From(Version),
    /// Each call reads it: a bump of one's own is under way, or what became of it is not known.
    Anew,
}

impl Snapshot {
    /// The versions of these tags, if all of them are settled.
    pub(super) fn known(&self, cache: &Cache, tags: &[Tag]) -> Option<Vec<Version>> {
        let mut of_caches = self.lock();
        let seen = of_cache(&mut of_caches, cache);
        let version = |tag| match seen.get(tag)? {
            Seen::At(version) => Some(*version),
            Seen::From(_) | Seen::Anew => None,
        };
        tags.iter().map(version).collect()
    }

    /// The versions under which these tags are seen, now that the store told these. What was
    /// settled stays, unless it is below a floor.
    pub(super) fn agree<'a>(
        &self,
        cache: &Cache,
        tags: &[Tag],
        told: &[Version],
        floor: impl Fn(&Tag) -> Option<&'a Version>,
    ) -> Vec<Version> {
        let mut of_caches = self.lock();
        let seen = of_cache(&mut of_caches, cache);
        let mut agree = |(tag, told): (&Tag, &Version)| {
            let has_room = seen.len() < MOST;
            match seen.entry(tag.clone()) {
                Entry::Occupied(mut seen) => match seen.get() {
                    Seen::At(version) if floor(tag).is_none_or(|floor| floor <= version) => {
                        *version
                    }
                    Seen::At(version) => {
                        let version = *told.max(version);
                        seen.insert(Seen::At(version));
                        version
                    }
                    // What is older was read before the bump.
                    Seen::From(least) if told < least => *least,
                    Seen::From(_) => {
                        seen.insert(Seen::At(*told));
                        *told
                    }
                    Seen::Anew => *told,
                },
                Entry::Vacant(vacant) => {
                    if has_room {
                        vacant.insert(Seen::At(*told));
                    }
                    *told
                }
            }
        };
        tags.iter().zip(told).map(&mut agree).collect()
    }

    /// From now on these are read anew: also what was asked before and is told after.
    pub(super) fn expect_bump(&self, cache: &Cache, tags: &[Tag]) {
        let mut of_caches = self.lock();
        let seen = of_cache(&mut of_caches, cache);
        seen.extend(tags.iter().map(|tag| (tag.clone(), Seen::Anew)));
    }

    /// What a bump told is the least that is seen. Others' versions are told otherwise than they are
    /// read.
    pub(super) fn note_bump(&self, cache: &Cache, tags: &[Tag], versions: &[Version]) {
        let mut of_caches = self.lock();
        let seen = of_cache(&mut of_caches, cache);
        let own = tags.iter().zip(versions).filter(|(tag, _)| tag.kind() == Kind::Own);
        seen.extend(own.map(|(tag, version)| (tag.clone(), Seen::From(*version))));
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Cache, HashMap<Tag, Seen>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn of_cache<'a>(
    of_caches: &'a mut Vec<(Cache, HashMap<Tag, Seen>)>,
    cache: &Cache,
) -> &'a mut HashMap<Tag, Seen> {
    let index = of_caches.iter().position(|(known, _)| known.is(cache)).unwrap_or_else(|| {
        of_caches.push((cache.clone(), HashMap::new()));
        of_caches.len() - 1
    });
    &mut of_caches[index].1
}
