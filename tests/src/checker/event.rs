//! What happens in a process, as it stands in its log. All times are nanoseconds of one clock.

use std::fmt;

use fragkeys::Outcome;
use serde::{Deserialize, Serialize};

/// One run of a process: the process that comes after a killed one is another life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Life {
    /// Its place among those that run at the same time.
    pub process: u32,
    /// How many were killed before it.
    pub number: u32,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.process, self.number)
    }
}

/// What the cached function gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Value {
    /// The row that it is of.
    pub row: u32,
    /// What the database had there.
    pub number: u64,
    /// When the run that made it began: before it asked the database.
    pub began: u64,
}

/// A call of the cached function that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// The row that was asked for.
    pub row: u32,
    /// Before the call.
    pub start: u64,
    /// After it.
    pub end: u64,
    /// How it was answered.
    pub outcome: Outcome,
    /// A hit that waited for nobody: of the near tier.
    pub is_near: bool,
    /// The answer.
    pub value: Value,
}

/// An entry of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A call was answered.
    Read(Read),
    /// The row is about to have this number.
    Writing {
        /// Which row.
        row: u32,
        /// The new number.
        number: u64,
        /// Before it is written.
        at: u64,
    },
    /// The row has it: the commit.
    Written {
        /// Which row.
        row: u32,
        /// The new number.
        number: u64,
        /// After it was written.
        at: u64,
    },
    /// A bump has returned.
    Bump {
        /// The first row of those that depend on the tag.
        first: u32,
        /// How many rows do.
        rows: u32,
        /// Before the call.
        called: u64,
        /// After it.
        returned: u64,
        /// Or an error.
        is_ok: bool,
    },
    /// No bump of this process waits to be retried.
    Settled {
        /// Before that was looked at.
        asked: u64,
        /// After it.
        answered: u64,
    },
    /// The process did not run, or not enough.
    Stalled {
        /// The last time that it was seen to run.
        from: u64,
        /// The next time.
        until: u64,
    },
    /// A call never came back.
    Unanswered {
        /// Which row it was about.
        row: u32,
        /// When it began.
        start: u64,
    },
    /// Bumps still wait, though the store has been well for long.
    Unsettled {
        /// When that was given up.
        at: u64,
    },
    /// The servers may have forgotten what they acknowledged in this time.
    Loss {
        /// From then on.
        from: u64,
        /// Until then.
        until: u64,
    },
}

const WORDS: usize = 6;
/// What an event takes in a log.
pub(super) const BYTES: usize = WORDS * size_of::<u64>();

const OUTCOMES: [Outcome; 6] = [
    Outcome::Hit,
    Outcome::Miss,
    Outcome::Shared,
    Outcome::Stale,
    Outcome::NotStored,
    Outcome::Bypass,
];

impl Event {
    pub(super) fn to_bytes(self) -> [u8; BYTES] {
        // The kind, a small number, and a row; then what there is to say.
        let (kind, small, row, rest) = match self {
            Event::Read(Read { row, start, end, outcome, is_near, value }) => {
                let outcome = OUTCOMES.iter().position(|known| *known == outcome);
                let outcome = outcome.expect("an outcome that the checker knows") as u64;
                let small = outcome << 1 | u64::from(is_near);
                (0, small, row, [start, end, value.row.into(), value.number, value.began])
            }
            Event::Writing { row, number, at } => (1, 0, row, [number, at, 0, 0, 0]),
            Event::Written { row, number, at } => (2, 0, row, [number, at, 0, 0, 0]),
            Event::Bump { first, rows, called, returned, is_ok } => {
                (3, u64::from(is_ok), first, [rows.into(), called, returned, 0, 0])
            }
            Event::Settled { asked, answered } => (4, 0, 0, [asked, answered, 0, 0, 0]),
            Event::Stalled { from, until } => (5, 0, 0, [from, until, 0, 0, 0]),
            Event::Unanswered { row, start } => (6, 0, row, [start, 0, 0, 0, 0]),
            Event::Unsettled { at } => (7, 0, 0, [at, 0, 0, 0, 0]),
            Event::Loss { from, until } => (8, 0, 0, [from, until, 0, 0, 0]),
        };
        let [a, b, c, d, e] = rest;
        let mut bytes = [0; BYTES];
        let words = [kind | small << 8 | u64::from(row) << 32, a, b, c, d, e];
        for (place, word) in bytes.chunks_exact_mut(size_of::<u64>()).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn of_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let word = |index: usize| {
            let mut word = [0; size_of::<u64>()];
            word.copy_from_slice(&bytes[index * size_of::<u64>()..][..size_of::<u64>()]);
            u64::from_le_bytes(word)
        };
        let [head, a, b, c, d, e] = std::array::from_fn(word);
        let (kind, small, row) = (head & 0xff, head >> 8 & 0xff, low(head >> 32));
        Some(match kind {
            0 => Event::Read(Read {
                row,
                start: a,
                end: b,
                outcome: *OUTCOMES.get(low(small >> 1) as usize)?,
                is_near: small & 1 == 1,
                value: Value { row: low(c), number: d, began: e },
            }),
            1 => Event::Writing { row, number: a, at: b },
            2 => Event::Written { row, number: a, at: b },
            3 => {
                Event::Bump { first: row, rows: low(a), called: b, returned: c, is_ok: small == 1 }
            }
            4 => Event::Settled { asked: a, answered: b },
            5 => Event::Stalled { from: a, until: b },
            6 => Event::Unanswered { row, start: a },
            7 => Event::Unsettled { at: a },
            8 => Event::Loss { from: a, until: b },
            _ => return None,
        })
    }
}

fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).expect("32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_comes_back_from_its_bytes() {
        let value = Value { row: u32::MAX, number: 1 << 60, began: 7 };
        let read = |outcome, is_near| {
            Event::Read(Read { row: 9, start: 1, end: u64::MAX, outcome, is_near, value })
        };
        let reads =
            OUTCOMES.iter().flat_map(|outcome| [read(*outcome, false), read(*outcome, true)]);
        let others = [
            Event::Writing { row: 1, number: 2, at: 3 },
            Event::Written { row: 1, number: 2, at: 3 },
            Event::Bump { first: 1, rows: 8, called: 2, returned: 3, is_ok: true },
            Event::Bump { first: 1, rows: 8, called: 2, returned: 3, is_ok: false },
            Event::Settled { asked: 1, answered: 2 },
            Event::Stalled { from: 1, until: 2 },
            Event::Unanswered { row: 3, start: 1 },
            Event::Unsettled { at: 1 },
            Event::Loss { from: 1, until: 2 },
        ];
        for event in reads.chain(others) {
            assert_eq!(Event::of_bytes(&event.to_bytes()), Some(event));
        }
        assert_eq!(Event::of_bytes(&[0xff; BYTES]), None);
    }
}
