//! Calls that take over the tags of the cached calls in their bodies.
//!
//! Each cached call tells the *heir* around it under which versions it has looked. What it gives is
//! at least as new as those, whether it is a hit, a run of its own or of somebody else's. So the heir's
//! entry stands under exactly these versions (I1): a bump between that look and the store, or any time
//! later, makes it unreachable. Where nobody knows the versions of what a call gave, what is
//! made of it is not stored.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::cache::Cache;
use crate::commit;
use crate::global;
use crate::key::Identity;
use crate::near::AnyKept;
use crate::tag::Tag;
use crate::version::Version;

mod part;

use part::Last;
pub(crate) use part::{MOST_PARTS, Part, Parts};

/// With more tags that only its run tells, a value is not stored.
pub(crate) const MOST_LATE_TAGS: usize = 1_000;

/// A call that takes over tags, while its body runs.
#[derive(Debug)]
pub(crate) struct Heir {
    cache: Cache,
    /// How many tags it takes.
    most: usize,
    /// With early cutoff: what it was made of the last time, as far as that is known.
    last: Option<Last>,
    heritage: Mutex<Heritage>,
}

/// What the calls in a body have told.
#[derive(Debug, Default)]
pub(crate) struct Heritage {
    pub(crate) versions: HashMap<Tag, Version>,
    /// With early cutoff.
    pub(crate) parts: Parts,
    /// Why a value that is made of them is not stored.
    pub(crate) obstacle: Option<Obstacle>,
}

/// What keeps a value from being stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// A call was answered from nobody knows when: without its cache, with an old value, or by what
    /// a transaction sees.
    Unknown,
    /// A tag was bumped between two calls.
    Moved,
    /// This function is never cached, so it has no versions.
    Uncachable(Arc<str>),
    /// The versions of this function stand in another cache.
    Elsewhere(Arc<str>),
    TooMany,
}

impl Obstacle {
    /// For a person, what will be the same the next time.
    pub(crate) fn lasting(&self) -> Option<String> {
        let text = match self {
            Obstacle::Unknown | Obstacle::Moved => return None,
            Obstacle::Uncachable(name) => format!(
                "it calls `{name}`, which cannot be cached, so nobody knows when that changes"
            ),
            Obstacle::Elsewhere(name) => format!(
                "it calls `{name}`, whose tags have their versions in another cache; give both \
                 functions the same `cache_name`"
            ),
            Obstacle::TooMany => {
                format!("the calls in it have more than {MOST_LATE_TAGS} tags")
            }
        };
        Some(format!("{text}. With `inherit_tags`, its value is not stored"))
    }
}

impl Heir {
    /// For a call with these tags. With early cutoff, also what it was made of the last time.
    pub(crate) fn new(cache: &Cache, identity: &Identity, last: Option<Parts>) -> Arc<Self> {
        let most = MOST_LATE_TAGS + identity.tags.len();
        // What is told now is hashed as it was the last time.
        let mut heritage = Heritage::default();
        heritage.parts.seed = last.as_ref().map_or(0, |last| last.seed);
        let (last, heritage) = (last.map(Last::new), Mutex::new(heritage));
        Arc::new(Heir { cache: cache.clone(), most, last, heritage })
    }

    /// Takes over the tags of a call that is answered as of these versions.
    pub(crate) fn take(
        &self,
        cache: &Cache,
        name: &Arc<str>,
        tags: &[Tag],
        versions: impl IntoIterator<Item = Version>,
    ) {
        if !self.cache.is(cache) {
            return self.refuse(Obstacle::Elsewhere(name.clone()));
        }
        if commit::is_inside() {
            return self.refuse(Obstacle::Unknown);
        }
        let mut heritage = self.lock();
        for (tag, version) in tags.iter().zip(versions) {
            match heritage.versions.entry(tag.clone()) {
                Entry::Vacant(vacant) => {
                    vacant.insert(version);
                }
                Entry::Occupied(known) if *known.get() == version => {}
                Entry::Occupied(_) => {
                    heritage.obstacle.get_or_insert(Obstacle::Moved);
                }
            }
        }
        if heritage.versions.len() > self.most {
            heritage.versions = HashMap::new();
            heritage.obstacle = Some(Obstacle::TooMany);
        }
    }

    /// The same of a value of the near tier. `false` if it is not known which tags those are: then the
    /// store must be asked.
    pub(crate) fn take_near(
        &self,
        cache: &Cache,
        name: &Arc<str>,
        call: &[u8],
        kept: &AnyKept,
    ) -> bool {
        let versions: Vec<Version> = kept.versions().collect();
        // With more versions than that it has late tags, and which ones may have changed since.
        let identity =
            cache.recall(&cache.access(), call).filter(|call| call.tags.len() == versions.len());
        if let Some(identity) = &identity {
            self.take(cache, name, &identity.tags, versions);
        }
        identity.is_some()
    }

    /// A call was answered, and not as of any versions.
    pub(crate) fn refuse(&self, obstacle: Obstacle) {
        self.lock().obstacle.get_or_insert(obstacle);
    }

    /// What there is, when the body has run.
    pub(crate) fn heritage(&self) -> Heritage {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Heritage> {
        self.heritage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The call that is running is answered from nobody knows when.
pub(crate) fn refuse(obstacle: Obstacle) {
    if let Some(heir) = global::heir() {
        heir.refuse(obstacle);
    }
}

/// Runs the body of a call that takes over nothing: what it calls is no matter of an heir around it,
/// which is told of this call alone, whether this runs or is a hit.
pub(crate) fn apart<B: Future>(body: B) -> impl Future<Output = B::Output> {
    global::with_heir(None, body)
}
