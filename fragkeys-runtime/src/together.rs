//! Several futures at once, in the task of the caller: dropped, all of them are.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

/// Which of two has ended first.
pub(crate) enum First<A, B> {
    One(A),
    Other(B),
}

/// Waits for the first of two to end. The first one is asked first, and is there still.
pub(crate) async fn first<A: Future, B: Future>(
    mut one: Pin<&mut A>,
    other: B,
) -> First<A::Output, B::Output> {
    let mut other = pin!(other);
    poll_fn(|context| {
        if let Poll::Ready(output) = one.as_mut().poll(context) {
            return Poll::Ready(First::One(output));
        }
        other.as_mut().poll(context).map(First::Other)
    })
    .await
}

/// Waits for all of these, which run at the same time.
pub(crate) async fn together<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    type Running<F> = (Pin<Box<F>>, Option<<F as Future>::Output>);
    let mut running: Vec<Running<F>> =
        futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, output) in running.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(ready) = future.as_mut().poll(context) {
                *output = Some(ready);
            }
        }
        let is_done = running.iter().all(|(_, output)| output.is_some());
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    running.into_iter().filter_map(|(_, output)| output).collect()
}

/// Lets everything run that is ready to, and whoever polls this have a turn.
pub(crate) async fn end_of_line() {
    let mut was_there = false;
    poll_fn(|context| {
        if std::mem::replace(&mut was_there, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
