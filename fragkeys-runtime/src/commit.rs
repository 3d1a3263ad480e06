//! Bumps that wait for a commit.
//!
//! A bump before the commit is worse than useless: a reader in between stores the old row
//! under the new version. And what is read inside of a transaction is nobody else's to read:
//! rows that are not committed, or a snapshot that is older than the versions. So inside of a
//! scope bumps are held, what depends on them is not read, and nothing at all is stored.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tokio::runtime::Handle;

use crate::cache::Cache;
use crate::cache::bump::{Bump, send_all};
use crate::cache::mark::Marks;
use crate::error::Error;
use crate::tag::Tag;
use crate::together::together;
use crate::version::Bumped;

mod held;

use held::Held;

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
    OnCommit { future, stage: Stage::Unpolled, is_write_ahead: false }
}

/// Runs a commit whose bumps are sent whatever becomes of the scope around it.
///
/// Whether a commit happened is not known if its connection is lost, or if the future is
/// dropped while it is under way; and something may fail after it. A bump too many costs a
/// miss, one too few a stale answer: so from the first poll of this future on, the bumps of the
/// scope are certain. If it then ends in `Ok` they are sent as ever, else they are queued and
/// sent in the background.
///
/// In that case, and if this future is dropped before its end, the database may commit after the
/// bump, and a reader in between would store the old row under the new version. So such bumps
/// are repeated: after 1, 5 and 30 seconds. Where callers hang up and commits are slow, run the
/// write in a task of its own (`tokio::spawn`), which nobody drops.
///
/// Outside of a scope it is just the commit.
pub async fn committing<F: Future>(commit: F) -> F::Output {
    let mut under_way = open_scope().map(UnderWay::begin);
    let output = commit.await;
    if let Some(under_way) = &mut under_way {
        under_way.has_ended = true;
    }
    output
}

/// Says that a commit follows which cannot be wrapped in [`committing`]: that of a driver which
/// commits by itself when a closure has given `Ok`. Call it last in that closure. From then on
/// the bumps of the scope are certain, as they are when `committing` begins.
///
/// Outside of a scope it does nothing.
pub fn commit_follows() {
    if let Some(scope) = open_scope() {
        scope.with_those_around().for_each(|scope| scope.lock().make_certain());
    }
}

/// A commit that has not ended. Dropped, nobody knows when it will.
struct UnderWay {
    scope: CommitScope,
    has_ended: bool,
}

impl UnderWay {
    fn begin(scope: CommitScope) -> Self {
        scope.with_those_around().for_each(|scope| scope.lock().begin_commit());
        UnderWay { scope, has_ended: false }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        for scope in self.scope.with_those_around() {
            let due = scope.lock().end_commit(!self.has_ended);
            // Queued as they are dropped.
            drop(due.bumps());
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
    /// The one that it joined.
    around: Option<Arc<CommitScope>>,
    /// Are tags marked when their bumps are held?
    is_write_ahead: bool,
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
        let mut is_held = false;
        let mut overflows = Vec::new();
        for scope in self.with_those_around() {
            let mut held = scope.lock();
            if !held.has_ended {
                is_held = true;
                overflows.extend(caches.iter().filter_map(|cache| held.add(cache, tags)));
            }
        }
        overflows.iter().for_each(|overflow| overflow.log("a commit"));
        is_held
    }

    /// Marks the tags of bumps that are held, if that is asked for.
    pub(crate) async fn mark(&self, caches: &[Cache], tags: &[Tag]) {
        if let Some(marks) = self.marks(caches) {
            // What fails is in the log; it is bumped all the same.
            together(marks.iter().map(|marks| marks.add(tags))).await;
        }
    }

    /// The marks that end with the outermost scope, which decides.
    fn marks(&self, caches: &[Cache]) -> Option<Vec<Arc<Marks>>> {
        let open = || self.with_those_around().filter(|scope| !scope.lock().has_ended);
        let outermost = open().last().filter(|_| open().any(|scope| scope.is_write_ahead))?;
        let mut held = outermost.lock();
        Some(caches.iter().map(|cache| held.marks_of(cache)).collect())
    }

    /// Takes over the marks of a guard that has ended inside.
    pub(crate) fn adopt(&self, marks: Vec<Arc<Marks>>) {
        let outermost = self.with_those_around().filter(|scope| !scope.lock().has_ended).last();
        if let Some(outermost) = outermost {
            outermost.lock().marks.extend(marks);
        }
    }

    /// This scope, and those that it is inside of.
    fn with_those_around(&self) -> impl Iterator<Item = &CommitScope> {
        std::iter::successors(Some(self), |scope| scope.around.as_deref())
    }

    /// The innermost of these that has not ended.
    fn open(&self) -> Option<&CommitScope> {
        self.with_those_around().find(|scope| !scope.lock().has_ended)
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CommitScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (has_ended, tags) = {
            let held = self.lock();
            (held.has_ended, held.tags().len())
        };
        f.debug_struct("CommitScope").field("has_ended", &has_ended).field("tags", &tags).finish()
    }
}

/// The scope around the running code, unless it has ended.
pub(crate) fn open_scope() -> Option<CommitScope> {
    SCOPE.try_with(|scope| scope.open().cloned()).ok().flatten()
}

/// May the transaction around the running code see what others may not?
pub(crate) fn is_inside() -> bool {
    SCOPE.try_with(|scope| scope.open().is_some()).unwrap_or(false)
}

/// Does a bump of one of these tags wait for the commit?
pub(crate) fn holds_any(cache: &Cache, tags: &[Tag]) -> bool {
    let holds = |scope: &CommitScope| scope.lock().holds_any(cache, tags);
    open_scope().is_some_and(|scope| scope.with_those_around().any(holds))
}

/// The scope of one [`OnCommit`]. Dropped, it ends, and only what is certain is bumped.
struct Owned(CommitScope);

impl Owned {
    fn new(is_write_ahead: bool) -> Self {
        let around = open_scope().map(Arc::new);
        Owned(CommitScope { held: Arc::default(), around, is_write_ahead })
    }

    /// Ends the scope. What is due, unless a scope around it has that, too, and decides.
    fn end(&self, is_ok: bool) -> Vec<Bump> {
        let (due, marks) = {
            let mut held = self.0.lock();
            (held.end(is_ok), std::mem::take(&mut held.marks))
        };
        let mut bumps = if self.is_joined() { Vec::new() } else { due.bumps() };
        if is_ok {
            marks.iter().for_each(|marks| marks.end_with(&mut bumps));
        }
        // Else they end by themselves, when a commit that may be under way is over.
        bumps
    }

    /// Nothing was committed: what is marked need not wait for that to be believed.
    fn give_up(&self) {
        let marks = self.0.lock().take_marks_of_nothing();
        let bumps: Vec<Bump> = marks.iter().flat_map(|marks| marks.end()).collect();
        if let Ok(runtime) = Handle::try_current()
            && !bumps.is_empty()
        {
            runtime.spawn(send_all(bumps));
        }
    }

    fn is_joined(&self) -> bool {
        self.0.around.as_deref().is_some_and(|around| around.open().is_some())
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Queued as they are dropped.
        drop(self.end(false));
    }
}

pin_project! {
    /// The future that [`on_commit`] gives: its output is that of the future inside.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct OnCommit<F, T> {
        #[pin]
        future: F,
        stage: Stage<T>,
        is_write_ahead: bool,
    }
}

enum Stage<T> {
    Unpolled,
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
    /// Marks each tag when its bump is held, as [`guard`](crate::guard()) does: so that a process
    /// which dies between commit and bump leaves nothing from before the change to be found.
    ///
    /// Each bump inside costs a round trip then, and what depends on its tag runs in all processes
    /// until the scope has ended: so bump shortly before the commit. After an `Err` without a commit
    /// that has begun ([`committing`]) the tags are bumped as well, at once, since that is how a mark
    /// ends. If the future is dropped, the marks end after
    /// [`Config::guard_timeout`](crate::Config::guard_timeout). A tag that cannot be marked is bumped
    /// all the same, and the log says so.
    ///
    /// Inside of another scope, the marks last until that has ended.
    pub fn write_ahead(mut self) -> Self {
        self.is_write_ahead = true;
        self
    }

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
                    *this.stage = Stage::Running(Owned::new(*this.is_write_ahead));
                }
                Stage::Running(owned) => {
                    let poll = || this.future.as_mut().poll(context);
                    let value = match ready!(SCOPE.sync_scope(owned.0.clone(), poll)) {
                        Ok(value) => value,
                        Err(error) => {
                            owned.give_up();
                            *this.stage = Stage::Done;
                            return Poll::Ready(Err(error));
                        }
                    };
                    if owned.is_joined() {
                        let bumped = Ok(Bumped::held_back(owned.0.lock().tags()));
                        *this.stage = Stage::Done;
                        return Poll::Ready(Ok(Committed { value, bumped }));
                    }
                    // In the same poll as the `Ok`, so that no drop can come between.
                    let bumps = owned.end(true);
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
