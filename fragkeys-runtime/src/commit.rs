//! Bumps that wait for a commit.
//!
//! A bump before the commit is worse than useless: a reader in between stores the old row
//! under the new version. And what is read inside of a transaction is nobody else's to read:
//! rows that are not committed, or a snapshot that is older than the versions. So inside of a
//! scope bumps are held, what depends on them is not read, and nothing at all is stored.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use crate::cache::Cache;
use crate::cache::bump::{Bump, send_all};
use crate::error::Error;
use crate::log::warning;
use crate::tag::Tag;
use crate::version::Bumped;

tokio::task_local! {
    static SCOPE: CommitScope;
}

/// Runs a future and sends the bumps made inside of it once it is `Ok`: bumps after the commit.
///
/// Every bump inside (`invalidate!`, [`Cache::invalidate`], models, hooks of an ORM) is held.
/// If the future gives `Ok`, they are sent, those of each cache in one round trip; an `Err`, a
/// panic, or dropping the future drops them. Where a commit can happen although the future does
/// not give `Ok` (its answer is lost, or something fails after it), wrap it in [`committing`].
///
/// Inside, a cached function that depends on a held tag runs: neither read from the cache nor
/// stored. Others are read as ever, but nothing is stored: a transaction sees rows that nobody
/// else does. So keep what has nothing to do with the transaction outside.
///
/// A scope inside of another joins it: its bumps wait for the outermost one, which decides,
/// whatever the inner one gave; for what is rolled back that costs a miss. Tasks that are
/// spawned inside do not belong to the scope, but for what [`CommitScope::run`] runs.
///
/// A bump that fails after the commit is queued and retried, as with any bump, and does not
/// change the answer: the change is committed. [`OnCommit::report`] tells.
///
/// ```
/// # use fragkeys_runtime::{Tag, cache, committing, on_commit};
/// # struct Transaction;
/// # impl Transaction { async fn commit(self) -> Result<(), std::io::Error> { Ok(()) } }
/// # async fn begin() -> Result<Transaction, std::io::Error> { Ok(Transaction) }
/// # async fn rename(_: &Transaction, _: u64) -> Result<(), std::io::Error> { Ok(()) }
/// # async fn example() -> Result<(), std::io::Error> {
/// on_commit(async {
///     let transaction = begin().await?;
///     rename(&transaction, 42).await?;
///     let bumped = cache().invalidate([Tag::new("User", 42)]).await;
///     assert_eq!(bumped.unwrap().held(), [Tag::new("User", 42)]); // not yet
///     committing(transaction.commit()).await
/// })
/// .await // now
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
pub fn on_commit<F, T, E>(future: F) -> OnCommit<F, T>
where
    F: Future<Output = Result<T, E>>,
{
    OnCommit { future, stage: Stage::Unpolled }
}

/// Runs a commit whose bumps are sent whatever becomes of the scope around it.
///
/// Whether a commit happened is not known if its connection is lost, or if the future is
/// dropped while it is under way; and something may fail after it. A bump too many costs a
/// miss, one too few a stale answer: so from the first poll of this future on, all bumps held
/// so far are certain. If the scope then ends in `Ok` they are sent as ever, else they are
/// queued and sent in the background.
///
/// If this future is dropped before the commit has ended, the database may commit after that,
/// and a reader in between would store the old row under the new version. So these bumps are
/// repeated: after 1, 5 and 30 seconds. Where callers hang up and commits are slow, run the
/// write in a task of its own (`tokio::spawn`), which nobody drops.
///
/// Outside of a scope it is just the commit.
pub async fn committing<F: Future>(commit: F) -> F::Output {
    let under_way = open_scope().map(UnderWay::begin);
    let output = commit.await;
    under_way.into_iter().for_each(UnderWay::end);
    output
}

/// A commit that has not ended. Dropped, nobody knows when it will.
struct UnderWay {
    scope: CommitScope,
    has_ended: bool,
}

impl UnderWay {
    fn begin(scope: CommitScope) -> Self {
        scope.lock().make_certain();
        UnderWay { scope, has_ended: false }
    }

    fn end(mut self) {
        self.has_ended = true;
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.has_ended {
            self.scope.lock().is_commit_left = true;
        }
    }
}

/// The [`on_commit`] scope that the running code is in, for tasks that it spawns.
///
/// ```
/// # use fragkeys_runtime::{CommitScope, Tag, cache, on_commit};
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// on_commit(async {
///     let scope = CommitScope::current().expect("inside of `on_commit`");
///     let bump = async { cache().invalidate([Tag::new("User", 42)]).await };
///     tokio::spawn(scope.run(bump)).await??; // held, as it would be here
///     Ok(())
/// })
/// .await
/// # }
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(example()).unwrap();
/// ```
#[derive(Clone)]
pub struct CommitScope {
    held: Arc<Mutex<Held>>,
}

impl CommitScope {
    /// The scope around the running code; `None` outside of one, or when it has ended.
    #[must_use]
    pub fn current() -> Option<Self> {
        open_scope()
    }

    /// Runs a future as a part of this scope, in whatever task.
    ///
    /// When the scope has ended, the future runs as outside of one: a bump is sent at once.
    pub async fn run<F: Future>(self, future: F) -> F::Output {
        SCOPE.scope(self, future).await
    }

    /// Holds bumps; `false` if the scope has ended.
    pub(crate) fn hold(&self, caches: &[Cache], tags: &[Tag]) -> bool {
        let mut held = self.lock();
        if !held.is_open {
            return false;
        }
        for cache in caches {
            held.batch(cache).add(tags);
        }
        true
    }

    fn holds_any(&self, cache: &Cache, tags: &[Tag]) -> bool {
        let held = self.lock();
        let mut batches = held.batches.iter().filter(|batch| batch.cache.is(cache));
        batches.any(|batch| tags.iter().any(|tag| batch.tags.contains_key(tag)))
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CommitScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let held = self.lock();
        let tags: usize = held.batches.iter().map(|batch| batch.tags.len()).sum();
        f.debug_struct("CommitScope").field("is_open", &held.is_open).field("tags", &tags).finish()
    }
}

/// The scope around the running code, unless it has ended.
pub(crate) fn open_scope() -> Option<CommitScope> {
    SCOPE.try_with(Clone::clone).ok().filter(|scope: &CommitScope| scope.lock().is_open)
}

/// May the transaction around the running code see what others may not?
pub(crate) fn is_inside() -> bool {
    open_scope().is_some()
}

/// Does a bump of one of these tags wait for the commit?
pub(crate) fn holds_any(cache: &Cache, tags: &[Tag]) -> bool {
    open_scope().is_some_and(|scope| scope.holds_any(cache, tags))
}

struct Held {
    is_open: bool,
    /// A commit was left while it was under way.
    is_commit_left: bool,
    batches: Vec<Batch>,
}

/// What is held for one cache.
struct Batch {
    cache: Cache,
    /// Each tag, and whether it is to be bumped whatever happens.
    tags: BTreeMap<Tag, bool>,
}

impl Held {
    fn batch(&mut self, cache: &Cache) -> &mut Batch {
        let index = self.batches.iter().position(|batch| batch.cache.is(cache));
        let index = index.unwrap_or_else(|| {
            self.batches.push(Batch { cache: cache.clone(), tags: BTreeMap::new() });
            self.batches.len() - 1
        });
        &mut self.batches[index]
    }

    fn make_certain(&mut self) {
        for batch in &mut self.batches {
            batch.tags.values_mut().for_each(|is_certain| *is_certain = true);
        }
    }

    fn tags(&self) -> Vec<Tag> {
        self.batches.iter().flat_map(|batch| batch.tags.keys().cloned()).collect()
    }

    /// Ends the scope and gives the bumps that are due.
    fn end(&mut self, is_ok: bool) -> Vec<Bump> {
        self.is_open = false;
        let is_due = |(tag, is_certain)| (is_ok || is_certain).then_some(tag);
        std::mem::take(&mut self.batches)
            .into_iter()
            .map(|Batch { cache, tags }| {
                Bump::new(cache, tags.into_iter().filter_map(is_due).collect())
            })
            .filter(|bump| !bump.is_empty())
            .collect()
    }
}

impl Batch {
    /// Past the bound that failed bumps have too, it is one bump of the whole cache (I7).
    fn add(&mut self, tags: &[Tag]) {
        for tag in tags {
            self.tags.entry(tag.clone()).or_insert(false);
        }
        let bound = self.cache.max_queued_bumps();
        if self.tags.len() > bound {
            warning!(
                "more than {bound} bumps wait for a commit: they become one bump of the whole cache"
            );
            let is_certain = self.tags.values().any(|is_certain| *is_certain);
            self.tags = BTreeMap::from([(Tag::root(), is_certain)]);
        }
    }
}

/// The scope of one [`OnCommit`]. Dropped, it ends, and only what is certain is bumped.
struct Owned(CommitScope);

impl Owned {
    fn new() -> Self {
        let held = Held { is_open: true, is_commit_left: false, batches: Vec::new() };
        Owned(CommitScope { held: Arc::new(Mutex::new(held)) })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let (certain, is_commit_left) = {
            let mut held = self.0.lock();
            (held.end(false), held.is_commit_left)
        };
        if is_commit_left {
            certain.iter().for_each(Bump::repeat_later);
        }
        // Each is queued as it is dropped.
    }
}

pin_project! {
    /// The future that [`on_commit`] gives: its output is that of the future inside.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct OnCommit<F, T> {
        #[pin]
        future: F,
        stage: Stage<T>,
    }
}

enum Stage<T> {
    Unpolled,
    /// The scope around this one decides.
    Joined(CommitScope),
    Running(Owned),
    Sending(Option<T>, Pin<Box<dyn Future<Output = Result<Bumped, Error>> + Send>>),
    Done,
}

/// What came of a transaction and of its bumps; see [`OnCommit::report`].
#[non_exhaustive]
#[derive(Clone, Debug)]
pub struct Committed<T> {
    /// What the future gave.
    pub value: T,
    /// The bumps: done; held, if the scope joined another; or failed, queued and retried.
    pub bumped: Result<Bumped, Error>,
}

impl<F, T, E> OnCommit<F, T>
where
    F: Future<Output = Result<T, E>>,
{
    /// Tells what became of the bumps, too.
    ///
    /// # Errors
    ///
    /// The future's own. A failed bump is in [`Committed::bumped`].
    pub async fn report(self) -> Result<Committed<T>, E> {
        let mut this = std::pin::pin!(self);
        std::future::poll_fn(|context| this.as_mut().poll_committed(context)).await
    }

    fn poll_committed(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Committed<T>, E>> {
        let mut this = self.project();
        loop {
            match this.stage {
                Stage::Unpolled => {
                    *this.stage = match open_scope() {
                        Some(around) => Stage::Joined(around),
                        None => Stage::Running(Owned::new()),
                    };
                }
                Stage::Joined(scope) => {
                    let poll = || this.future.as_mut().poll(context);
                    let output = ready!(SCOPE.sync_scope(scope.clone(), poll));
                    let bumped = Ok(Bumped::held_back(scope.lock().tags()));
                    *this.stage = Stage::Done;
                    return Poll::Ready(output.map(|value| Committed { value, bumped }));
                }
                Stage::Running(owned) => {
                    let poll = || this.future.as_mut().poll(context);
                    let value = match ready!(SCOPE.sync_scope(owned.0.clone(), poll)) {
                        Ok(value) => value,
                        Err(error) => {
                            *this.stage = Stage::Done;
                            return Poll::Ready(Err(error));
                        }
                    };
                    // In the same poll as the `Ok`, so that no drop can come between.
                    let bumps = owned.0.lock().end(true);
                    *this.stage = Stage::Sending(Some(value), Box::pin(send_all(bumps)));
                }
                Stage::Sending(value, sending) => {
                    let bumped = ready!(sending.as_mut().poll(context));
                    let value = value.take();
                    *this.stage = Stage::Done;
                    if let Some(value) = value {
                        return Poll::Ready(Ok(Committed { value, bumped }));
                    }
                }
                Stage::Done => unreachable!("`on_commit` was polled after it had ended"),
            }
        }
    }
}

impl<F, T, E> Future for OnCommit<F, T>
where
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<T, E>> {
        self.poll_committed(context).map_ok(|committed| committed.value)
    }
}

impl<F, T> fmt::Debug for OnCommit<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnCommit").finish_non_exhaustive()
    }
}
