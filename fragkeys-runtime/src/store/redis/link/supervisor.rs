//! The task that keeps one link: connects, watches over the connection, connects again.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Id;
use tokio::time::{sleep, timeout};

use super::{Common, Link, LinkMap, Live, heartbeat};
use crate::error::{Error, ErrorKind};
use crate::health::Breaker;
use crate::log::{notice, warning};
use crate::store::redis::server::LEAST_PATIENCE;

/// The least for a server that is only questioned: so long, calls go on using it.
const BENEFIT_OF_DOUBT: Duration = Duration::from_millis(250);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Short enough that hits are back within a second of the server.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Keeps a link for as long as its runtime and its store live.
pub(super) struct Supervisor {
    pub(super) link: Arc<Link>,
    pub(super) links: Weak<LinkMap>,
    pub(super) common: Arc<Common>,
    pub(super) runtime: Id,
}

impl Supervisor {
    pub(super) async fn run(self) {
        let breaker = &self.link.breaker;
        let mut pause = FIRST_PAUSE;
        while !self.link.is_closed.load(Ordering::Acquire) {
            breaker.probe();
            match self.connect().await {
                Ok(live) => {
                    pause = FIRST_PAUSE;
                    self.tell_connected(&live);
                    breaker.close(live.clone());
                    let replaced = self.link.server.replaced(live.address());
                    first_of(self.watch_over(&live), replaced).await;
                    live.lose();
                    breaker.reconnect();
                }
                Err(error) => {
                    self.open(error);
                    // Not all processes at once.
                    sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Connects, has the server answer once (one that accepts and then closes is not up), and
    /// makes sure that it has not forgotten what was bumped.
    async fn connect(&self) -> Result<Arc<Live>, Error> {
        let Link { server, wake, .. } = &*self.link;
        let (connection, cells) = server.connect().await?;
        *self.link.lock_cells() = cells.as_ref().map(Arc::downgrade).unwrap_or_default();
        let live = Arc::new(Live::new(connection, cells, server.clone(), wake.clone()));
        self.ping(&live, LEAST_PATIENCE).await?;
        self.common.recent.replay(&live).await?;
        if let Some(ledger) = &self.common.ledger {
            heartbeat::start(&live, ledger, self.common.is_of_cluster);
        }
        Ok(live)
    }

    async fn ping(&self, live: &Live, least: Duration) -> Result<(), Error> {
        let server = &self.link.server;
        timeout(server.patience(least), live.ping()).await.unwrap_or_else(|_| Err(server.silent()))
    }

    /// Returns when the connection is of no more use.
    async fn watch_over(&self, live: &Arc<Live>) {
        let Link { server, breaker, wake, is_closed, .. } = &*self.link;
        loop {
            wake.notified().await;
            if is_closed.load(Ordering::Acquire) || live.is_lost() {
                return;
            }
            let is_questioned = live.take_question();
            let mut error = server.silent();
            if !live.is_doubtful() {
                if !is_questioned {
                    continue;
                }
                match self.ping(live, BENEFIT_OF_DOUBT).await {
                    Ok(()) => continue,
                    Err(_) if live.is_lost() => return,
                    Err(answer) => error = answer,
                }
            }
            self.open(error);
            breaker.probe();
            if self.ping(live, LEAST_PATIENCE).await.is_err() {
                return;
            }
            live.clear_doubt();
            self.tell_answers();
            breaker.close(live.clone());
        }
    }

    fn open(&self, error: Error) {
        let Common { condition, server, is_quiet, .. } = &*self.common;
        if !is_quiet && condition.begins_to_fail() {
            let address = &server.address;
            warning!({ server = address, breaker = Breaker::Open }
                "{error}; calls run uncached until it answers"
            );
        }
        self.common.last_error.keep(&error);
        self.link.breaker.open(error);
    }

    fn tell_connected(&self, live: &Live) {
        if self.common.is_quiet {
            return;
        }
        self.common.condition.ends_to_fail();
        let address = &self.link.server.address;
        match live.cells {
            Some(_) => notice!({ server = address, breaker = Breaker::Closed, tracking = true }
                "connected to Redis at {address}"
            ),
            None => notice!({ server = address, breaker = Breaker::Closed, tracking = false }
                "connected to Redis at {address}, which does not track what was read: a hit costs \
                 it a command more"
            ),
        }
    }

    fn tell_answers(&self) {
        if self.common.condition.ends_to_fail() {
            let address = &self.link.server.address;
            notice!({ server = address, breaker = Breaker::Closed }
                "Redis at {address} answers again"
            );
        }
    }
}

async fn first_of(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Pending => other.as_mut().poll(context),
        ready => ready,
    })
    .await;
}

/// Also runs when the runtime shuts down: what waits is told, and nobody finds the link again.
impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(links) = self.links.upgrade() {
            let is_other = |(id, _): &&(Id, Arc<Link>)| *id != self.runtime;
            links.rcu(|links| links.iter().filter(is_other).cloned().collect::<Vec<_>>());
        }
        let message = format!(
            "the runtime that held the connection to {} has ended",
            self.link.server.address
        );
        self.link.breaker.open(Error::new(ErrorKind::Unreachable, message));
    }
}
