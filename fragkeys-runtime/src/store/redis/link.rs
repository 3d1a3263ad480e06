//! Connections: one for each Tokio runtime, kept by a small supervisor.
//!
//! A connection's tasks live and die with the runtime that made them, so each runtime
//! (each worker of actix, each `#[tokio::test]`) has its own. Whether calls wait for it or go
//! straight to their functions is its breaker's to say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use redis::{Pipeline, Value};
use tokio::runtime::{Handle, Id};
use tokio::sync::Notify;

use super::cell::Cells;
use super::recent::Recent;
use super::server::Server;
use crate::condition::{Condition, LastError};
use crate::error::{Error, ErrorKind};
use crate::health::Reach;
use crate::near::Ledger;
use crate::store::Deadline;
use crate::store::identity::Identities;

mod beat;
mod breaker;
mod gather;
mod heartbeat;
mod live;
mod proof;
mod supervisor;

use breaker::Breaker;
pub(super) use live::Live;
use supervisor::Supervisor;

/// Few, and read at each call.
type LinkMap = ArcSwap<Vec<(Id, Arc<Link>)>>;

/// What links are made with.
pub(super) struct Means {
    pub(super) operation_timeout: Duration,
    pub(super) recent: Arc<Recent>,
    /// Of the near tier, if there is one: then what they tell may be believed without asking.
    pub(super) ledger: Option<Arc<Ledger>>,
    /// Are the servers the masters of a cluster?
    pub(super) is_cluster: bool,
    /// Why one of the servers could not be reached the last time.
    pub(super) last_error: Arc<LastError>,
}

/// The links of one store, by runtime.
pub(super) struct Links {
    by_runtime: Arc<LinkMap>,
    common: Arc<Common>,
}

/// What all links to one server have in common.
pub(super) struct Common {
    server: Arc<Server>,
    recent: Arc<Recent>,
    /// Is nothing said of its connections?
    is_quiet: bool,
    /// Of the near tier, if there is one.
    ledger: Option<Arc<Ledger>>,
    /// Is it a master of a cluster?
    is_of_cluster: bool,
    /// Whether the server can be reached: said once, and not by each link.
    condition: Condition,
    last_error: Arc<LastError>,
}

impl Links {
    pub(super) fn to(server: Server, means: &Means) -> Self {
        let common = Common {
            server: Arc::new(server),
            recent: means.recent.clone(),
            is_quiet: false,
            ledger: means.ledger.clone(),
            is_of_cluster: means.is_cluster,
            condition: Condition::default(),
            last_error: means.last_error.clone(),
        };
        Links { by_runtime: Arc::default(), common: Arc::new(common) }
    }

    /// Others to the same server, of which those who use these need not know.
    pub(super) fn beside(&self) -> Self {
        let Common { server, recent, is_of_cluster, last_error, .. } = &*self.common;
        let common = Common {
            server: server.clone(),
            recent: recent.clone(),
            is_quiet: true,
            ledger: None,
            is_of_cluster: *is_of_cluster,
            condition: Condition::default(),
            last_error: last_error.clone(),
        };
        Links { by_runtime: Arc::default(), common: Arc::new(common) }
    }

    pub(super) fn address(&self) -> &str {
        &self.common.server.address
    }

    /// How all links together are, if there are any.
    pub(super) fn reach(&self) -> Option<Reach> {
        let links = self.by_runtime.load();
        links.iter().map(|(_, link)| link.breaker.reach()).reduce(Reach::and)
    }

    /// Why it could not be reached the last time.
    pub(super) fn last_error(&self) -> Option<Error> {
        self.common.last_error.get()
    }

    /// These keys are another server's now: whatever this one tells of them, it is not known.
    pub(super) fn forget_where(&self, is_elsewhere: impl Fn(&str) -> bool) {
        if self.common.ledger.is_some() {
            for (_, link) in self.by_runtime.load().iter() {
                // Without the lock: the last one who has cells may be dropping them.
                let cells = link.lock_cells().upgrade();
                if let Some(cells) = cells {
                    cells.lose_where(&is_elsewhere);
                }
            }
        }
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
        let fresh = Arc::new(Link::new(self.common.server.clone()));
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
        let common = self.common.clone();
        runtime.spawn(Supervisor { link: link.clone(), links, common, runtime: id }.run());
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
pub(in crate::store) struct Link {
    server: Arc<Server>,
    breaker: Breaker,
    /// Of the connection, also while that is doubted.
    cells: Mutex<Weak<Cells>>,
    pub(super) identities: Identities,
    /// Tells the supervisor to look at the connection.
    wake: Arc<Notify>,
    is_closed: AtomicBool,
}

impl Link {
    fn new(server: Arc<Server>) -> Self {
        Link {
            breaker: Breaker::new(server.clone()),
            server,
            cells: Mutex::default(),
            identities: Identities::new(),
            wake: Arc::default(),
            is_closed: AtomicBool::new(false),
        }
    }

    fn lock_cells(&self) -> MutexGuard<'_, Weak<Cells>> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// The connection, if the breaker is closed.
    pub(super) fn live_now(&self) -> Option<Arc<Live>> {
        self.breaker.live_now()
    }

    /// The connection, once there is one; an error at once where there won't be soon.
    pub(super) async fn live(&self, deadline: Deadline) -> Result<Arc<Live>, Error> {
        self.breaker.live(deadline).await
    }
}

/// Why commands were not answered.
#[derive(Clone)]
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
