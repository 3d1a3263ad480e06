//! Counters, so that a person can see what a cache does.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

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
                Stats { $($name: self.$name.read(),)* }
            }
        }
    };
}

/// Counts in several places, a thread always in the same one: hits of the near tier on several
/// cores would else do little but wait for each other's counting.
#[derive(Debug, Default)]
pub(crate) struct Counter([Stripe; STRIPES]);

const STRIPES: usize = 8;

/// Alone in what a core takes from memory at a time.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Stripe(AtomicU64);

impl Counter {
    #[inline]
    pub(crate) fn add(&self) {
        self.add_many(1);
    }

    #[inline]
    pub(crate) fn add_many(&self, number: usize) {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static STRIPE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % STRIPES;
        }
        let Counter(stripes) = self;
        // A thread that ends counts in the first one.
        let stripe = STRIPE.try_with(|stripe| *stripe).unwrap_or(0);
        if let Some(Stripe(count)) = stripes.get(stripe) {
            count.fetch_add(number as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.iter().map(|Stripe(count)| count.load(Ordering::Relaxed)).sum()
    }
}

counters! {
    /// Calls answered from the store.
    hits,
    /// Calls answered in this process, by the near tier. They are not among `hits`.
    near_hits,
    /// Calls that found no entry.
    misses,
    /// Of the misses, those that shared the run of another call instead of running.
    shared,
    /// Of the misses, those whose run ended early: all that it is made of came out as the last time (`early_cutoff`).
    cut_off,
    /// Calls answered with an old value, as grace has it: see `stale_while_revalidate` and `stale_if_error`.
    stale,
    /// Runs that nobody waited for, and the early ones of `refresh_ahead`.
    refreshes,
    /// Of the refreshes, those that gave nothing to store: an `Err`, a panic, a runtime that ended.
    failed_refreshes,
    /// Refreshes that did not begin, as too many were under way.
    refused_refreshes,
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
