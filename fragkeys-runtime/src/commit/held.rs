//! What one scope holds, and what becomes of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cache::Cache;
use crate::cache::bump::Bump;
use crate::cache::mark::Marks;
use crate::queue::{Overflow, fold};
use crate::tag::{Kind, Tag};

/// The bumps of one scope.
#[derive(Default)]
pub(super) struct Held {
    pub(super) has_ended: bool,
    /// From its beginning on, all that is held is certain.
    has_commit_begun: bool,
    commits_under_way: usize,
    /// A commit was left while it was under way, so it may come after its bumps.
    is_commit_left: bool,
    batches: Vec<Batch>,
    /// What is marked until it ends.
    pub(super) marks: Vec<Arc<Marks>>,
    /// What to bump once more when a commit ends after its scope.
    late: Vec<Batch>,
}

/// What is held for one cache.
#[derive(Clone, Debug)]
struct Batch {
    cache: Cache,
    tags: BTreeMap<Tag, HeldTag>,
}

#[derive(Clone, Copy, Debug)]
struct HeldTag {
    /// It is bumped whatever becomes of the scope.
    is_certain: bool,
    /// Somebody asked for it; else it is the counterpart of such a tag.
    is_asked: bool,
}

impl Held {
    /// Holds bumps of these tags, and of what stands for them elsewhere. Says what is to be
    /// logged: not here, where a lock is held.
    pub(super) fn add(&mut self, cache: &Cache, tags: &[Tag]) -> Option<Overflow> {
        let is_certain = self.has_commit_begun;
        let batch = self.batch(cache);
        for tag in cache.counterparts(tags) {
            batch.tags.entry(tag).or_insert(HeldTag { is_certain, is_asked: false });
        }
        let is_all_held = batch.tags.contains_key(&Tag::root());
        for tag in tags.iter().filter(|tag| !is_all_held || tag.kind() != Kind::Own) {
            let held = batch.tags.entry(tag.clone());
            held.or_insert(HeldTag { is_certain, is_asked: true }).is_asked = true;
        }
        fold(&mut batch.tags, cache.max_queued_bumps(), |tags| HeldTag {
            is_certain: tags.values().any(|held| held.is_certain),
            is_asked: true,
        })
    }

    pub(super) fn holds_any(&self, cache: &Cache, tags: &[Tag]) -> bool {
        let mut batches = self.batches.iter().filter(|batch| batch.cache.is(cache));
        batches.any(|batch| tags.iter().any(|tag| batch.tags.contains_key(tag)))
    }

    /// The tags that were asked for, each once.
    pub(super) fn tags(&self) -> Vec<Tag> {
        let tags = self.batches.iter().flat_map(|batch| &batch.tags);
        let mut asked: Vec<Tag> =
            tags.filter(|(_, held)| held.is_asked).map(|(tag, _)| tag.clone()).collect();
        asked.sort();
        asked.dedup();
        asked
    }

    pub(super) fn marks_of(&mut self, cache: &Cache) -> Arc<Marks> {
        if let Some(marks) = self.marks.iter().find(|marks| marks.are_of(cache)) {
            return marks.clone();
        }
        let marks = Marks::new(cache.clone());
        self.marks.push(marks.clone());
        marks
    }

    /// The marks, unless a commit may have happened, or may yet.
    pub(super) fn take_marks_of_nothing(&mut self) -> Vec<Arc<Marks>> {
        if self.has_commit_begun { Vec::new() } else { std::mem::take(&mut self.marks) }
    }

    pub(super) fn begin_commit(&mut self) {
        self.commits_under_way += 1;
        self.make_certain();
    }

    pub(super) fn make_certain(&mut self) {
        self.has_commit_begun = true;
        for batch in &mut self.batches {
            batch.tags.values_mut().for_each(|held| held.is_certain = true);
        }
    }

    /// A commit has ended, or was left. If the scope has ended before, its bumps were too early,
    /// and are due once more.
    pub(super) fn end_commit(&mut self, is_left: bool) -> Due {
        self.commits_under_way = self.commits_under_way.saturating_sub(1);
        self.is_commit_left |= is_left;
        Due { batches: self.late.clone(), is_to_repeat: is_left }
    }

    /// Ends the scope and gives what is due: all, or what is certain.
    pub(super) fn end(&mut self, is_ok: bool) -> Due {
        self.has_ended = true;
        let mut batches = std::mem::take(&mut self.batches);
        for batch in &mut batches {
            batch.tags.retain(|_, held| is_ok || held.is_certain);
        }
        batches.retain(|batch| !batch.tags.is_empty());
        if self.commits_under_way > 0 {
            self.late.clone_from(&batches);
        }
        // Without an `Ok` nobody knows whether what is certain is committed, or will be.
        let is_to_repeat = !is_ok || self.is_commit_left || self.commits_under_way > 0;
        Due { batches, is_to_repeat }
    }

    fn batch(&mut self, cache: &Cache) -> &mut Batch {
        let index = self.batches.iter().position(|batch| batch.cache.is(cache));
        let index = index.unwrap_or_else(|| {
            self.batches.push(Batch { cache: cache.clone(), tags: BTreeMap::new() });
            self.batches.len() - 1
        });
        &mut self.batches[index]
    }
}

/// Bumps that are due.
pub(super) struct Due {
    batches: Vec<Batch>,
    /// The change may come after the bump.
    is_to_repeat: bool,
}

impl Due {
    pub(super) fn bumps(self) -> Vec<Bump> {
        let mut bumps = Vec::new();
        for Batch { cache, tags } in self.batches {
            let (asked, counterparts): (Vec<_>, Vec<_>) =
                tags.into_iter().partition(|(_, held)| held.is_asked);
            let tags = |held: Vec<(Tag, HeldTag)>| held.into_iter().map(|(tag, _)| tag).collect();
            bumps.extend(Bump::groups(&cache, tags(asked), tags(counterparts)));
        }
        if self.is_to_repeat {
            bumps.iter().for_each(Bump::repeat_later);
        }
        bumps
    }
}
