//! A transaction and the scope of its bumps, as one.

use std::sync::Once;

use fragkeys::{CommitScope, attached, committing, on_commit};
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, SqliteTransactionMode, TransactionOptions,
    TransactionSession, TransactionTrait,
};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::connection::Connection;

/// Runs a closure in a transaction, and bumps what changed in it after the commit.
///
/// `Ok` commits, then bumps; an `Err`, a panic, or dropping the future rolls back and bumps
/// nothing. A commit that has begun is brought to its end in a task of its own, and its bumps
/// after it, also if the future is dropped meanwhile: a client may hang up at any time. If its
/// answer is lost, they are sent: one too many costs a miss.
///
/// Inside of an [`on_commit`] there is no such task: dropped during the commit, its bumps are
/// queued and repeated, as by [`committing`]. They wait for that `on_commit` to end. Given a transaction, this is
/// a savepoint of it, and the scope is the one that the outer `transaction` has opened; if the
/// savepoint is rolled back they stay held, which costs a miss. A connection of another type,
/// such as SeaORM's `DatabaseExecutor`, may be in a transaction: what it begins is committed here,
/// as in an `on_commit`, and outside of one a warning says so once.
///
/// What the closure writes past its transaction, through the connection itself, is visible at
/// once, but bumped when the scope ends: until then others find what was. It stays written if the
/// closure fails; so then everything held so far is bumped all the same. Write it before, or in a
/// task of its own. On SQLite it waits for the transaction itself, and fails.
///
/// On SQLite it begins `Immediate`: each update and delete reads its row first, and a transaction
/// that reads before it writes fails when somebody else wrote in between. One that only reads
/// need not wait for writers: [`transaction_with`].
///
/// # Errors
///
/// The closure's, and the database's when it begins or commits.
///
/// # Examples
///
/// ```
/// # use sea_orm::{ConnectionTrait, Database, DbErr};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), DbErr> {
/// # let db = Database::connect("sqlite::memory:").await?;
/// let answer = fragkeys_sea_orm::transaction(&db, async |transaction| {
///     transaction.execute_unprepared("CREATE TABLE shelf (id INTEGER)").await?;
///     Ok::<_, DbErr>(42)
/// })
/// .await?;
/// # assert_eq!(answer, 42);
/// # Ok(())
/// # }
/// ```
pub async fn transaction<D, F, T, E>(db: &D, work: F) -> Result<T, E>
where
    D: ConnectionTrait + TransactionTrait<Transaction: 'static>,
    F: AsyncFnOnce(&D::Transaction) -> Result<T, E>,
    E: From<DbErr>,
{
    transaction_with(TransactionOptions::default(), db, work).await
}

/// Like [`transaction`], with an isolation level, an access mode, or SQLite's way to begin.
///
/// On SQLite it begins `Immediate` if no mode is given, but for one that is
/// [`AccessMode::ReadOnly`].
///
/// # Errors
///
/// As [`transaction`].
///
/// # Examples
///
/// ```
/// # use sea_orm::{Database, DbErr};
/// use sea_orm::{SqliteTransactionMode, TransactionOptions};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), DbErr> {
/// # let db = Database::connect("sqlite::memory:").await?;
/// let options = TransactionOptions {
///     sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
///     ..TransactionOptions::default()
/// };
/// fragkeys_sea_orm::transaction_with(options, &db, async |_| Ok::<_, DbErr>(())).await
/// # }
/// ```
pub async fn transaction_with<D, F, T, E>(
    options: TransactionOptions,
    db: &D,
    work: F,
) -> Result<T, E>
where
    D: ConnectionTrait + TransactionTrait<Transaction: 'static>,
    F: AsyncFnOnce(&D::Transaction) -> Result<T, E>,
    E: From<DbErr>,
{
    let connection = Connection::of::<D>();
    if connection.may_be_transaction() {
        warn_outside_of_scope(connection);
    }
    let options = with_mode(options, db.get_database_backend());
    let transaction = db.begin_with_options(options).await?;
    match (CommitScope::current(), Handle::try_current()) {
        (None, Ok(runtime)) if !connection.may_be_transaction() => {
            in_a_task(&runtime, transaction, work).await
        }
        _ => {
            let is_savepoint = connection == Connection::Transaction;
            on_commit(in_here(transaction, is_savepoint, work)).await
        }
    }
}

/// On SQLite, one that is about to write must lock before it reads. Elsewhere there is no mode.
fn with_mode(options: TransactionOptions, backend: DbBackend) -> TransactionOptions {
    let is_to_write = options.access_mode != Some(AccessMode::ReadOnly);
    if backend != DbBackend::Sqlite || !is_to_write {
        return options;
    }
    let mode = options.sqlite_transaction_mode.unwrap_or(SqliteTransactionMode::Immediate);
    TransactionOptions { sqlite_transaction_mode: Some(mode), ..options }
}

/// Commits where the closure ran, in the scope that is around it.
async fn in_here<S, F, T, E>(transaction: S, is_savepoint: bool, work: F) -> Result<T, E>
where
    S: TransactionSession,
    F: AsyncFnOnce(&S) -> Result<T, E>,
    E: From<DbErr>,
{
    // Boxed: transactions in transactions would overflow the compiler's depth limit.
    match Box::pin(work(&transaction)).await {
        Ok(value) if is_savepoint => transaction.commit().await.map(|()| value),
        Ok(value) => committing(transaction.commit()).await.map(|()| value),
        Err(error) => return rolled_back(transaction, error).await,
    }
    .map_err(E::from)
}

/// Commits and bumps in a task of its own, which has the scope: dropped between the two, or
/// while the commit is under way, the bumps would come before it, or never.
async fn in_a_task<S, F, T, E>(runtime: &Handle, transaction: S, work: F) -> Result<T, E>
where
    S: TransactionSession + Send + 'static,
    F: AsyncFnOnce(&S) -> Result<T, E>,
    E: From<DbErr>,
{
    let (committer, scope) = Committer::start(runtime).await?;
    match Box::pin(scope.run(work(&transaction))).await {
        Ok(value) => committer.commit(transaction).await.map(|()| value).map_err(E::from),
        Err(error) => {
            let answer = rolled_back(transaction, error).await;
            committer.give_up().await;
            answer
        }
    }
}

/// The task that has the scope, and waits for the transaction to commit.
struct Committer<S> {
    transaction: oneshot::Sender<S>,
    task: JoinHandle<Result<(), Option<DbErr>>>,
}

impl<S: TransactionSession + Send + 'static> Committer<S> {
    async fn start(runtime: &Handle) -> Result<(Self, CommitScope), DbErr> {
        let (give_scope, scope) = oneshot::channel();
        let (transaction, receive) = oneshot::channel::<S>();
        let commit = on_commit(async {
            // Whoever is not there to take it never gives a transaction either.
            let _ = give_scope.send(CommitScope::current());
            let transaction = receive.await.map_err(|_| None)?;
            committing(transaction.commit()).await.map_err(Some)
        });
        let task = runtime.spawn(attached(commit).in_current_span());
        let scope = scope.await.ok().flatten().ok_or_else(runtime_ends)?;
        Ok((Committer { transaction, task }, scope))
    }

    async fn commit(self, transaction: S) -> Result<(), DbErr> {
        self.transaction.send(transaction).map_err(|_| runtime_ends())?;
        let ended = self.task.await.map_err(|_| commit_is_lost())?;
        ended.map_err(|error| error.unwrap_or_else(runtime_ends))
    }

    /// Without a transaction the scope ends in an error, and its bumps are dropped.
    async fn give_up(self) {
        drop(self.transaction);
        // It always says that there was none.
        let _ = self.task.await;
    }
}

/// The closure's error says more than the rollback's; and what is not committed is rolled back
/// with its connection at the latest.
async fn rolled_back<S: TransactionSession, T, E>(transaction: S, error: E) -> Result<T, E> {
    if let Err(rollback) = transaction.rollback().await {
        tracing::warn!("a rollback failed: {rollback}");
    }
    Err(error)
}

fn runtime_ends() -> DbErr {
    DbErr::Custom("the runtime ended before the commit".to_owned())
}

fn commit_is_lost() -> DbErr {
    let message = "the task that commits ended early; whether it committed is not known";
    DbErr::Custom(message.to_owned())
}

/// Then the scope of the savepoint ends before the commit of the transaction around it.
fn warn_outside_of_scope(connection: Connection) {
    static SAID: Once = Once::new();
    static SAID_OF_UNKNOWN: Once = Once::new();
    if CommitScope::current().is_some() {
        return;
    }
    if connection == Connection::Transaction {
        SAID.call_once(|| {
            tracing::warn!(
                "`fragkeys_sea_orm::transaction` was given a transaction that is outside of \
                 `fragkeys::on_commit`: tags are bumped when the savepoint ends, before the \
                 commit. Begin the outer one with `fragkeys_sea_orm::transaction`, too"
            );
        });
    } else {
        SAID_OF_UNKNOWN.call_once(|| {
            tracing::warn!(
                "`fragkeys_sea_orm::transaction` was given a connection that may be in a \
                 transaction, outside of `fragkeys::on_commit`: if it is, tags are bumped when \
                 the savepoint ends, before the commit. Give it a `DatabaseConnection`, or begin \
                 the outer one with `fragkeys_sea_orm::transaction`, too"
            );
        });
    }
}
