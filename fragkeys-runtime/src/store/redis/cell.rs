//! Versions that this process knows, each in a cell that Redis keeps current.
//!
//! Client tracking makes Redis push the key of a version that changes to the connection on which
//! it was read. It queues the push at the change itself, so before the reply to whatever that
//! connection asks afterwards; and the pushes are applied as they are read, before a later reply
//! is handed out. So if a cell holds the same version when a read is sent and when its reply has
//! come, that version was current when Redis ran the read (I2).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use quick_cache::sync::{Cache, GuardResult};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use redis::{PushInfo, PushKind, Value};

use crate::version::Version;

/// What is known of one version: the version itself; or a number below all versions, another one
/// each time that it ceases to be known, so that an answer which comes too late is no news.
#[derive(Debug)]
pub(super) struct Cell(AtomicU64);

/// In a cell that nobody tells of changes any more.
const ABANDONED: u64 = 0;

impl Cell {
    /// The version, if it is known and Redis would tell of a change.
    pub(super) fn version(&self) -> Option<Version> {
        Version::of_cell(self.0.load(Ordering::Acquire))
    }

    /// What [`learn`](Self::learn) wants to be told with the answer: taken before Redis is asked.
    pub(super) fn question(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Takes an answer, unless a change was pushed since the question.
    pub(super) fn learn(&self, question: u64, version: Version) {
        if question != ABANDONED && Version::of_cell(question).is_none() {
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            let _ = self.0.compare_exchange(question, version.into(), success, failure);
        }
    }

    /// Ceases to be known. What is abandoned stays so.
    fn forget(&self, question: u64) {
        let forgotten = |held| (held != ABANDONED).then_some(question);
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, forgotten);
    }
}

/// The cells of one connection, by the key at which the version stands; bounded.
pub(super) struct Cells {
    by_key: Cache<String, Arc<Cell>, Weight, DefaultHashBuilder, Abandon>,
    /// The number of the next question. Counts up to a version in some hundred years.
    next: AtomicU64,
    /// The connection is gone, or not to be used any more.
    is_over: AtomicBool,
}

/// Bytes of cells for each connection: some 30,000 tags.
const BYTES: u64 = 8 << 20;
/// What a cell costs beside its key.
const OVERHEAD: u64 = 192;

#[derive(Clone)]
struct Weight;

impl Weighter<String, Arc<Cell>> for Weight {
    fn weight(&self, key: &String, _: &Arc<Cell>) -> u64 {
        OVERHEAD + key.len() as u64
    }
}

/// A cell that is evicted, or was never taken in, is abandoned before it cannot be found any
/// more: who still holds it must not trust it, nor put a version into it.
#[derive(Clone)]
struct Abandon;

impl Lifecycle<String, Arc<Cell>> for Abandon {
    type RequestState = ();

    fn before_evict(&self, (): &mut (), _: &String, cell: &mut Arc<Cell>) {
        cell.forget(ABANDONED);
    }

    fn on_evict(&self, (): &mut (), _: String, cell: Arc<Cell>) {
        cell.forget(ABANDONED);
    }
}

impl Cells {
    pub(super) fn new() -> Self {
        let typical_item = OVERHEAD + 32;
        let items = usize::try_from(BYTES / typical_item).unwrap_or(usize::MAX);
        let by_key = match OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(BYTES)
            .build()
        {
            Ok(options) => {
                Cache::with_options(options, Weight, DefaultHashBuilder::default(), Abandon)
            }
            // Only for a capacity that was not given.
            Err(_) => Cache::with(items, BYTES, Weight, DefaultHashBuilder::default(), Abandon),
        };
        Cells { by_key, next: AtomicU64::new(ABANDONED + 1), is_over: AtomicBool::new(false) }
    }

    /// The cell of a key, if it has one.
    pub(super) fn get(&self, key: &str) -> Option<Arc<Cell>> {
        self.by_key.get(key)
    }

    /// The cell of a key, which is there from now on, until it is abandoned.
    pub(super) fn get_or_add(&self, key: &str) -> Arc<Cell> {
        let guard = match self.by_key.get_value_or_guard(key, None) {
            GuardResult::Value(cell) => return cell,
            GuardResult::Guard(guard) => Some(guard),
            GuardResult::Timeout => None,
        };
        let cell = Arc::new(Cell(AtomicU64::new(self.next_question())));
        let is_there = guard.is_some_and(|guard| guard.insert(cell.clone()).is_ok());
        if !is_there {
            cell.forget(ABANDONED);
        }
        cell
    }

    /// Applies what Redis pushed. Called by the driver, in order with the replies.
    pub(super) fn apply(&self, push: &PushInfo) {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::Invalidate, [Value::Array(keys)]) => {
                for key in keys {
                    match key {
                        Value::BulkString(key) => self.forget(&String::from_utf8_lossy(key)),
                        _ => self.forget_all(),
                    }
                }
            }
            // When the connection is lost; and `nil` when all keys are gone: after a flush, or
            // because the data of another server takes their place, whose replica this one has
            // become. That may lack what was bumped here, so it is looked at anew (I2).
            (PushKind::Invalidate | PushKind::Disconnection, _) => {
                self.is_over.store(true, Ordering::Release);
                self.forget_all();
            }
            _ => {}
        }
    }

    /// Was the loss of the connection pushed, or of all keys?
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// A change at this key was pushed.
    fn forget(&self, key: &str) {
        if let Some(cell) = self.by_key.get(key) {
            cell.forget(self.next_question());
        }
    }

    /// Any key may have changed, or Redis does not tell any more.
    fn forget_all(&self) {
        for (_, cell) in self.by_key.iter() {
            cell.forget(self.next_question());
        }
    }

    fn next_question(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
