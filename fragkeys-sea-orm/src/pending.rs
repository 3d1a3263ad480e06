//! What `before_save` learns for `after_save`.
//!
//! SeaORM hands nothing from one to the other: the ActiveModel ends in the statement. So it
//! waits here, under the row's key, the connection's address, and the task that saves. Two
//! saves of one row at a time in one task cannot be told apart; each is then given what both
//! noted, and bumps more than it had to. A save that fails never comes for its note, nor does
//! `update_without_returning`: with each new note those that are too old are thrown away, and the
//! oldest when there are too many.

use std::any::{Any, TypeId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use sea_orm::sea_query::ValueTuple;

/// Saves at a time, with those that failed: more than a pool has connections. Who saves many rows
/// at once, to be joined, reads them all before the first is written.
const MAX_SAVES: usize = 1_000;
/// Saves of one row at a time, with those that failed.
const MAX_NOTES: usize = 16;
/// Longer than any statement takes.
const MAX_AGE: Duration = Duration::from_secs(60);

/// One save.
pub(crate) struct Note {
    saver: Saver,
    old: Option<Box<dyn Any + Send + Sync>>,
    columns: Vec<String>,
    since: Instant,
}

impl Note {
    pub(crate) fn new<M: Send + Sync + 'static>(old: Option<M>, columns: Vec<String>) -> Self {
        let old = old.map(|old| Box::new(old) as Box<dyn Any + Send + Sync>);
        Note { saver: Saver::current(), old, columns, since: Instant::now() }
    }

    /// The row before the save, where it was asked for.
    pub(crate) fn old<M: 'static>(&self) -> Option<&M> {
        self.old.as_deref()?.downcast_ref()
    }

    /// The columns that the statement sets.
    pub(crate) fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }
}

/// A row of a model, seen through a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Row {
    model: TypeId,
    connection: usize,
    key: ValueTuple,
}

impl Row {
    pub(crate) fn new<M: 'static, C>(connection: &C, key: ValueTuple) -> Self {
        let connection = std::ptr::from_ref(connection).addr();
        Row { model: TypeId::of::<M>(), connection, key }
    }
}

/// Who saves a row: a task, or a thread that runs a future itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saver {
    Task(tokio::task::Id),
    Thread(ThreadId),
}

impl Saver {
    fn current() -> Self {
        tokio::task::try_id().map_or_else(|| Saver::Thread(thread::current().id()), Saver::Task)
    }
}

struct Save {
    number: u64,
    note: Arc<Note>,
    has_ended: bool,
}

/// The notes of all saves under way, of each row the oldest first.
#[derive(Default)]
struct Pending {
    rows: HashMap<Row, VecDeque<Save>>,
    /// The row of each save, by its number: the oldest first.
    by_age: BTreeMap<u64, Row>,
    next: u64,
}

impl Pending {
    fn add(&mut self, row: Row, note: Note) {
        self.forget_until(note.since.checked_sub(MAX_AGE));
        if self.by_age.len() >= MAX_SAVES {
            self.forget_oldest();
        }
        let saves = self.rows.entry(row.clone()).or_default();
        if saves.len() >= MAX_NOTES
            && let Some(oldest) = saves.pop_front()
        {
            self.by_age.remove(&oldest.number);
        }
        saves.push_back(Save { number: self.next, note: Arc::new(note), has_ended: false });
        self.by_age.insert(self.next, row);
        self.next += 1;
    }

    /// One of this saver's saves has ended, no telling which.
    fn take(&mut self, row: &Row, saver: Saver) -> Vec<Arc<Note>> {
        let Some(saves) = self.rows.get_mut(row) else { return Vec::new() };
        // A future that went on in another task: one of all these is its own.
        let has_moved = saves.iter().all(|save| save.note.saver != saver);
        let is_mine = |save: &Save| has_moved || save.note.saver == saver;
        let notes = saves.iter().filter(|save| is_mine(save)).map(|save| save.note.clone());
        let notes = notes.collect();
        if let Some(save) = saves.iter_mut().find(|save| is_mine(save) && !save.has_ended) {
            save.has_ended = true;
        }
        if saves.iter().filter(|save| is_mine(save)).all(|save| save.has_ended) {
            for save in saves.iter().filter(|save| is_mine(save)) {
                self.by_age.remove(&save.number);
            }
            saves.retain(|save| !is_mine(save));
        }
        if saves.is_empty() {
            self.rows.remove(row);
        }
        notes
    }

    fn forget_until(&mut self, too_old: Option<Instant>) {
        while let Some(since) = self.oldest_since()
            && too_old.is_some_and(|too_old| since <= too_old)
        {
            self.forget_oldest();
        }
    }

    fn oldest_since(&self) -> Option<Instant> {
        let (_, row) = self.by_age.first_key_value()?;
        self.rows.get(row)?.front().map(|save| save.note.since)
    }

    /// The oldest of all is the oldest of its row.
    fn forget_oldest(&mut self) {
        let Some((_, row)) = self.by_age.pop_first() else { return };
        if let Some(saves) = self.rows.get_mut(&row) {
            saves.pop_front();
            if saves.is_empty() {
                self.rows.remove(&row);
            }
        }
    }
}

static PENDING: LazyLock<Mutex<Pending>> = LazyLock::new(Mutex::default);

fn pending() -> MutexGuard<'static, Pending> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a note for the `after_save` of this row.
pub(crate) fn add(row: Row, note: Note) {
    pending().add(row, note);
}

/// The notes of all saves of this row that are under way here; the caller's is one of them.
pub(crate) fn take(row: &Row) -> Vec<Arc<Note>> {
    pending().take(row, Saver::current())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: i32) -> Row {
        Row { model: TypeId::of::<i32>(), connection: 0, key: ValueTuple::One(key.into()) }
    }

    fn note(old: i32) -> Note {
        Note::new(Some(old), vec!["amount".to_owned()])
    }

    fn olds(notes: &[Arc<Note>]) -> Vec<i32> {
        notes.iter().map(|note| *note.old::<i32>().unwrap()).collect()
    }

    fn take(pending: &mut Pending, key: i32) -> Vec<i32> {
        olds(&pending.take(&row(key), Saver::current()))
    }

    #[test]
    fn a_note_is_taken_once() {
        let mut pending = Pending::default();
        pending.add(row(1), note(10));
        pending.add(row(2), note(20));
        assert_eq!(take(&mut pending, 1), [10]);
        assert_eq!(take(&mut pending, 1), [0; 0]);
        assert_eq!(take(&mut pending, 2), [20]);
        assert!(pending.rows.is_empty() && pending.by_age.is_empty());
    }

    #[test]
    fn saves_of_one_row_at_a_time_get_both_notes() {
        let mut pending = Pending::default();
        pending.add(row(1), note(10));
        pending.add(row(1), note(11));
        assert_eq!(take(&mut pending, 1), [10, 11]);
        assert_eq!(take(&mut pending, 1), [10, 11]);
        assert!(pending.rows.is_empty());
    }

    #[test]
    fn those_of_others_are_left_alone() {
        let mut pending = Pending::default();
        pending.add(row(1), thread::spawn(|| note(10)).join().unwrap());
        pending.add(row(1), note(11));
        assert_eq!(take(&mut pending, 1), [11]);
        // A save that began there and ends here.
        assert_eq!(take(&mut pending, 1), [10]);
        assert!(pending.rows.is_empty() && pending.by_age.is_empty());
    }

    #[test]
    fn saves_that_end_elsewhere_leave_nothing_behind() {
        let mut pending = Pending::default();
        for old in [10, 11] {
            pending.add(row(1), thread::spawn(move || note(old)).join().unwrap());
        }
        assert_eq!(take(&mut pending, 1), [10, 11], "which of them is not known");
        assert_eq!(take(&mut pending, 1), [10, 11]);
        assert!(pending.rows.is_empty() && pending.by_age.is_empty());
    }

    #[test]
    fn failed_saves_are_bounded() {
        let mut pending = Pending::default();
        let newest = 2 * i32::try_from(MAX_SAVES).unwrap() - 1;
        for key in 0..=newest {
            pending.add(row(key), note(key));
        }
        assert_eq!((pending.rows.len(), pending.by_age.len()), (MAX_SAVES, MAX_SAVES));
        assert_eq!(take(&mut pending, newest), [newest], "the oldest went");
        for old in 0..100 {
            pending.add(row(-1), note(old));
        }
        assert_eq!(take(&mut pending, -1).len(), MAX_NOTES);
        let saves: usize = pending.rows.values().map(VecDeque::len).sum();
        assert_eq!(pending.by_age.len(), saves);
    }

    #[test]
    fn failed_saves_are_forgotten_after_a_while_whatever_is_saved_next() {
        let mut pending = Pending::default();
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        for (key, seconds) in [(1, 0), (2, 30), (1, 59)] {
            pending.add(row(key), Note { since: at(seconds), ..note(key) });
        }
        assert_eq!(pending.by_age.len(), 3);
        pending.add(row(3), Note { since: at(60), ..note(3) });
        assert_eq!(pending.by_age.len(), 3);
        pending.add(row(3), Note { since: at(119), ..note(3) });
        assert_eq!((pending.rows.len(), pending.by_age.len()), (1, 2));
        assert_eq!(take(&mut pending, 1), [0; 0]);
    }
}
