//! A batch that is to do something else than answer: see `around`.

use super::item::Items;
use crate::around::{Order, Reply, Wish};
use crate::cache::Budget;

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
                self.all.iter().any(|item| item.value.is_none()).then_some(Reply::NotCached)
            }
            Wish::Evict => Some(Reply::Evicted(self.evict(budget).await)),
            Wish::KeyOf => {
                let keys = self.all.iter().map(|item| item.key(order.taken_by()));
                Some(Reply::Key(keys.collect::<Vec<_>>().join("\n")))
            }
        }
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
