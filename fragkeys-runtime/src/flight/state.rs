//! Who runs, who waits, and who is let in when a run has ended.
//!
//! A state machine behind locks that are held for a few steps: no clock, no runtime, no I/O.
//! `sync` is std's here, and shuttle's in `tests/flight.rs`, which compiles this very file with
//! a `Key` and an `Answer` of its own.
//!
//! What holds whenever no lock is held: a flight that somebody waits for has a runner or its
//! answer, and one that has no runner is not on the board.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};
use super::{Answer, Key};

/// The board: all flights of one cache.
pub(crate) struct Flights {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    most_waiters: usize,
    /// How many flights have ended with something stored.
    stored: AtomicU64,
}

#[derive(Default)]
struct Shard {
    flights: HashMap<Hashed, Arc<Flight>, BuildHasherDefault<AsIs>>,
    /// The last flights that ended with something stored: the number of each, and its key's hash.
    stored: VecDeque<(u64, u64)>,
}

/// A key and its hash, which is worked out once a call and not for each step.
#[derive(Clone, PartialEq, Eq)]
struct Hashed {
    hash: u64,
    key: Key,
}

impl Hash for Hashed {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_u64(self.hash);
    }
}

/// A hash that is one already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// As many flights as end in one shard while one call looks, on a busy day.
const REMEMBERED: usize = 128;

/// The calls of one key that share a run.
pub(crate) struct Flight(Mutex<State>);

struct State {
    /// Those who run, and those who were let in and do not know yet.
    runners: usize,
    /// In the order in which they came. Who is let in is taken out.
    waiting: BTreeMap<u64, Option<Waker>>,
    next_waiter: u64,
    answer: Option<Answer>,
    /// Its runs have nothing to share, so nobody waits for them.
    is_open: bool,
    /// What it gives is older than what was stored, or dropped, since.
    is_outdated: bool,
    /// Flights of the same key that it took the place of.
    older: Vec<Weak<Flight>>,
}

/// What had been stored when a call began to look.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket(u64);

/// What a call does that found no entry.
pub(crate) enum Role {
    /// Run, for all who come meanwhile.
    Run(Runner),
    /// Wait for who runs.
    Wait(Waiter),
    /// Take what a run gave just now.
    Share(Answer),
    /// Look again: something was stored since.
    LookAgain,
    /// Run for itself: it would wait for itself, or too many wait.
    Alone,
}

/// What waiting came to.
pub(crate) enum Turn {
    Share(Answer),
    Run(Runner),
}

/// Who runs for a flight. Dropped without more, it was cancelled or has panicked, and the next
/// one takes over (I8).
pub(crate) struct Runner {
    seat: Seat,
    /// How many of those who wait run next.
    lets_in: usize,
    /// Its answer is on its way to the store.
    is_storing: bool,
}

/// Who waits for a flight.
pub(crate) struct Waiter {
    /// Gone when it has had its turn.
    seat: Option<Seat>,
    id: u64,
}

struct Seat {
    flights: Arc<Flights>,
    key: Hashed,
    flight: Arc<Flight>,
}

impl Flights {
    pub(crate) fn new(shards: usize, most_waiters: usize) -> Self {
        Flights {
            shards: (0..shards.max(1)).map(|_| Mutex::new(Shard::default())).collect(),
            hasher: RandomState::new(),
            most_waiters,
            stored: AtomicU64::new(0),
        }
    }

    /// To be taken before a look.
    pub(crate) fn ticket(&self) -> Ticket {
        Ticket(self.stored.load(Ordering::Acquire))
    }

    /// What a call does after a look that found nothing. `leads` tells which flights wait for
    /// this very call.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: &Key,
        ticket: Ticket,
        leads: impl FnOnce(&Arc<Flight>) -> bool,
    ) -> Role {
        let key = self.hashed(key);
        let Some(mut shard) = self.shard(&key) else { return Role::Alone };
        let seat = |key, flight| Seat { flights: self.clone(), key, flight };
        let Some(flight) = shard.flights.get(&key).cloned() else {
            if shard.has_stored_since(ticket, key.hash) {
                return Role::LookAgain;
            }
            let flight = Arc::new(Flight::begin());
            shard.flights.insert(key.clone(), flight.clone());
            drop(shard);
            return Role::Run(Runner::new(seat(key, flight)));
        };
        let mut state = flight.lock();
        drop(shard);
        if let Some(answer) = &state.answer {
            return Role::Share(answer.clone());
        }
        let is_full = state.waiting.len() >= self.most_waiters;
        if (is_full && !state.is_open) || leads(&flight) {
            return Role::Alone;
        }
        let role = if state.is_open {
            state.runners += 1;
            Role::Run(Runner::new(seat(key, flight.clone())))
        } else {
            Role::Wait(Waiter { id: state.queue_up(), seat: Some(seat(key, flight.clone())) })
        };
        drop(state);
        role
    }

    /// A flight for a run that must begin now, whoever runs already. Those who come from now on
    /// share it. What is under way is not stored any more once this is.
    pub(crate) fn begin_anew(self: &Arc<Self>, key: &Key) -> Option<Runner> {
        let key = self.hashed(key);
        let flight = Arc::new(Flight::begin());
        let mut shard = self.shard(&key)?;
        let replaced = shard.flights.insert(key.clone(), flight.clone());
        if let Some(replaced) = &replaced {
            let mut older = replaced.lock().older.clone();
            older.retain(|flight| flight.strong_count() > 0);
            older.push(Arc::downgrade(replaced));
            flight.lock().older = older;
        }
        drop(shard);
        drop(replaced);
        Some(Runner::new(Seat { flights: self.clone(), key, flight }))
    }

    /// What is under way for this key is not stored any more, and who comes from now on does not
    /// share it.
    pub(crate) fn forget(&self, key: &Key) {
        let key = self.hashed(key);
        let Some(mut shard) = self.shard(&key) else { return };
        let removed = shard.flights.remove_entry(&key);
        drop(shard);
        if let Some((_, flight)) = &removed {
            let older = std::mem::take(&mut flight.lock().older);
            flight.lock().is_outdated = true;
            outdate(older);
        }
    }

    fn hashed(&self, key: &Key) -> Hashed {
        Hashed { hash: self.hasher.hash_one(key), key: key.clone() }
    }

    /// The shard of a key. There always is one.
    fn shard(&self, key: &Hashed) -> Option<MutexGuard<'_, Shard>> {
        // Of the upper bits: the lower ones place it in the shard's table.
        let index = usize::try_from((key.hash >> 32) % self.shards.len() as u64).ok()?;
        Some(self.shards.get(index)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shard {
    /// Was something stored under this key's hash since? Then the look may have been too early
    /// to see it. Also where that is too long ago to know.
    fn has_stored_since(&self, ticket: Ticket, hash: u64) -> bool {
        let is_later = |(number, _): &&(u64, u64)| *number > ticket.0;
        let has_forgotten =
            self.stored.len() == REMEMBERED && self.stored.front().as_ref().is_some_and(is_later);
        has_forgotten
            || self.stored.iter().rev().take_while(is_later).any(|(_, other)| *other == hash)
    }

    fn remember_stored(&mut self, number: u64, hash: u64) {
        if self.stored.len() == REMEMBERED {
            self.stored.pop_front();
        }
        self.stored.push_back((number, hash));
    }

    /// Takes a flight off the board, unless another has its place.
    fn remove(&mut self, key: &Hashed, flight: &Arc<Flight>) -> Option<(Hashed, Arc<Flight>)> {
        let is_there = self.flights.get(key).is_some_and(|it| Arc::ptr_eq(it, flight));
        if is_there { self.flights.remove_entry(key) } else { None }
    }
}

impl Flight {
    fn begin() -> Self {
        Flight(Mutex::new(State {
            runners: 1,
            waiting: BTreeMap::new(),
            next_waiter: 0,
            answer: None,
            is_open: false,
            is_outdated: false,
            older: Vec::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What these flights give is not stored any more.
fn outdate(flights: Vec<Weak<Flight>>) {
    for flight in flights.iter().filter_map(Weak::upgrade) {
        flight.lock().is_outdated = true;
    }
}

impl State {
    fn queue_up(&mut self) -> u64 {
        let id = self.next_waiter;
        self.next_waiter += 1;
        self.waiting.insert(id, None);
        id
    }

    /// Makes runners of the first who wait. Their wakers are for when no lock is held: waking or
    /// dropping one may run a stranger's code.
    fn let_in(&mut self, number: usize) -> Vec<Waker> {
        let number = number.min(self.waiting.len());
        self.runners += number;
        (0..number).filter_map(|_| self.waiting.pop_first()?.1).collect()
    }
}

impl Runner {
    fn new(seat: Seat) -> Self {
        Runner { seat, lets_in: 1, is_storing: false }
    }

    pub(crate) fn flight(&self) -> &Arc<Flight> {
        &self.seat.flight
    }

    /// Does anybody wait for this?
    pub(crate) fn is_awaited(&self) -> bool {
        !self.seat.flight.lock().waiting.is_empty()
    }

    /// May what it gives be stored?
    pub(crate) fn is_outdated(&self) -> bool {
        self.seat.flight.lock().is_outdated
    }

    /// Gives an answer to all who wait; and, if it is going to be stored, to all who come until
    /// that is done and this is dropped.
    pub(crate) fn share(&mut self, answer: Answer, is_storing: bool) {
        let Seat { flights, key, flight } = &self.seat;
        let Some(mut shard) = flights.shard(key) else { return };
        let removed = if is_storing { None } else { shard.remove(key, flight) };
        let mut state = flight.lock();
        drop(shard);
        self.is_storing = is_storing;
        state.answer.get_or_insert(answer);
        // They stay written down: who is not, was let in.
        let wakers: Vec<Waker> = state.waiting.values_mut().filter_map(Option::take).collect();
        let older = if is_storing { std::mem::take(&mut state.older) } else { Vec::new() };
        drop(state);
        outdate(older);
        drop(removed);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends a run whose result is its own caller's alone. Two others run next, and each of
    /// those lets in two: n who wait are through after log₂ n such runs, one after the other.
    pub(crate) fn fail(mut self) {
        self.lets_in = 2;
    }

    /// Ends a run whose result cannot be shared, as those of the others could not: all run now.
    pub(crate) fn disband(mut self) {
        self.lets_in = usize::MAX;
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let Seat { flights, key, flight } = &self.seat;
        let Some(mut shard) = flights.shard(key) else { return };
        let mut state = flight.lock();
        state.runners -= 1;
        state.is_open |= self.lets_in == usize::MAX;
        let wakers = match state.answer {
            Some(_) => Vec::new(),
            None => state.let_in(self.lets_in),
        };
        let is_over = state.runners == 0 || self.is_storing;
        drop(state);
        if self.is_storing {
            let number = flights.stored.fetch_add(1, Ordering::AcqRel) + 1;
            shard.remember_stored(number, key.hash);
        }
        let removed = if is_over { shard.remove(key, flight) } else { None };
        drop(shard);
        drop(removed);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Waiter {
    /// Ready when there is an answer, or when it is this one's turn to run.
    pub(crate) fn poll(&mut self, context: &Context<'_>) -> Poll<Turn> {
        let Some(seat) = &self.seat else { return Poll::Pending };
        let waker = context.waker().clone();
        let mut state = seat.flight.lock();
        if state.answer.is_none()
            && let Some(place) = state.waiting.get_mut(&self.id)
        {
            let old = place.replace(waker);
            drop(state);
            drop(old);
            return Poll::Pending;
        }
        drop(state);
        self.take_turn().map_or(Poll::Pending, Poll::Ready)
    }

    /// The answer if it is there; else this one runs now, whoever else does. `None` after its turn.
    pub(crate) fn take_turn(&mut self) -> Option<Turn> {
        let seat = self.seat.take()?;
        let mut state = seat.flight.lock();
        let answer = state.answer.clone();
        let waited = state.waiting.remove(&self.id);
        if waited.is_some() && answer.is_none() {
            state.runners += 1;
        }
        drop(state);
        Some(match answer {
            Some(answer) => Turn::Share(answer),
            None => Turn::Run(Runner::new(seat)),
        })
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        let waited = seat.flight.lock().waiting.remove(&self.id);
        // It was let in and is gone before it knew: the next one, then.
        if waited.is_none() {
            drop(Runner::new(seat));
        }
    }
}

#[cfg(test)]
#[allow(dead_code, reason = "for the model checker")]
impl Flights {
    /// How many flights are on the board.
    pub(crate) fn len(&self) -> usize {
        let lock = |shard: &Mutex<Shard>| {
            shard.lock().unwrap_or_else(PoisonError::into_inner).flights.len()
        };
        self.shards.iter().map(lock).sum()
    }
}
