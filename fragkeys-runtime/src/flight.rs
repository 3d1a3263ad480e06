//! Single-flight: concurrent callers of one key in this process share one run.
//!
//! The key of a flight is the address of the entry that they all miss, versions included. So
//! who comes after a bump does not join what began before it (I2). What is shared is the
//! encoded value, which each decodes: it need not be `Clone`. Nobody waits for longer than
//! `flight_wait`, whatever it is that does not end.

use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;

pub(crate) use self::alarm::Alarm;
use self::state::Waiter;
pub(crate) use self::state::{Flight, Flights, Role, Runner, Ticket, Turn};
use crate::key::Place;

mod alarm;
mod state;

/// What `state` is built upon; a model checker puts its own in this place.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}

/// The encoded value.
pub(crate) type Answer = Bytes;

/// Which calls share a run: those whose entry would be sealed for the same.
#[derive(Clone)]
pub(crate) struct Key {
    pub(crate) place: Arc<Place>,
    pub(crate) sealed_with: Vec<u8>,
}

impl PartialEq for Key {
    /// All of the address, and not its hash (I4).
    fn eq(&self, other: &Self) -> bool {
        self.place.address == other.place.address && self.sealed_with == other.sealed_with
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.place.address.hash(hasher);
    }
}

tokio::task_local! {
    static LED: Led;
}

/// A flight that this task runs for, and those around it. Who joins one of them from inside
/// would wait for itself.
#[derive(Clone)]
struct Led(Arc<Link>);

struct Link {
    flight: Arc<Flight>,
    around: Option<Led>,
}

/// Is this call made by a run of that flight, in the same task?
pub(crate) fn is_led_here(flight: &Arc<Flight>) -> bool {
    LED.try_with(|led| {
        let mut links = std::iter::successors(Some(led), |led| led.0.around.as_ref());
        links.any(|led| Arc::ptr_eq(&led.0.flight, flight))
    })
    .unwrap_or(false)
}

/// Runs a body for a flight.
pub(crate) async fn lead<B: Future>(flight: &Arc<Flight>, body: B) -> B::Output {
    let around = LED.try_with(Led::clone).ok();
    LED.scope(Led(Arc::new(Link { flight: flight.clone(), around })), body).await
}

/// The output of a future, if it is there before the alarm rings.
pub(crate) async fn in_time<F: Future>(
    mut future: Pin<&mut F>,
    alarm: Option<&Alarm>,
) -> Option<F::Output> {
    std::future::poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        alarm.map_or(Poll::Pending, |alarm| alarm.poll(context).map(|()| None))
    })
    .await
}

/// Waits for an answer or for the turn to run, and no longer than so long. `None` if it is not
/// known how to wait for so long.
pub(crate) async fn wait(mut waiter: Waiter, longest: Duration) -> Option<Turn> {
    let Some(alarm) = Alarm::after(longest) else { return waiter.take_turn() };
    let turn = std::future::poll_fn(|context| {
        if let turn @ Poll::Ready(_) = waiter.poll(context) {
            return turn.map(Some);
        }
        alarm.poll(context).map(|()| None)
    });
    match turn.await {
        Some(turn) => Some(turn),
        None => waiter.take_turn(),
    }
}
