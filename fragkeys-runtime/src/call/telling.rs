//! A call in the body of one with early cutoff.

use std::future::pending;

use super::Request;
use crate::codec::{CodecError, Format};
use crate::inherit::Part;
use crate::value::Plan;

/// How to get at the bytes of what a call gives, and whom to tell.
pub(super) struct Telling<R, T> {
    part: Part,
    format: Format,
    split: fn(R) -> Result<T, R>,
    join: fn(T) -> R,
    encode: fn(Format, &T) -> Result<Vec<u8>, CodecError>,
}

impl<R, T> Telling<R, T> {
    /// `None` unless somebody wants to be told, and is not told already.
    pub(super) fn of(request: &mut Option<Request>, plan: &Plan<R, T>) -> Option<Self> {
        let request = request.as_mut().filter(|request| !request.is_part)?;
        let heir = request.heir.as_ref().filter(|heir| heir.wants_parts())?;
        let part = Part::new(heir, &request.identity);
        request.is_part = true;
        let (split, join, encode) = (plan.split, plan.join, plan.ops.encode);
        Some(Telling { part, format: request.cache.format(), split, join, encode })
    }

    /// Answers, and tells the heir. If that was all that it waits for, this never ends: what the body
    /// would do with the answer has been done, and the heir drops it.
    pub(super) async fn tell(self, answer: impl Future<Output = R>) -> R {
        let Telling { part, format, split, join, encode } = self;
        match split(answer.await) {
            Err(output) => return output,
            Ok(value) => match encode(format, &value) {
                Ok(bytes) if part.tell(&bytes) => drop(value),
                Ok(_) | Err(_) => return join(value),
            },
        }
        pending().await
    }
}
