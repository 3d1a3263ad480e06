//! A transaction and the scope of its bumps, as one.

use std::sync::Once;

use fragkeys::{CommitScope, committing, on_commit};
use sea_orm::{DbErr, TransactionOptions, TransactionSession, TransactionTrait};

use crate::connection::Connection;

/// Runs a closure in a transaction, and bumps what changed in it after the commit.
///
/// `Ok` commits, then bumps; an `Err`, a panic, or dropping the future rolls back and bumps
/// nothing. If it cannot be known whether the commit happened (its connection was lost, or
/// the future was dropped meanwhile), the bumps are sent: one too many costs a miss.
///
/// Given a transaction, this is a savepoint of it. Then the bumps wait for the
/// [`on_commit`] around it, which the outer `transaction` has opened. They stay held
/// if the savepoint is rolled back, which costs a miss.
///
/// What the closure writes past its transaction, through the connection itself, stays written
/// if it fails; so then everything held so far is bumped all the same.
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
    D: TransactionTrait,
    F: AsyncFnOnce(&D::Transaction) -> Result<T, E>,
    E: From<DbErr>,
{
    transaction_with(TransactionOptions::default(), db, work).await
}

/// Like [`transaction`], with an isolation level, an access mode, or SQLite's way to begin.
///
/// On SQLite, a transaction that reads before it writes fails when somebody else wrote in
/// between, and each update and delete reads its row first: begin `Immediate` there.
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
///     sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
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
    D: TransactionTrait,
    F: AsyncFnOnce(&D::Transaction) -> Result<T, E>,
    E: From<DbErr>,
{
    let is_savepoint = Connection::of::<D>() == Connection::Transaction;
    if is_savepoint {
        warn_outside_of_scope();
    }
    let transaction = db.begin_with_options(options).await?;
    on_commit(async {
        // Boxed: transactions in transactions would overflow the compiler's depth limit.
        match Box::pin(work(&transaction)).await {
            Ok(value) if is_savepoint => transaction.commit().await.map(|()| value),
            Ok(value) => committing(transaction.commit()).await.map(|()| value),
            Err(error) => {
                // The closure's error says more; and what is not committed is rolled back
                // with its connection at the latest.
                if let Err(rollback) = transaction.rollback().await {
                    tracing::warn!("a rollback failed: {rollback}");
                }
                return Err(error);
            }
        }
        .map_err(E::from)
    })
    .await
}

/// Then the scope of the savepoint ends before the commit of the transaction around it.
fn warn_outside_of_scope() {
    static SAID: Once = Once::new();
    if CommitScope::current().is_none() {
        SAID.call_once(|| {
            tracing::warn!(
                "`fragkeys_sea_orm::transaction` was given a transaction that is outside of \
                 `fragkeys::on_commit`: tags are bumped when the savepoint ends, before the \
                 commit. Begin the outer one with `fragkeys_sea_orm::transaction`, too"
            );
        });
    }
}
