//! `hard_timeout`: a run that is dropped when it has taken too long.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::flight::Alarm;

/// The error of a function whose run was dropped, as it took longer than its `hard_timeout`.
///
/// A function with that option must have an error that is made `From` it.
///
/// ```
/// # use fragkeys_runtime::TimedOut;
/// enum Problem {
///     TooSlow,
/// }
///
/// impl From<TimedOut> for Problem {
///     fn from(_: TimedOut) -> Self {
///         Problem::TooSlow
///     }
/// }
/// ```
///
/// `Box<dyn Error>` and `std::io::Error` (of kind `TimedOut`) are.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedOut {}

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the function took longer than its `hard_timeout`")
    }
}

impl std::error::Error for TimedOut {}

impl From<TimedOut> for io::Error {
    fn from(error: TimedOut) -> Self {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

/// Outputs that can say so.
#[diagnostic::on_unimplemented(
    message = "a function with `hard_timeout` cannot return `{Self}`: it could not say that it took too long",
    label = "not a `Result` whose error is `From<fragkeys::TimedOut>`",
    note = "implement `From<fragkeys::TimedOut>` for its error; `Box<dyn std::error::Error>` and `std::io::Error` have it"
)]
pub trait TimesOut {
    fn timed_out() -> Self;
}

#[diagnostic::do_not_recommend]
impl<T, E: From<TimedOut>> TimesOut for Result<T, E> {
    fn timed_out() -> Self {
        Err(TimedOut {}.into())
    }
}

/// How long a run may take, and its output if it takes longer.
#[derive(Debug)]
pub struct Limit<R>(Option<(Duration, fn() -> R)>);

impl<R> Limit<R> {
    #[must_use]
    pub fn none() -> Self {
        Limit(None)
    }

    #[must_use]
    pub fn after(time: Duration) -> Self
    where
        R: TimesOut,
    {
        Limit(Some((time, R::timed_out)))
    }
}

/// A body with a limit. It is dropped where that is reached.
pub(super) struct Limited<R, B> {
    limit: Limit<R>,
    body: Option<Pin<Box<B>>>,
    alarm: Option<Alarm>,
}

impl<R, B> Limited<R, B> {
    pub(super) fn new(limit: Limit<R>, body: B) -> Self {
        Limited { limit, body: Some(Box::pin(body)), alarm: None }
    }

    /// Lets it take as long as it does.
    pub(super) fn lift(&mut self) {
        self.limit = Limit::none();
    }
}

impl<R, B: Future<Output = R>> Future for Limited<R, B> {
    type Output = R;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let Limited { limit, body, alarm } = &mut *self;
        let Some(running) = body else { return Poll::Pending };
        // From the first time on that it is polled, which is when it begins.
        if let (Limit(Some((time, _))), None) = (&*limit, &*alarm) {
            *alarm = Alarm::after(*time);
        }
        if let output @ Poll::Ready(_) = running.as_mut().poll(context) {
            return output;
        }
        if let (Limit(Some((_, late))), Some(alarm)) = (limit, alarm)
            && alarm.poll(context).is_ready()
        {
            *body = None;
            return Poll::Ready(late());
        }
        Poll::Pending
    }
}
