//! Whether a value is kept, and for how long: what `cache_if`, `cache_err` and the timeouts that
//! depend on the value come to.

use std::time::Duration;

use super::jittered;
use crate::private::Timeout;
use crate::value::{ErrorsOf, MaybeNone, ValueOf};

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is stored for as long as the function's values are.
    Usual,
    /// It is stored for so long.
    For(Duration),
    /// It is not stored. It is the answer of those who wait for this run all the same.
    Never,
    /// It is its own caller's, and no other's: an error that was not chosen.
    Alone,
}

impl Keep {
    pub(crate) fn of_condition(is_kept: bool) -> Self {
        if is_kept { Keep::Usual } else { Keep::Never }
    }

    /// With a random share of its own time taken off.
    pub(crate) fn jittered(self, share: f64) -> Self {
        match self {
            Keep::For(timeout) => Keep::For(jittered(timeout, share)),
            other => other,
        }
    }
}

/// The usual timeout, whatever the value.
pub fn usual<T>(_: ValueOf<T>) -> impl FnMut(&T) -> Option<Duration> {
    |_| None
}

/// `timeout = |value| …`.
pub fn timeout_of<T, D: Timeout>(
    _: ValueOf<T>,
    mut timeout: impl FnMut(&T) -> D,
) -> impl FnMut(&T) -> Option<Duration> {
    move |value| Some(timeout(value).duration())
}

/// `timeout_none = …`: a timeout for `None`, and another one for all else.
pub fn timeout_of_none<T: MaybeNone>(
    _: ValueOf<T>,
    timeout: Duration,
    mut otherwise: impl FnMut(&T) -> Option<Duration>,
) -> impl FnMut(&T) -> Option<Duration> {
    move |value| if value.is_nothing() { Some(timeout) } else { otherwise(value) }
}

/// `cache_if` and the timeouts as one.
pub fn keep<T>(
    _: ValueOf<T>,
    mut cache_if: impl FnMut(&T) -> bool,
    mut timeout: impl FnMut(&T) -> Option<Duration>,
) -> impl FnMut(&T) -> Keep {
    move |value| match cache_if(value) {
        true => timeout(value).map_or(Keep::Usual, Keep::For),
        false => Keep::Never,
    }
}

/// The same of a `Result`, with `cache_err` for its errors.
pub fn keep_or_error<T, E>(
    _: ErrorsOf<T, E>,
    mut keep: impl FnMut(&T) -> Keep,
    mut cache_err: impl FnMut(&E) -> Option<Duration>,
) -> impl FnMut(&Result<T, E>) -> Keep {
    move |output| match output {
        Ok(value) => keep(value),
        Err(error) => cache_err(error).map_or(Keep::Alone, Keep::For),
    }
}
