//! The embedded store: in this process, bounded in bytes, gone with it.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};

use super::cell::Cell;
use super::identity::Identities;
use super::{Access, Deadline, Each, Found, GuardId, Put, Store};
use crate::error::{Error, ErrorKind};
use crate::key::{Identity, Place};
use crate::near::{Grounds, Trust};
use crate::tag::Tag;
use crate::version::Version;

mod guarded;

use guarded::Guarded;

/// What an item costs beside its bytes: its place in the table, the list and the heap.
/// Rounded up from `memory_used` of a full cache, so that the bound errs on the safe side.
const OVERHEAD: u64 = 128;
/// The share of the bytes that versions may take: one in this many.
const VERSION_SHARE: u64 = 8;

#[derive(Clone)]
struct Kept {
    bytes: Bytes,
    until: Instant,
}

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<String, Kept> for Weight {
    fn weight(&self, key: &String, entry: &Kept) -> u64 {
        OVERHEAD + key.len() as u64 + entry.bytes.len() as u64
    }
}

impl<V> Weighter<Tag, V> for Weight {
    fn weight(&self, tag: &Tag, _: &V) -> u64 {
        OVERHEAD + tag.as_str().len() as u64
    }
}

/// The cell of a tag that is evicted, or was never taken in, is abandoned before it cannot be
/// found any more: nobody would tell it of the next bump.
#[derive(Clone)]
struct Abandon(Arc<Trust>);

impl Abandon {
    fn abandon(&self, cell: &Cell) {
        cell.abandon();
        self.0.note_move();
    }
}

impl Lifecycle<Tag, Arc<Cell>> for Abandon {
    type RequestState = ();

    fn before_evict(&self, (): &mut (), _: &Tag, cell: &mut Arc<Cell>) {
        self.abandon(cell);
    }

    fn on_evict(&self, (): &mut (), _: Tag, cell: Arc<Cell>) {
        self.abandon(&cell);
    }
}

#[derive(Default)]
struct Newest {
    version: u64,
    guarded: Guarded,
}

pub(crate) struct MemoryStore {
    entries: Cache<String, Kept, Weight>,
    /// A tag that was evicted is seeded anew, above all versions ever given.
    versions: Cache<Tag, Arc<Cell>, Weight, DefaultHashBuilder, Abandon>,
    /// In their cells.
    trust: Arc<Trust>,
    /// The newest version given to any tag. Its lock makes a bump one step.
    newest: Mutex<Newest>,
    identities: Identities,
    has_near: bool,
}

impl MemoryStore {
    pub(crate) fn new(max_bytes: u64, has_near: bool) -> Self {
        let for_versions = max_bytes / VERSION_SHARE;
        let trust = Arc::new(Trust::for_ever());
        MemoryStore {
            entries: sized_cache(max_bytes - for_versions, Weight),
            versions: sized_cache_with(
                for_versions,
                Weight,
                DefaultHashBuilder::default(),
                Abandon(trust.clone()),
            ),
            trust,
            newest: Mutex::default(),
            identities: Identities::new(),
            has_near,
        }
    }

    pub(crate) fn identities(&self) -> &Identities {
        &self.identities
    }

    /// The bytes in use, by the same estimate that bounds them.
    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight() + self.versions.weight()
    }

    /// A tag's version and its cell. One that is evicted meanwhile is abandoned: then the version
    /// was right until now.
    fn current(&self, tag: &Tag) -> Result<(Arc<Cell>, Version), Error> {
        let known = || {
            let cell = self.versions.get(tag)?;
            cell.version().map(|version| (cell, version))
        };
        if let Some(known) = known() {
            return Ok(known);
        }
        let mut newest = self.lock_newest();
        // Somebody else may have seeded or bumped it before the lock was ours.
        match known() {
            Some(known) => Ok(known),
            None if newest.guarded.holds(tag) => Err(Error::new(
                ErrorKind::Guarded,
                format!("a guard holds `{tag}`: what depends on it is not cached until it ends"),
            )),
            None => self.give(tag, &mut newest),
        }
    }

    fn next_version(newest: &mut Newest) -> Result<Version, Error> {
        let version = Version::new(now().max(newest.version + 1))
            .ok_or_else(|| Error::new(ErrorKind::Protocol, "the clock is past the year 2262"))?;
        newest.version = version.into();
        Ok(version)
    }

    fn give(&self, tag: &Tag, newest: &mut Newest) -> Result<(Arc<Cell>, Version), Error> {
        let version = MemoryStore::next_version(newest)?;
        // Cells are only added under the lock, so none takes the place of another.
        if let Some(cell) = self.versions.get(tag)
            && cell.become_version(version)
        {
            self.trust.note_move();
            return Ok((cell, version));
        }
        let cell = Arc::new(Cell::known(version));
        self.versions.insert(tag.clone(), cell.clone());
        Ok((cell, version))
    }

    pub(crate) fn bump_at_once(
        &self,
        tags: &[Tag],
        leaving: Option<GuardId>,
    ) -> Result<Vec<Version>, Error> {
        let mut newest = self.lock_newest();
        let mut bump = |tag| {
            if let Some(guard) = leaving {
                newest.guarded.leave(tag, guard);
            }
            // One that is still guarded has no cell, and gets none.
            match newest.guarded.holds(tag) {
                true => MemoryStore::next_version(&mut newest),
                false => Ok(self.give(tag, &mut newest)?.1),
            }
        };
        tags.iter().map(&mut bump).collect()
    }

    fn mark_at_once(&self, tags: &[Tag], guard: GuardId) {
        let mut newest = self.lock_newest();
        newest.guarded.forget_the_gone();
        for tag in tags {
            newest.guarded.enter(tag, guard);
            if let Some(cell) = self.versions.get(tag) {
                cell.abandon();
                self.trust.note_move();
            }
            self.versions.remove(tag);
        }
    }

    pub(crate) fn abandon(&self, tags: &[Tag], guard: GuardId, hold: Duration) {
        let mut newest = self.lock_newest();
        tags.iter().for_each(|tag| newest.guarded.abandon(tag, guard, hold));
    }

    fn found(&self, place: Place) -> Found {
        let entry = self.entries.get(&place.key).filter(|kept| kept.until > Instant::now());
        Found { place: Arc::new(place), entry: entry.map(|kept| kept.bytes) }
    }

    fn lock_newest(&self) -> MutexGuard<'_, Newest> {
        // The number is right after every step, whoever panicked.
        self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A cache of so many bytes. It is cut into shards, and an item must fit into one: so there
/// are no more shards than leave room for a large entry in each.
pub(super) fn sized_cache<K, V, W>(bytes: u64, weight: W) -> Cache<K, V, W>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
{
    sized_cache_with(bytes, weight, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

pub(crate) fn sized_cache_with<K, V, W, B, L>(
    bytes: u64,
    weight: W,
    hasher: B,
    lifecycle: L,
) -> Cache<K, V, W, B, L>
where
    K: Eq + Hash,
    V: Clone,
    W: Weighter<K, V> + Clone,
    B: BuildHasher + Clone,
    L: Lifecycle<K, V> + Clone,
{
    const ROOM: u64 = 16 << 20;
    let typical_item = OVERHEAD * 4;
    let items = usize::try_from(bytes / typical_item).unwrap_or(usize::MAX).clamp(16, 1 << 20);
    let most_shards = std::thread::available_parallelism().map_or(4, |cores| cores.get() * 4);
    let shards = usize::try_from(bytes / ROOM).unwrap_or(usize::MAX).clamp(1, most_shards);
    let options = OptionsBuilder::new()
        .estimated_items_capacity(items)
        .weight_capacity(bytes)
        .shards(prev_power_of_two(shards))
        .build();
    match options {
        Ok(options) => Cache::with_options(options, weight, hasher, lifecycle),
        // Only for a capacity that was not given.
        Err(_) => Cache::with(items, bytes, weight, hasher, lifecycle),
    }
}

/// quick_cache rounds the number of shards up to a power of two.
fn prev_power_of_two(number: usize) -> usize {
    1 << number.max(1).ilog2()
}

/// This process's clock as a version: µs since 1970 times 1,000.
fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let version = u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX).saturating_mul(1_000);
    if version < Version::MIN { Version::MIN + version } else { version }
}

impl Store for MemoryStore {
    async fn look(
        &self,
        _: Access,
        identity: &Identity,
        _: Duration,
        _: Deadline,
    ) -> Result<Found, Error> {
        let known =
            identity.tags.iter().map(|tag| self.current(tag)).collect::<Result<Vec<_>, _>>()?;
        let versions: Vec<Version> = known.iter().map(|(_, version)| *version).collect();
        let mut place = identity.at(&versions);
        if self.has_near {
            place.grounds = Some(Arc::new(Grounds::new(known, self.trust.clone())));
        }
        Ok(self.found(place))
    }

    async fn fetch(
        &self,
        identity: &Identity,
        versions: &[Version],
        _: Deadline,
    ) -> Result<Found, Error> {
        let mut place = identity.at(versions);
        if self.has_near {
            let cell = |(tag, version): (&Tag, &Version)| Some((self.versions.get(tag)?, *version));
            let cells = identity.tags.iter().zip(versions).map(cell).collect::<Option<Vec<_>>>();
            place.grounds = cells.map(|cells| Arc::new(Grounds::new(cells, self.trust.clone())));
        }
        Ok(self.found(place))
    }

    async fn look_many(
        &self,
        identities: &[Arc<Identity>],
        lifetime: Duration,
        deadline: Deadline,
    ) -> Each<Found> {
        let mut found = Vec::with_capacity(identities.len());
        for identity in identities {
            found.push(self.look(Access::default(), identity, lifetime, deadline).await);
        }
        Ok(found)
    }

    async fn versions(
        &self,
        tags: &[Tag],
        _: Duration,
        _: Deadline,
    ) -> Result<Vec<Version>, Error> {
        tags.iter().map(|tag| Ok(self.current(tag)?.1)).collect()
    }

    async fn bump(
        &self,
        tags: &[Tag],
        leaving: Option<GuardId>,
        _: Duration,
    ) -> Vec<Result<Version, Error>> {
        match self.bump_at_once(tags, leaving) {
            Ok(versions) => versions.into_iter().map(Ok).collect(),
            Err(error) => vec![Err(error); tags.len()],
        }
    }

    async fn mark(
        &self,
        tags: &[Tag],
        guard: GuardId,
        _: Duration,
        _: Duration,
    ) -> Vec<Result<(), Error>> {
        self.mark_at_once(tags, guard);
        vec![Ok(()); tags.len()]
    }

    async fn put(
        &self,
        _: &Identity,
        place: &Place,
        entry: Vec<u8>,
        timeout: Duration,
        _: Deadline,
    ) -> Result<(), Error> {
        let kept = Kept { bytes: entry.into(), until: Instant::now() + timeout };
        let weight = Weight.weight(&place.key, &kept);
        // quick_cache keeps some of a shard free and drops what does not fit into the rest.
        if weight > self.entries.shard_capacity() / 100 * 95 {
            let message = format!(
                "an entry of {weight} bytes has no room in the embedded store: raise `max_bytes`"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.entries.insert(place.key.clone(), kept);
        Ok(())
    }

    async fn put_many(&self, entries: Vec<Put>, deadline: Deadline) -> Each<()> {
        let mut stored = Vec::with_capacity(entries.len());
        for Put { identity, place, entry, timeout } in entries {
            stored.push(self.put(&identity, &place, entry, timeout, deadline).await);
        }
        Ok(stored)
    }

    async fn bytes_at(&self, key: &str, _: Deadline) -> Result<Option<Bytes>, Error> {
        let entry = self.entries.get(key).filter(|kept| kept.until > Instant::now());
        Ok(entry.map(|kept| kept.bytes))
    }

    async fn remove(&self, key: &str, _: Deadline) -> Result<bool, Error> {
        let removed = self.entries.remove(key);
        Ok(removed.is_some_and(|(_, kept)| kept.until > Instant::now()))
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("entries", &self.entries.len())
            .field("tags", &self.versions.len())
            .field("bytes", &self.bytes())
            .finish()
    }
}
