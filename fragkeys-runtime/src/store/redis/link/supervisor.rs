//! The task that keeps one link: connects, watches over the connection, connects again.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::Id;
use tokio::time::{sleep, timeout};

use super::{Link, LinkMap, Live, State, heartbeat};
use crate::error::{Error, ErrorKind};
use crate::log::{notice, warning};
use crate::near::Ledger;
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
    /// Of the near tier, if there is one.
    pub(super) ledger: Option<Arc<Ledger>>,
    pub(super) runtime: Id,
}

impl Supervisor {
    pub(super) async fn run(self) {
        let link = &self.link;
        let address = &link.server.address;
        let mut pause = FIRST_PAUSE;
        let mut is_known_down = false;
        while !link.is_closed.load(Ordering::Acquire) {
            match self.connect().await {
                Ok(live) => {
                    match live.cells {
                        Some(_) => notice!("connected to Redis at {address}"),
                        None => notice!(
                            "connected to Redis at {address}, which does not track what was read: \
                             a hit costs it a command more"
                        ),
                    }
                    (pause, is_known_down) = (FIRST_PAUSE, false);
                    link.become_state(State::Up(live.clone()));
                    let replaced = link.server.replaced(live.address());
                    first_of(self.watch_over(&live), replaced).await;
                    live.lose();
                    if matches!(*link.state.borrow(), State::Up(_)) {
                        link.become_state(State::Connecting);
                    }
                }
                Err(error) => {
                    if !is_known_down {
                        warning!("{error}; calls run uncached until it answers");
                        is_known_down = true;
                    }
                    link.become_state(State::Down(error));
                    sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Connects, and has the server answer once: one that accepts and then closes is not up.
    async fn connect(&self) -> Result<Arc<Live>, Error> {
        let Link { server, wake, .. } = &*self.link;
        let (connection, cells) = server.connect().await?;
        let live = Arc::new(Live::new(connection, cells, server.clone(), wake.clone()));
        match timeout(server.patience(LEAST_PATIENCE), live.ping()).await {
            Ok(Ok(())) => {
                if let Some(ledger) = &self.ledger {
                    heartbeat::start(&live, ledger);
                }
                Ok(live)
            }
            Ok(Err(error)) => Err(server.unreachable(&error)),
            Err(_) => Err(server.silent()),
        }
    }

    /// Returns when the connection is of no more use.
    async fn watch_over(&self, live: &Arc<Live>) {
        let Link { server, wake, is_closed, .. } = &*self.link;
        loop {
            wake.notified().await;
            if is_closed.load(Ordering::Acquire) || live.is_lost() {
                return;
            }
            let is_doubtful = live.is_doubtful();
            let is_questioned = live.take_question();
            if !is_doubtful && !is_questioned {
                continue;
            }
            if !is_doubtful {
                match timeout(server.patience(BENEFIT_OF_DOUBT), live.ping()).await {
                    Ok(Ok(())) => continue,
                    Ok(Err(_)) => return,
                    Err(_) => {}
                }
            }
            // Until it has answered, calls go straight to their functions.
            self.link.become_state(State::Down(server.silent()));
            match timeout(server.patience(LEAST_PATIENCE), live.ping()).await {
                Ok(Ok(())) => {}
                _ => return,
            }
            live.clear_doubt();
            self.link.become_state(State::Up(live.clone()));
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
        self.link.become_state(State::Down(Error::new(ErrorKind::Unreachable, message)));
    }
}
