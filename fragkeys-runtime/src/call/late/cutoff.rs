//! Early cutoff: where the cached calls in a body give what they gave the last time, so would the body.
//!
//! After a bump of a tag that was taken over, the body runs, as nobody else could make these calls.
//! Once they have all been answered, and with the same bytes, the last value is as new as they are: the
//! body is dropped where it waits for the last of them, and that value stands under the versions of now.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_128;

use super::list::Recipe;
use crate::cache::Budget;
use crate::call::Request;
use crate::config::SHORTEST_TIMEOUT;
use crate::envelope;
use crate::global;
use crate::inherit::{Heir, Heritage, Parts};
use crate::key::Identity;
use crate::value::Reading;
use crate::version::Version;

/// The last value: what it is, until when it is right, and what it was made of.
pub(super) struct Last<T> {
    pub(super) value: T,
    pub(super) until: Instant,
    pub(super) parts: Parts,
}

/// The last value, where a recipe says; if it is still there.
pub(super) async fn last<T>(
    request: &Request,
    all: &Arc<Identity>,
    versions: &[Version],
    Recipe { versions: late, value, parts }: Recipe,
    reading: &Reading<T>,
    budget: &mut Budget,
) -> Option<Last<T>> {
    let place = all.at(&[versions, &late].concat());
    let entry = request.cache.bytes_at(&place.key, budget).await.ok()??;
    let payload = envelope::open(&entry, &place.address)?;
    // Two who stored at once may have left the value of one and the recipe of the other.
    if xxh3_128(payload) != value {
        return None;
    }
    let left = envelope::left(&entry);
    let value = request.decode(reading, Some(payload)).filter(|_| left >= SHORTEST_TIMEOUT)?;
    Some(Last { value, until: Instant::now() + left, parts })
}

/// What has become of a run.
pub(super) enum End<R, T> {
    Ran(R),
    CutOff(Last<T>),
}

/// Runs a body whose calls tell the heir, until it ends, or the last value is known to be its own.
pub(super) async fn run<T, B: Future>(
    heir: Arc<Heir>,
    mut last: Option<Last<T>>,
    body: B,
) -> (End<B::Output, T>, Heritage) {
    let mut body = pin!(global::with_heir(Some(heir.clone()), body));
    let end = poll_fn(|context| {
        let polled = body.as_mut().poll(context);
        // Also if it has ended: it may have done so without an answer that had come by then.
        match last.take_if(|_| heir.is_settled()) {
            Some(last) => Poll::Ready(End::CutOff(last)),
            None => polled.map(End::Ran),
        }
    })
    .await;
    // Before the body is dropped, and with it other calls, which then tell that they give nothing.
    let mut heritage = heir.heritage();
    if let End::CutOff(last) = &end {
        heritage.parts = last.parts.clone();
    }
    (end, heritage)
}
