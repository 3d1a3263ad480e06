//! Counters, so that a person can see what a cache does.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a cache did since it was built, in this process; of a batch, each element is a call. See [`Cache::stats`](crate::Cache::stats).
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.0.load(Ordering::Relaxed),)* }
            }
        }
    };
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    pub(crate) fn add_many(&self, number: usize) {
        self.0.fetch_add(number as u64, Ordering::Relaxed);
    }
}

counters! {
    /// Calls answered from the store.
    hits,
    /// Calls that found no entry.
    misses,
    /// Of the misses, those that shared the run of another call instead of running.
    shared,
    /// Entries found that did not verify or decode: a stranger's bytes, damage, a collision. Each is also a miss.
    rejected,
    /// Entries written.
    stored,
    /// Values that were not stored because they cannot be: too large, or not for this codec.
    unstorable,
    /// Calls that ran uncached because the store failed or a bump was waiting.
    bypassed,
    /// Store operations that failed, bumps among them.
    faults,
    /// Tags given a new version, retries included.
    bumped,
}
