//! Which bumps are remembered: bounded in time and in number.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use crate::seeded::Seeded;
use crate::tag::Tag;
use crate::version::Version;

/// For so long at least, while other bumps come. With none, the last ones stay: a server that is
/// away for an hour forgets no less.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Tags, at most: some 10 MB.
pub(super) const MOST: usize = 100_000;

/// So few are not worth looking through.
const LEAST: usize = 1_000;

/// A tag, and the version that this process was told.
pub(super) type Remembered = (Tag, Version);

pub(super) struct Bumps {
    /// Each tag with the turn in which it was remembered last.
    by_tag: HashMap<Tag, (u64, Version), Seeded>,
    /// In the order of their turns; a tag whose turn is another one by now stands behind, too.
    by_turn: VecDeque<(u64, Tag, Instant)>,
    turn: u64,
    /// When a bump was forgotten last for want of room.
    overflowed: Option<Instant>,
}

impl Default for Bumps {
    fn default() -> Self {
        Bumps {
            by_tag: HashMap::with_hasher(Seeded::at_random()),
            by_turn: VecDeque::new(),
            turn: 0,
            overflowed: None,
        }
    }
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
            self.by_turn.push_back((self.turn, tag.clone(), now));
            // Of two that were told in another order than they were given, the newer one.
            let (turn, newest) = self.by_tag.entry(tag).or_insert((0, version));
            (*turn, *newest) = (self.turn, version.max(*newest));
        }
        // What is behind by now takes no more room than what is not.
        if self.by_turn.len() > 2 * self.by_tag.len().max(LEAST) {
            let Bumps { by_tag, by_turn, .. } = self;
            by_turn.retain(|(turn, tag, _)| by_tag.get(tag).is_some_and(|(last, _)| last == turn));
        }
        self.forget(now)
    }

    fn forget(&mut self, now: Instant) -> bool {
        let is_old = |since: Instant| now.saturating_duration_since(since) > KEPT_FOR;
        if self.overflowed.is_some_and(is_old) {
            self.overflowed = None;
        }
        let was_complete = self.overflowed.is_none();
        while let Some((turn, tag, since)) = self.by_turn.front() {
            let is_last = self.by_tag.get(tag).is_some_and(|(last, _)| last == turn);
            if is_last {
                let is_old = is_old(*since);
                if !is_old && self.by_tag.len() <= MOST {
                    break;
                }
                if !is_old {
                    self.overflowed = Some(now);
                }
                self.by_tag.remove(tag);
            }
            self.by_turn.pop_front();
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
    }

    #[test]
    fn one_tag_bumped_again_and_again_takes_no_room() {
        let (mut recent, now) = (Bumps::default(), Instant::now());
        for number in 0..100_000 {
            recent.remember([(Tag::new("T", 1), version(number))].into_iter(), now);
        }
        assert_eq!(recent.snapshot(), (vec![(Tag::new("T", 1), version(99_999))], false));
        assert!(recent.by_turn.len() <= 2 * LEAST + 1, "{}", recent.by_turn.len());
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
