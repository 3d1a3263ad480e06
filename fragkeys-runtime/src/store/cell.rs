//! One version, as this process knows it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::version::Version;

/// What is known of one version: the version itself; or a number below all versions, another one
/// each time that it ceases to be known, so that an answer which comes too late is no news.
#[derive(Debug)]
pub(crate) struct Cell(AtomicU64);

/// In a cell that nobody tells of changes any more.
const ABANDONED: u64 = 0;
/// The first of the numbers that mean nothing known.
#[cfg(feature = "redis")]
pub(crate) const FIRST_QUESTION: u64 = ABANDONED + 1;

impl Cell {
    /// One of which nothing is known yet.
    #[cfg(feature = "redis")]
    pub(crate) fn unknown(question: u64) -> Self {
        Cell(AtomicU64::new(question))
    }

    pub(crate) fn known(version: Version) -> Self {
        Cell(AtomicU64::new(version.into()))
    }

    /// The version, if it is known, and a change would be told.
    pub(crate) fn version(&self) -> Option<Version> {
        Version::of_cell(self.0.load(Ordering::Acquire))
    }

    /// Has it been abandoned, or did the version change?
    #[inline]
    pub(crate) fn holds(&self, version: Version) -> bool {
        self.0.load(Ordering::Acquire) == u64::from(version)
    }

    /// Nobody tells it of changes from now on. That stays so.
    pub(crate) fn abandon(&self) {
        self.0.store(ABANDONED, Ordering::Release);
    }

    /// The next version; `false` if it was abandoned.
    pub(crate) fn become_version(&self, version: Version) -> bool {
        self.replace(version.into())
    }

    /// Puts a number in, unless it was abandoned.
    fn replace(&self, number: u64) -> bool {
        let next = |held| (held != ABANDONED).then_some(number);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next).is_ok()
    }
}

#[cfg(feature = "redis")]
impl Cell {
    /// What [`learn`](Self::learn) wants to be told with the answer: taken before Redis is asked.
    pub(crate) fn question(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Takes an answer, unless a change was told since the question.
    pub(crate) fn learn(&self, question: u64, version: Version) {
        if question != ABANDONED && Version::of_cell(question).is_none() {
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            let _ = self.0.compare_exchange(question, version.into(), success, failure);
        }
    }

    /// Ceases to be known.
    pub(crate) fn forget(&self, question: u64) {
        self.replace(question);
    }
}
