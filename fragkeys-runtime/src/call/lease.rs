//! A run for all processes: who leads a flight asks first whether another process is at it.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::miss::{Miss, Part};
use crate::envelope;
use crate::flight::Runner;
use crate::lease::{Backoff, Claim, End, Lease};
use crate::outcome::Outcome;
use crate::value::Reading;

/// What asking came to.
enum Claimed<T> {
    /// This one runs.
    Run,
    /// Another process has stored this: the value, and its payload.
    Stored(T, Bytes),
    /// Others run, and it has waited for long enough.
    Taken,
}

impl Miss {
    /// Runs once the lease is this one's, or answers with what another process stored. Waits no longer
    /// than so long, and runs without it whenever the store has trouble (I5).
    pub(super) async fn lead<T>(
        &mut self,
        reading: &Reading<T>,
        mut runner: Runner,
        longest: Duration,
    ) -> Part<T> {
        match self.claim(reading, longest).await {
            Claimed::Run | Claimed::Taken => Part::Run(Some(runner)),
            Claimed::Stored(value, payload) => {
                // As if it had run here: those whose look was too early look again.
                runner.share(Some(payload), true);
                Part::Return(value)
            }
        }
    }

    /// The same for who has an old value at hand, and waits for nobody: `None` if others run.
    pub(super) async fn lead_at_once<T>(
        &mut self,
        reading: &Reading<T>,
        mut runner: Runner,
    ) -> Option<Part<T>> {
        match self.claim(reading, Duration::ZERO).await {
            Claimed::Run => Some(Part::Run(Some(runner))),
            Claimed::Taken => None,
            Claimed::Stored(value, payload) => {
                runner.share(Some(payload), true);
                Some(Part::Return(value))
            }
        }
    }

    async fn claim<T>(&mut self, reading: &Reading<T>, longest: Duration) -> Claimed<T> {
        let cache = self.request.cache.clone();
        if !self.request.is_leased || !cache.has_leases() {
            return Claimed::Run;
        }
        let until = Instant::now() + longest;
        let mut backoff = Backoff::new();
        let mut is_waiting = false;
        loop {
            let (identity, known) = (&self.request.identity, &self.known);
            let removals = self.request.removals();
            let budget = &mut self.budget;
            let wait = match cache.claim(identity, &self.place, known, is_waiting, budget).await {
                Err(_) => return Claimed::Run,
                Ok(Claim::Run(lease)) => {
                    self.lease = lease;
                    return Claimed::Run;
                }
                Ok(Claim::Stored(entry)) => {
                    if let Some((value, payload)) = self.stored(reading, &entry, removals) {
                        return Claimed::Stored(value, payload);
                    }
                    // Old, or a stranger's: somebody must run, and asks for that once more.
                    let head = Bytes::copy_from_slice(envelope::head(&entry));
                    if head == self.known {
                        return Claimed::Run;
                    }
                    self.known = head;
                    continue;
                }
                Ok(Claim::Wait(wait)) => wait,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || (is_waiting && !wait.for_news(&mut backoff, left).await) {
                return Claimed::Taken;
            }
            // The first question asks for no news, as most are answered by `Run`.
            is_waiting = true;
        }
    }

    /// The value of an entry, and its payload, if that is an answer.
    fn stored<T>(&self, reading: &Reading<T>, entry: &Bytes, removals: u64) -> Option<(T, Bytes)> {
        let payload = self.request.payload(&self.place, entry)?;
        let value = self.request.open(&self.place, reading, entry, removals)?;
        Some((value, payload))
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
