//! The flights' state machine under a model checker: `src/flight/state.rs` itself, with shuttle's
//! locks in the place of std's, each scenario under some thousand schedules. A waiter that hangs
//! is a deadlock, which shuttle reports with the schedule that leads to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use shuttle::future::{block_on, spawn, yield_now};
use shuttle::rand::{Rng as _, thread_rng};

mod sync {
    pub(crate) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(crate) use shuttle::sync::{Mutex, MutexGuard};
}

#[allow(dead_code, reason = "what this does not use, the crate does")]
#[path = "../src/flight/state.rs"]
mod state;

use state::{Flights, Role, Runner, Turn};
use sync::{AtomicU64, Mutex, Ordering};

/// The version of the one tag.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key(u64);

/// A row's value: which run gave it, and the version when that began.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    run: u64,
    began_at: u64,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stored,
    /// Refused by `cache_if`.
    Refused,
    Err,
    Unstorable,
}

/// One function with one argument: its row, its tag, its cache.
struct World {
    flights: Arc<Flights>,
    version: AtomicU64,
    store: Mutex<HashMap<Key, Answer>>,
    runs: AtomicU64,
}

impl World {
    fn new() -> Arc<Self> {
        Arc::new(World {
            flights: Arc::new(Flights::new(1, 1_000)),
            version: AtomicU64::new(1),
            store: Mutex::new(HashMap::new()),
            runs: AtomicU64::new(0),
        })
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    /// One call, with the steps of `call.rs`. `impatience` makes a waiter run before its turn.
    async fn call(&self, end: End, impatience: usize) -> Answer {
        let least = self.version.load(Ordering::SeqCst);
        let answer = self.answer(end, impatience).await;
        assert!(answer.began_at >= least, "a stale answer: {answer:?} for a call at {least}");
        answer
    }

    async fn answer(&self, end: End, impatience: usize) -> Answer {
        loop {
            let ticket = self.flights.ticket();
            let version = Key(self.version.load(Ordering::SeqCst));
            yield_now().await;
            let found = self.store.lock().unwrap().get(&version).cloned();
            if let Some(answer) = found {
                return answer;
            }
            yield_now().await;
            let runner = match self.flights.join(&version, ticket, |_| false) {
                Role::Run(runner) => Some(runner),
                Role::Share(answer) => return answer,
                Role::LookAgain => continue,
                Role::Alone => None,
                Role::Wait(mut waiter) => {
                    let mut polls = 0;
                    let turn = poll_fn(|context| {
                        polls += 1;
                        if polls > impatience {
                            return Poll::Ready(waiter.take_turn().unwrap());
                        }
                        if impatience < usize::MAX {
                            context.waker().wake_by_ref();
                        }
                        waiter.poll(context)
                    });
                    match turn.await {
                        Turn::Share(answer) => return answer,
                        Turn::Run(runner) => Some(runner),
                    }
                }
            };
            return self.run(version, runner, end).await;
        }
    }

    async fn refresh(&self, end: End) -> Answer {
        let version = Key(self.version.load(Ordering::SeqCst));
        yield_now().await;
        let runner = self.flights.begin_anew(&version);
        self.run(version, runner, end).await
    }

    /// Gives the number of the runs that had begun by then.
    async fn evict(&self) -> u64 {
        let version = Key(self.version.load(Ordering::SeqCst));
        yield_now().await;
        let runs = self.runs();
        self.flights.forget(&version);
        yield_now().await;
        self.store.lock().unwrap().remove(&version);
        runs
    }

    fn stored(&self) -> Option<Answer> {
        self.store.lock().unwrap().values().next().cloned()
    }

    async fn run(&self, version: Key, runner: Option<Runner>, end: End) -> Answer {
        let began_at = self.version.load(Ordering::SeqCst);
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        let answer = Answer { run, began_at };
        yield_now().await;
        let Some(mut runner) = runner else { return answer };
        match end {
            End::Err => runner.fail(),
            End::Unstorable => runner.disband(),
            End::Refused => {
                if runner.is_awaited() {
                    runner.share(answer.clone(), false);
                }
            }
            End::Stored if runner.is_outdated() => runner.share(answer.clone(), false),
            End::Stored => {
                runner.share(answer.clone(), true);
                yield_now().await;
                self.store.lock().unwrap().insert(version.clone(), answer.clone());
                yield_now().await;
                if runner.is_outdated() {
                    self.store.lock().unwrap().remove(&version);
                }
            }
        }
        answer
    }

    /// Nothing is left behind.
    fn check_board(&self) {
        assert_eq!(self.flights.len(), 0, "a flight without a call");
    }
}

fn checked(scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    let again = scenario.clone();
    shuttle::check_random(move || scenario(), 1_000);
    shuttle::check_pct(move || again(), 1_000, 3);
}

/// Callers at once, each by an end; their answers.
fn all(world: &Arc<World>, ends: &[End]) -> Vec<Answer> {
    let calls: Vec<_> = ends
        .iter()
        .map(|&end| {
            let world = world.clone();
            spawn(async move { world.call(end, usize::MAX).await })
        })
        .collect();
    calls.into_iter().map(|call| block_on(call).unwrap()).collect()
}

#[test]
fn callers_of_one_key_share_exactly_one_run() {
    checked(|| {
        let world = World::new();
        let answers = all(&world, &[End::Stored; 4]);
        assert_eq!(world.runs(), 1);
        assert!(answers.iter().all(|answer| answer.run == 0));
        world.check_board();
    });
}

/// I2: who comes after a bump does not join what began before it; and each version is run once.
#[test]
fn a_bump_during_a_flight_begins_another() {
    checked(|| {
        let world = World::new();
        let bump = {
            let world = world.clone();
            spawn(async move {
                world.version.fetch_add(1, Ordering::SeqCst);
                world.call(End::Stored, usize::MAX).await
            })
        };
        all(&world, &[End::Stored; 3]);
        assert_eq!(block_on(bump).unwrap().began_at, 2);
        assert!(world.runs() <= 2, "{} runs", world.runs());
        world.check_board();
    });
}

/// I8: whoever is dropped, wherever, all others are answered.
#[test]
fn a_call_that_is_dropped_leaves_nobody_waiting() {
    checked(|| {
        let world = World::new();
        let dropped: Vec<_> = (0..2)
            .map(|_| {
                let world = world.clone();
                let polls = thread_rng().gen_range(0..8);
                spawn(async move {
                    let mut call = Some(Box::pin(world.call(End::Stored, usize::MAX)));
                    for _ in 0..polls {
                        let is_over = poll_fn(|context| {
                            Poll::Ready(call.as_mut().unwrap().as_mut().poll(context).is_ready())
                        });
                        if is_over.await {
                            return;
                        }
                        yield_now().await;
                    }
                    call = None;
                    drop(call);
                })
            })
            .collect();
        all(&world, &[End::Stored; 2]);
        dropped.into_iter().for_each(|call| block_on(call).unwrap());
        assert!(world.runs() <= 3, "{} runs", world.runs());
        world.check_board();
    });
}

/// Each `Err` is its caller's own, so each caller runs, once.
#[test]
fn failing_runs_let_all_others_through() {
    checked(|| {
        let world = World::new();
        all(&world, &[End::Err; 5]);
        assert_eq!(world.runs(), 5);
        world.check_board();
    });
}

#[test]
fn runs_with_nothing_to_share_let_all_others_through() {
    checked(|| {
        let world = World::new();
        all(&world, &[End::Unstorable; 4]);
        assert_eq!(world.runs(), 4);
        world.check_board();
    });
}

/// The first run that has something to share answers all who still wait.
#[test]
fn a_run_that_works_answers_those_behind_one_that_failed() {
    checked(|| {
        let world = World::new();
        let ends = [End::Err, End::Stored, End::Refused, End::Unstorable, End::Stored];
        let answers = all(&world, &ends);
        assert!(answers.iter().all(|answer| answer.run < world.runs()));
        world.check_board();
    });
}

/// What is refused is given to those who waited for it, and to nobody who comes later.
#[test]
fn refused_values_are_not_given_to_those_who_come_later() {
    checked(|| {
        let world = World::new();
        all(&world, &[End::Refused; 3]);
        let runs = world.runs();
        let later = block_on(world.call(End::Refused, usize::MAX));
        assert_eq!(later.run, runs);
        world.check_board();
    });
}

/// Who has waited long enough runs, whatever happens to others at that moment.
#[test]
fn a_waiter_may_run_before_its_turn() {
    checked(|| {
        let world = World::new();
        let impatient: Vec<_> = [End::Stored, End::Err]
            .map(|end| {
                let world = world.clone();
                let impatience = thread_rng().gen_range(0..4);
                spawn(async move { world.call(end, impatience).await })
            })
            .into();
        all(&world, &[End::Err, End::Stored, End::Unstorable]);
        for call in impatient {
            block_on(call).unwrap();
        }
        world.check_board();
    });
}

/// What was refreshed is not replaced by what began to run before.
#[test]
fn a_refresh_is_not_overwritten_by_older_runs() {
    checked(|| {
        let world = World::new();
        let refresh = {
            let world = world.clone();
            spawn(async move { world.refresh(End::Stored).await })
        };
        all(&world, &[End::Stored; 3]);
        let refreshed = block_on(refresh).unwrap();
        let stored = world.stored();
        assert!(stored.is_none_or(|stored| stored.run >= refreshed.run));
        world.check_board();
    });
}

/// Whatever becomes of refreshes, all are answered.
#[test]
fn refreshes_that_meet_leave_nobody_waiting() {
    checked(|| {
        let world = World::new();
        let refreshes = [End::Stored, End::Err, End::Refused].map(|end| {
            let world = world.clone();
            spawn(async move { world.refresh(end).await })
        });
        all(&world, &[End::Stored; 2]);
        for refresh in refreshes {
            block_on(refresh).unwrap();
        }
        world.check_board();
    });
}

/// What was evicted does not come back from a run that began before.
#[test]
fn an_eviction_is_not_undone_by_older_runs() {
    checked(|| {
        let world = World::new();
        let evict = {
            let world = world.clone();
            spawn(async move { world.evict().await })
        };
        all(&world, &[End::Stored; 2]);
        let begun_before = block_on(evict).unwrap();
        let stored = world.stored();
        assert!(stored.is_none_or(|stored| stored.run >= begun_before));
        world.check_board();
    });
}
