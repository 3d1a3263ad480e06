//! What a value was made of, for early cutoff: which calls its body made, and what they gave.

use std::collections::HashMap;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use super::Heir;
use crate::key::Identity;

/// A value that was made of more is made anew when one of them changes.
pub(crate) const MOST_PARTS: usize = 1_000;

/// Calls and the values that they gave, each by its hash: 128 bits, so no two are taken for one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    values: HashMap<u128, u128>,
    /// A call has told its versions and never its value, or told two.
    are_unknown: bool,
}

impl Parts {
    pub(crate) fn of(values: HashMap<u128, u128>) -> Self {
        Parts { values, are_unknown: false }
    }

    /// All of them, in no order; `None` if there are none, or one is not known.
    pub(crate) fn known(&self) -> Option<&HashMap<u128, u128>> {
        (!self.are_unknown && !self.values.is_empty()).then_some(&self.values)
    }

    fn add(&mut self, call: u128, value: u128) {
        self.are_unknown |= *self.values.entry(call).or_insert(value) != value;
        if self.values.len() > MOST_PARTS {
            *self = Parts { values: HashMap::new(), are_unknown: true };
        }
    }
}

/// A call whose value its heir wants to know.
pub(crate) struct Part {
    heir: Arc<Heir>,
    call: u128,
    is_told: bool,
}

impl Part {
    pub(crate) fn new(heir: &Arc<Heir>, identity: &Identity) -> Self {
        let call = xxh3_128(&[identity.key_base.as_bytes(), &identity.bytes].concat());
        Part { heir: heir.clone(), call, is_told: false }
    }

    /// What it gives, in the cache's codec. Says whether the heir has its own value by now.
    pub(crate) fn tell(mut self, value: &[u8]) -> bool {
        self.is_told = true;
        self.heir.lock().parts.add(self.call, xxh3_128(value));
        self.heir.is_settled()
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
        let heritage = self.lock();
        let last = self.last.as_ref().filter(|last| last.known().is_some());
        heritage.obstacle.is_none() && last.is_some_and(|last| heritage.parts == *last)
    }
}
