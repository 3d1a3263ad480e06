//! Connections: one for each Tokio runtime, kept by a small supervisor.
//!
//! A connection's tasks live and die with the runtime that made them, so each runtime
//! (each worker of actix, each `#[tokio::test]`) has its own. While there is none, calls
//! fail at once and the supervisor tries again in the background; a call waits only
//! during the first attempt after a start or a loss, and never past its deadline.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use redis::{Cmd, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::runtime::{Handle, Id};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout, timeout_at};

use super::super::identity::Identities;
use super::cell::Cells;
use super::node::Connection;
use super::server::{LEAST_PATIENCE, Server};
use crate::config::Servers;
use crate::error::{Error, ErrorKind};
use crate::log::{notice, warning};

/// The least for a server that is only questioned: so long, calls go on using it.
const BENEFIT_OF_DOUBT: Duration = Duration::from_millis(250);
/// Callers that leave sooner say nothing about the server.
const TELLING_WAIT: Duration = Duration::from_millis(20);
/// Unless it is so many in a row, without any reply.
const TELLING_NUMBER: u32 = 16;
/// How long a connection is kept at least that turns out to be read-only.
const READ_ONLY_FOR: Duration = Duration::from_secs(5);
/// How often a call that waits looks whether its connection is still there.
const LOOK_AFTER: Duration = Duration::from_millis(50);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Short enough that hits are back within a second of the server.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Few, and read at each call.
type LinkMap = ArcSwap<Vec<(Id, Arc<Link>)>>;

/// The links of one store, by runtime.
pub(super) struct Links {
    server: Arc<Server>,
    by_runtime: Arc<LinkMap>,
}

impl Links {
    pub(super) fn open(servers: &Servers, operation_timeout: Duration) -> Result<Self, Error> {
        let server = Arc::new(Server::open(servers, operation_timeout)?);
        Ok(Links { server, by_runtime: Arc::default() })
    }

    pub(super) fn address(&self) -> &str {
        &self.server.address
    }

    /// The link of the runtime that polls the caller.
    pub(super) fn here(&self) -> Result<Arc<Link>, Error> {
        let runtime = Handle::try_current().map_err(|_| {
            Error::new(
                ErrorKind::Runtime,
                "Redis can only be reached from within a Tokio runtime; there is none here",
            )
        })?;
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
        runtime.spawn(Supervisor { link: link.clone(), links, runtime: id }.run());
        Ok(link)
    }
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
    wake: Notify,
    is_closed: AtomicBool,
}

#[derive(Clone)]
enum State {
    /// The first attempt after a start or a loss: worth waiting for.
    Connecting,
    Up(Arc<Live>),
    Down(Error),
}

/// A connection, and what is known through it.
pub(super) struct Live {
    connection: Connection,
    /// Kept current by Redis; `None` where it does not.
    pub(super) cells: Option<Arc<Cells>>,
    since: Instant,
    /// The connection is gone for good.
    is_lost: AtomicBool,
    /// A call waited in vain. That may be the server, or one slow command.
    is_doubtful: AtomicBool,
    /// A call was dropped while it waited. That may be the server, or an impatient caller.
    is_questioned: AtomicBool,
    /// Calls in a row that were dropped too soon to say anything.
    early_leavers: AtomicU32,
}

impl Link {
    fn new(server: Arc<Server>) -> Self {
        Link {
            server,
            state: watch::Sender::new(State::Connecting),
            current: ArcSwapOption::const_empty(),
            identities: Identities::new(),
            wake: Notify::new(),
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
        until: Instant,
    ) -> Result<Vec<Value>, Error> {
        let live = self.live(until).await?;
        match self.ask(&live, pipeline, replies, until).await {
            Err(Failure::Lost(_)) => {
                let live = self.live(until).await?;
                Ok(self.ask(&live, pipeline, replies, until).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Sends commands on this connection and on no other.
    pub(super) async fn ask(
        &self,
        live: &Live,
        pipeline: &Pipeline,
        replies: usize,
        until: Instant,
    ) -> Result<Vec<Value>, Failure> {
        let mut connection = live.connection.clone();
        let sent = connection.send_packed_commands(pipeline, 0, replies);
        let values = self.wait(live, sent, until).await?;
        live.leave_if_demoted(&values, self);
        Ok(values)
    }

    /// As [`ask`](Self::ask), for one command that is ready-made.
    pub(super) async fn ask_one(
        &self,
        live: &Live,
        command: &Cmd,
        until: Instant,
    ) -> Result<Value, Failure> {
        let mut connection = live.connection.clone();
        self.wait(live, connection.send_packed_command(command), until).await
    }

    /// Waits for what was sent, and judges the connection by what comes.
    async fn wait<T>(
        &self,
        live: &Live,
        sent: impl Future<Output = RedisResult<T>>,
        until: Instant,
    ) -> Result<T, Failure> {
        let since = Instant::now();
        let question = Question { link: self, live, since };
        let mut sent = std::pin::pin!(sent);
        let answer = loop {
            let next_look = (Instant::now() + LOOK_AFTER).min(until);
            match timeout_at(next_look.into(), sent.as_mut()).await {
                // What is sent in the moment in which the driver ends is never answered, not
                // even by an error.
                Err(_) if live.cells.as_ref().is_some_and(|cells| cells.is_over()) => {
                    std::mem::forget(question);
                    live.is_lost.store(true, Ordering::Release);
                    self.wake.notify_one();
                    return Err(Failure::Lost(self.server.silent()));
                }
                Err(_) if next_look < until => {}
                answer => break answer,
            }
        };
        std::mem::forget(question);
        match answer {
            Ok(Ok(answer)) => {
                live.early_leavers.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) if is_about_connection(&error) => {
                live.is_lost.store(true, Ordering::Release);
                self.wake.notify_one();
                Err(Failure::Lost(self.server.unreachable(&error)))
            }
            Ok(Err(error)) => {
                let code = error.code().unwrap_or("no code");
                let message = format!("Redis at {} refused ({code})", self.server.address);
                Err(Failure::Other(Error::new(ErrorKind::Refused, message)))
            }
            Err(_) => {
                // What had little time left says little about the server.
                let is_telling = since.elapsed() >= self.server.operation_timeout / 2;
                let flag = if is_telling { &live.is_doubtful } else { &live.is_questioned };
                flag.store(true, Ordering::Release);
                self.wake.notify_one();
                Err(Failure::Other(self.server.silent()))
            }
        }
    }

    /// The connection, once there is one; an error at once where there won't be soon.
    pub(super) async fn live(&self, until: Instant) -> Result<Arc<Live>, Error> {
        if let Some(live) = self.current.load_full()
            && !live.is_lost.load(Ordering::Acquire)
        {
            return Ok(live);
        }
        Box::pin(self.settled(until)).await
    }

    /// Waits for the first attempt after a start or a loss.
    async fn settled(&self, until: Instant) -> Result<Arc<Live>, Error> {
        let is_settled = |state: &State| match state {
            State::Connecting => false,
            State::Up(live) => !live.is_lost.load(Ordering::Acquire),
            State::Down(_) => true,
        };
        let mut states = self.state.subscribe();
        let settled = timeout_at(until.into(), states.wait_for(is_settled)).await;
        match settled {
            Ok(Ok(state)) => match &*state {
                State::Up(live) => Ok(live.clone()),
                State::Down(error) => Err(error.clone()),
                State::Connecting => Err(self.server.silent()),
            },
            _ => Err(self.server.silent()),
        }
    }

    /// Connects, and has the server answer once: one that accepts and then closes is not up.
    async fn connect(&self) -> Result<Arc<Live>, Error> {
        let server = &self.server;
        let (connection, cells) = server.connect().await?;
        let live = Arc::new(Live {
            connection,
            cells,
            since: Instant::now(),
            is_lost: AtomicBool::new(false),
            is_doubtful: AtomicBool::new(false),
            is_questioned: AtomicBool::new(false),
            early_leavers: AtomicU32::new(0),
        });
        match timeout(server.patience(LEAST_PATIENCE), live.ping()).await {
            Ok(Ok(_)) => Ok(live),
            Ok(Err(error)) => Err(server.unreachable(&error)),
            Err(_) => Err(server.silent()),
        }
    }

    /// Returns when the connection is of no more use.
    async fn watch_over(&self, live: &Arc<Live>) {
        loop {
            self.wake.notified().await;
            if self.is_closed.load(Ordering::Acquire) || live.is_lost.load(Ordering::Acquire) {
                return;
            }
            let is_doubtful = live.is_doubtful.load(Ordering::Acquire);
            let is_questioned = live.is_questioned.swap(false, Ordering::AcqRel);
            if !is_doubtful && !is_questioned {
                continue;
            }
            if !is_doubtful {
                match timeout(self.server.patience(BENEFIT_OF_DOUBT), live.ping()).await {
                    Ok(Ok(_)) => continue,
                    Ok(Err(_)) => return,
                    Err(_) => {}
                }
            }
            // Until it has answered, calls go straight to their functions.
            self.become_state(State::Down(self.server.silent()));
            match timeout(self.server.patience(LEAST_PATIENCE), live.ping()).await {
                Ok(Ok(_)) => {}
                _ => return,
            }
            live.is_doubtful.store(false, Ordering::Release);
            self.become_state(State::Up(live.clone()));
        }
    }
}

impl Live {
    /// A master that became a replica keeps its connections, while its name may lead to the
    /// new master by now. So a connection that turned read-only is replaced, now and then.
    fn leave_if_demoted(&self, replies: &[Value], link: &Link) {
        let is_refusal = |reply: &Value| matches!(reply, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::ReadOnly));
        if replies.iter().any(is_refusal) && self.since.elapsed() > READ_ONLY_FOR {
            self.is_lost.store(true, Ordering::Release);
            link.wake.notify_one();
        }
    }

    async fn ping(&self) -> Result<Vec<Value>, RedisError> {
        let mut connection = self.connection.clone();
        let mut ping = Pipeline::with_capacity(1);
        ping.cmd("PING");
        connection.send_packed_commands(&ping, 0, 1).await
    }
}

/// Commands that wait for their replies. Dropped meanwhile, they raise a question: callers
/// that always leave early would otherwise wait for a hung server for ever.
struct Question<'a> {
    link: &'a Link,
    live: &'a Live,
    since: Instant,
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let leavers = self.live.early_leavers.fetch_add(1, Ordering::Relaxed);
        if self.since.elapsed() >= TELLING_WAIT || leavers >= TELLING_NUMBER {
            self.live.is_questioned.store(true, Ordering::Release);
            self.link.wake.notify_one();
        }
    }
}

/// The task that keeps one link, for as long as its runtime and its store live.
struct Supervisor {
    link: Arc<Link>,
    links: Weak<LinkMap>,
    runtime: Id,
}

impl Supervisor {
    async fn run(self) {
        let link = &self.link;
        let address = &link.server.address;
        let mut pause = FIRST_PAUSE;
        let mut is_known_down = false;
        while !link.is_closed.load(Ordering::Acquire) {
            match link.connect().await {
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
                    link.watch_over(&live).await;
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

fn is_about_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || error.kind() == redis::ErrorKind::Parse
}
