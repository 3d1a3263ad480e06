//! What becomes of more bumps than there is room for: the same rule wherever bumps wait (I7).

use std::collections::BTreeMap;

use crate::log::warning;
use crate::tag::{Kind, Tag};

/// More bumps waited than there is room for.
#[derive(Debug)]
pub(crate) struct Overflow {
    bound: usize,
    are_others_lost: bool,
}

/// Past the bound, bumps become one bump of the whole cache, which loses nothing of ours. That
/// says nothing to others, so theirs are kept for as long as they have room.
pub(crate) fn fold<W>(
    waiting: &mut BTreeMap<Tag, W>,
    bound: usize,
    root: impl FnOnce(&BTreeMap<Tag, W>) -> W,
) -> Option<Overflow> {
    if waiting.len() <= bound {
        return None;
    }
    let root = root(waiting);
    waiting.retain(|tag, _| tag.kind() != Kind::Own);
    let are_others_lost = waiting.len() >= bound;
    if are_others_lost {
        waiting.clear();
    }
    waiting.insert(Tag::root(), root);
    Some(Overflow { bound, are_others_lost })
}

impl Overflow {
    /// Says so, and what was waited for. Not while a lock is held.
    pub(crate) fn log(&self, awaited: &str) {
        let bound = self.bound;
        warning!({ bound = bound }
            "more than {bound} bumps wait for {awaited}: they become one bump of the whole cache"
        );
        if self.are_others_lost {
            warning!({ bound = bound }
                "more than {bound} bumps for others wait for {awaited}: theirs are lost"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(texts: &[&str]) -> BTreeMap<Tag, ()> {
        texts.iter().map(|text| (Tag::from(*text), ())).collect()
    }

    #[test]
    fn up_to_the_bound_nothing_changes() {
        let mut three = waiting(&["A", "B", "C"]);
        assert!(fold(&mut three, 3, |_| ()).is_none());
        assert_eq!(three, waiting(&["A", "B", "C"]));
    }

    #[test]
    fn past_it_ours_become_the_root_and_others_stay() {
        let mut mixed = waiting(&["A", "B", "~1:1:U_1"]);
        assert_eq!(mixed.keys().filter(|tag| tag.kind() == Kind::Original).count(), 1);
        let overflow = fold(&mut mixed, 2, |_| ()).unwrap();
        assert!(!overflow.are_others_lost);
        assert!(mixed.contains_key(&Tag::root()) && mixed.len() == 2, "{mixed:?}");
    }

    #[test]
    fn without_room_for_others_the_root_is_all_that_stays() {
        let mut others = waiting(&["~1:1:U_1", "~1:1:U_2", "~1:1:U_3"]);
        assert!(fold(&mut others, 2, |_| ()).unwrap().are_others_lost);
        assert_eq!(others.into_keys().collect::<Vec<_>>(), [Tag::root()]);
    }
}
