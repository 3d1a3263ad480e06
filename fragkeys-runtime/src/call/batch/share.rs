//! Elements that other calls of this process are running for.
//!
//! A body runs once, so who leads a flight for an element cannot also wait for another's: that one
//! may end without a value. So a batch waits only where others run for all that it misses, and
//! leads nothing meanwhile; else it runs, for all that it misses. Nobody who waits holds what
//! another one waits for, and each run begins with an element that nobody was running for.

use std::sync::Arc;

use super::item::{Item, Items};
use crate::cache::{Budget, Cache};
use crate::flight::{self, Answer, Flight, Role, Runner, Ticket, Turn, Waiter};
use crate::outcome::Outcome;
use crate::value::Reading;

/// More often, something is stored and lost again at once.
const MOST_LOOKS: usize = 4;

/// What a batch found on the board.
#[derive(Default)]
struct Pass {
    waiters: Vec<(usize, Waiter)>,
    /// Elements that were stored since the look.
    later: Vec<usize>,
    /// Is there one that nobody runs for?
    must_run: bool,
}

impl<V> Items<V> {
    /// Takes what other calls give, if they run for all that is missing. Else leads a flight for
    /// each element that nobody runs for.
    pub(super) async fn share(
        &mut self,
        reading: &Reading<V>,
        budget: &mut Budget,
        mut ticket: Ticket,
    ) {
        let Some(cache) = self.cache.clone() else { return };
        if cache.flight_wait().is_zero() {
            return;
        }
        let mut all: Vec<usize> = (0..self.all.len()).collect();
        let mut waiters = Vec::new();
        let mut must_run = false;
        for _ in 0..MOST_LOOKS {
            let pass = self.join(&cache, reading, &all, ticket);
            waiters.extend(pass.waiters);
            must_run |= pass.must_run;
            all = pass.later;
            if all.is_empty() {
                break;
            }
            ticket = cache.flights().ticket();
            self.look_again(&all, reading, budget).await;
        }
        // Who leads waits for nobody, nor who has looked in vain too often.
        if must_run || !all.is_empty() {
            return;
        }
        for (at, turn) in flight::wait_for_all(waiters, cache.flight_wait()).await {
            if let Some(item) = self.all.get_mut(at) {
                match turn {
                    Turn::Share(answer) => item.take_shared(&answer, reading),
                    Turn::Run(runner) => item.runner = Some(runner),
                }
            }
        }
    }

    fn join(&mut self, cache: &Cache, reading: &Reading<V>, all: &[usize], ticket: Ticket) -> Pass {
        let mut pass = Pass::default();
        for &at in all {
            let Some(item) = self.all.get_mut(at).filter(|item| item.is_missing()) else {
                continue;
            };
            let Some(key) = item.flight_key() else {
                pass.must_run = true;
                continue;
            };
            match cache.flights().join(&key, ticket, flight::is_led_here) {
                Role::Run(runner) => {
                    item.runner = Some(runner);
                    pass.must_run = true;
                }
                Role::Share(answer) => item.take_shared(&answer, reading),
                Role::Wait(waiter) => pass.waiters.push((at, waiter)),
                Role::Alone => pass.must_run = true,
                Role::LookAgain => pass.later.push(at),
            }
        }
        pass
    }

    /// Whatever is cached or under way, this call runs for all.
    pub(super) fn begin_anew(&mut self) {
        for item in &mut self.all {
            if let (Some(key), Some(cache)) = (item.flight_key(), &self.cache)
                && !cache.flight_wait().is_zero()
            {
                item.runner = cache.flights().begin_anew(&key);
            }
        }
    }

    /// What is under way is not stored behind an eviction.
    pub(super) fn forget(&self) {
        let Some(cache) = &self.cache else { return };
        self.all.iter().filter_map(Item::flight_key).for_each(|key| cache.flights().forget(&key));
    }

    /// The flights that the body runs for.
    pub(super) fn flights(&self) -> Vec<Arc<Flight>> {
        let runners = self.all.iter().filter_map(|item| item.runner.as_ref());
        runners.map(|runner| runner.flight().clone()).collect()
    }

    /// The body's `Err` is its own caller's.
    pub(super) fn fail(&mut self) {
        self.all.iter_mut().filter_map(|item| item.runner.take()).for_each(Runner::fail);
    }
}

impl<V> Item<V> {
    fn take_shared(&mut self, answer: &Answer, reading: &Reading<V>) {
        let Some(request) = &self.request else { return };
        match answer {
            None => self.is_absent = true,
            Some(payload) => {
                self.value = (reading.decode)(request.cache.format(), payload).ok();
            }
        }
        if !self.is_missing() {
            request.cache.counters().shared.add();
            self.outcome = Outcome::Shared;
        }
    }
}
