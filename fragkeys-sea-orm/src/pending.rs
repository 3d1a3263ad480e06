//! What `before_save` learns for `after_save`.
//!
//! SeaORM hands nothing from one to the other: the ActiveModel ends in the statement. So it
//! waits here, under the row's key and the connection's address. Two saves of one row at a
//! time cannot be told apart; each is then given what both noted, and bumps more than it had
//! to. A save that fails never comes for its note: it is thrown away after a while, and the
//! oldest are when there are too many.

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sea_orm::sea_query::ValueTuple;

/// Rows that are being saved at a time, with those whose save failed.
const MAX_ROWS: usize = 10_000;
/// Saves of one row at a time.
const MAX_NOTES: usize = 16;
/// Longer than any statement takes.
const MAX_AGE: Duration = Duration::from_secs(600);

/// One save.
pub(crate) struct Note {
    old: Option<Box<dyn Any + Send + Sync>>,
    columns: Vec<String>,
    since: Instant,
}

impl Note {
    pub(crate) fn new<M: Send + Sync + 'static>(old: Option<M>, columns: Vec<String>) -> Self {
        let old = old.map(|old| Box::new(old) as Box<dyn Any + Send + Sync>);
        Note { old, columns, since: Instant::now() }
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

#[derive(Default)]
struct Saves {
    notes: VecDeque<Arc<Note>>,
    under_way: usize,
}

/// The notes of all saves under way.
#[derive(Default)]
struct Pending {
    rows: HashMap<Row, Saves>,
}

impl Pending {
    fn add(&mut self, row: Row, note: Note) {
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&row) {
            self.make_room();
        }
        let saves = self.rows.entry(row).or_default();
        if saves.notes.len() >= MAX_NOTES {
            saves.notes.pop_front();
        }
        saves.notes.push_back(Arc::new(note));
        saves.under_way += 1;
    }

    fn take(&mut self, row: &Row) -> Vec<Arc<Note>> {
        let Some(saves) = self.rows.get_mut(row) else { return Vec::new() };
        saves.notes.retain(|note| note.since.elapsed() < MAX_AGE);
        let notes = saves.notes.iter().cloned().collect();
        saves.under_way -= 1;
        if saves.under_way == 0 || saves.notes.is_empty() {
            self.rows.remove(row);
        }
        notes
    }

    fn make_room(&mut self) {
        self.rows
            .retain(|_, saves| saves.notes.back().is_some_and(|n| n.since.elapsed() < MAX_AGE));
        if self.rows.len() < MAX_ROWS {
            return;
        }
        // The last save of a row decides: its others are older still.
        let last = |saves: &Saves| saves.notes.back().map(|note| note.since);
        let oldest = self.rows.iter().min_by_key(|(_, saves)| last(saves));
        if let Some(oldest) = oldest.map(|(row, _)| row.clone()) {
            self.rows.remove(&oldest);
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

/// The notes of all saves of this row that are under way; the caller's is one of them.
pub(crate) fn take(row: &Row) -> Vec<Arc<Note>> {
    pending().take(row)
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

    #[test]
    fn a_note_is_taken_once() {
        let mut pending = Pending::default();
        pending.add(row(1), note(10));
        pending.add(row(2), note(20));
        assert_eq!(olds(&pending.take(&row(1))), [10]);
        assert!(pending.take(&row(1)).is_empty());
        assert_eq!(olds(&pending.take(&row(2))), [20]);
        assert!(pending.rows.is_empty());
    }

    #[test]
    fn saves_of_one_row_at_a_time_get_both_notes() {
        let mut pending = Pending::default();
        pending.add(row(1), note(10));
        pending.add(row(1), note(11));
        assert_eq!(olds(&pending.take(&row(1))), [10, 11]);
        assert_eq!(olds(&pending.take(&row(1))), [10, 11]);
        assert!(pending.rows.is_empty());
    }

    #[test]
    fn failed_saves_are_bounded() {
        let mut pending = Pending::default();
        for key in 0..2 * i32::try_from(MAX_ROWS).unwrap() {
            pending.add(row(key), note(key));
        }
        assert_eq!(pending.rows.len(), MAX_ROWS);
        for old in 0..100 {
            pending.add(row(-1), note(old));
        }
        assert_eq!(olds(&pending.take(&row(-1))).len(), MAX_NOTES);
    }
}
