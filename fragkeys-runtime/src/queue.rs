//! Bumps that the store did not confirm: kept, bounded, and retried until it has them (I6).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::tag::Tag;

mod bound;

pub(crate) use bound::{Overflow, fold};

#[derive(Debug)]
pub(crate) struct BumpQueue {
    waiting: Mutex<Waiting>,
    /// The number of waiting tags, so that calls look without a lock while there is none.
    len: AtomicUsize,
    capacity: usize,
    job: Mutex<Job>,
}

/// The job of retrying.
#[derive(Debug, Default)]
struct Job {
    /// The number of the last claim to it.
    claim: u64,
    /// When who has it last showed up; `None` while nobody has.
    last_seen: Option<Instant>,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Each tag with the turn in which it was last added: a retry that was under way when
    /// its tag was added again does not settle it.
    turns: BTreeMap<Tag, u64>,
    turn: u64,
}

/// A tag and the turn in which it was queued.
pub(crate) type Queued = (Tag, u64);

impl BumpQueue {
    pub(crate) fn new(capacity: usize) -> Self {
        BumpQueue {
            waiting: Mutex::default(),
            len: AtomicUsize::new(0),
            capacity,
            job: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, tags: &[Tag]) {
        let mut waiting = self.lock();
        waiting.turn += 1;
        let turn = waiting.turn;
        waiting.turns.extend(tags.iter().map(|tag| (tag.clone(), turn)));
        let overflow = fold(&mut waiting.turns, self.capacity, |_| turn);
        self.len.store(waiting.turns.len(), Ordering::Release);
        drop(waiting);
        if let Some(overflow) = overflow {
            overflow.log("the store");
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    /// Does a bump of any of these wait? Then entries with that tag must be left alone.
    pub(crate) fn holds_any(&self, tags: &[Tag]) -> bool {
        self.len() > 0 && {
            let waiting = self.lock();
            tags.iter().any(|tag| waiting.turns.contains_key(tag))
        }
    }

    pub(crate) fn all(&self) -> Vec<Queued> {
        self.lock().turns.iter().map(|(tag, turn)| (tag.clone(), *turn)).collect()
    }

    /// The store has a bump of these that was sent after they were queued.
    pub(crate) fn settle(&self, done: &[Queued]) {
        let mut waiting = self.lock();
        for (tag, turn) in done {
            if waiting.turns.get(tag) == Some(turn) {
                waiting.turns.remove(tag);
            }
        }
        self.len.store(waiting.turns.len(), Ordering::Release);
    }

    /// What a bump of these tags would settle, taken before it is sent.
    pub(crate) fn among(&self, tags: &[Tag]) -> Vec<Queued> {
        if self.len() == 0 {
            return Vec::new();
        }
        let waiting = self.lock();
        let turn_of = |tag: &Tag| waiting.turns.get(tag).map(|turn| (tag.clone(), *turn));
        tags.iter().filter_map(turn_of).collect()
    }

    /// Takes the job of retrying, if nobody has it, or who has it does not show up: its
    /// runtime may exist and not be driven. Returns the number of the claim.
    pub(crate) fn claim_retry(&self) -> Option<u64> {
        const ABSENT: Duration = Duration::from_secs(5);
        if self.len() == 0 {
            return None;
        }
        let mut job = self.lock_job();
        let is_free = job.last_seen.is_none_or(|last| last.elapsed() > ABSENT);
        is_free.then(|| {
            job.claim += 1;
            job.last_seen = Some(Instant::now());
            job.claim
        })
    }

    /// Shows up for the job; `false` if it was taken over.
    pub(crate) fn keep_retry(&self, claim: u64) -> bool {
        let mut job = self.lock_job();
        if job.claim == claim {
            job.last_seen = Some(Instant::now());
        }
        job.claim == claim
    }

    pub(crate) fn release_retry(&self, claim: u64) {
        let mut job = self.lock_job();
        if job.claim == claim {
            job.last_seen = None;
        }
    }

    fn lock_job(&self) -> MutexGuard<'_, Job> {
        self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
