//! The near tier: decoded values in this process, answered from without asking anyone.
//!
//! An entry stands on versions in cells that others keep current, and on the trust in whoever
//! tells the cells. What tells them is the store's matter: nothing here knows a connection.

use std::time::{Duration, Instant};

mod grounds;
#[cfg_attr(not(feature = "redis"), allow(dead_code))] // the embedded store is believed as it is
mod ledger;
mod tier;
#[cfg_attr(not(feature = "redis"), allow(dead_code))] // the embedded store is believed as it is
mod trust;

pub(crate) use grounds::Grounds;
pub(crate) use ledger::Ledger;
#[cfg(feature = "redis")]
pub(crate) use ledger::Loss;
pub(crate) use tier::{AnyKept, Kept, NearTier};
pub(crate) use trust::Trust;

/// The near tier of a cache: hits in this process, without the network.
///
/// Give it to [`Config::near`](crate::Config::near). A cache that has none answers each hit with
/// one read of its store.
///
/// An entry holds the decoded value, which is cloned for each hit: a function that returns
/// `Arc<T>` pays a reference count. Values that are not `Clone + Send + Sync` stay out, and so do
/// functions with `near = false`, entries by hand, and all calls inside of
/// [`on_commit`](crate::on_commit). What is inside of an `Arc` is shared by all who get it, so it
/// must not be changed.
///
/// A bump in this process is seen by the next call. One in another process is seen as soon as
/// Redis has told of it, mostly within a millisecond; and in any case a hit is never older than
/// [`max_staleness`](Self::max_staleness), also if the network swallows packets or Redis hangs.
///
/// In a cluster, each master is believed for what it has, and a hit whose tags stand with several
/// needs all of these to be. A master that was replaced and does not know that yet tells of nothing
/// that its heir is told: the time until it knows, or is silent, comes on top of `max_staleness`. That is
/// moments where it hears the other nodes; one that is cut off from them, and not from this process,
/// stops being believed after `cluster-node-timeout`, as it stops answering then.
///
/// ```
/// # use std::time::Duration;
/// # use fragkeys_runtime::{Config, Near};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let near = Near::new().max_bytes(16 << 20).max_staleness(Duration::from_millis(500));
/// let cache = Config::memory().near(near).build().await?;
/// assert_eq!(cache.near_stats().map(|near| near.entries), Some(0));
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "settings do nothing until `Config::near` takes them"]
pub struct Near {
    pub(crate) max_bytes: u64,
    pub(crate) max_staleness: Duration,
}

impl Near {
    /// A near tier of 64 MiB whose hits are at most a second old.
    pub fn new() -> Self {
        Near { max_bytes: 64 << 20, max_staleness: Duration::from_secs(1) }
    }

    /// The memory that entries take, in bytes. Default: 64 MiB. What is used most stays; a scan
    /// through many keys does not push it out.
    ///
    /// It is an estimate: the size of the type, three bytes for each byte of the encoded value,
    /// the call's identity, 24 bytes for each tag, and about 250 for the entry itself. A list of
    /// small numbers can take up to three times that, a long text a third. Under an embedded
    /// store this comes on top of [`Config::max_bytes`](crate::Config::max_bytes); a value is kept
    /// here or there, not in both.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How much older than Redis a hit may be, at worst. Default: 1 second. At least a
    /// millisecond, at most an hour.
    ///
    /// Four times in it, as long as the tier is used, each connection is asked whether it still
    /// tells of changes. If it does not answer, hits go to Redis from this time on after the last
    /// question that was answered. Below some 20 ms a busy machine does that to a healthy
    /// connection. A machine that sleeps does not count its sleep. In a cluster each master is asked
    /// for its slots as well, for which a user needs `CLUSTER INFO`, `MYID` and `SLOTS`.
    pub fn max_staleness(mut self, time: Duration) -> Self {
        self.max_staleness = time;
        self
    }

    /// What is wrong with these settings.
    pub(crate) fn problem(&self) -> Option<&'static str> {
        if self.max_bytes < 1 << 10 {
            Some("the near tier's max_bytes is below 1 KiB: nothing would be kept; leave it off")
        } else if self.max_staleness < Duration::from_millis(1) {
            Some(
                "the near tier's max_staleness is below a millisecond: no connection answers so \
                 fast that a hit could be believed; leave the near tier off",
            )
        } else if self.max_staleness > Duration::from_secs(3_600) {
            Some(
                "the near tier's max_staleness is above an hour: for so long a lost connection \
                 would go unnoticed",
            )
        } else {
            None
        }
    }
}

impl Default for Near {
    fn default() -> Self {
        Near::new()
    }
}

/// The near tier of a cache at a moment, in this process. See
/// [`Cache::near_stats`](crate::Cache::near_stats).
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NearStats {
    /// Calls that it answered.
    pub hits: u64,
    /// Entries in it, those included that are out of date and wait for their place to be taken.
    pub entries: u64,
    /// Their bytes, by the estimate of [`Near::max_bytes`].
    pub bytes: u64,
    /// Entries that had to make room for others.
    pub evictions: u64,
    /// Messages of changes that Redis sent.
    pub pushes: u64,
    /// Connections that are believed, of those that there are: one for each Tokio runtime; in a
    /// cluster, one for each runtime and master.
    pub trusted: usize,
    /// Since when they are without a break; of several, the one that is for the shortest time. `None`
    /// while none is: before the first use, when the tier was not used for a while, and when Redis is
    /// away. For an embedded store it is always `None`, and needs no trust.
    pub trusted_since: Option<Instant>,
    /// How often trust was lost because a connection did not answer in time.
    pub lost_to_silence: u64,
    /// How often because a connection was lost or replaced.
    pub lost_to_disconnect: u64,
    /// How often because a server did not track any more what a connection had read.
    pub lost_to_tracking: u64,
    /// How often because a server is a replica now; or a master of a cluster was replaced, has given a
    /// slot to another, or does not know any more what the others do.
    pub lost_to_cluster: u64,
}

impl NearStats {
    pub(crate) fn of(tier: &NearTier, hits: u64, ledger: Option<&Ledger>) -> Self {
        let [lost_to_silence, lost_to_disconnect, lost_to_tracking, lost_to_cluster] =
            ledger.map(Ledger::losses).unwrap_or_default();
        let (trusted, trusted_since) =
            ledger.map(|ledger| ledger.trusted(Instant::now())).unwrap_or_default();
        NearStats {
            hits,
            entries: tier.len() as u64,
            bytes: tier.bytes(),
            evictions: tier.evictions(),
            pushes: ledger.map(Ledger::pushes).unwrap_or_default(),
            trusted,
            trusted_since,
            lost_to_silence,
            lost_to_disconnect,
            lost_to_tracking,
            lost_to_cluster,
        }
    }
}
