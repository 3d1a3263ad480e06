//! A call in the body of one with early cutoff.

use super::Request;
use crate::codec::{CodecError, Format};
use crate::inherit::Part;
use crate::together::end_of_line;
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
        let part = Part::new(request.heir.as_ref()?, &request.identity)?;
        request.is_part = true;
        let (split, join, encode) = (plan.split, plan.join, plan.ops.encode);
        Some(Telling { part, format: request.cache.format(), split, join, encode })
    }

    /// Answers, and tells the heir. If that was all that it waits for, the body does not go on before the
    /// heir was asked, who drops it then; where it is not asked, as this runs elsewhere, it goes on.
    pub(super) async fn tell(self, answer: impl Future<Output = R>) -> R {
        let Telling { part, format, split, join, encode } = self;
        // Only the value is kept over the await below: an `Err` need not be `Send`.
        let value = match split(answer.await) {
            Err(output) => return output,
            Ok(value) => value,
        };
        if encode(format, &value).is_ok_and(|bytes| part.tell(&bytes)) {
            end_of_line().await;
        }
        join(value)
    }
}
