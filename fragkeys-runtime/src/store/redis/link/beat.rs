//! One timer for all calls that wait on a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::sleep;

/// Wakes the calls that wait, now and then, so that each can look at the clock and at the
/// connection: a timer for each call would cost a hit as much as all of its tags do.
pub(super) struct Beat {
    every: Duration,
    strikes: Notify,
    /// A call waits, since the last strike.
    is_wanted: AtomicBool,
    wanted: Notify,
    is_over: AtomicBool,
}

impl Beat {
    pub(super) fn new(every: Duration) -> Arc<Self> {
        Arc::new(Beat {
            every,
            strikes: Notify::new(),
            is_wanted: AtomicBool::new(false),
            wanted: Notify::new(),
            is_over: AtomicBool::new(false),
        })
    }

    pub(super) fn every(&self) -> Duration {
        self.every
    }

    /// The strike that follows this call.
    pub(super) fn next(&self) -> Notified<'_> {
        self.strikes.notified()
    }

    /// Has the next strike come.
    pub(super) fn want(&self) {
        if !self.is_wanted.load(Ordering::Relaxed) && !self.is_wanted.swap(true, Ordering::AcqRel) {
            self.wanted.notify_one();
        }
    }

    /// Strikes while it is wanted, and sleeps while it is not.
    pub(super) async fn keep(self: Arc<Self>) {
        let _last = Last(&self);
        while !self.is_over() {
            self.wanted.notified().await;
            sleep(self.every).await;
            self.strike();
        }
    }

    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
        self.wanted.notify_one();
    }

    /// Will it never strike again?
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn strike(&self) {
        self.is_wanted.store(false, Ordering::Release);
        self.strikes.notify_waiters();
    }
}

/// Strikes when the beat ends, also when its runtime does: nobody waits for the next one.
struct Last<'a>(&'a Beat);

impl Drop for Last<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
        self.0.strike();
    }
}
