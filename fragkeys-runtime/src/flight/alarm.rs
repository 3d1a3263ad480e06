//! Wakes a task at a time, whatever runtime it is in: one without a timer could wait for another
//! call for ever. A thread of its own does it, which ends when nobody has waited for a while.

use std::collections::BTreeMap;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

/// Ready from a time on.
#[derive(Debug)]
pub(crate) struct Alarm {
    /// When, and a number to tell it from others of that time.
    at: (Instant, u64),
}

#[derive(Debug, Default)]
struct Set {
    wakers: BTreeMap<(Instant, u64), Option<Waker>>,
    next: u64,
    has_thread: bool,
}

static ALARMS: LazyLock<(Mutex<Set>, Condvar)> = LazyLock::new(Default::default);

/// How long the thread stays with nothing to do.
const IDLE: Duration = Duration::from_secs(10);

fn lock() -> MutexGuard<'static, Set> {
    ALARMS.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Alarm {
    /// Rings after so long. `None` if there can be no thread to ring it.
    pub(crate) fn after(time: Duration) -> Option<Self> {
        let time = Instant::now().checked_add(time)?;
        let mut set = lock();
        if !set.has_thread {
            let thread = thread::Builder::new().name("fragkeys-alarm".to_owned());
            thread.spawn(ring).ok()?;
            set.has_thread = true;
        }
        let at = (time, set.next);
        set.next += 1;
        set.wakers.insert(at, None);
        let is_first = set.wakers.first_key_value().is_some_and(|(first, _)| *first == at);
        drop(set);
        if is_first {
            ALARMS.1.notify_one();
        }
        Some(Alarm { at })
    }

    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let waker = context.waker().clone();
        let mut set = lock();
        let old = match set.wakers.get_mut(&self.at) {
            Some(place) => place.replace(waker),
            None => return Poll::Ready(()),
        };
        drop(set);
        // Never under the lock: that may run a stranger's code.
        drop(old);
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let waker = lock().wakers.remove(&self.at);
        drop(waker);
    }
}

/// The thread's work.
fn ring() {
    let mut set = lock();
    loop {
        let now = Instant::now();
        let due = match set.wakers.first_key_value() {
            Some(((at, _), _)) => at.saturating_duration_since(now),
            None => IDLE,
        };
        if due.is_zero() {
            let first = set.wakers.pop_first();
            drop(set);
            if let Some((_, Some(waker))) = first {
                // A waker that panics must not leave the others asleep.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| waker.wake()));
            }
            set = lock();
            continue;
        }
        let (next, waited) =
            ALARMS.1.wait_timeout(set, due).unwrap_or_else(PoisonError::into_inner);
        set = next;
        if waited.timed_out() && set.wakers.is_empty() {
            set.has_thread = false;
            return;
        }
    }
}
