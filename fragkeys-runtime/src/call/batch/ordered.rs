//! A batch that is to do something else than answer: see `around`.

use super::item::Items;
use crate::around::{Order, Reply, Wish};
use crate::cache::Budget;
use crate::call::keep::Keep;
use crate::inherit::{self, Obstacle};
use crate::value::Ops;

impl<V> Items<V> {
    /// Does what was ordered, after the look; `None` where the call goes on from there.
    pub(super) async fn follow(
        &mut self,
        order: &Order,
        budget: Option<&mut Budget>,
    ) -> Option<Reply> {
        match order.wish() {
            // None of them is cached, as far as this call goes.
            Wish::Bypass => None,
            Wish::Refresh => {
                self.all.iter_mut().for_each(|item| item.value = None);
                self.begin_anew();
                None
            }
            Wish::Peek => {
                let is_missing = self.all.iter().any(|item| item.value.is_none());
                is_missing.then(|| {
                    inherit::refuse(Obstacle::Unknown);
                    Reply::NotCached
                })
            }
            // Without an output there is nothing to store.
            Wish::Prime => Some(Reply::Primed(false)),
            Wish::Evict => Some(Reply::Evicted(self.evict(budget).await)),
            Wish::KeyOf => {
                let keys = self.all.iter().map(|item| item.key(order.taken_by()));
                Some(Reply::Key(keys.collect::<Vec<_>>().join("\n")))
            }
        }
    }

    /// Stores these values, whatever is there; says whether all that may be stored are.
    pub(super) async fn prime<'a>(
        &mut self,
        ops: &Ops<V>,
        budget: Option<&mut Budget>,
        value_of: impl Fn(usize) -> Option<&'a V>,
        mut keep: impl FnMut(&V) -> Keep,
    ) -> bool
    where
        V: 'a,
    {
        let Some(budget) = budget else { return false };
        self.all.iter_mut().for_each(|item| item.value = None);
        let (mut next, mut stored) = (0, 0);
        while next < self.all.len() {
            let entries = self.seal_some(&mut next, ops, &value_of, &mut keep);
            stored += self.put(entries, budget).await;
        }
        stored > 0 && stored == (0..self.all.len()).filter(|at| value_of(*at).is_some()).count()
    }

    async fn evict(&self, budget: Option<&mut Budget>) -> bool {
        // First: what is under way must not come back behind the removal.
        self.forget();
        let mut was_there = false;
        if let (Some(cache), Some(budget)) = (&self.cache, budget) {
            for place in self.all.iter().filter_map(|item| item.place.as_ref()) {
                was_there |= cache.remove(place, budget).await.unwrap_or(false);
            }
        }
        was_there
    }
}
