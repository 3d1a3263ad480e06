//! Asking a cluster who has which slot.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use redis::{Pipeline, Value};
use tokio::runtime::Id;
use tokio::sync::watch;
use tokio::time::timeout_at;

use super::map::{SlotMap, read_slots};
use super::{Cluster, Node};
use crate::error::{Error, ErrorKind};
use crate::health::{Breaker, Reach};
use crate::log::{notice, warning};
use crate::store::Deadline;
use crate::store::redis::link::runtime;
use crate::store::redis::server::LEAST_PATIENCE;

/// From the beginning of one attempt to the next, at least.
const PAUSE: Duration = Duration::from_millis(100);
/// The same while no node has ever answered.
const LONG_PAUSE: Duration = Duration::from_millis(250);
/// What a node is given that we are connected to: there are others.
const SHORT_PATIENCE: Duration = Duration::from_millis(500);

/// One attempt at a time in each runtime, whoever wants one.
pub(super) struct Refresh {
    attempts: Mutex<Attempts>,
    /// Their number so far.
    finished: watch::Sender<u64>,
}

#[derive(Default)]
struct Attempts {
    /// Where one is under way. One whose runtime stands still does not end.
    running: Vec<Id>,
    last: Option<Instant>,
    /// Why the last one found nothing.
    error: Option<Error>,
    /// Since when there is nothing to wait for: an attempt has failed, or a call waited in vain.
    in_vain_since: Option<SystemTime>,
}

impl Refresh {
    pub(super) fn new() -> Self {
        Refresh { attempts: Mutex::default(), finished: watch::Sender::new(0) }
    }

    /// How the cluster can be reached of which nothing is known, once that was tried.
    pub(super) fn reach(&self) -> Option<Reach> {
        let attempts = self.lock();
        let is_probed = !attempts.running.is_empty();
        let breaker = if is_probed { Breaker::HalfOpen } else { Breaker::Open };
        Some(Reach { breaker, ..Reach::untried(attempts.in_vain_since?) })
    }

    fn is_in_vain(&self) -> bool {
        self.lock().in_vain_since.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        // Right after every step, whoever panicked.
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An attempt that is under way. Also ends when its runtime does.
struct Attempt(Arc<Cluster>, Id);

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.refresh.lock().running.retain(|runtime| *runtime != self.1);
        self.0.refresh.finished.send_modify(|number| *number += 1);
    }
}

impl Cluster {
    /// The map; where there is none yet, once there is.
    pub(super) async fn map(self: &Arc<Self>, deadline: Deadline) -> Result<Arc<SlotMap>, Error> {
        if let Some(map) = self.map.load_full() {
            return Ok(map);
        }
        runtime()?;
        let mut finished = self.refresh.finished.subscribe();
        while self.map.load().is_none()
            && self.look_around()
            && !self.refresh.is_in_vain()
            && Instant::now() < deadline.until
        {
            // Who is at it may stand still.
            let until = deadline.until.min(Instant::now() + LONG_PAUSE);
            // In vain or not, the map tells.
            let _ = timeout_at(until.into(), finished.changed()).await;
        }
        self.map.load_full().ok_or_else(|| {
            let mut attempts = self.refresh.lock();
            let error = attempts.error.clone().unwrap_or_else(|| self.silent());
            let has_had_time = deadline.since.elapsed() >= self.means.operation_timeout / 2;
            if has_had_time && attempts.in_vain_since.is_none() {
                // The others need not wait as well.
                attempts.in_vain_since = Some(SystemTime::now());
                self.means.last_error.keep(&error);
            }
            error
        })
    }

    /// Asks for the map in the background, unless that was done just now. Is somebody at it?
    pub(in crate::store::redis) fn look_around(self: &Arc<Self>) -> bool {
        let Ok(runtime) = runtime() else { return false };
        let pause = if self.map.load().is_some() { PAUSE } else { LONG_PAUSE };
        {
            let mut attempts = self.refresh.lock();
            let is_early = attempts.last.is_some_and(|last| last.elapsed() < pause);
            if is_early || attempts.running.contains(&runtime.id()) {
                return !attempts.running.is_empty();
            }
            attempts.running.push(runtime.id());
            attempts.last = Some(Instant::now());
        }
        let attempt = Attempt(self.clone(), runtime.id());
        runtime.spawn(async move { attempt.0.refresh_once().await });
        true
    }

    async fn refresh_once(&self) {
        let found = self.ask_around().await;
        match found {
            Ok(map) => {
                let before = self.map.load_full();
                if before.as_ref().is_none_or(|before| !before.has_masters_of(&map)) {
                    let number = map.masters.len();
                    notice!("the Redis cluster at {} has {number} masters", self.address);
                }
                if before.as_ref().is_none_or(|before| !before.is_like(&map)) {
                    let before = self.map.swap(Some(Arc::new(map)));
                    self.forget_moved(before.as_deref());
                }
                let mut attempts = self.refresh.lock();
                (attempts.error, attempts.in_vain_since) = (None, None);
            }
            Err(error) => {
                self.means.last_error.keep(&error);
                let mut attempts = self.refresh.lock();
                attempts.in_vain_since.get_or_insert_with(SystemTime::now);
                let is_news = attempts.error.replace(error.clone()).is_none();
                drop(attempts);
                if is_news {
                    warning!("{error}; calls run uncached where the cluster does not answer");
                }
            }
        }
    }

    /// The map as the first node has it that answers: of those that we are connected to, then of
    /// all that we know.
    async fn ask_around(&self) -> Result<SlotMap, Error> {
        let before = self.map.load_full();
        let masters = before.as_ref().map_or_else(Vec::new, |map| map.masters.clone());
        let first = fastrand::usize(..masters.len().max(1));
        let mut question = Pipeline::with_capacity(1);
        question.cmd("CLUSTER").arg("SLOTS");
        for turn in 0..masters.len() {
            let master = &masters[(first + turn) % masters.len()];
            let Some(live) = master.links.here().ok().and_then(|link| link.live_now()) else {
                continue;
            };
            let answer = live.ask(&question, 1, Deadline::after(SHORT_PATIENCE)).await;
            if let Ok(replies) = answer
                && let Ok(map) = self.read(&replies, &master.node, before.as_deref())
            {
                return Ok(map);
            }
        }
        let patience = self.means.operation_timeout.max(LEAST_PATIENCE);
        let mut error = None;
        for node in self.seeds.iter().chain(masters.iter().map(|master| &master.node)) {
            let answer = match node.connect_plain(patience).await {
                Ok(connection) => node.ask(&connection, &question, patience).await,
                Err(error) => Err(error),
            };
            match answer.and_then(|reply| self.read(&[reply], node, before.as_deref())) {
                Ok(map) => return Ok(map),
                // What a node refuses says more than that another is away.
                Err(next) if next.kind() == ErrorKind::Refused => error = Some(next),
                Err(next) => error = error.or(Some(next)),
            }
        }
        let error = error.unwrap_or_else(|| self.silent());
        Err(error.context("no node of the Redis cluster tells who has which slot"))
    }

    fn read(
        &self,
        replies: &[Value],
        node: &Node,
        before: Option<&SlotMap>,
    ) -> Result<SlotMap, Error> {
        let address = node.address();
        let refused = |message: String| Err(Error::new(ErrorKind::Refused, message));
        match replies {
            [Value::ServerError(error)] => {
                let hint = match error.code() {
                    "NOPERM" => "the user must be allowed CLUSTER SLOTS",
                    "NOAUTH" | "WRONGPASS" => "check user and password",
                    _ => "is it part of a cluster? If not, use `Config::redis`",
                };
                refused(format!("Redis at {address} refused ({}): {hint}", error.code()))
            }
            [reply] => {
                let asked = node.host_and_port().map_or("", |(host, _)| host);
                match read_slots(reply, asked) {
                    Some(ranges) if ranges.is_empty() => refused(format!(
                        "Redis at {address} knows no master: is the cluster set up?"
                    )),
                    Some(ranges) => Ok(SlotMap::new(ranges, node, before, &self.means)),
                    None => refused(format!("Redis at {address} gave slots that cannot be read")),
                }
            }
            _ => refused(format!("Redis at {address} gave no slots")),
        }
    }
}
