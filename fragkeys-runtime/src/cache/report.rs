//! How a cache is, told to people and to what collects metrics.

use super::Cache;
use crate::health::Health;

impl Cache {
    /// How it is now: whether the store can be reached, what waits, what went wrong last. Nothing
    /// is asked of the store for it.
    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &self.shared;
        let reach = shared.store.reach(shared.since);
        let refused = shared.last_error.get();
        Health {
            is_reachable: reach.is_reachable,
            since: reach.since,
            breaker: reach.breaker,
            is_tracking: reach.is_tracking,
            tracking_since: reach.tracking_since,
            connections: reach.connections,
            runtimes: reach.runtimes,
            queued_bumps: shared.queue.len(),
            // What keeps it from being reached tells more than what was refused before.
            last_error: refused
                .filter(|_| reach.is_reachable)
                .or_else(|| shared.store.last_error())
                .map(|error| error.to_string()),
        }
    }

    /// The name it was installed as.
    #[cfg(feature = "metrics")]
    pub(crate) fn name(&self) -> &str {
        &self.shared.name
    }
}
