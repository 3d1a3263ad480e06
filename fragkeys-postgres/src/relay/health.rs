//! How a relay is, for people and for what asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::Batch;

/// How a [`Relay`](super::Relay) is. It can be cloned and asked at any time.
///
/// ```
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// # use std::time::Duration;
/// let cache = fragkeys::Config::memory().build().await?;
/// let relay = fragkeys_postgres::Relay::new("postgres://127.0.0.1/shop", cache)?;
/// let health = relay.health();
/// assert!(!health.is_connected()); // it does not run yet
/// assert_eq!((health.backlog(), health.oldest()), (0, Duration::ZERO));
/// # Ok(()) }
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RelayHealth(Arc<Shared>);

/// What the relay notes and others read.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<State>);

#[derive(Clone, Debug, Default)]
struct State {
    is_connected: bool,
    was_connected: bool,
    backlog: u64,
    oldest: Duration,
    last_drained: Option<SystemTime>,
    relayed: u64,
    held: u64,
    refused: u64,
}

impl RelayHealth {
    pub(super) fn of(shared: &Arc<Shared>) -> Self {
        RelayHealth(shared.clone())
    }

    /// Does it have a connection to PostgreSQL?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.state().is_connected
    }

    /// How many tags wait in the outbox, counted to 100,001, when it last looked: every ten
    /// seconds while there is more than one batch of them, or bumps fail.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.0.state().backlog
    }

    /// For how long the oldest of them had waited then.
    #[must_use]
    pub fn oldest(&self) -> Duration {
        self.0.state().oldest
    }

    /// When it last found nothing left to take. While others bump and this stays, something is
    /// wrong.
    #[must_use]
    pub fn last_drained(&self) -> Option<SystemTime> {
        self.0.state().last_drained
    }

    /// How many rows of the outbox were bumped and deleted.
    #[must_use]
    pub fn relayed(&self) -> u64 {
        self.0.state().relayed
    }

    /// How many rows wait whose bump fails while others go through: the log says why.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.0.state().held
    }

    /// How many were deleted without a bump, as nobody can bump them.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.0.state().refused
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn was_connected(&self) -> bool {
        self.state().was_connected
    }

    pub(super) fn connected(&self) {
        let mut state = self.state();
        (state.is_connected, state.was_connected) = (true, true);
    }

    pub(super) fn disconnected(&self) {
        self.state().is_connected = false;
    }

    pub(super) fn drained(&self, batch: &Batch, held: usize, is_at_end: bool) {
        let mut state = self.state();
        state.relayed += (batch.done.len() - batch.refused) as u64;
        state.refused += batch.refused as u64;
        state.held = held as u64;
        if is_at_end {
            (state.backlog, state.oldest) = (0, Duration::ZERO);
            state.last_drained = Some(SystemTime::now());
        }
    }

    pub(super) fn backlog(&self, tags: u64, oldest: Duration) {
        let mut state = self.state();
        (state.backlog, state.oldest) = (tags, oldest);
    }
}
