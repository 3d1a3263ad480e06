//! The circuit breaker of a link: whether calls go to Redis, or straight to their functions.
//!
//! - *Closed*: calls use the connection. Without one they wait for the first attempt to connect,
//!   after a start or a loss, each at most until its deadline.
//! - *Open*: calls fail at once. The first one that waited in vain opens it for all, for those
//!   that wait as well; so does an attempt to connect that failed.
//! - *Half-open*: as open for calls, while the supervisor's one probe is under way: a `PING`
//!   behind what was not answered, or a new connection, a `PING`, and the recent bumps.
//!
//! A reply that comes before its call's deadline never opens it, however slow.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::Live;
use crate::error::Error;
use crate::health;
use crate::store::Deadline;
use crate::store::redis::server::Server;

pub(super) struct Breaker {
    server: Arc<Server>,
    state: watch::Sender<State>,
    /// The connection of `state`, while it is closed: found without a lock.
    current: ArcSwapOption<Live>,
    changed: Mutex<Changed>,
}

#[derive(Clone)]
enum State {
    /// Closed, and the first attempt to connect is under way: worth waiting for.
    Connecting,
    Closed(Arc<Live>),
    Open {
        error: Error,
        /// Half-open.
        is_probed: bool,
    },
}

/// When it was last otherwise.
#[derive(Clone, Copy)]
struct Changed {
    is_reachable: bool,
    since: SystemTime,
    is_tracking: bool,
    tracking_since: SystemTime,
}

impl Breaker {
    pub(super) fn new(server: Arc<Server>) -> Self {
        let now = SystemTime::now();
        Breaker {
            server,
            state: watch::Sender::new(State::Connecting),
            current: ArcSwapOption::const_empty(),
            changed: Mutex::new(Changed {
                is_reachable: false,
                since: now,
                is_tracking: false,
                tracking_since: now,
            }),
        }
    }

    /// Closes on a connection that has answered.
    pub(super) fn close(&self, live: Arc<Live>) {
        self.note(true, live.cells.is_some());
        self.current.store(Some(live.clone()));
        self.state.send_replace(State::Closed(live));
    }

    /// Opens: calls need not wait.
    pub(super) fn open(&self, error: Error) {
        self.leave(State::Open { error, is_probed: false });
    }

    /// A probe is under way.
    pub(super) fn probe(&self) {
        self.state.send_if_modified(|state| match state {
            State::Open { is_probed, .. } => !std::mem::replace(is_probed, true),
            State::Connecting | State::Closed(_) => false,
        });
    }

    /// The connection is gone; unless it is open, the next attempt is worth waiting for.
    pub(super) fn reconnect(&self) {
        if matches!(*self.state.borrow(), State::Closed(_)) {
            self.leave(State::Connecting);
        }
    }

    fn leave(&self, state: State) {
        self.note(false, false);
        self.current.store(None);
        self.state.send_replace(state);
    }

    /// The connection, if there is one that nobody doubts.
    pub(super) fn live_now(&self) -> Option<Arc<Live>> {
        self.current.load_full().filter(|live| live.is_trusted())
    }

    /// The connection, once there is one; an error at once where there won't be soon.
    pub(super) async fn live(&self, deadline: Deadline) -> Result<Arc<Live>, Error> {
        if let Some(live) = self.live_now() {
            return Ok(live);
        }
        let settled = self.judge(&self.state.borrow());
        match settled {
            Some(settled) => settled,
            None => Box::pin(self.settled(deadline)).await,
        }
    }

    /// What a state means for a call; `None` if the next one is worth waiting for.
    fn judge(&self, state: &State) -> Option<Result<Arc<Live>, Error>> {
        match state {
            State::Connecting => None,
            State::Closed(live) if live.is_over() => None,
            State::Closed(live) if live.is_doubtful() => Some(Err(self.server.silent())),
            State::Closed(live) => Some(Ok(live.clone())),
            State::Open { error, .. } => Some(Err(error.clone())),
        }
    }

    /// Waits for the first attempt after a start or a loss.
    async fn settled(&self, deadline: Deadline) -> Result<Arc<Live>, Error> {
        let mut states = self.state.subscribe();
        let is_settled = |state: &State| self.judge(state).is_some();
        let settled = timeout_at(deadline.until.into(), states.wait_for(is_settled)).await;
        if let Ok(Ok(state)) = settled
            && let Some(settled) = self.judge(&state)
        {
            return settled;
        }
        let error = self.server.silent();
        if self.server.has_had_time(deadline) {
            self.open_for_all(&error);
        }
        Err(error)
    }

    /// A call has waited in vain for the first attempt: the others need not.
    fn open_for_all(&self, error: &Error) {
        self.state.send_if_modified(|state| {
            let is_first = matches!(state, State::Connecting);
            if is_first {
                *state = State::Open { error: error.clone(), is_probed: true };
            }
            is_first
        });
    }

    pub(super) fn reach(&self) -> health::Reach {
        let Changed { is_reachable, since, is_tracking, tracking_since } = *self.lock();
        let is_reachable = is_reachable && self.live_now().is_some();
        let breaker = match &*self.state.borrow() {
            State::Connecting => health::Breaker::Closed,
            State::Closed(live) if live.is_trusted() => health::Breaker::Closed,
            State::Closed(_) | State::Open { is_probed: true, .. } => health::Breaker::HalfOpen,
            State::Open { .. } => health::Breaker::Open,
        };
        health::Reach {
            is_reachable,
            since,
            breaker,
            is_tracking,
            tracking_since,
            connections: usize::from(is_reachable),
            runtimes: 1,
        }
    }

    fn note(&self, is_reachable: bool, is_tracking: bool) {
        let now = SystemTime::now();
        let mut changed = self.lock();
        if changed.is_reachable != is_reachable {
            (changed.is_reachable, changed.since) = (is_reachable, now);
        }
        if changed.is_tracking != is_tracking {
            (changed.is_tracking, changed.tracking_since) = (is_tracking, now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
