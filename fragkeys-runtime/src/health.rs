//! How a cache is, for people and for checks.

use std::fmt;
use std::time::SystemTime;

/// Whether calls go to the store.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Breaker {
    /// They do; or they wait for the first attempt to connect.
    Closed,
    /// They go straight to their functions, while one probe asks whether the store is back.
    HalfOpen,
    /// They go straight to their functions until the next probe, half a second from now at most.
    Open,
}

impl Breaker {
    /// One lower-case word, for a log's field or a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Breaker::Closed => "closed",
            Breaker::HalfOpen => "half-open",
            Breaker::Open => "open",
        }
    }
}

impl fmt::Display for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a cache is, as [`Cache::health`](crate::Cache::health) saw it: of all of its connections
/// in this process, one for each Tokio runtime, the one that is off worst.
///
/// ```
/// # use fragkeys_runtime::{Breaker, Config};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let health = Config::memory().build().await?.health();
/// assert!(health.is_reachable && health.breaker == Breaker::Closed);
/// println!("{health}");
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Is every connection up? The embedded store always is.
    pub is_reachable: bool,
    /// Since when it is, or is not.
    pub since: SystemTime,
    /// Do calls go to the store?
    pub breaker: Breaker,
    /// Does the store tell of changes, so that a hit is one command?
    pub is_tracking: bool,
    /// Since when it does, or does not.
    pub tracking_since: SystemTime,
    /// Connections that are up.
    pub connections: usize,
    /// Connections that there should be: one for each Tokio runtime that uses the cache.
    pub runtimes: usize,
    /// Tags whose bump failed and is being retried. What depends on them runs uncached.
    pub queued_bumps: usize,
    /// What went wrong last, if anything did since the cache was built. Never a value, a
    /// password or a whole URL.
    pub last_error: Option<String>,
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Health { breaker, connections, runtimes, queued_bumps, .. } = self;
        let reachable = if self.is_reachable { "reachable" } else { "unreachable" };
        let seconds = self.since.elapsed().unwrap_or_default().as_secs();
        let tracking = if self.is_tracking { "on" } else { "off" };
        write!(
            f,
            "{reachable} for {seconds} s ({connections} of {runtimes} connections), breaker \
             {breaker}, tracking {tracking}, {queued_bumps} queued bumps"
        )?;
        match &self.last_error {
            Some(error) => write!(f, ", last error: {error}"),
            None => Ok(()),
        }
    }
}

/// How one connection is, or what is known of all together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    pub(crate) is_reachable: bool,
    pub(crate) since: SystemTime,
    pub(crate) breaker: Breaker,
    pub(crate) is_tracking: bool,
    pub(crate) tracking_since: SystemTime,
    pub(crate) connections: usize,
    pub(crate) runtimes: usize,
}

impl Reach {
    /// Of a store without connections.
    pub(crate) fn at_hand(since: SystemTime) -> Self {
        Reach {
            is_reachable: true,
            since,
            breaker: Breaker::Closed,
            is_tracking: false,
            tracking_since: since,
            connections: 0,
            runtimes: 0,
        }
    }

    /// Of a store to which nobody has connected yet.
    #[cfg(feature = "redis")]
    pub(crate) fn untried(since: SystemTime) -> Self {
        Reach { is_reachable: false, ..Reach::at_hand(since) }
    }

    /// Both together: as bad as the worse one.
    #[cfg(feature = "redis")]
    pub(crate) fn and(self, other: Reach) -> Reach {
        // Of two that are alike, what was later made it so; else what made it worse.
        let since = |is_good: fn(&Reach) -> bool, when: fn(&Reach) -> SystemTime| match (
            is_good(&self),
            is_good(&other),
        ) {
            (true, true) => when(&self).max(when(&other)),
            (false, false) => when(&self).min(when(&other)),
            (false, true) => when(&self),
            (true, false) => when(&other),
        };
        Reach {
            is_reachable: self.is_reachable && other.is_reachable,
            since: since(|reach| reach.is_reachable, |reach| reach.since),
            breaker: self.breaker.max(other.breaker),
            is_tracking: self.is_tracking && other.is_tracking,
            tracking_since: since(|reach| reach.is_tracking, |reach| reach.tracking_since),
            connections: self.connections + other.connections,
            runtimes: self.runtimes + other.runtimes,
        }
    }
}
