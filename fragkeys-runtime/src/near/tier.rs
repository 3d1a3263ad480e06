//! The entries: decoded values by the bytes of their calls' identities.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quick_cache::sync::Cache;
use quick_cache::{Lifecycle, Weighter};

use super::grounds::{Grounds, Standing};
use crate::seeded::Seeded;
use crate::store::identity::CallBytes;
use crate::store::memory::sized_cache_with;
use crate::version::Version;

/// A value, and for how long it is right.
pub(crate) struct Kept<V: ?Sized> {
    grounds: Arc<Grounds>,
    until: Instant,
    bytes: u64,
    pub(crate) value: V,
}

/// A value of whatever type.
pub(crate) type AnyKept = Kept<dyn Any + Send + Sync>;

impl<T> Kept<T> {
    /// `encoded` is how many bytes the value is long in a store.
    pub(crate) fn new(value: T, encoded: usize, grounds: Arc<Grounds>, until: Instant) -> Self {
        let bytes = size_of::<Self>() as u64
            + encoded as u64 * BYTES_PER_ENCODED
            + grounds.len() as u64 * BYTES_PER_VERSION;
        Kept { grounds, until, bytes, value }
    }
}

impl<V: ?Sized> Kept<V> {
    /// What it stands on, in the order of its call's tags.
    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> {
        self.grounds.versions()
    }
}

/// What a byte of an encoded value takes when it is decoded: texts take one, numbers up to eight
/// where they are small and the codec writes them short, and lists, maps and boxes add to that.
const BYTES_PER_ENCODED: u64 = 3;
/// A version with the pointer to its cell.
const BYTES_PER_VERSION: u64 = 24;
/// The place in the table and in the list, and the heads of what is on the heap.
const OVERHEAD: u64 = 240;

#[derive(Clone)]
struct Weight;

impl Weighter<CallBytes, Arc<AnyKept>> for Weight {
    fn weight(&self, identity: &CallBytes, kept: &Arc<AnyKept>) -> u64 {
        OVERHEAD + identity.len() as u64 + kept.bytes
    }
}

pub(crate) struct NearTier {
    entries: Cache<CallBytes, Arc<AnyKept>, Weight, Seeded, Evict>,
    evictions: Arc<AtomicU64>,
    removals: AtomicU64,
}

impl NearTier {
    pub(crate) fn new(max_bytes: u64) -> Self {
        let evictions = Arc::new(AtomicU64::new(0));
        let evict = Evict(evictions.clone());
        let entries = sized_cache_with(max_bytes, Weight, Seeded::at_random(), evict);
        NearTier { entries, evictions, removals: AtomicU64::new(0) }
    }

    /// The entry of a call, if it may be believed now.
    #[inline]
    pub(crate) fn find(&self, identity: &[u8]) -> Option<Arc<AnyKept>> {
        let kept = self.entries.get(identity)?;
        let now = Instant::now();
        let standing = kept.grounds.standing(now);
        if standing != Standing::Gone {
            kept.grounds.want_trust();
        }
        (standing == Standing::Firm && now < kept.until).then_some(kept)
    }

    /// How many entries were removed. To be asked before a look: what it finds may be removed
    /// before it is kept.
    pub(crate) fn removals(&self) -> u64 {
        self.removals.load(Ordering::Acquire)
    }

    /// Keeps an entry that a look has found, unless there is one that will do, or one was removed
    /// since there were so many `removals`.
    pub(crate) fn keep_found(
        &self,
        identity: &[u8],
        removals: u64,
        fresh: impl FnOnce() -> Arc<AnyKept>,
    ) {
        let now = Instant::now();
        let will_do =
            |kept: &AnyKept| now < kept.until && kept.grounds.standing(now) != Standing::Gone;
        match self.entries.peek(identity) {
            Some(kept) if will_do(&kept) => kept.grounds.want_trust(),
            _ => self.keep(identity, fresh()),
        }
        // Afterwards: who removes this very entry counts first.
        if self.removals() != removals {
            self.entries.remove(identity);
        }
    }

    pub(crate) fn keep(&self, identity: &[u8], fresh: Arc<AnyKept>) {
        if fresh.grounds.are_current() {
            fresh.grounds.want_trust();
            self.entries.insert(CallBytes::from_slice(identity), fresh);
        }
    }

    /// Has it room for an entry of this weight?
    pub(crate) fn has_room_for(&self, identity: &[u8], kept: &AnyKept) -> bool {
        let weight = OVERHEAD + identity.len() as u64 + kept.bytes;
        // quick_cache keeps some of a shard free and drops what does not fit into the rest.
        weight <= self.entries.shard_capacity() / 100 * 95
    }

    /// Drops an entry; says whether it could still be believed.
    pub(crate) fn remove(&self, identity: &[u8]) -> bool {
        self.removals.fetch_add(1, Ordering::AcqRel);
        let now = Instant::now();
        let removed = self.entries.remove(identity);
        removed.is_some_and(|(_, kept)| {
            now < kept.until && kept.grounds.standing(now) == Standing::Firm
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.entries.weight()
    }

    pub(crate) fn evictions(&self) -> u64 {
        self.evictions.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for NearTier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (entries, bytes) = (self.len(), self.bytes());
        f.debug_struct("NearTier").field("entries", &entries).field("bytes", &bytes).finish()
    }
}

/// Counts what is evicted, and drops it when the lock is not held any more: a value's `Drop` is
/// the user's, and may call cached functions.
#[derive(Clone)]
struct Evict(Arc<AtomicU64>);

impl Lifecycle<CallBytes, Arc<AnyKept>> for Evict {
    type RequestState = Vec<Arc<AnyKept>>;

    fn before_evict(&self, _: &mut Self::RequestState, _: &CallBytes, _: &mut Arc<AnyKept>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Also of what is replaced.
    fn on_evict(&self, evicted: &mut Self::RequestState, _: CallBytes, kept: Arc<AnyKept>) {
        evicted.push(kept);
    }
}
