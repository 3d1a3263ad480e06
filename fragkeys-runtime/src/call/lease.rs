//! A run for all processes: who leads a flight asks first whether another process is at it.

use std::time::Instant;

use bytes::Bytes;

use super::miss::{Miss, Part};
use crate::flight::Runner;
use crate::lease::{Backoff, Claim, End, Lease};
use crate::outcome::Outcome;
use crate::value::Reading;

impl Miss {
    /// Runs once the lease is this one's, or answers with what another process stored. Waits for
    /// that no longer than `lease_wait`, and runs without it whenever the store has trouble (I5).
    pub(super) async fn lead<T>(&mut self, reading: &Reading<T>, mut runner: Runner) -> Part<T> {
        if !self.request.is_leased || !self.request.cache.has_leases() {
            return Part::Run(Some(runner));
        }
        let Some((value, payload)) = self.claim(reading).await else {
            return Part::Run(Some(runner));
        };
        // As if it had run here: those whose look was too early look again.
        runner.share(Some(payload), true);
        Part::Return(value)
    }

    /// What another process stored, and its payload; or nothing, and this one runs.
    async fn claim<T>(&mut self, reading: &Reading<T>) -> Option<(T, Bytes)> {
        let cache = self.request.cache.clone();
        let until = Instant::now() + cache.lease_wait();
        let mut backoff = Backoff::new();
        let mut is_waiting = false;
        loop {
            let identity = &self.request.identity;
            let removals = self.request.removals();
            let claim = cache.claim(identity, &self.place, is_waiting, &mut self.budget).await;
            let wait = match claim {
                Err(_) => return None,
                Ok(Claim::Run(lease)) => {
                    self.lease = lease;
                    return None;
                }
                Ok(Claim::Stored(entry)) => {
                    let payload = self.request.payload(&self.place, &entry)?;
                    let value = self.request.open(&self.place, reading, &entry, removals)?;
                    return Some((value, payload));
                }
                Ok(Claim::Wait(wait)) => wait,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (is_waiting && !wait.for_news(&mut backoff, left).await) {
                return None;
            }
            // The first question asks for no news, as most are answered by `Run`.
            is_waiting = true;
        }
    }

    /// Lets go of the lease behind a run that has given a value.
    pub(super) fn settle(&mut self, outcome: Option<Outcome>) {
        let is_stored = matches!(outcome, Some(Outcome::Miss));
        end(&mut self.lease, if is_stored { End::Stored } else { End::NotStored });
    }

    /// Lets go of the lease behind a run that has given an `Err`.
    pub(super) fn settle_failed(&mut self) {
        end(&mut self.lease, End::Failed);
    }
}

fn end(lease: &mut Option<Lease>, end: End) {
    if let Some(lease) = lease.take() {
        lease.end(end);
    }
}
