//! The near tier's part in a call: the answer without a look, and what a look or a run gives it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Call, Request};
use crate::around::{self, Order, Wish};
use crate::cache::Budget;
use crate::commit;
use crate::error::Error;
use crate::global::{self, Given};
use crate::key::Place;
use crate::near::{AnyKept, NearTier};
use crate::outcome::{Outcome, Report};
use crate::value::{Nearby, Plan};

/// The value, if this process has it and may believe it. It asks nobody and waits for nobody:
/// so the macro asks for it before it makes the future of a call, and neither the body nor what
/// a look needs is moved around for it.
#[inline]
pub fn near<R, T>(call: &mut Call, plan: &Plan<R, T>) -> Option<T> {
    let nearby = plan.ops.reading.nearby?;
    let kept = call.find_near()?;
    (nearby.clone)(&kept.value)
}

impl Call {
    /// Apart from [`near`], as it is the same for all types.
    fn find_near(&mut self) -> Option<Arc<AnyKept>> {
        if self.has_unencodable || self.instance.twin.is_some() {
            return None;
        }
        let name = self.site.cache_name;
        // What was ordered is about what is stored; but for a look at what is cached.
        let is_peek = match around::next_wish() {
            None => false,
            Some(Wish::Peek) => true,
            Some(_) => return None,
        };
        self.complete();
        let identity = self.bytes.as_slice();
        let kept = global::ask_cache_for(name, |cache, given| {
            let tier = cache.near()?;
            // What a transaction sees is nobody else's to have, nor the other way round.
            if commit::is_inside() {
                return None;
            }
            let kept = tier.find(identity)?;
            if let Some(Given { view, heir, .. }) = given {
                if view.as_ref().is_some_and(|view| !view.admits(cache, identity, &kept)) {
                    return None;
                }
                let name = &self.instance.name;
                // What it gives would be told too late: see `Telling`.
                if heir.as_ref().is_some_and(|heir| heir.wants_parts()) {
                    return None;
                }
                if heir.as_ref().is_some_and(|heir| !heir.take_near(cache, name, identity, &kept)) {
                    return None;
                }
            }
            cache.counters().near_hits.add();
            Some(kept)
        })?;
        if is_peek {
            Order::take(&self.instance.name);
        }
        Report::claim().tell(Outcome::Hit);
        Some(kept)
    }
}

impl Request {
    /// Its near tier, with its key in it; unless it does not use one.
    fn near_tier(&self) -> Option<(&NearTier, &[u8])> {
        Some((self.cache.near_tier()?, self.near.as_deref()?))
    }

    /// What to tell [`keep_found`](Self::keep_found), from before the look.
    pub(super) fn removals(&self) -> u64 {
        self.near_tier().map_or(0, |(tier, _)| tier.removals())
    }

    /// Keeps what a look has just found, for as long as the store does.
    pub(super) fn keep_found<T>(
        &self,
        nearby: Option<Nearby<T>>,
        place: &Place,
        value: &T,
        encoded: usize,
        left: impl FnOnce() -> Duration,
        removals: u64,
    ) {
        if let Some(nearby) = nearby
            && let Some(grounds) = &place.grounds
            && let Some((tier, identity)) = self.near_tier()
            && !commit::is_inside()
        {
            let left = left().min(self.timeout);
            if left.is_zero() {
                return;
            }
            let until = Instant::now() + left;
            tier.keep_found(identity, removals, || {
                (nearby.keep_clone)(value, encoded, grounds.clone(), until)
            });
        }
    }

    /// What to keep of a value that was made here; read back, as the store would give it. From
    /// before it is stored, so that it does not outlive what is.
    pub(super) fn made<T>(
        &self,
        nearby: Option<Nearby<T>>,
        place: &Place,
        value: T,
        encoded: usize,
        left: Duration,
    ) -> Option<Arc<AnyKept>> {
        let (Some(nearby), Some(grounds), Some(_)) = (nearby, &place.grounds, &self.near) else {
            return None;
        };
        Some((nearby.keep)(value, encoded, grounds.clone(), Instant::now() + left))
    }

    /// What is kept nowhere else, and was not yet when the near tier was asked.
    pub(super) fn find_made<T>(&self, nearby: Option<Nearby<T>>) -> Option<T> {
        let (tier, identity) = self.near_tier().filter(|_| self.cache.is_store_near())?;
        let kept = tier.find(identity).filter(|_| !commit::is_inside())?;
        if self.view.as_ref().is_some_and(|view| !view.admits(&self.cache, identity, &kept)) {
            return None;
        }
        (nearby?.clone)(&kept.value)
    }

    /// Keeps it. `false` if the store must have it, too.
    pub(super) fn keep_made(&self, kept: &Arc<AnyKept>) -> bool {
        let Some((tier, identity)) = self.near_tier() else { return false };
        // What may be given when it is old must be somewhere then.
        let is_enough =
            self.cache.is_store_near() && self.grace.is_none() && tier.has_room_for(identity, kept);
        tier.keep(identity, kept.clone());
        is_enough
    }

    /// Drops its entry, here and in the store; says whether it was there. What other processes
    /// keep of it, they keep.
    pub(super) async fn remove(&self, place: &Place, budget: &mut Budget) -> Result<bool, Error> {
        // As the last good value, too: first, so that nothing leads to what is dropped.
        let pointer = self.grace.as_ref().filter(|graced| graced.grace.stands_in());
        let unpointed = match pointer.map(|_| self.identity.pointer(self.cache.prefix())) {
            Some(pointer) => Box::pin(self.cache.remove(&pointer, budget)).await,
            None => Ok(false),
        };
        let was_near = self.near_tier().is_some_and(|(tier, identity)| tier.remove(identity));
        let was_stored = self.cache.remove(place, budget).await?;
        // Again: a look may have found it before it was dropped there.
        if let Some((tier, identity)) = self.near_tier() {
            tier.remove(identity);
        }
        unpointed?;
        Ok(was_stored || was_near)
    }
}
