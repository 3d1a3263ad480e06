//! Which sources fail: so that a source that is down is asked now and then, and not by each call.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quick_cache::sync::Cache;
use tokio::time::Instant;

/// What failed lately, by the key of its entry. Past so many, who failed first is asked again.
pub(crate) struct Failures {
    known: Cache<String, Arc<Mutex<Failure>>>,
    pause: Duration,
}

#[derive(Clone, Copy)]
struct Failure {
    at: Instant,
    /// When it may be tried again.
    next: Instant,
}

const MOST: usize = 10_000;

impl Failures {
    pub(crate) fn new(pause: Duration) -> Self {
        Failures { known: Cache::new(MOST), pause }
    }

    /// May somebody try now? Where it failed, one caller in each pause.
    pub(crate) fn admits(&self, key: &str) -> bool {
        let Some(failure) = self.known.get(key) else { return true };
        let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now < failure.next {
            return false;
        }
        failure.next = now + self.pause;
        true
    }

    /// Has it failed since then, as far as anybody knows?
    pub(crate) fn has_failed_since(&self, key: &str, then: Instant) -> bool {
        let failure = self.known.get(key);
        failure.is_some_and(|it| it.lock().unwrap_or_else(PoisonError::into_inner).at >= then)
    }

    /// It has failed.
    pub(crate) fn note(&self, key: &str) {
        let at = Instant::now();
        let failure = Failure { at, next: at + self.pause };
        self.known.insert(key.to_owned(), Arc::new(Mutex::new(failure)));
    }

    /// It works.
    pub(crate) fn forget(&self, key: &str) {
        self.known.remove(key);
    }
}

impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failures").field("number", &self.known.len()).finish_non_exhaustive()
    }
}
