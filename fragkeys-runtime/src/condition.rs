//! Whether something works, so that only changes are logged and not each call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::Error;

/// What went wrong last, for people.
#[derive(Debug, Default)]
pub(crate) struct LastError(Mutex<Option<Error>>);

impl LastError {
    pub(crate) fn keep(&self, error: &Error) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.clone());
    }

    pub(crate) fn get(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Condition {
    is_failing: AtomicBool,
    /// The failure was logged, so its end will be.
    is_told: AtomicBool,
    last_told: Mutex<Option<Instant>>,
}

impl Condition {
    /// Does it begin to fail, and was that not said just now? One that fails for some calls
    /// and works for others would fill the log.
    pub(crate) fn begins_to_fail(&self) -> bool {
        const QUIET: Duration = Duration::from_secs(10);
        if self.is_failing.swap(true, Ordering::Relaxed) {
            return false;
        }
        let mut last_told = self.last_told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = last_told.is_none_or(|last| last.elapsed() > QUIET);
        if is_news {
            *last_told = Some(Instant::now());
            self.is_told.store(true, Ordering::Relaxed);
        }
        is_news
    }

    /// Does it work again, after a failure that was logged?
    pub(crate) fn ends_to_fail(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
            && self.is_failing.swap(false, Ordering::Relaxed)
            && self.is_told.swap(false, Ordering::Relaxed)
    }
}
