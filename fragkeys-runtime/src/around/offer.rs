//! `prime`: an output that is given to a call in the place of a run.
//!
//! The call knows its output's type and so does who gives it one, but the compiler cannot see
//! that they are the same: so it goes through [`Any`]. It stands in a thread-local for as long as
//! the call is polled, and with its type in the future of `prime` while it is not: so that is
//! `Send` where the output is.

use std::any::Any;
use std::cell::Cell;
use std::pin::pin;
use std::sync::PoisonError;
use std::task::Poll;

use super::{ORDER, Order, Reply, Wish};

thread_local! {
    static OFFER: Cell<Option<Box<dyn Any>>> = const { Cell::new(None) };
}

/// Stores an output for a call as if its function had returned it now, and never runs the function.
/// Says whether it is stored.
///
/// ```
/// # async fn example() {
/// # use fragkeys::{prime, tagged_cache};
/// #[tagged_cache(vary_on = [id])]
/// async fn name(id: u64) -> Option<String> {
///     None // … from the database …
/// }
///
/// assert!(prime(name(42), Some("Ada".to_owned())).await);
/// assert_eq!(name(42).await.as_deref(), Some("Ada"));
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example());
/// ```
///
/// About the outermost cached call in the future, as with [`peek`](crate::peek), which is dropped
/// there: an annotated function, on whatever it is called. `output` is all that it returns, as in
/// `Ok(Some(user))`. All is as after a run: an `Err`, and a value that `cache_if` refuses, are not
/// stored, timeouts that depend on the value are asked, and inside of
/// [`on_commit`](crate::on_commit) nothing is stored. A run that is under way in this process is
/// not stored behind it.
///
/// It is stored under the versions that the tags have when this is first polled, so the output
/// must not be older than that: bump first, then read, then prime. Of a batch, the values of the
/// elements that it is called with are stored, each in an entry of its own; what else is in the
/// map is not. `true` then means all of them.
///
/// `false`, and nothing changed, if the store failed, which is counted and logged as ever, or if
/// there is no cached call in the future. `false` with a word in the log if the future gives
/// something else than the call returns (`async { name(42).await.unwrap() }`), or if the return
/// type may borrow as it is spelled: with a lifetime, a type parameter that is not bound to
/// `'static`, or a type such as `Self::Error`. For an entry by hand there is
/// [`Entry::set`](crate::Entry::set).
pub async fn prime<F>(future: F, output: F::Output) -> bool
where
    F: Future,
    F::Output: 'static,
{
    let order = Order::new(Wish::Prime);
    let mut future = pin!(ORDER.scope(order.clone(), future));
    let mut output = Some(Box::new(output));
    std::future::poll_fn(|context| {
        let offering = Offering::begin(output.take().map(|output| output as Box<dyn Any>));
        let polled = future.as_mut().poll(context);
        output = offering.end().and_then(|offer| offer.downcast().ok());
        match order.reply.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(reply) => Poll::Ready(matches!(reply, Reply::Primed(true))),
            None => polled.map(|_| false),
        }
    })
    .await
}

/// What is offered to the call that is polled here and has the order to take it.
pub(crate) fn take_offer() -> Option<Box<dyn Any>> {
    OFFER.take()
}

/// While a future is polled. What was offered around it is back afterwards, also after a panic.
struct Offering {
    around: Option<Box<dyn Any>>,
}

impl Offering {
    fn begin(offer: Option<Box<dyn Any>>) -> Self {
        Offering { around: OFFER.replace(offer) }
    }

    /// What was not taken.
    fn end(self) -> Option<Box<dyn Any>> {
        OFFER.take()
    }
}

impl Drop for Offering {
    fn drop(&mut self) {
        OFFER.set(self.around.take());
    }
}
