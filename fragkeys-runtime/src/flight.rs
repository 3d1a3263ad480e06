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
pub(crate) use self::state::{Flight, Flights, Role, Runner, Ticket, Turn, Waiter};
use crate::key::Place;

mod alarm;
mod state;

/// What `state` is built upon; a model checker puts its own in this place.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering};
    pub(super) use std::sync::{Mutex, MutexGuard};
}

/// The encoded value; or of an element of a batch, that there is none.
pub(crate) type Answer = Option<Bytes>;

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

/// Flights that this task runs for, and those around them. Who joins one of them from inside
/// would wait for itself.
#[derive(Clone)]
struct Led(Arc<Link>);

struct Link {
    flights: Vec<Arc<Flight>>,
    around: Option<Led>,
}

/// Is this call made by a run of that flight, in the same task?
pub(crate) fn is_led_here(flight: &Arc<Flight>) -> bool {
    LED.try_with(|led| {
        let mut links = std::iter::successors(Some(led), |led| led.0.around.as_ref());
        links.any(|led| led.0.flights.iter().any(|led| Arc::ptr_eq(led, flight)))
    })
    .unwrap_or(false)
}

/// Runs a body for flights: those of a batch, or one.
pub(crate) async fn lead<B: Future>(flights: Vec<Arc<Flight>>, body: B) -> B::Output {
    let around = LED.try_with(Led::clone).ok();
    LED.scope(Led(Arc::new(Link { flights, around })), body).await
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

/// Waits for several flights, until all have an answer, it is this one's turn in one of them, or it
/// has waited for so long. Each with its number. Who may run in one waits for no other: that may be
/// waiting for this one.
pub(crate) async fn wait_for_all(
    mut waiting: Vec<(usize, Waiter)>,
    longest: Duration,
) -> Vec<(usize, Turn)> {
    let alarm = Alarm::after(longest);
    let mut turns = Vec::with_capacity(waiting.len());
    let is_late = std::future::poll_fn(|context| {
        let mut is_let_in = false;
        waiting.retain_mut(|(number, waiter)| match waiter.poll(context) {
            Poll::Ready(turn) => {
                is_let_in |= matches!(turn, Turn::Run(_));
                turns.push((*number, turn));
                false
            }
            Poll::Pending => true,
        });
        match &alarm {
            _ if is_let_in || waiting.is_empty() => Poll::Ready(false),
            Some(alarm) => alarm.poll(context).map(|()| true),
            None => Poll::Ready(true),
        }
    })
    .await;
    if is_late {
        let late = |(number, waiter): &mut (usize, Waiter)| Some((*number, waiter.take_turn()?));
        turns.extend(waiting.iter_mut().filter_map(late));
    }
    turns
}
