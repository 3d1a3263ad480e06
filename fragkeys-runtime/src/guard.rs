//! Write-ahead invalidation: tags are marked before a change, so that no crash loses its bump.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::cache::bump::send_all;
use crate::cache::mark::Marks;
use crate::commit;
use crate::error::Error;
use crate::global;
use crate::log::warning;
use crate::tag::Tag;
use crate::together::together;
use crate::version::Bumped;

/// Runs a future that changes what these tags stand for, and bumps them when it has ended: with no
/// moment in between in which a crash would lose the bump.
///
/// Before the future is polled, the tags are marked, in one round trip. While a tag is marked, nothing
/// that depends on it is read from a cache, or stored, in whichever process: functions run. When the
/// future has ended, whatever it gave, each tag gets a new version. If the process dies before that,
/// or this future is dropped or panics, the marks end by themselves after
/// [`Config::guard_timeout`](crate::Config::guard_timeout), and whoever reads the tag next gives it a
/// fresh version, so that nothing from before the change is found again.
///
/// A plain bump after the commit does not have that: a process that dies in between leaves what is
/// cached as it was. The price are two round trips instead of one, and calls that run meanwhile. So
/// keep what it holds short: the transaction.
///
/// Of several guards of a tag, the last to end gives it the version that can be read. A bump by others
/// meanwhile is `Ok` and does not end the guard. While it lives, it says so four times in
/// `guard_timeout`; if it cannot for longer than that, its tags are cached again, until it can, or
/// ends and bumps them.
///
/// The future runs whatever becomes of the marks: a cache that is away keeps nobody from writing. It is
/// bumped then as by [`Cache::invalidate`](crate::Cache::invalidate), queued if that fails, and
/// without the promise about crashes. [`Guard::report`] tells. Inside of
/// [`on_commit`](crate::on_commit) the marks stay until the scope has ended;
/// [`OnCommit::write_ahead`](crate::OnCommit::write_ahead) marks what is bumped inside of one.
///
/// Tags at keys of others (of `fragmented_keys`) cannot be marked, and are only bumped at the end.
///
/// ```
/// # use fragkeys_runtime::{Tag, guard};
/// # struct Transaction;
/// # impl Transaction { async fn commit(self) -> Result<(), std::io::Error> { Ok(()) } }
/// # async fn begin() -> Result<Transaction, std::io::Error> { Ok(Transaction) }
/// # async fn rename(_: &Transaction, _: u64) -> Result<(), std::io::Error> { Ok(()) }
/// # async fn example() -> Result<(), std::io::Error> {
/// guard([Tag::new("User", 42)], async {
///     let transaction = begin().await?;
///     rename(&transaction, 42).await?;
///     transaction.commit().await
/// })
/// .await
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub fn guard<I, F>(tags: I, future: F) -> Guard<F>
where
    I: IntoIterator,
    I::Item: Into<Tag>,
    F: Future,
{
    let mut seen = HashSet::new();
    let tags = tags.into_iter().map(Into::into).filter(|tag: &Tag| seen.insert(tag.clone()));
    Guard { future, stage: Stage::Unpolled(tags.collect()) }
}

pin_project! {
    /// The future that [`guard`] gives: its output is that of the future inside.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Guard<F>
    where
        F: Future,
    {
        #[pin]
        future: F,
        stage: Stage<F::Output>,
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Stage<T> {
    Unpolled(Vec<Tag>),
    Marking(Boxed<Held>),
    Running(Held),
    Ending(Option<T>, Result<(), Error>, Boxed<Result<Bumped, Error>>),
    Done,
}

/// What a guard holds.
struct Held {
    tags: Vec<Tag>,
    /// In each cache.
    marks: Vec<Arc<Marks>>,
    marked: Result<(), Error>,
    /// There is a tag among them that cannot be bumped at all.
    refused: Result<(), Error>,
}

/// What came of a guarded future, and of its tags; see [`Guard::report`].
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Guarded<T> {
    /// What the future gave.
    pub value: T,
    /// Were the tags marked before it ran? If not, a crash before their bump would have lost it.
    pub marked: Result<(), Error>,
    /// The bumps after it: done; held, inside of [`on_commit`](crate::on_commit); or failed, queued
    /// and retried.
    pub bumped: Result<Bumped, Error>,
}

impl Held {
    /// Marks the tags in all caches that functions use here, as a bump is sent to all of them.
    async fn begin(mut tags: Vec<Tag>) -> Held {
        let mut refused = Ok(());
        tags.retain(|tag| match tag.check_bumpable() {
            Ok(()) => true,
            Err(error) => {
                warning!("a guard goes on without a tag: {error}");
                refused = Err(error);
                false
            }
        });
        let marks: Vec<Arc<Marks>> = global::caches().into_iter().map(Marks::new).collect();
        let outcomes = together(marks.iter().map(|marks| marks.add(&tags))).await;
        let marked = outcomes.into_iter().fold(refused.clone(), Result::and);
        Held { tags, marks, marked, refused }
    }

    /// What bumps the tags; a scope around a transaction takes them over.
    fn end(self) -> (Result<(), Error>, Boxed<Result<Bumped, Error>>) {
        let Held { tags, marks, marked, refused } = self;
        let caches = global::caches();
        if let Some(scope) = commit::open_scope()
            && scope.hold(&caches, &tags)
        {
            scope.adopt(marks);
            let bumped = refused.map(|()| Bumped::held_back(tags));
            return (marked, Box::pin(std::future::ready(bumped)));
        }
        let sending = send_all(marks.iter().flat_map(|marks| marks.end()).collect());
        let bumped = async move {
            let bumped = sending.await;
            refused.and(bumped)
        };
        (marked, Box::pin(bumped))
    }
}

impl<F: Future> Guard<F> {
    /// Tells what became of the tags, too.
    pub async fn report(self) -> Guarded<F::Output> {
        let mut this = std::pin::pin!(self);
        std::future::poll_fn(|context| this.as_mut().poll_guarded(context)).await
    }

    fn poll_guarded(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Guarded<F::Output>> {
        let mut this = self.project();
        loop {
            match this.stage {
                Stage::Unpolled(tags) => {
                    let marking = Held::begin(std::mem::take(tags));
                    *this.stage = Stage::Marking(Box::pin(marking));
                }
                Stage::Marking(marking) => {
                    *this.stage = Stage::Running(ready!(marking.as_mut().poll(context)));
                }
                Stage::Running(_) => {
                    let value = ready!(this.future.as_mut().poll(context));
                    // In the same poll as its end, so that no drop can come between.
                    if let Stage::Running(held) = std::mem::replace(this.stage, Stage::Done) {
                        let (marked, sending) = held.end();
                        *this.stage = Stage::Ending(Some(value), marked, sending);
                    }
                }
                Stage::Ending(value, marked, sending) => {
                    let bumped = ready!(sending.as_mut().poll(context));
                    let (value, marked) = (value.take(), marked.clone());
                    *this.stage = Stage::Done;
                    if let Some(value) = value {
                        return Poll::Ready(Guarded { value, marked, bumped });
                    }
                }
                Stage::Done => unreachable!("`guard` was polled after it had ended"),
            }
        }
    }
}

impl<F: Future> Future for Guard<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.poll_guarded(context).map(|guarded| guarded.value)
    }
}

impl<F: Future> fmt::Debug for Guard<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}
