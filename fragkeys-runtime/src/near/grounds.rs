//! What an answer stands on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::trust::Trust;
use crate::store::cell::Cell;
use crate::version::Version;

/// Versions, each with the cell that tells when it changes, and the trust in the connections that
/// tell the cells. What stands on them is current for as long as no cell has moved. A version is
/// never given twice (I3), so a cell that has moved never comes back to it.
#[derive(Debug)]
pub(crate) struct Grounds {
    versions: Box<[(Arc<Cell>, Version)]>,
    /// In a connection that tells cells, and in the others that do: each once.
    trust: Arc<Trust>,
    others: Box<[Arc<Trust>]>,
    /// What all their moves added up to when the versions were last seen in the cells.
    seen_at: AtomicU64,
}

/// No number of moves.
const NEVER: u64 = u64::MAX;

/// Whether an answer may be given without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Firm,
    /// Nothing is known against it, but nothing was heard for too long.
    Untrusted,
    /// It will not be right again.
    Gone,
}

impl Grounds {
    pub(crate) fn new(versions: Vec<(Arc<Cell>, Version)>, trust: Arc<Trust>) -> Self {
        Grounds::on_several(versions, trust, Vec::new())
    }

    /// The same where several connections tell the cells.
    pub(crate) fn on_several(
        versions: Vec<(Arc<Cell>, Version)>,
        trust: Arc<Trust>,
        others: Vec<Arc<Trust>>,
    ) -> Self {
        let seen_at = AtomicU64::new(NEVER);
        Grounds { versions: versions.into(), trust, others: others.into(), seen_at }
    }

    #[inline]
    fn all_trust(&self, holds: impl Fn(&Trust) -> bool) -> bool {
        holds(&self.trust) && self.others.iter().all(|trust| holds(trust))
    }

    /// Do the cells still hold these versions? Where no cell at all has moved, that is one number to
    /// look at for each connection, however many tags there are. Numbers that only grow add up to
    /// what they did before only if each is what it was.
    #[inline]
    pub(crate) fn are_current(&self) -> bool {
        let others = self.others.iter();
        let moves = others.fold(self.trust.moves(), |sum, trust| sum.wrapping_add(trust.moves()));
        self.seen_at.load(Ordering::Relaxed) == moves || self.are_still_current(moves)
    }

    fn are_still_current(&self, moves: u64) -> bool {
        let are_current = self.versions.iter().all(|(cell, version)| cell.holds(*version));
        if are_current {
            self.seen_at.store(moves, Ordering::Relaxed);
        }
        are_current
    }

    /// May what stands on this be believed at this time?
    #[inline]
    pub(crate) fn standing(&self, now: Instant) -> Standing {
        // First: a cell that is looked at afterwards holds all that came before the proof.
        let is_trusted = self.all_trust(|trust| trust.holds_at(now));
        if !self.are_current() || (!is_trusted && !self.all_trust(|trust| !trust.is_over())) {
            Standing::Gone
        } else if is_trusted {
            Standing::Firm
        } else {
            Standing::Untrusted
        }
    }

    /// Asks the connections for proofs.
    #[inline]
    pub(crate) fn want_trust(&self) {
        self.trust.want();
        self.others.iter().for_each(|trust| trust.want());
    }

    pub(crate) fn versions(&self) -> impl Iterator<Item = Version> {
        self.versions.iter().map(|(_, version)| *version)
    }

    pub(crate) fn len(&self) -> usize {
        self.versions.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64) -> Version {
        Version::of_cell(Version::MIN + number).unwrap()
    }

    /// The number that stands for all cells is asked again and again in between.
    #[test]
    fn a_cell_that_moved_is_noticed_whichever_connection_tells_it() {
        for moved in 0..3 {
            let cells: Vec<Arc<Cell>> =
                (0..3).map(|number| Arc::new(Cell::known(version(number)))).collect();
            let trusts: Vec<Arc<Trust>> = (0..3).map(|_| Arc::new(Trust::for_ever())).collect();
            let versions = cells.iter().cloned().zip((0..3).map(version)).collect();
            let grounds = Grounds::on_several(versions, trusts[0].clone(), trusts[1..].to_vec());
            let now = Instant::now();
            assert_eq!(grounds.standing(now), Standing::Firm);
            for trust in &trusts {
                trust.note_move();
                assert_eq!(grounds.standing(now), Standing::Firm, "another cell");
                assert_eq!(grounds.standing(now), Standing::Firm);
            }
            cells[moved].become_version(version(9));
            trusts[moved].note_move();
            assert_eq!(grounds.standing(now), Standing::Gone);
        }
    }

    #[test]
    fn each_connection_must_be_trusted() {
        for distrusted in 0..3 {
            let trust = |number| {
                Arc::new(if number == distrusted { Trust::new() } else { Trust::for_ever() })
            };
            let grounds = Grounds::on_several(Vec::new(), trust(0), vec![trust(1), trust(2)]);
            assert_eq!(grounds.standing(Instant::now()), Standing::Untrusted);
        }
    }
}
