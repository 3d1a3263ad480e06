//! Runs that nobody waits for: how many there are at once, and how many wait for their turn.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The runs of one cache in the background.
pub(crate) struct Background {
    running: Arc<Semaphore>,
    /// By the key of the entry: those that run, and those that wait for their turn.
    enlisted: Mutex<HashSet<String>>,
    most: usize,
}

/// A run that is to be. Dropped, it is over.
pub(crate) struct Enlisted {
    background: Arc<Background>,
    key: String,
    permit: Option<OwnedSemaphorePermit>,
}

/// Why there is no run in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// One for this entry is under way.
    Enlisted,
    /// There are too many.
    Full,
    /// There are to be none, or there is no Tokio runtime to run it.
    Nowhere,
}

impl Background {
    pub(crate) fn new(most_running: usize, most_waiting: usize) -> Self {
        let most_running = most_running.min(Semaphore::MAX_PERMITS);
        Background {
            running: Arc::new(Semaphore::new(most_running)),
            enlisted: Mutex::default(),
            // With none that may run, none may wait either.
            most: if most_running == 0 { 0 } else { most_running.saturating_add(most_waiting) },
        }
    }

    /// A run that may have to wait for its turn.
    pub(crate) fn enlist(self: &Arc<Self>, key: &str) -> Result<Enlisted, Refused> {
        if self.most == 0 || Handle::try_current().is_err() {
            return Err(Refused::Nowhere);
        }
        let mut enlisted = self.enlisted.lock().unwrap_or_else(PoisonError::into_inner);
        if enlisted.contains(key) {
            return Err(Refused::Enlisted);
        }
        if enlisted.len() >= self.most {
            return Err(Refused::Full);
        }
        enlisted.insert(key.to_owned());
        Ok(Enlisted { background: self.clone(), key: key.to_owned(), permit: None })
    }

    /// A run that has begun already, and goes on; not if it would have to wait.
    pub(crate) fn take_over(self: &Arc<Self>, key: &str) -> Result<Enlisted, Refused> {
        let permit = self.running.clone().try_acquire_owned().map_err(|_| Refused::Full)?;
        let mut enlisted = self.enlist(key)?;
        enlisted.permit = Some(permit);
        Ok(enlisted)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.enlisted.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Enlisted {
    /// Waits for its turn.
    pub(crate) async fn turn(&mut self) {
        if self.permit.is_none() {
            // It is never closed.
            self.permit = self.background.running.clone().acquire_owned().await.ok();
        }
    }
}

impl Drop for Enlisted {
    fn drop(&mut self) {
        self.background.enlisted.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("runs", &self.len()).finish_non_exhaustive()
    }
}
