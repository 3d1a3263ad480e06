//! What stands in for a run: the value at hand, or the last good one, wherever that is.

use std::sync::Arc;

use super::super::Request;
use super::Aged;
use crate::cache::Cache;
use crate::clock;
use crate::codec::{CodecError, Format};
use crate::envelope;
use crate::grace::Grace;
use crate::key::Identity;
use crate::outcome::Outcome;
use crate::value::Reading;
use crate::view::View;

/// A value that may be given once in the place of the function's own, and what that is called.
pub(super) struct Fallback<T> {
    from: From<T>,
    outcome: Outcome,
}

enum From<T> {
    Nowhere,
    /// To be given whatever becomes of the run.
    AtHand(T),
    /// Found at the place of the call, and past its time.
    Found(Aged<T>, Grace),
    /// It may be under other versions.
    Elsewhere(Elsewhere<T>),
}

struct Elsewhere<T> {
    cache: Cache,
    identity: Arc<Identity>,
    view: Option<Arc<View>>,
    grace: Grace,
    decode: fn(Format, &[u8]) -> Result<T, CodecError>,
}

impl<T> Fallback<T> {
    pub(super) fn none() -> Self {
        Fallback { from: From::Nowhere, outcome: Outcome::Stale }
    }

    pub(super) fn at_hand(value: T, outcome: Outcome) -> Self {
        Fallback { from: From::AtHand(value), outcome }
    }

    pub(super) fn of(
        request: &Request,
        reading: &Reading<T>,
        grace: Grace,
        found: Option<Aged<T>>,
    ) -> Self {
        let from = match found {
            Some(found) => From::Found(found, grace),
            None => From::Elsewhere(Elsewhere {
                cache: request.cache.clone(),
                identity: request.identity.clone(),
                view: request.view.clone(),
                grace,
                decode: reading.decode,
            }),
        };
        Fallback { from, outcome: Outcome::Stale }
    }

    /// How a call is answered that is given it.
    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The value, the first time. Dropped before it is there, it can be asked for again.
    pub(super) async fn take(&mut self) -> Option<T> {
        if let From::Elsewhere(elsewhere) = &self.from {
            let value = elsewhere.seek().await;
            self.from = From::Nowhere;
            return value;
        }
        match std::mem::replace(&mut self.from, From::Nowhere) {
            From::Nowhere | From::Elsewhere(_) => None,
            From::AtHand(value) => Some(value),
            From::Found(found, grace) => {
                grace.may_stand_in(&found.age, clock::since_1970()).then_some(found.value)
            }
        }
    }
}

impl<T> Elsewhere<T> {
    /// Follows the pointer to the last value that was stored, whatever has been bumped since; but
    /// for what the caller knows to have been bumped.
    async fn seek(&self) -> Option<T> {
        let Elsewhere { cache, identity, view, grace, decode } = self;
        // The run has taken its time; this is another time that the store may add.
        let mut budget = cache.budget();
        let pointer = identity.pointer(cache.prefix());
        let bytes = cache.bytes_at(&pointer.key, &mut budget).await.ok()??;
        let place = identity.pointed_at(envelope::open(&bytes, &pointer.address)?)?;
        if view.as_ref().is_some_and(|view| !view.admits_old(&identity.tags, &place.versions)) {
            return None;
        }
        let entry = cache.bytes_at(&place.key, &mut budget).await.ok()??;
        let (payload, age) = envelope::open_aged(&entry, &place.address)?;
        if !grace.may_stand_in(&age, clock::since_1970()) {
            return None;
        }
        decode(cache.format(), payload).ok()
    }
}
