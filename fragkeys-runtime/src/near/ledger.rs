//! What became of the trust in a cache's connections, for people.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::trust::Trust;

/// Why a connection is not believed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// It did not answer for `max_staleness`.
    Silence,
    /// It is lost, or was replaced.
    Disconnected,
    /// The server does not tell it of changes any more.
    NotTracked,
    /// A cluster's master was replaced, has lost slots, or is cut off from the others.
    Cluster,
}

/// The connections of one cache, and what they told.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) max_staleness: Duration,
    trusts: Mutex<Vec<Weak<Trust>>>,
    pushes: AtomicU64,
    losses: [AtomicU64; 4],
}

impl Ledger {
    pub(crate) fn new(max_staleness: Duration) -> Self {
        Ledger {
            max_staleness,
            trusts: Mutex::default(),
            pushes: AtomicU64::new(0),
            losses: [const { AtomicU64::new(0) }; 4],
        }
    }

    pub(super) fn enter(&self, trust: &Arc<Trust>) {
        let mut trusts = self.lock();
        trusts.retain(|trust| trust.strong_count() > 0);
        trusts.push(Arc::downgrade(trust));
    }

    pub(super) fn note_push(&self) {
        self.pushes.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_loss(&self, loss: Loss) {
        let [silence, disconnected, not_tracked, cluster] = &self.losses;
        let number = match loss {
            Loss::Silence => silence,
            Loss::Disconnected => disconnected,
            Loss::NotTracked => not_tracked,
            Loss::Cluster => cluster,
        };
        number.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn pushes(&self) -> u64 {
        self.pushes.load(Ordering::Relaxed)
    }

    /// Losses to silence, of the connection, of tracking, and to what became of a cluster.
    pub(super) fn losses(&self) -> [u64; 4] {
        self.losses.each_ref().map(|number| number.load(Ordering::Relaxed))
    }

    /// How many connections are believed, and since when without a break; of several, the latest.
    pub(super) fn trusted(&self, now: Instant) -> (usize, Option<Instant>) {
        let trusts: Vec<_> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let trusted = || trusts.iter().filter(|trust| trust.holds_at(now));
        (trusted().count(), trusted().filter_map(|trust| trust.since()).max())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<Trust>>> {
        self.trusts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
