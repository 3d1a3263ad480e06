//! What a value was made of, for early cutoff: which calls its body made, and what they gave.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::Heir;
use crate::key::Identity;

/// A value that was made of more is made anew when one of them changes.
pub(crate) const MOST_PARTS: usize = 1_000;

/// Calls and the values that they gave, each by its hash. With a seed that nobody knows: users choose
/// what is hashed, and who could find two texts of one hash would have the old one stay.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    pub(crate) seed: u64,
    values: HashMap<u128, u128>,
    /// A call has told its versions and never its value, or told two.
    are_unknown: bool,
}

impl Default for Parts {
    fn default() -> Self {
        Parts::of(fastrand::u64(..), HashMap::new())
    }
}

impl Parts {
    pub(crate) fn of(seed: u64, values: HashMap<u128, u128>) -> Self {
        Parts { seed, values, are_unknown: false }
    }

    /// All of them, in no order; `None` if there are none, or one is not known.
    pub(crate) fn known(&self) -> Option<&HashMap<u128, u128>> {
        (!self.are_unknown && !self.values.is_empty()).then_some(&self.values)
    }

    fn add(&mut self, call: u128, value: u128) {
        self.are_unknown |= *self.values.entry(call).or_insert(value) != value;
        if self.values.len() > MOST_PARTS {
            self.values = HashMap::new();
            self.are_unknown = true;
        }
    }
}

/// What an heir with early cutoff knows of the last value.
#[derive(Debug)]
pub(super) struct Last {
    parts: Parts,
    /// Was all that it is made of told again? That stays so, whatever is told behind it.
    is_settled: AtomicBool,
}

impl Last {
    pub(super) fn new(parts: Parts) -> Self {
        Last { parts, is_settled: AtomicBool::new(false) }
    }

    pub(super) fn seed(&self) -> u64 {
        self.parts.seed
    }
}

/// A call whose value its heir wants to know.
pub(crate) struct Part {
    heir: Arc<Heir>,
    call: u128,
    is_told: bool,
}

impl Part {
    /// `None` if its heir wants to know nothing of it.
    pub(crate) fn new(heir: &Arc<Heir>, identity: &Identity) -> Option<Self> {
        let seed = heir.last.as_ref()?.seed();
        let call = [identity.key_base.as_bytes(), &identity.bytes].concat();
        let call = xxh3_128_with_seed(&call, seed);
        Some(Part { heir: heir.clone(), call, is_told: false })
    }

    /// What it gives, in the cache's codec. Says whether the heir has its own value by now.
    pub(crate) fn tell(mut self, value: &[u8]) -> bool {
        self.is_told = true;
        let Some(last) = &self.heir.last else { return false };
        let mut heritage = self.heir.lock();
        heritage.parts.add(self.call, xxh3_128_with_seed(value, last.seed()));
        let is_settled = heritage.obstacle.is_none()
            && heritage.parts.known().is_some_and(|told| last.parts.known() == Some(told));
        drop(heritage);
        if is_settled {
            last.is_settled.store(true, Ordering::Release);
        }
        is_settled
    }
}

/// It gave an `Err`, or was dropped.
impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_told {
            self.heir.lacks_part();
        }
    }
}

impl Heir {
    /// Must it be told what calls give?
    pub(crate) fn wants_parts(&self) -> bool {
        self.last.is_some()
    }

    /// A call has told its versions, and does not tell what it gives.
    pub(crate) fn lacks_part(&self) {
        self.lock().parts.are_unknown = true;
    }

    /// Is its value made of what it was made of the last time? Then it is the same, whatever else
    /// the body would do.
    pub(crate) fn is_settled(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.is_settled.load(Ordering::Acquire))
    }
}
