//! Connections: one for each Tokio runtime, kept by a small supervisor.
//!
//! A connection's tasks live and die with the runtime that made them, so each runtime
//! (each worker of actix, each `#[tokio::test]`) has its own. While there is none, calls
//! fail at once and the supervisor tries again in the background; a call waits only
//! during the first attempt after a start or a loss, and never past its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, ArcSwapOption};
use redis::{Pipeline, Value};
use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, watch};
use tokio::time::timeout_at;

use super::server::Server;
use crate::error::{Error, ErrorKind};
use crate::near::Ledger;
use crate::store::Deadline;
use crate::store::identity::Identities;

mod beat;
mod heartbeat;
mod live;
mod supervisor;

pub(super) use live::Live;
use supervisor::Supervisor;

/// Few, and read at each call.
type LinkMap = ArcSwap<Vec<(Id, Arc<Link>)>>;

/// The links of one store, by runtime.
pub(super) struct Links {
    server: Arc<Server>,
    /// Of the near tier, if there is one.
    ledger: Option<Arc<Ledger>>,
    by_runtime: Arc<LinkMap>,
}

impl Links {
    /// With the ledger of the near tier, if what they tell may be believed without asking.
    pub(super) fn to(server: Server, ledger: Option<Arc<Ledger>>) -> Self {
        Links { server: Arc::new(server), ledger, by_runtime: Arc::default() }
    }

    pub(super) fn address(&self) -> &str {
        &self.server.address
    }

    /// The link of the runtime that polls the caller.
    pub(super) fn here(&self) -> Result<Arc<Link>, Error> {
        let runtime = runtime()?;
        let id = runtime.id();
        let find = |links: &[(Id, Arc<Link>)]| {
            links.iter().find(|(runtime, _)| *runtime == id).map(|(_, link)| link.clone())
        };
        if let Some(link) = find(&self.by_runtime.load()) {
            return Ok(link);
        }
        let fresh = Arc::new(Link::new(self.server.clone()));
        self.by_runtime.rcu(|links| match find(links) {
            Some(_) => links.clone(),
            None => Arc::new(links.iter().cloned().chain([(id, fresh.clone())]).collect()),
        });
        let link = find(&self.by_runtime.load()).unwrap_or_else(|| fresh.clone());
        if !Arc::ptr_eq(&link, &fresh) {
            return Ok(link);
        }
        let links = Arc::downgrade(&self.by_runtime);
        // Without the lock: a runtime that is ending drops the task at once, which takes it.
        let ledger = self.ledger.clone();
        runtime.spawn(Supervisor { link: link.clone(), links, ledger, runtime: id }.run());
        Ok(link)
    }
}

/// The runtime that polls the caller.
pub(super) fn runtime() -> Result<Handle, Error> {
    Handle::try_current().map_err(|_| {
        Error::new(
            ErrorKind::Runtime,
            "Redis can only be reached from within a Tokio runtime; there is none here",
        )
    })
}

impl Drop for Links {
    fn drop(&mut self) {
        for (_, link) in self.by_runtime.swap(Arc::default()).iter() {
            link.is_closed.store(true, Ordering::Release);
            link.wake.notify_one();
        }
    }
}

/// One runtime's way to the server.
pub(super) struct Link {
    server: Arc<Server>,
    state: watch::Sender<State>,
    /// The connection of `state`, while it is up: found without a lock.
    current: ArcSwapOption<Live>,
    pub(super) identities: Identities,
    /// Tells the supervisor to look at the connection.
    wake: Arc<Notify>,
    is_closed: AtomicBool,
}

#[derive(Clone)]
enum State {
    /// The first attempt after a start or a loss: worth waiting for.
    Connecting,
    Up(Arc<Live>),
    Down(Error),
}

impl Link {
    fn new(server: Arc<Server>) -> Self {
        Link {
            server,
            state: watch::Sender::new(State::Connecting),
            current: ArcSwapOption::const_empty(),
            identities: Identities::new(),
            wake: Arc::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    fn become_state(&self, state: State) {
        let live = match &state {
            State::Up(live) => Some(live.clone()),
            State::Connecting | State::Down(_) => None,
        };
        self.current.store(live);
        self.state.send_replace(state);
    }

    /// Sends commands and returns their replies, errors of the server among them.
    ///
    /// A connection that turns out to be lost is replaced and the commands sent again,
    /// once. All of ours may run twice: reads, `SET`s of the same bytes, bumps.
    pub(super) async fn send(
        &self,
        pipeline: &Pipeline,
        replies: usize,
        deadline: Deadline,
    ) -> Result<Vec<Value>, Error> {
        let live = self.live(deadline).await?;
        match live.ask(pipeline, replies, deadline).await {
            Err(Failure::Lost(_)) => {
                let live = self.live(deadline).await?;
                Ok(Box::pin(live.ask(pipeline, replies, deadline)).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// The connection, if it is up.
    pub(super) fn live_now(&self) -> Option<Arc<Live>> {
        self.current.load_full().filter(|live| !live.is_lost())
    }

    /// The connection, once there is one; an error at once where there won't be soon.
    pub(super) async fn live(&self, deadline: Deadline) -> Result<Arc<Live>, Error> {
        match self.live_now() {
            Some(live) => Ok(live),
            None => Box::pin(self.settled(deadline)).await,
        }
    }

    /// Waits for the first attempt after a start or a loss.
    async fn settled(&self, deadline: Deadline) -> Result<Arc<Live>, Error> {
        let is_settled = |state: &State| match state {
            State::Connecting => false,
            State::Up(live) => !live.is_lost(),
            State::Down(_) => true,
        };
        let mut states = self.state.subscribe();
        let settled = timeout_at(deadline.until.into(), states.wait_for(is_settled)).await;
        match settled {
            Ok(Ok(state)) => match &*state {
                State::Up(live) => Ok(live.clone()),
                State::Down(error) => Err(error.clone()),
                State::Connecting => Err(self.server.silent()),
            },
            _ => Err(self.server.silent()),
        }
    }
}

/// Why commands were not answered.
pub(super) enum Failure {
    /// The connection is gone; another one may do.
    Lost(Error),
    Other(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Error {
        match failure {
            Failure::Lost(error) | Failure::Other(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Other(error)
    }
}
