//! What keeps the leases of a process: one task for each store, on a thread of their own, which
//! renews them and lets go of those whose runs have ended.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use redis::{ServerErrorKind, Value};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Call, End, Route};
use crate::config::Settings;
use crate::error::{Error, ErrorKind};
use crate::store::Deadline;
use crate::store::redis::reply::is_error;
use crate::store::redis::script::{RELEASE_LEASES, RENEW_LEASES, Script};

/// How often a lease is renewed in its lifetime.
const RENEWALS: u32 = 3;
/// In one run of a script: bounds how long Redis does nothing else.
const LEASES_PER_RUN: usize = 1_000;
/// Lets in all who ask.
const ALL: u32 = 1_000_000;
/// What stands for a token where several run, so that none of them has one.
const ADMITTED: &str = "+";

/// The leases of one store.
pub(in crate::store::redis) struct Leases {
    route: Route,
    operation_timeout: Duration,
    /// How long a lease outlives this process's last sign of life.
    lifetime: Duration,
    kept: Mutex<Kept>,
    /// Tells the keeper that there is something to let go of.
    wake: Notify,
}

#[derive(Default)]
struct Kept {
    held: HashMap<u64, Held>,
    ended: Vec<Ended>,
    next: u64,
    has_keeper: bool,
}

#[derive(Clone)]
struct Held {
    key: String,
    token: String,
}

/// A lease to let go of, and how many others may run at once in its place.
struct Ended {
    held: Held,
    lets_in: u32,
}

/// A lease, or the question for one.
pub(crate) struct Grant {
    leases: Arc<Leases>,
    number: u64,
    token: String,
    is_admitted: bool,
    /// Unless it was never given.
    end: Option<End>,
}

impl Leases {
    pub(in crate::store::redis) fn new(route: Route, settings: &Settings) -> Arc<Self> {
        let Settings { operation_timeout, lease_timeout: lifetime, .. } = *settings;
        let (kept, wake) = (Mutex::default(), Notify::new());
        Arc::new(Leases { route, operation_timeout, lifetime, kept, wake })
    }

    pub(in crate::store::redis) fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A lease that is about to be asked for.
    pub(in crate::store::redis) fn enter(self: &Arc<Self>, key: &str) -> Result<Grant, Error> {
        let Some(runtime) = &*KEEPERS else {
            return Err(Error::new(ErrorKind::Runtime, "there is no thread to keep leases"));
        };
        let token = format!("{:032x}", fastrand::u128(..));
        let mut kept = self.lock();
        let number = kept.next;
        kept.next += 1;
        kept.held.insert(number, Held { key: key.to_owned(), token: token.clone() });
        let has_keeper = std::mem::replace(&mut kept.has_keeper, true);
        drop(kept);
        if !has_keeper {
            runtime.spawn(self.clone().keep());
        }
        Ok(Grant { leases: self.clone(), number, token, is_admitted: false, end: Some(End::Gone) })
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// It is one of several that may run, and none of them is known by its token.
    pub(super) fn admitted(mut self) -> Self {
        self.is_admitted = true;
        if let Some(held) = self.leases.lock().held.get_mut(&self.number) {
            held.token = ADMITTED.to_owned();
        }
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
        let lets_in = self.end.map(|end| match end {
            // Its own place.
            End::Gone => u32::from(self.is_admitted),
            End::Stored => 0,
            End::Failed => 2,
            End::NotStored => ALL,
        });
        let mut kept = self.leases.lock();
        if let (Some(held), Some(lets_in)) = (kept.held.remove(&self.number), lets_in) {
            kept.ended.push(Ended { held, lets_in });
            drop(kept);
            self.leases.wake.notify_one();
        }
    }
}

/// Where keepers run: on a thread of their own, as long as the process does. A runtime that is
/// busy (10,000 callers at once, a body that blocks) does not come to renew what it holds in time.
static KEEPERS: LazyLock<Option<Handle>> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    let handle = runtime.handle().clone();
    let thread = thread::Builder::new().name("fragkeys-lease".to_owned());
    thread.spawn(move || runtime.block_on(std::future::pending::<()>())).ok()?;
    Some(handle)
});

impl Leases {
    /// The keeper: renews all leases in one go, and lets go of those whose runs have ended.
    async fn keep(self: Arc<Self>) {
        // Not only when the first renewal is due.
        self.route.connect();
        let mut renewed = Instant::now();
        loop {
            let due =
                (renewed + self.lifetime / RENEWALS).saturating_duration_since(Instant::now());
            match self.next(due.is_zero()) {
                Work::End => return,
                Work::Release(ended) => self.release(ended).await,
                Work::Renew(held) => {
                    renewed = Instant::now();
                    self.renew(held).await;
                }
                Work::Wait => drop(timeout(due, self.wake.notified()).await),
            }
        }
    }

    fn next(&self, is_due: bool) -> Work {
        let mut kept = self.lock();
        // First: where many end all the time, there is always one to let go of.
        if is_due && !kept.held.is_empty() {
            return Work::Renew(kept.held.values().cloned().collect());
        }
        if !kept.ended.is_empty() {
            return Work::Release(std::mem::take(&mut kept.ended));
        }
        if !is_due {
            return Work::Wait;
        }
        // Under the lock: who comes next begins another.
        kept.has_keeper = false;
        Work::End
    }

    async fn renew(&self, held: Vec<Held>) {
        let named = held.into_iter().map(|held| (held.key, vec![held.token]));
        self.call(&RENEW_LEASES, named.collect()).await;
    }

    async fn release(&self, ended: Vec<Ended>) {
        let named = ended
            .into_iter()
            .map(|Ended { held, lets_in }| (held.key, vec![held.token, lets_in.to_string()]));
        self.call(&RELEASE_LEASES, named.collect()).await;
    }

    /// Runs a script over leases. That it fails is no news to anybody: they end by themselves.
    async fn call(&self, script: &Script, named: Vec<Named>) {
        let Leases { route, operation_timeout, lifetime, .. } = self;
        let groups = route.groups(named, |(key, _)| key.clone());
        let chunks: Vec<&[Named]> =
            groups.iter().flat_map(|group| group.chunks(LEASES_PER_RUN)).collect();
        let command = |leases: &[Named], how: Call| {
            let keys: Vec<String> = leases.iter().map(|(key, _)| key.clone()).collect();
            let mut call = how(script, &keys, *lifetime);
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
