//! Does a whole system keep its promises under faults? Processes read and write through the cache
//! and log what they do; faults come and go; then a judge goes through the logs.
//!
//! What is judged, and the command, is in the guide's `checker`.

mod database;
mod event;
mod fault;
mod judge;
mod log;
mod report;
mod rig;
mod worker;

pub use event::{Event, Life, Read, Value};
pub use fault::Fault;
pub use judge::{Judge, Rules, Violation, Wrong};
pub use report::Report;
pub use rig::{Plan, Rig};
pub use worker::Worker;

/// Which way the processes read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One server, without the near tier.
    Strict,
    /// One server, with the near tier.
    Near,
    /// Three masters with a replica each.
    Cluster,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 3] = [Mode::Strict, Mode::Near, Mode::Cluster];

    /// One word, as the command line has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Near => "near",
            Mode::Cluster => "cluster",
        }
    }

    /// The mode of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

/// How many rows the database has.
const ROWS: u32 = 64;
/// So many rows in a row share a second tag.
const ROWS_PER_GROUP: u32 = 8;

/// Nanoseconds of the system's monotonic clock, which is one for all processes.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).expect("a clock that counts up from 0");
    seconds * SECOND + u64::try_from(time.tv_nsec).expect("less than a second")
}

const SECOND: u64 = 1_000_000_000;
