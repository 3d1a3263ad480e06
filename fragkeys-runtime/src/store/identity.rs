//! Identities that were asked for before, so that a call need not put them together again.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use smallvec::SmallVec;

use super::memory::sized_cache_with;
use crate::key::Identity;
use crate::seeded::Seeded;

/// Bytes of remembered identities, for each store; with Redis, for each runtime that uses it.
const BYTES: u64 = 8 << 20;
/// What an identity costs beside its texts: the key, the command and the cells made ready.
const OVERHEAD: u64 = 560;

/// What was asked for lately, by the bytes that tell one call from another.
pub(crate) struct Identities(Cache<CallBytes, Arc<Identity>, Weight, Seeded>);

/// Bytes that tell one call from another. Most are few enough to stand in the table itself, where
/// they are compared without a way to the heap.
pub(crate) type CallBytes = SmallVec<[u8; 48]>;

#[derive(Clone)]
pub(super) struct Weight;

impl Weighter<CallBytes, Arc<Identity>> for Weight {
    /// The identity's bytes stand in it twice: as they are, and in the address.
    fn weight(&self, bytes: &CallBytes, identity: &Arc<Identity>) -> u64 {
        let tags: usize = identity.tags.iter().map(|tag| tag.as_str().len() + 96).sum();
        OVERHEAD + (bytes.len() + identity.bytes.len() * 2 + tags) as u64
    }
}

impl Identities {
    pub(crate) fn new() -> Self {
        let lifecycle = DefaultLifecycle::default();
        Identities(sized_cache_with(BYTES, Weight, Seeded::at_random(), lifecycle))
    }

    pub(crate) fn recall(&self, bytes: &[u8]) -> Option<Arc<Identity>> {
        self.0.get(bytes)
    }

    pub(crate) fn remember(&self, bytes: &[u8], identity: &Arc<Identity>) {
        self.0.insert(CallBytes::from_slice(bytes), identity.clone());
    }
}
