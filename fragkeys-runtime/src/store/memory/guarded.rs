//! The tags of the embedded store that guards hold.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::store::GuardId;
use crate::tag::Tag;

/// Each tag with its guards; of those that are gone without leaving it, until when they count.
#[derive(Debug, Default)]
pub(super) struct Guarded(HashMap<Tag, HashMap<GuardId, Option<Instant>>>);

impl Guarded {
    /// Is one left that lives, or may have left something behind that is not done yet?
    pub(super) fn holds(&mut self, tag: &Tag) -> bool {
        let Some(guards) = self.0.get_mut(tag) else { return false };
        let now = Instant::now();
        guards.retain(|_, until| until.is_none_or(|until| now < until));
        let is_held = !guards.is_empty();
        if !is_held {
            self.0.remove(tag);
        }
        is_held
    }

    pub(super) fn enter(&mut self, tag: &Tag, guard: GuardId) {
        self.0.entry(tag.clone()).or_default().insert(guard, None);
    }

    pub(super) fn leave(&mut self, tag: &Tag, guard: GuardId) {
        if let Some(guards) = self.0.get_mut(tag) {
            guards.remove(&guard);
        }
    }

    pub(super) fn abandon(&mut self, tag: &Tag, guard: GuardId, hold: Duration) {
        let until = Instant::now() + hold;
        if let Some(gone) = self.0.get_mut(tag).and_then(|guards| guards.get_mut(&guard)) {
            *gone = Some(until);
        }
    }

    /// Those that nobody asks for any more would stay.
    pub(super) fn forget_the_gone(&mut self) {
        let now = Instant::now();
        self.0.retain(|_, guards| {
            guards.retain(|_, until| until.is_none_or(|until| now < until));
            !guards.is_empty()
        });
    }
}
