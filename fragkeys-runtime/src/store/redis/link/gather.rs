//! Looks that are ready at the same time share one `MGET`.
//!
//! Where many calls wait, most of a hit's time is its command's own way through the driver, the
//! kernel and the server. So a call that finds others waiting joins a round. The first one of a
//! round spawns the task that asks for all: it goes to the end of its runtime's line once, behind
//! the calls that are about to run and may join, so that no timer has to tell how long to wait.
//! A call that is alone, or nearly so, is not held up by any of this.

use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use redis::{Cmd, Value};
use tokio::runtime::Handle;

use super::{Failure, Live};
use crate::key::Place;
use crate::store::Deadline;
use crate::store::redis::reply::{nonsense, refusal};
use crate::together::end_of_line;

/// With so many that wait already, calls join.
const CROWD: usize = 8;
/// So many rounds are under way at once, so that the server has something to do while this process
/// takes in what it answered.
const ROUNDS: usize = 3;
/// In one round: larger ones save nothing more, and hold up the first for the last.
const MOST: usize = 64;

/// The rounds of one connection.
pub(super) struct Gather {
    runtime: Handle,
    waiting: AtomicUsize,
    /// The round that can be joined.
    forming: Mutex<Option<Arc<Round>>>,
}

/// Some looks, and what Redis had for them.
struct Round {
    until: Instant,
    state: Mutex<State>,
}

struct State {
    seats: Vec<Seat>,
    answer: Option<Result<Vec<Value>, Failure>>,
}

struct Seat {
    place: Arc<Place>,
    waker: Waker,
}

impl Gather {
    /// On the runtime that drives the connection.
    pub(super) fn here() -> Self {
        Gather {
            runtime: Handle::current(),
            waiting: AtomicUsize::new(0),
            forming: Mutex::default(),
        }
    }

    /// Counts a call that waits, until what is returned is dropped.
    pub(super) fn enter(&self) -> Waiting<'_> {
        Waiting { gather: self, is_crowd: self.waiting.fetch_add(1, Ordering::Relaxed) >= CROWD }
    }

    /// A seat in the round that can be joined, and whether it is a new round's.
    fn sit_down(
        &self,
        place: &Arc<Place>,
        until: Instant,
        leeway: Duration,
        waker: &Waker,
    ) -> Option<(Arc<Round>, usize, bool)> {
        let mut forming = lock(&self.forming);
        let round = forming.get_or_insert_with(|| Arc::new(Round::new(until))).clone();
        // What others have little time for must not fail for who has more.
        if until.max(round.until) - until.min(round.until) > leeway {
            return None;
        }
        let mut state = lock(&round.state);
        let seat = state.seats.len();
        state.seats.push(Seat { place: place.clone(), waker: waker.clone() });
        let most = (self.waiting.load(Ordering::Relaxed) / ROUNDS).clamp(CROWD, MOST);
        if seat + 1 >= most {
            *forming = None;
        }
        drop(state);
        Some((round, seat, seat == 0))
    }

    /// Nobody joins it any more.
    fn close(&self, round: &Arc<Round>) {
        let mut forming = lock(&self.forming);
        if forming.as_ref().is_some_and(|forming| Arc::ptr_eq(forming, round)) {
            *forming = None;
        }
    }
}

/// A call that waits.
pub(super) struct Waiting<'a> {
    gather: &'a Gather,
    pub(super) is_crowd: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.gather.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// What stands there, asked for together with others; `None` if there are none that it fits
    /// to.
    pub(super) async fn ask_together(
        self: &Arc<Self>,
        place: &Arc<Place>,
        deadline: Deadline,
    ) -> Option<Result<Value, Failure>> {
        let mut seat: Option<(Arc<Round>, usize)> = None;
        poll_fn(|context| {
            let (round, number) = match &seat {
                Some(seat) => seat,
                None => {
                    let leeway = self.beat.every();
                    let joined =
                        self.gather.sit_down(place, deadline.until, leeway, context.waker());
                    let Some((round, number, is_first)) = joined else { return Poll::Ready(None) };
                    if is_first {
                        let unanswered = Unanswered { live: self.clone(), round: round.clone() };
                        self.gather.runtime.spawn(unanswered.ask(deadline));
                    }
                    seat = Some((round, number));
                    return Poll::Pending;
                }
            };
            round.poll(*number, context).map(Some)
        })
        .await
    }
}

impl Round {
    fn new(until: Instant) -> Self {
        Round { until, state: Mutex::new(State { seats: Vec::with_capacity(MOST), answer: None }) }
    }

    fn command(&self) -> (Cmd, usize) {
        let state = lock(&self.state);
        let bytes: usize = state.seats.iter().map(|seat| seat.place.key.len()).sum();
        let mut command = Cmd::with_capacity(1 + state.seats.len(), bytes + 4);
        command.arg("MGET");
        for seat in &state.seats {
            command.arg(&seat.place.key);
        }
        (command, state.seats.len())
    }

    fn answer(&self, answer: Result<Vec<Value>, Failure>) {
        let seats = {
            let mut state = lock(&self.state);
            state.answer.get_or_insert(answer);
            std::mem::take(&mut state.seats)
        };
        seats.into_iter().for_each(|seat| seat.waker.wake());
    }

    fn poll(&self, number: usize, context: &Context<'_>) -> Poll<Result<Value, Failure>> {
        let State { seats, answer } = &mut *lock(&self.state);
        match answer {
            Some(Ok(values)) => {
                let value =
                    values.get_mut(number).map(|value| std::mem::replace(value, Value::Nil));
                Poll::Ready(Ok(value.unwrap_or(Value::Nil)))
            }
            Some(Err(failure)) => Poll::Ready(Err(failure.clone())),
            None => {
                if let Some(seat) = seats.get_mut(number) {
                    seat.waker.clone_from(context.waker());
                }
                Poll::Pending
            }
        }
    }
}

/// A round that has to be answered, also where the task that asks for it ends with its runtime.
struct Unanswered {
    live: Arc<Live>,
    round: Arc<Round>,
}

impl Unanswered {
    async fn ask(self, deadline: Deadline) {
        end_of_line().await;
        self.live.gather.close(&self.round);
        let (command, number) = self.round.command();
        let answer = match self.live.ask_one(&command, deadline).await {
            Ok(Value::Array(values)) if values.len() == number => Ok(values),
            Ok(Value::Array(_)) => Err(nonsense("another number of entries than keys").into()),
            Ok(other) => Err(refusal(other).into()),
            Err(failure) => Err(failure),
        };
        self.round.answer(answer);
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.live.gather.close(&self.round);
        self.round.answer(Err(Failure::Lost(self.live.server.silent())));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
