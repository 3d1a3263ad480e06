//! What `before_save` learns for `after_save`.
//!
//! SeaORM hands nothing from one to the other: the ActiveModel ends in the statement. So it
//! waits here, under the row's key, the connection's address, and the task that saves. Two
//! saves of one row at a time in one task cannot be told apart; each is then given what both
//! noted, and bumps more than it had to. A save that fails never comes for its note: it is
//! thrown away after a while, and the oldest are when there are too many.

use std::any::{Any, TypeId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use sea_orm::sea_query::ValueTuple;

/// Rows that are being saved at a time, with those whose save failed.
const MAX_ROWS: usize = 10_000;
/// Saves of one row at a time, with those that failed.
const MAX_NOTES: usize = 16;
/// Longer than any statement takes.
const MAX_AGE: Duration = Duration::from_secs(600);

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
    note: Arc<Note>,
    has_ended: bool,
}

impl Save {
    fn is_old(&self) -> bool {
        self.note.since.elapsed() > MAX_AGE
    }
}

/// The notes of all saves under way, of each row the oldest first.
#[derive(Default)]
struct Pending {
    rows: HashMap<Row, VecDeque<Save>>,
}

impl Pending {
    fn add(&mut self, row: Row, note: Note) {
        if self.rows.len() >= MAX_ROWS && !self.rows.contains_key(&row) {
            self.make_room();
        }
        let saves = self.rows.entry(row).or_default();
        if saves.len() >= MAX_NOTES {
            saves.pop_front();
        }
        saves.push_back(Save { note: Arc::new(note), has_ended: false });
    }

    /// One of this saver's saves has ended, no telling which.
    fn take(&mut self, row: &Row, saver: Saver) -> Vec<Arc<Note>> {
        let Some(saves) = self.rows.get_mut(row) else { return Vec::new() };
        saves.retain(|save| !save.is_old());
        let is_mine = |save: &Save| save.note.saver == saver;
        let mut notes = notes_of(saves.iter().filter(|save| is_mine(save)));
        if notes.is_empty() {
            // A future that went on in another task: one of these is its own.
            notes = notes_of(saves.iter());
        }
        if let Some(save) = saves.iter_mut().find(|save| is_mine(save) && !save.has_ended) {
            save.has_ended = true;
        }
        if saves.iter().filter(|save| is_mine(save)).all(|save| save.has_ended) {
            saves.retain(|save| !is_mine(save));
        }
        if saves.is_empty() {
            self.rows.remove(row);
        }
        notes
    }

    /// Forgets what is old, and at least the oldest tenth: the next saves need not look again.
    fn make_room(&mut self) {
        let mut latest: Vec<Instant> = self.rows.values().filter_map(latest_save).collect();
        let (_, &mut oldest_tenth, _) = latest.select_nth_unstable(self.rows.len() / 10);
        let is_kept = |since: Instant| since > oldest_tenth && since.elapsed() < MAX_AGE;
        self.rows.retain(|_, saves| latest_save(saves).is_some_and(is_kept));
    }
}

/// The last save of a row decides: its others are older still.
fn latest_save(saves: &VecDeque<Save>) -> Option<Instant> {
    saves.back().map(|save| save.note.since)
}

fn notes_of<'a>(saves: impl Iterator<Item = &'a Save>) -> Vec<Arc<Note>> {
    saves.map(|save| save.note.clone()).collect()
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
        assert!(pending.rows.is_empty());
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
    }

    #[test]
    fn failed_saves_are_bounded() {
        let mut pending = Pending::default();
        for key in 0..2 * i32::try_from(MAX_ROWS).unwrap() {
            pending.add(row(key), note(key));
        }
        assert!(pending.rows.len() <= MAX_ROWS, "{}", pending.rows.len());
        let newest = 2 * i32::try_from(MAX_ROWS).unwrap() - 1;
        assert_eq!(take(&mut pending, newest), [newest], "the oldest went");
        for old in 0..100 {
            pending.add(row(-1), note(old));
        }
        assert_eq!(take(&mut pending, -1).len(), MAX_NOTES);
    }
}
