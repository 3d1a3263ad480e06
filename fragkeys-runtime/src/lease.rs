//! A lease: who runs for a missing entry, among all processes that share a store.
//!
//! In one process a flight sees to that; only who runs for it asks for the lease. It is about the
//! key of the entry, versions included, so who comes after a bump takes another (I2). It is held
//! for as long as its run lasts, by renewal, and ends by itself soon after its process does. It
//! decides who runs and never whose result is stored: to lose it costs a run (I5).

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

use crate::flight::Alarm;
#[cfg(feature = "redis")]
use crate::store::redis::{Grant, Watch};

/// What a store answers to who is about to run.
#[cfg_attr(not(feature = "redis"), allow(dead_code))] // the embedded store lets all run
pub(crate) enum Claim {
    /// Run. Without a lease where there can be none.
    Run(Option<Lease>),
    /// The entry is there by now.
    Stored(Bytes),
    /// Others run.
    Wait(Wait),
}

/// How a run ended, for those who wait for it in other processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// It was dropped, or has panicked: one of them runs.
    #[default]
    Gone,
    /// What it gave is stored.
    Stored,
    /// With its caller's own `Err`: two of them run, as of those in one process.
    Failed,
    /// With a value that is not stored: waiting for another one is in vain.
    NotStored,
}

/// The right to run. Dropped without more, its run was cancelled or has panicked (I8).
pub(crate) struct Lease {
    #[cfg(feature = "redis")]
    pub(crate) grant: Grant,
}

impl Lease {
    /// Lets go of it. Nobody waits for that.
    #[cfg_attr(not(feature = "redis"), allow(unused_variables, clippy::unused_self))]
    pub(crate) fn end(self, end: End) {
        #[cfg(feature = "redis")]
        self.grant.end(end);
    }
}

/// Until when to wait for those who run.
pub(crate) struct Wait {
    /// Rings when something has happened; where nobody tells, there is none.
    #[cfg(feature = "redis")]
    pub(crate) watch: Option<Watch>,
    /// After this, the lease has ended by itself.
    pub(crate) left: Duration,
}

/// How long to wait until the next question where nobody tells.
pub(crate) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_millis(80);

    pub(crate) fn new() -> Self {
        Backoff(Backoff::FIRST)
    }

    fn next(&mut self) -> Duration {
        let next = self.0;
        self.0 = (next * 2).min(Backoff::LONGEST);
        next
    }
}

impl Wait {
    /// Waits for news, and no longer than so long. `false` if it is not known how.
    pub(crate) async fn for_news(self, backoff: &mut Backoff, longest: Duration) -> bool {
        let is_told = self.is_told();
        let longest = if is_told { longest } else { longest.min(backoff.next()) };
        let Some(alarm) = Alarm::after(self.left.min(longest)) else { return false };
        let mut told = std::pin::pin!(self.told());
        poll_fn(|context| {
            if told.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            alarm.poll(context)
        })
        .await;
        true
    }

    #[cfg(feature = "redis")]
    fn is_told(&self) -> bool {
        self.watch.is_some()
    }

    #[cfg(feature = "redis")]
    async fn told(&self) {
        match &self.watch {
            Some(watch) => watch.rung().await,
            None => std::future::pending().await,
        }
    }

    #[cfg(not(feature = "redis"))]
    fn is_told(&self) -> bool {
        false
    }

    #[cfg(not(feature = "redis"))]
    async fn told(&self) {
        std::future::pending().await
    }
}
