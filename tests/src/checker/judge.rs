//! The judge: which answers broke a promise.
//!
//! It is told all that happened but the calls, keeps for each row what was promised when, and then
//! looks at one call after the other: so their number is bounded by the disk alone.
//!
//! - **I2.** A call that begins after a bump returned `Ok` must give a value whose run began after
//!   that bump was called. A hit of the near tier in another process must if it begins
//!   `max_staleness` later, or more. There is no slack: both times are the caller's.
//! - **I6.** A bump that failed promises that to its own process at once, as nothing is read there
//!   while it waits; and to others once no bump of its process waits any more. One that returned in
//!   a process that was killed before it could log that promises nothing.
//! - **What servers forget.** A bump that was acknowledged while a master was lost promises
//!   something to its own process only, which makes up for it.
//! - **I4, I5.** A call is answered, in time, with a value of its row that the database had: a number
//!   that was written before the answer, and not overwritten before the run began.

use std::collections::HashMap;
use std::fmt;

use super::event::{Event, Life, Read};

#[cfg(test)]
mod tests;

/// What is promised, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// How much older a near hit may be.
    pub max_staleness: u64,
    /// How long a call may take, not counting the time in which its process did not run.
    pub longest_call: u64,
}

/// Knows what was promised.
#[derive(Debug)]
pub struct Judge {
    rules: Rules,
    rows: Vec<Row>,
    stalls: HashMap<Life, Vec<(u64, u64)>>,
    violations: Vec<Violation>,
}

#[derive(Debug, Default)]
struct Row {
    /// From when on everybody sees nothing older, and than what.
    promised: Timeline,
    /// The same for the process that promised it.
    promised_itself: HashMap<Life, Timeline>,
    /// Numbers, and when each was about to be written.
    begun: Vec<(u64, u64)>,
    /// From when on it had which number.
    committed: Timeline,
}

/// A number that grows with time.
#[derive(Debug, Default)]
struct Timeline(Vec<(u64, u64)>);

impl Timeline {
    /// From then on it is this, or more.
    fn add(&mut self, at: u64, number: u64) {
        self.0.push((at, number));
    }

    fn sort(&mut self) {
        self.0.sort_unstable();
        let mut most = 0;
        for (_, number) in &mut self.0 {
            most = most.max(*number);
            *number = most;
        }
    }

    /// What it is at that time.
    fn at(&self, time: u64) -> u64 {
        let later = self.0.partition_point(|(at, _)| *at <= time);
        later.checked_sub(1).map_or(0, |last| self.0[last].1)
    }
}

/// A promise that was broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Violation {
    /// The process.
    pub life: Life,
    /// The call, if one was answered.
    pub read: Option<Read>,
    /// Which promise.
    pub wrong: Wrong,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// I2: its run began before a bump that it must have seen.
    Stale {
        /// When that bump was called.
        bumped: u64,
    },
    /// I4: it is of another row.
    Mixed,
    /// I5: the database never had it, or not at that time.
    MadeUp,
    /// I5: it took too long.
    Late {
        /// Without the time in which its process did not run.
        took: u64,
    },
    /// I5: a call never came back.
    Unanswered {
        /// Of this row.
        row: u32,
        /// When it began.
        start: u64,
    },
    /// I6: bumps that failed were not made up for.
    Unsettled,
}

/// A bump of some rows, by a process.
#[derive(Clone, Copy)]
struct Bump {
    life: Life,
    first: u32,
    rows: u32,
    called: u64,
    returned: u64,
    is_ok: bool,
}

impl Judge {
    /// Of all that happened but the calls, which may be left in it. The order is that in which
    /// each process logged it.
    pub fn new(rules: Rules, rows: u32, events: impl IntoIterator<Item = (Life, Event)>) -> Self {
        let rows = (0..rows).map(|_| Row::default()).collect();
        let mut judge = Judge { rules, rows, stalls: HashMap::new(), violations: Vec::new() };
        let (mut bumps, mut settled, mut losses) = (Vec::new(), HashMap::new(), Vec::new());
        for (life, event) in events {
            match event {
                Event::Read(_) => {}
                Event::Writing { row, number, at } => judge.row(row).begun.push((number, at)),
                Event::Written { row, number, at } => judge.row(row).committed.add(at, number),
                Event::Bump { first, rows, called, returned, is_ok } => {
                    bumps.push(Bump { life, first, rows, called, returned, is_ok });
                }
                Event::Settled { asked, answered } => {
                    settled.entry(life).or_insert_with(Vec::new).push((asked, answered));
                }
                Event::Stalled { from, until } => {
                    judge.stalls.entry(life).or_default().push((from, until));
                }
                Event::Unanswered { row, start } => {
                    judge.find(life, Wrong::Unanswered { row, start });
                }
                Event::Unsettled { .. } => judge.find(life, Wrong::Unsettled),
                Event::Loss { from, until } => losses.push((from, until)),
            }
        }
        for bump in bumps {
            judge.promise(bump, settled.get(&bump.life).map_or(&[], Vec::as_slice), &losses);
        }
        for row in &mut judge.rows {
            row.promised.sort();
            row.promised_itself.values_mut().for_each(Timeline::sort);
            row.begun.sort_unstable();
            row.committed.sort();
        }
        judge
    }

    fn row(&mut self, row: u32) -> &mut Row {
        &mut self.rows[row as usize]
    }

    fn find(&mut self, life: Life, wrong: Wrong) {
        self.violations.push(Violation { life, read: None, wrong });
    }

    /// `settled` are the times at which no bump of that process waited.
    fn promise(&mut self, bump: Bump, settled: &[(u64, u64)], losses: &[(u64, u64)]) {
        let Bump { life, first, rows, called, returned, is_ok } = bump;
        // Since when the store has it, at the latest.
        let had = if is_ok {
            Some(returned)
        } else {
            let after = settled.partition_point(|(asked, _)| *asked < returned);
            settled.get(after).map(|(_, answered)| *answered)
        };
        let is_lasting =
            |had: &u64| losses.iter().all(|(from, until)| had < from || *until < called);
        let had = had.filter(is_lasting);
        for row in &mut self.rows[first as usize..][..rows as usize] {
            row.promised_itself.entry(life).or_default().add(returned, called);
            if let Some(had) = had {
                row.promised.add(had, called);
            }
        }
    }

    /// What is wrong besides answers.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// What is wrong with an answer.
    ///
    /// # Errors
    ///
    /// The first promise that it breaks.
    pub fn judge(&self, life: Life, read: &Read) -> Result<(), Violation> {
        let wrong = self.stale(life, read).or_else(|| self.made_up(read));
        match wrong.or_else(|| self.late(life, read)) {
            None => Ok(()),
            Some(wrong) => Err(Violation { life, read: Some(*read), wrong }),
        }
    }

    fn stale(&self, life: Life, read: &Read) -> Option<Wrong> {
        let row = &self.rows[read.row as usize];
        let late = if read.is_near { self.rules.max_staleness } else { 0 };
        let to_all = row.promised.at(read.start.saturating_sub(late));
        let to_itself = row.promised_itself.get(&life).map_or(0, |own| own.at(read.start));
        let bumped = to_all.max(to_itself);
        (read.value.began < bumped).then_some(Wrong::Stale { bumped })
    }

    fn made_up(&self, read: &Read) -> Option<Wrong> {
        if read.value.row != read.row {
            return Some(Wrong::Mixed);
        }
        let row = &self.rows[read.row as usize];
        let number = read.value.number;
        let first = row.begun.partition_point(|(begun, _)| *begun < number);
        let was_written = number == 0
            || row.begun.get(first).is_some_and(|(begun, at)| *begun == number && *at <= read.end);
        let is_right = was_written
            && read.value.began <= read.end
            && row.committed.at(read.value.began) <= number;
        (!is_right).then_some(Wrong::MadeUp)
    }

    fn late(&self, life: Life, read: &Read) -> Option<Wrong> {
        let took = read.end.saturating_sub(read.start);
        if took <= self.rules.longest_call {
            return None;
        }
        let stalls = self.stalls.get(&life).into_iter().flatten();
        let common = |(from, until): &(u64, u64)| {
            (*until).min(read.end).saturating_sub((*from).max(read.start))
        };
        let took = took.saturating_sub(stalls.map(common).sum());
        (took > self.rules.longest_call).then_some(Wrong::Late { took })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { life, read, wrong } = self;
        let ms = |nanos: u64| nanos as f64 / 1e6;
        write!(f, "process {life}: ")?;
        match wrong {
            Wrong::Stale { bumped } => write!(f, "stale, of a run before the bump at {bumped}"),
            Wrong::Mixed => write!(f, "the value of another row"),
            Wrong::MadeUp => write!(f, "a number that the database did not have"),
            Wrong::Late { took } => write!(f, "late, after {:.0} ms", ms(*took)),
            Wrong::Unanswered { row, start } => {
                write!(f, "a call of row {row} at {start} never came back")
            }
            Wrong::Unsettled => write!(f, "bumps that failed were not made up for"),
        }?;
        if let Some(Read { row, start, end, outcome, is_near, value }) = read {
            let near = if *is_near { "near " } else { "" };
            write!(
                f,
                ": row {row}, {near}{outcome} from {start} to {end} gave number {} of a run at {}",
                value.number, value.began
            )?;
        }
        Ok(())
    }
}
