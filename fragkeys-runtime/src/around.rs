//! Around one call: what is to become of the outermost cached call of a future.
//!
//! The order stands in a task-local, where the first cached call takes it. One that must not run
//! its function answers through it and then waits for ever; who gave the order drops it.

use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::Poll;

mod offer;

pub use offer::prime;
pub(crate) use offer::take_offer;

/// Gives what is cached for a call, and never runs its function: `None` if nothing is.
///
/// `peek(profile(42))` is about the outermost cached call in the future: an annotated function,
/// on whatever it is called, or an [`Entry`](crate::Entry)'s `get_or_set_with`. Of several the
/// first one counts, and calls after it are as ever. What the future does before that call, it
/// does; if nothing is cached, it is dropped there. Tasks that it spawns are not seen. A call
/// that is under way elsewhere is not waited for.
///
/// A failing store, or a bump that waits, is nothing cached; so is a future without a cached
/// call, and a batch of which one element is missing. Of a `Result`, what is cached comes as
/// `Some(Ok(..))`.
///
/// ```
/// # use fragkeys_runtime::{Config, peek};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cache = Config::memory().build().await?;
/// let entry = cache.entry("answer");
/// assert_eq!(peek(entry.get_or_set_with(|| async { 42 })).await, None);
/// entry.set(&41).await?;
/// assert_eq!(peek(entry.get_or_set_with(|| async { 42 })).await, Some(41));
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn peek<F: Future>(future: F) -> Option<F::Output> {
    match give(Wish::Peek, future).await {
        Told::Output(output, true) => Some(output),
        _ => None,
    }
}

/// Runs the function of a call whatever is cached, and stores its value in the place of that.
///
/// About the outermost cached call in the future, as with [`peek`]. Calls for the same that
/// come while it runs share this run, and a run that began before it is not stored after it; both
/// in this process. An
/// `Err`, and a value that `cache_if` refuses, leave what is cached as it is. Dropped before
/// its end, it has changed nothing. A batch runs for all of its elements, and shares no run.
///
/// ```
/// # use fragkeys_runtime::{Config, refresh};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cache = Config::memory().build().await?;
/// let entry = cache.entry("answer");
/// entry.set(&41).await?;
/// assert_eq!(refresh(entry.get_or_set_with(|| async { 42 })).await, 42);
/// assert_eq!(entry.get::<i32>().await?, Some(42));
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn refresh<F: Future>(future: F) -> F::Output {
    ORDER.scope(Order::new(Wish::Refresh), future).await
}

/// Drops the entry of a call, as it is under the present versions of its tags, and never runs
/// its function; says whether the entry was there.
///
/// About the outermost cached call in the future, as with [`peek`], which is dropped there. With
/// `stale_if_error`, the value that would stand in for an error is dropped, too. A
/// run of it that is under way in this process is not stored any more; one in another may be. At
/// once, also inside of [`on_commit`](crate::on_commit): a reader may store it again before the
/// commit. To make others miss for a change of the data, bump a tag.
///
/// Of a batch, the entries of all its elements, and whether one was there; what is under way for
/// it is stored all the same. `false` too if the store failed, which is counted and logged as ever, and for a future
/// without a cached call.
///
/// ```
/// # use fragkeys_runtime::{Config, evict};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cache = Config::memory().build().await?;
/// let entry = cache.entry("answer");
/// entry.set(&41).await?;
/// assert!(evict(entry.get_or_set_with(|| async { 42 })).await);
/// assert_eq!(entry.get::<i32>().await?, None);
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn evict<F: Future>(future: F) -> bool {
    matches!(give(Wish::Evict, future).await, Told::Reply(Reply::Evicted(true)))
}

/// Runs the function of a call as if it were not cached: nothing is read, stored or shared.
///
/// About the outermost cached call in the future, as with [`peek`]; calls nested in it are
/// cached as ever.
///
/// ```
/// # use fragkeys_runtime::{Config, bypass};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cache = Config::memory().build().await?;
/// let entry = cache.entry("answer");
/// entry.set(&41).await?;
/// assert_eq!(bypass(entry.get_or_set_with(|| async { 42 })).await, 42);
/// assert_eq!(entry.get::<i32>().await?, Some(41));
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn bypass<F: Future>(future: F) -> F::Output {
    ORDER.scope(Order::new(Wish::Bypass), future).await
}

/// The key of a call's entry under the present versions of its tags, for a look with
/// `redis-cli`. Never runs its function.
///
/// About the outermost cached call in the future, as with [`peek`], which is dropped there.
/// Where the versions cannot be read, or the call cannot be cached, the key ends in `:?`; it is
/// empty for a future without a cached call. Of a batch, those of its elements, one a line.
///
/// ```
/// # use fragkeys_runtime::{Config, key_of};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let cache = Config::memory().build().await?;
/// let entry = cache.entry("answer");
/// let key = key_of(entry.get_or_set_with(|| async { 42 })).await;
/// assert_eq!(key, entry.key().await?);
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn key_of<F: Future>(future: F) -> String {
    match give(Wish::KeyOf, future).await {
        Told::Reply(Reply::Key(key)) => key,
        _ => String::new(),
    }
}

/// What is to become of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish {
    Peek,
    Refresh,
    Evict,
    Bypass,
    KeyOf,
    Prime,
}

/// The answer of a call that does not run its function.
#[derive(Debug)]
pub(crate) enum Reply {
    NotCached,
    Evicted(bool),
    Key(String),
    Primed(bool),
}

#[derive(Debug)]
pub(crate) struct Order {
    wish: Wish,
    /// Who has taken it: the function or entry.
    taken_by: OnceLock<Arc<str>>,
    reply: Mutex<Option<Reply>>,
}

tokio::task_local! {
    static ORDER: Arc<Order>;
}

impl Order {
    fn new(wish: Wish) -> Arc<Self> {
        Arc::new(Order { wish, taken_by: OnceLock::new(), reply: Mutex::default() })
    }

    /// Taken before the body runs, so that calls nested in it are as ever.
    pub(crate) fn take(name: &Arc<str>) -> Option<Arc<Self>> {
        let order = ORDER.try_with(Arc::clone).ok()?;
        order.taken_by.set(name.clone()).is_ok().then_some(order)
    }

    /// The function or entry that has taken it.
    pub(crate) fn taken_by(&self) -> &str {
        self.taken_by.get().map_or("", |name| name)
    }

    pub(crate) fn wish(&self) -> Wish {
        self.wish
    }

    /// Answers who gave the order, who then drops this future: it never goes on.
    pub(crate) async fn reply<R>(&self, reply: Reply) -> R {
        *self.reply.lock().unwrap_or_else(PoisonError::into_inner) = Some(reply);
        std::future::pending().await
    }
}

/// What is ordered of the next cached call here, if anything is.
pub(crate) fn next_wish() -> Option<Wish> {
    let next = |order: &Arc<Order>| order.taken_by.get().is_none().then_some(order.wish);
    ORDER.try_with(next).ok().flatten()
}

/// How a future with an order has ended.
enum Told<T> {
    /// With its own output; and whether a call took the order.
    Output(T, bool),
    Reply(Reply),
}

async fn give<F: Future>(wish: Wish, future: F) -> Told<F::Output> {
    let order = Order::new(wish);
    let mut future = pin!(ORDER.scope(order.clone(), future));
    std::future::poll_fn(|context| {
        let polled = future.as_mut().poll(context);
        if let Some(reply) = order.reply.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Poll::Ready(Told::Reply(reply));
        }
        polled.map(|output| Told::Output(output, order.taken_by.get().is_some()))
    })
    .await
}
