//! Versions that this process knows, each in a cell that Redis keeps current.
//!
//! Client tracking makes Redis push the key of a version that changes to the connection on which
//! it was read. It queues the push at the change itself, so before the reply to whatever that
//! connection asks afterwards; and the pushes are applied as they are read, before a later reply
//! is handed out. So if a cell holds the same version when a read is sent and when its reply has
//! come, that version was current when Redis ran the read (I2).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};

use quick_cache::sync::{Cache, GuardResult};
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, Weighter};
use redis::{PushInfo, PushKind, Value};

use super::lease::Watches;
use crate::near::{Ledger, Loss, Trust};
use crate::store::cell::{Cell, FIRST_QUESTION};

/// The cells of one connection, by the key at which the version stands; bounded.
pub(super) struct Cells {
    by_key: Cache<String, Arc<Cell>, Weight, DefaultHashBuilder, Abandon>,
    /// The number of the next question. Counts up to a version in some hundred years.
    next: AtomicU64,
    /// The connection is gone, or not to be used any more.
    is_over: AtomicBool,
    /// In what they say without being asked.
    pub(super) trust: Arc<Trust>,
    /// Who waits for a change at a key that has no cell.
    pub(super) watches: Arc<Watches>,
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
struct Abandon {
    trust: Arc<Trust>,
}

impl Abandon {
    fn abandon(&self, cell: &Cell) {
        cell.abandon();
        self.trust.note_move();
    }
}

impl Lifecycle<String, Arc<Cell>> for Abandon {
    type RequestState = ();

    fn before_evict(&self, (): &mut (), _: &String, cell: &mut Arc<Cell>) {
        self.abandon(cell);
    }

    fn on_evict(&self, (): &mut (), _: String, cell: Arc<Cell>) {
        self.abandon(&cell);
    }
}

impl Cells {
    pub(super) fn new() -> Self {
        let typical_item = OVERHEAD + 32;
        let items = usize::try_from(BYTES / typical_item).unwrap_or(usize::MAX);
        let trust = Arc::new(Trust::new());
        let abandon = Abandon { trust: trust.clone() };
        let by_key = match OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(BYTES)
            .build()
        {
            Ok(options) => {
                Cache::with_options(options, Weight, DefaultHashBuilder::default(), abandon)
            }
            // Only for a capacity that was not given.
            Err(_) => Cache::with(items, BYTES, Weight, DefaultHashBuilder::default(), abandon),
        };
        Cells {
            by_key,
            next: AtomicU64::new(FIRST_QUESTION),
            is_over: AtomicBool::new(false),
            trust,
            watches: Arc::default(),
        }
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
        let cell = Arc::new(Cell::unknown(self.next_question()));
        let is_there = guard.is_some_and(|guard| guard.insert(cell.clone()).is_ok());
        if !is_there {
            cell.abandon();
        }
        cell
    }

    /// Applies what Redis pushed. Called by the driver, in order with the replies.
    pub(super) fn apply(&self, push: &PushInfo) {
        if push.kind == PushKind::Disconnection {
            self.trust.end(Loss::Disconnected);
        }
        match (&push.kind, push.data.as_slice()) {
            (PushKind::Invalidate, [Value::Array(keys)]) => {
                self.trust.note_push();
                for key in keys {
                    match key {
                        Value::BulkString(key) => {
                            let key = String::from_utf8_lossy(key);
                            self.forget(&key);
                            self.watches.ring(&key);
                        }
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

    /// Has Redis agreed, in this reply, to tell of changes at what is read next? Unless it has, nothing
    /// is learned; and that may be as somebody has switched it off, which a proof would show.
    pub(super) fn are_told(&self, reply: Option<&Value>) -> bool {
        let are_told = reply == Some(&Value::Okay);
        if !are_told {
            self.trust.want();
        }
        are_told
    }

    /// Was the loss of the connection pushed, or of all keys?
    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    /// There was a change at this key. Also what is being asked about it is no news any more: it
    /// may have been read before the change.
    pub(super) fn forget(&self, key: &str) {
        if let Some(cell) = self.by_key.get(key) {
            cell.forget(self.next_question());
            self.trust.note_move();
        }
    }

    /// Changes at these keys were perhaps not told. Says whether any was believed to be known.
    pub(super) fn forget_where(&self, is_one: impl Fn(&str) -> bool) -> bool {
        let mut was_any_known = false;
        for (_, cell) in self.by_key.iter().filter(|(key, _)| is_one(key)) {
            was_any_known |= cell.version().is_some();
            cell.forget(self.next_question());
        }
        self.trust.note_move();
        was_any_known
    }

    /// These keys are another server's now, which does not tell us.
    pub(super) fn lose_where(&self, is_elsewhere: impl Fn(&str) -> bool) {
        if self.forget_where(is_elsewhere) {
            self.trust.note_loss(Loss::Cluster);
        }
    }

    /// Any key may have changed, or Redis does not tell any more.
    fn forget_all(&self) {
        self.forget_where(|_| true);
        self.watches.ring_all();
    }

    /// As [`Trust::moves`].
    pub(super) fn moves(&self) -> u64 {
        self.trust.moves()
    }

    fn next_question(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }
}

/// The cells of this process that are believed without asking.
static TRUSTED: RwLock<Vec<Weak<Cells>>> = RwLock::new(Vec::new());

/// Has bumps of this process seen at once, whichever runtime's connection knows the versions at
/// these keys, and of whichever cache: Redis tells them, too, but not before it has answered.
pub(super) fn forget_everywhere(keys: impl Iterator<Item = String>) {
    let trusted = TRUSTED.read().unwrap_or_else(PoisonError::into_inner);
    let trusted: Vec<Arc<Cells>> = trusted.iter().filter_map(Weak::upgrade).collect();
    // Without the lock: the last one who has cells may be dropping them.
    if !trusted.is_empty() {
        keys.for_each(|key| trusted.iter().for_each(|cells| cells.forget(&key)));
    }
}

impl Cells {
    /// From now on bumps of this process are told to them, so that they can be believed.
    pub(super) fn enter(self: &Arc<Self>, ledger: &Arc<Ledger>) {
        let mut trusted = TRUSTED.write().unwrap_or_else(PoisonError::into_inner);
        trusted.retain(|cells| cells.strong_count() > 0);
        trusted.push(Arc::downgrade(self));
        drop(trusted);
        self.trust.enter_in(ledger);
    }
}

/// Nobody can tell its cells of a bump of this process any more.
impl Drop for Cells {
    fn drop(&mut self) {
        self.trust.end(Loss::Disconnected);
    }
}

#[cfg(test)]
mod tests;
