//! One connection: what is asked through it, and what its silence says of the server.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use redis::{Cmd, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Notify;

use super::Failure;
use super::beat::Beat;
use super::gather::Gather;
use crate::error::Error;
use crate::key::Place;
use crate::near::Loss;
use crate::store::Deadline;
use crate::store::redis::cell::Cells;
use crate::store::redis::node::Connection;
use crate::store::redis::reply::{is_busy, refusal, refused};
use crate::store::redis::server::Server;

/// Callers that leave sooner say nothing about the server.
const TELLING_WAIT: Duration = Duration::from_millis(20);
/// Unless it is so many in a row, without any reply.
const TELLING_NUMBER: u32 = 16;
/// How long a connection is kept at least that turns out to be read-only.
const READ_ONLY_FOR: Duration = Duration::from_secs(5);

/// A connection, and what is known through it.
pub(in crate::store::redis) struct Live {
    connection: Connection,
    /// Kept current by Redis; `None` where it does not.
    pub(in crate::store::redis) cells: Option<Arc<Cells>>,
    pub(super) server: Arc<Server>,
    /// Tells the supervisor to look at this connection.
    wake: Arc<Notify>,
    pub(super) beat: Arc<Beat>,
    pub(super) gather: Gather,
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

impl Live {
    /// Must be called on the runtime that drives the connection.
    pub(super) fn new(
        connection: Connection,
        cells: Option<Arc<Cells>>,
        server: Arc<Server>,
        wake: Arc<Notify>,
    ) -> Self {
        const SHORTEST_BEAT: Duration = Duration::from_millis(1);
        const LONGEST_BEAT: Duration = Duration::from_millis(25);
        let beat = Beat::new(
            (server.operation_timeout / Deadline::LOOKS).clamp(SHORTEST_BEAT, LONGEST_BEAT),
        );
        tokio::spawn(beat.clone().keep());
        Live {
            connection,
            cells,
            server,
            wake,
            beat,
            gather: Gather::here(),
            since: Instant::now(),
            is_lost: AtomicBool::new(false),
            is_doubtful: AtomicBool::new(false),
            is_questioned: AtomicBool::new(false),
            early_leavers: AtomicU32::new(0),
        }
    }

    /// Sends commands on this connection and on no other; errors of the server are replies.
    pub(in crate::store::redis) async fn ask(
        &self,
        pipeline: &Pipeline,
        replies: usize,
        deadline: Deadline,
    ) -> Result<Vec<Value>, Failure> {
        let mut connection = self.connection.clone();
        let sent = pin!(connection.send_packed_commands(pipeline, 0, replies));
        let values = self.wait(sent, deadline).await?;
        // What came after the loss of all keys may be another server's.
        if self.is_over() {
            return Err(Failure::Lost(self.server.silent()));
        }
        self.leave_if_demoted(&values);
        Ok(values)
    }

    /// What stands at a place that this command asks for. Where many wait, they ask together.
    pub(in crate::store::redis) async fn look(
        self: &Arc<Self>,
        place: &Arc<Place>,
        get: &Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let waiting = self.gather.enter();
        if waiting.is_crowd
            && let Some(answer) = self.ask_together(place, deadline).await
        {
            return answer;
        }
        self.ask_one(get, deadline).await
    }

    /// As [`ask`](Self::ask), for one command that is ready-made.
    pub(super) async fn ask_one(
        &self,
        command: &Cmd,
        deadline: Deadline,
    ) -> Result<Value, Failure> {
        let mut connection = self.connection.clone();
        let sent = pin!(connection.send_packed_command(command));
        self.wait(sent, deadline).await
    }

    /// Waits for what was sent, and judges the connection by what comes.
    async fn wait<T>(
        &self,
        mut sent: Pin<&mut impl Future<Output = RedisResult<T>>>,
        deadline: Deadline,
    ) -> Result<T, Failure> {
        let waiting = Waiting { live: self, since: deadline.since };
        let mut beat = pin!(self.beat.next());
        let answer = poll_fn(|context| {
            loop {
                if let Poll::Ready(answer) = sent.as_mut().poll(context) {
                    return Poll::Ready(Some(answer));
                }
                self.beat.want();
                // In this order: what ends after it is seen to go on strikes a last time.
                if !self.beat.is_over() {
                    ready!(beat.as_mut().poll(context));
                }
                let is_late = Instant::now() + self.beat.every() > deadline.until;
                // Somebody else has waited in vain: the breaker is open.
                if is_late || self.is_doubtful() || self.is_over() {
                    return Poll::Ready(None);
                }
                beat.set(self.beat.next());
            }
        })
        .await;
        std::mem::forget(waiting);
        match answer {
            Some(Ok(answer)) => {
                if self.early_leavers.load(Ordering::Relaxed) > 0 {
                    self.early_leavers.store(0, Ordering::Relaxed);
                }
                Ok(answer)
            }
            Some(Err(error)) if is_about_connection(&error) => {
                self.lose();
                Err(Failure::Lost(self.server.unreachable(&error)))
            }
            Some(Err(error)) => Err(Failure::Other(refused(error.code().unwrap_or("no code")))),
            // What is sent in the moment in which the driver ends is never answered, not even
            // by an error.
            None if self.is_over() => {
                self.lose();
                Err(Failure::Lost(self.server.silent()))
            }
            None => Err(Failure::Other(self.waited_in_vain(deadline))),
        }
    }

    fn waited_in_vain(&self, deadline: Deadline) -> Error {
        // What had little time left says little about the server.
        let is_telling = self.server.has_had_time(deadline);
        let flag = if is_telling { &self.is_doubtful } else { &self.is_questioned };
        flag.store(true, Ordering::Release);
        self.wake.notify_one();
        self.server.silent()
    }

    /// Does the server do what it is asked? Whether this user may ask for it is another matter.
    pub(super) async fn ping(&self) -> Result<(), Error> {
        let mut connection = self.connection.clone();
        let mut ping = Pipeline::with_capacity(1);
        ping.cmd("PING");
        let replies = connection.send_packed_commands(&ping, 0, 1).await;
        let replies = replies.map_err(|error| {
            self.lose();
            self.server.unreachable(&error)
        })?;
        replies.into_iter().find(is_busy).map_or(Ok(()), |reply| Err(refusal(reply)))
    }

    pub(super) fn is_trusted(&self) -> bool {
        !self.is_over() && !self.is_doubtful()
    }

    /// What the server says of what it tells on this connection; without a deadline.
    pub(super) async fn prove(&self, question: &Pipeline) -> RedisResult<Vec<Value>> {
        self.connection.clone().send_packed_commands(question, 0, question.len()).await
    }

    pub(super) fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Acquire)
    }

    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful.load(Ordering::Acquire)
    }

    /// The server has answered.
    pub(super) fn clear_doubt(&self) {
        self.is_doubtful.store(false, Ordering::Release);
    }

    /// Was it questioned since this was asked last?
    pub(super) fn take_question(&self) -> bool {
        self.is_questioned.swap(false, Ordering::AcqRel)
    }

    /// The server that it leads to.
    pub(super) fn address(&self) -> &str {
        &self.connection.address
    }

    /// It is of no more use.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Release);
        if let Some(cells) = &self.cells {
            cells.trust.end(Loss::Disconnected);
        }
        self.wake.notify_one();
    }

    /// Has its driver ended, or is it of no more use? The supervisor learns of it here.
    pub(super) fn is_over(&self) -> bool {
        let is_over =
            self.beat.is_over() || self.cells.as_ref().is_some_and(|cells| cells.is_over());
        if is_over && !self.is_lost() {
            self.lose();
        }
        self.is_lost()
    }

    /// A master that became a replica keeps its connections, while its name may lead to the
    /// new master by now. So a connection that turned read-only is replaced, now and then.
    fn leave_if_demoted(&self, replies: &[Value]) {
        let is_refusal = |reply: &Value| matches!(reply, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::ReadOnly));
        if replies.iter().any(is_refusal) && self.since.elapsed() > READ_ONLY_FOR {
            self.lose();
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.beat.end();
    }
}

/// A call that waits for its reply. Dropped meanwhile, it raises a question: callers that
/// always leave early would otherwise wait for a hung server for ever.
struct Waiting<'a> {
    live: &'a Live,
    since: Instant,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let leavers = self.live.early_leavers.fetch_add(1, Ordering::Relaxed);
        if self.since.elapsed() >= TELLING_WAIT || leavers >= TELLING_NUMBER {
            self.live.is_questioned.store(true, Ordering::Release);
            self.live.wake.notify_one();
        }
    }
}

fn is_about_connection(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || error.kind() == redis::ErrorKind::Parse
}
