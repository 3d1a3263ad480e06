//! What keeps the leases of a process: one task for each runtime that has some, which renews them
//! all in one go, and lets go of those whose runs have ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use redis::{ServerErrorKind, Value};
use tokio::runtime::Id;
use tokio::sync::Notify;

use super::{Call, End, LIFETIME, Route};
use crate::error::Error;
use crate::flight::Alarm;
use crate::store::Deadline;
use crate::store::redis::link::runtime;
use crate::store::redis::reply::is_error;
use crate::store::redis::script::{RELEASE_LEASES, RENEW_LEASES, Script};

/// Twice in a lifetime one may come late.
const RENEWAL: Duration = Duration::from_millis(250);
/// In one run of a script: bounds how long Redis does nothing else.
const LEASES_PER_RUN: usize = 1_000;
/// Lets in all who ask.
const ALL: u32 = 1_000_000;
/// What stands for a token where several run, so that none of them has one.
const ADMITTED: &str = "+";

/// The leases of one store.
pub(in crate::store::redis) struct Leases {
    route: Arc<Route>,
    operation_timeout: Duration,
    by_runtime: Mutex<HashMap<Id, Kept>>,
}

/// Those of one runtime, for as long as there are any.
#[derive(Default)]
struct Kept {
    held: HashMap<u64, Held>,
    ended: Vec<Ended>,
    next: u64,
    /// Tells the task that there is something to let go of.
    wake: Arc<Notify>,
}

#[derive(Clone)]
struct Held {
    key: String,
    token: String,
}

/// A lease to let go of, and how many others run in its place; none of them if it was taken away.
struct Ended {
    held: Held,
    lets_in: u32,
}

/// A lease that may be renewed, or the question for one.
pub(crate) struct Grant {
    leases: Arc<Leases>,
    runtime: Id,
    number: u64,
    token: String,
    is_admitted: bool,
    end: Option<End>,
}

impl Leases {
    pub(in crate::store::redis) fn new(
        route: Arc<Route>,
        operation_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Leases { route, operation_timeout, by_runtime: Mutex::default() })
    }

    /// A lease that is about to be asked for.
    pub(in crate::store::redis) fn enter(self: &Arc<Self>, key: &str) -> Result<Grant, Error> {
        let runtime = runtime()?;
        let id = runtime.id();
        let token = format!("{:032x}", fastrand::u128(..));
        let mut by_runtime = self.lock();
        let is_new = !by_runtime.contains_key(&id);
        let kept = by_runtime.entry(id).or_default();
        let number = kept.next;
        kept.next += 1;
        kept.held.insert(number, Held { key: key.to_owned(), token: token.clone() });
        let wake = kept.wake.clone();
        drop(by_runtime);
        if is_new {
            // Without the lock: a runtime that is ending drops the task at once, which takes it.
            runtime.spawn(Keeper { leases: self.clone(), runtime: id, wake }.run());
        }
        let leases = self.clone();
        Ok(Grant { leases, runtime: id, number, token, is_admitted: false, end: Some(End::Gone) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Id, Kept>> {
        self.by_runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// It is one of several that may run, and none of them is known by its token.
    pub(super) fn admitted(mut self) -> Self {
        self.is_admitted = true;
        let mut by_runtime = self.leases.lock();
        let kept = by_runtime.get_mut(&self.runtime);
        if let Some(held) = kept.and_then(|kept| kept.held.get_mut(&self.number)) {
            held.token = ADMITTED.to_owned();
        }
        drop(by_runtime);
        self
    }

    /// It was not given.
    pub(super) fn forget(mut self) {
        self.end = None;
    }

    pub(crate) fn end(mut self, end: End) {
        self.end = Some(end);
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        let mut by_runtime = self.leases.lock();
        // Gone if its runtime is: then it ends by itself.
        let Some(kept) = by_runtime.get_mut(&self.runtime) else { return };
        let held = kept.held.remove(&self.number);
        if let (Some(held), Some(end)) = (held, self.end) {
            let lets_in = match end {
                // Its own place.
                End::Gone => u32::from(self.is_admitted),
                End::Stored => 0,
                End::Failed => 2,
                End::NotStored => ALL,
            };
            kept.ended.push(Ended { held, lets_in });
        }
        kept.wake.notify_one();
    }
}

/// The task.
struct Keeper {
    leases: Arc<Leases>,
    runtime: Id,
    wake: Arc<Notify>,
}

impl Keeper {
    async fn run(self) {
        let mut renewed = Instant::now();
        loop {
            let due = (renewed + RENEWAL).saturating_duration_since(Instant::now());
            match self.next(due.is_zero()) {
                Work::End => return,
                Work::Release(ended) => self.release(ended).await,
                Work::Renew(held) => {
                    renewed = Instant::now();
                    self.renew(held).await;
                }
                Work::Wait => self.wait(due).await,
            }
        }
    }

    fn next(&self, is_due: bool) -> Work {
        let mut by_runtime = self.leases.lock();
        let Some(kept) = by_runtime.get_mut(&self.runtime) else { return Work::End };
        if !kept.ended.is_empty() {
            return Work::Release(std::mem::take(&mut kept.ended));
        }
        if kept.held.is_empty() {
            // Under the lock: the next one finds no task and begins another.
            by_runtime.remove(&self.runtime);
            return Work::End;
        }
        if is_due { Work::Renew(kept.held.values().cloned().collect()) } else { Work::Wait }
    }

    async fn wait(&self, longest: Duration) {
        let Some(alarm) = Alarm::after(longest) else { return self.wake.notified().await };
        let mut woken = std::pin::pin!(self.wake.notified());
        std::future::poll_fn(|context| match woken.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => alarm.poll(context),
        })
        .await;
    }

    async fn renew(&self, held: Vec<Held>) {
        let named = held.into_iter().map(|held| (held.key, vec![held.token]));
        self.call(&RENEW_LEASES, named.collect()).await;
    }

    async fn release(&self, ended: Vec<Ended>) {
        let named = ended.into_iter().map(|Ended { held, lets_in }| {
            (held.key, vec![held.token, lets_in.to_string()])
        });
        self.call(&RELEASE_LEASES, named.collect()).await;
    }

    /// Runs a script over leases. That it fails is no news to anybody: they end by themselves.
    async fn call(&self, script: &Script, named: Vec<Named>) {
        let Leases { route, operation_timeout, .. } = &*self.leases;
        let groups = route.groups(named, |(key, _)| key.clone());
        let chunks: Vec<&[Named]> =
            groups.iter().flat_map(|group| group.chunks(LEASES_PER_RUN)).collect();
        let command = |leases: &[Named], how: Call| {
            let keys: Vec<String> = leases.iter().map(|(key, _)| key.clone()).collect();
            let mut call = how(script, &keys, LIFETIME);
            for (_, arguments) in leases {
                call.arg(arguments);
            }
            route.command(keys.first().map_or("", String::as_str), call)
        };
        let calls = chunks.iter().map(|leases| command(leases, Script::call)).collect();
        let replies = route.send(calls, Deadline::after(*operation_timeout)).await;
        let is_unknown = |reply: &Result<Value, Error>| {
            reply.as_ref().is_ok_and(|reply| is_error(reply, ServerErrorKind::NoScript))
        };
        let again = chunks.iter().zip(&replies).filter(|(_, reply)| is_unknown(reply));
        let again = again.map(|(leases, _)| command(leases, Script::call_with_source)).collect();
        route.send(again, Deadline::after(*operation_timeout)).await;
    }
}

/// The key of a lease, and what a script is told of it.
type Named = (String, Vec<String>);

enum Work {
    Release(Vec<Ended>),
    Renew(Vec<Held>),
    Wait,
    End,
}

/// When its runtime ends: what it kept ends by itself.
impl Drop for Keeper {
    fn drop(&mut self) {
        let mut by_runtime = self.leases.lock();
        // By then another one may have begun.
        if by_runtime.get(&self.runtime).is_some_and(|kept| Arc::ptr_eq(&kept.wake, &self.wake)) {
            by_runtime.remove(&self.runtime);
        }
    }
}
