//! Which bumps are remembered: bounded in time and in number.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::tag::Tag;
use crate::version::Version;

/// For so long at least, while other bumps come. With none, the last ones stay: a server that is
/// away for an hour forgets no less.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Tags, at most: some 10 MB.
pub(super) const MOST: usize = 100_000;

/// A tag, and the version that this process was told.
pub(super) type Remembered = (Tag, Version);

#[derive(Default)]
pub(super) struct Bumps {
    /// Each tag with the turn in which it was remembered last.
    by_tag: HashMap<Tag, (u64, Version)>,
    by_turn: BTreeMap<u64, (Tag, Instant)>,
    turn: u64,
    /// When a bump was forgotten last for want of room.
    overflowed: Option<Instant>,
}

impl Bumps {
    /// Is one forgotten before its time, for the first time in a while?
    pub(super) fn remember(
        &mut self,
        bumps: impl Iterator<Item = Remembered>,
        now: Instant,
    ) -> bool {
        for (tag, version) in bumps {
            self.turn += 1;
            // Of two that were told in another order than they were given, the newer one.
            let (before, known) = self.by_tag.get(&tag).copied().unzip();
            let version = known.map_or(version, |known| version.max(known));
            if let Some(before) = before {
                self.by_turn.remove(&before);
            }
            self.by_tag.insert(tag.clone(), (self.turn, version));
            self.by_turn.insert(self.turn, (tag, now));
        }
        self.forget(now)
    }

    fn forget(&mut self, now: Instant) -> bool {
        let is_old = |since: Instant| now.saturating_duration_since(since) > KEPT_FOR;
        if self.overflowed.is_some_and(is_old) {
            self.overflowed = None;
        }
        let was_complete = self.overflowed.is_none();
        while let Some(oldest) = self.by_turn.first_entry() {
            let is_over_bound = self.by_tag.len() > MOST;
            if !is_old(oldest.get().1) && !is_over_bound {
                break;
            }
            if !is_old(oldest.get().1) {
                self.overflowed = Some(now);
            }
            let (tag, _) = oldest.remove();
            self.by_tag.remove(&tag);
        }
        was_complete && self.overflowed.is_some()
    }

    /// All of them, and whether there were more within their time.
    pub(super) fn snapshot(&self) -> (Vec<Remembered>, bool) {
        let bumps = self.by_tag.iter().map(|(tag, (_, version))| (tag.clone(), *version));
        (bumps.collect(), self.overflowed.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u64) -> Version {
        Version::new(Version::MIN + number).unwrap()
    }

    fn bumps(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Remembered> {
        numbers.map(|number| (Tag::new("T", number), version(number)))
    }

    #[test]
    fn a_tag_is_remembered_once_and_with_its_newest_version() {
        let (mut recent, now) = (Bumps::default(), Instant::now());
        for number in [3, 7, 5] {
            recent.remember([(Tag::new("T", 1), version(number))].into_iter(), now);
        }
        assert_eq!(recent.snapshot(), (vec![(Tag::new("T", 1), version(7))], false));
        assert_eq!(recent.by_turn.len(), 1);
    }

    #[test]
    fn what_is_older_than_a_minute_goes_when_others_come() {
        let (mut recent, now) = (Bumps::default(), Instant::now());
        recent.remember(bumps(0..3), now);
        assert_eq!(recent.snapshot().0.len(), 3);
        recent.remember(bumps(9..10), now + KEPT_FOR + Duration::from_secs(1));
        assert_eq!(recent.snapshot(), (bumps(9..10).collect(), false));
    }

    #[test]
    fn past_the_bound_the_oldest_go_and_that_is_known_for_a_minute() {
        let (mut recent, now) = (Bumps::default(), Instant::now());
        let most = MOST as u64;
        assert!(!recent.remember(bumps(0..most), now));
        assert!(recent.remember(bumps(most..most + 2), now), "to be told once");
        assert!(!recent.remember(bumps(most + 2..most + 3), now));
        let (kept, are_some_forgotten) = recent.snapshot();
        assert!(are_some_forgotten && kept.len() == MOST);
        assert!(!kept.iter().any(|(tag, _)| *tag == Tag::new("T", 2)));
        assert!(kept.iter().any(|(tag, _)| *tag == Tag::new("T", 3)));
        recent.remember(bumps(0..1), now + KEPT_FOR + Duration::from_secs(1));
        assert!(!recent.snapshot().1);
    }
}
