//! `transaction`: bumps after the commit, and none without one.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use fragkeys::{Cache, Outcome, observe, with_cache};
use sea_orm::sqlx::sqlite::SqliteJournalMode;
use sea_orm::{
    AccessMode, ActiveModelTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr,
    EntityTrait, IntoActiveModel, ModelTrait, Set, SqliteTransactionMode, TransactionOptions,
    TransactionTrait,
};

use crate::entity::donation;
use crate::support::{
    Database, Watch, amounts, donation, eventually, new_donation, over_both_stores, stored_amounts,
};

over_both_stores! {
    a_commit_bumps_all_at_once,
    an_error_rolls_back_and_bumps_nothing,
    what_it_bumps_is_told_to_who_asks,
    a_panic_rolls_back_and_bumps_nothing,
    a_drop_before_the_commit_rolls_back_and_bumps_nothing,
    a_drop_during_the_commit_bumps_after_it,
    a_drop_during_the_commit_in_a_scope_bumps,
    a_commit_that_fails_bumps,
    a_savepoint_waits_for_the_commit,
    a_savepoint_that_is_rolled_back_leaves_the_rest,
    what_is_written_past_the_transaction_is_bumped_if_it_fails,
    a_transaction_of_ones_own_in_a_scope_works_too,
    a_writer_on_sqlite_locks_before_it_reads,
    those_that_read_and_then_write_wait_for_each_other,
    options_reach_the_database,
}

const TAGS: [&str; 4] = ["Donations:1", "Donations:2", "Donations:org:1", "Donations:org:2"];

/// Any error that a program may have.
#[derive(Debug)]
enum Error {
    Refused,
    Database(#[allow(dead_code, reason = "for whoever reads a failure")] DbErr),
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Error::Database(error)
    }
}

async fn move_to(
    transaction: &DatabaseTransaction,
    row: donation::Model,
    organization_id: i64,
) -> Result<donation::Model, DbErr> {
    let mut active = row.into_active_model();
    active.organization_id = Set(organization_id);
    active.update(transaction).await
}

async fn a_commit_bumps_all_at_once(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let moved = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        let row = move_to(transaction, row, 2).await?;
        new_donation(1, 50).insert(transaction).await?;
        assert!(watch.bumped().await.is_empty(), "not before the commit");
        Ok::<_, DbErr>(row)
    })
    .await
    .unwrap();
    assert_eq!(moved.organization_id, 2);
    assert_eq!(watch.bumped().await, TAGS);
    assert_eq!(stored_amounts(&database.db, 2).await.unwrap(), [100]);
}

async fn what_it_bumps_is_told_to_who_asks(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let transaction = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        move_to(transaction, row, 2).await?;
        Ok::<_, DbErr>(())
    });
    let (outcome, bumped) = with_cache(cache, fragkeys::bumps_in(transaction)).await;
    outcome.unwrap();
    let mut told: Vec<String> = bumped.iter().map(|(tag, _)| tag.to_string()).collect();
    told.sort_unstable();
    assert_eq!(told, ["Donations:1", "Donations:org:1", "Donations:org:2"]);
}

async fn an_error_rolls_back_and_bumps_nothing(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    assert_eq!(amounts(&database.db, 1).await.unwrap(), [100]);
    let mut watch = Watch::new(&cache, &TAGS).await;
    let refused = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        move_to(transaction, row, 2).await?;
        Err::<(), _>(Error::Refused)
    })
    .await;
    assert!(matches!(refused, Err(Error::Refused)));
    assert!(watch.bumped().await.is_empty());
    let (found, outcome) = observe(amounts(&database.db, 1)).await;
    assert_eq!((found.unwrap(), outcome), (vec![100], Some(Outcome::Hit)));
    assert_eq!(stored_amounts(&database.db, 1).await.unwrap(), [100]);
}

async fn a_panic_rolls_back_and_bumps_nothing(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let db = database.db.clone();
    let panics = with_cache(cache, async move {
        fragkeys_sea_orm::transaction(&db, async |transaction| {
            move_to(transaction, row, 2).await?;
            panic!("on purpose");
            #[allow(unreachable_code, reason = "gives the closure its type")]
            Ok::<(), DbErr>(())
        })
        .await
    });
    assert!(tokio::spawn(panics).await.unwrap_err().is_panic());
    assert!(watch.bumped().await.is_empty());
    assert_eq!(stored_amounts(&database.db, 1).await.unwrap(), [100]);
}

async fn a_drop_before_the_commit_rolls_back_and_bumps_nothing(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let (saved, db) = (tokio::sync::Notify::new(), &database.db);
    let hangs = fragkeys_sea_orm::transaction(db, async |transaction| {
        move_to(transaction, row, 2).await?;
        saved.notify_one();
        std::future::pending::<Result<(), DbErr>>().await
    });
    tokio::select! {
        _ = hangs => unreachable!(),
        () = saved.notified() => {}
    }
    assert!(watch.bumped().await.is_empty());
    assert_eq!(stored_amounts(&database.db, 1).await.unwrap(), [100]);
}

/// A reader keeps SQLite from committing; meanwhile the writer is dropped. The bumps come
/// after the commit all the same: before it, others could cache what was.
async fn a_drop_during_the_commit_bumps_after_it(cache: Cache) {
    let database = Database::with_journal(SqliteJournalMode::Delete).await;
    let row = donation(&database.db).await;
    assert_eq!(amounts(&database.db, 1).await.unwrap(), [100]);
    let mut watch = Watch::new(&cache, &TAGS).await;

    let reader = database.db.begin().await.unwrap();
    donation::Entity::find_by_id(row.id).one(&reader).await.unwrap();
    let has_worked = AtomicBool::new(false);
    let writer = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        move_to(transaction, row, 2).await?;
        has_worked.store(true, Ordering::SeqCst);
        Ok::<_, DbErr>(())
    });
    drop_while_it_commits(writer, &has_worked).await;
    assert!(watch.bumped().await.is_empty());
    assert_eq!(cache.queued_bumps(), 0);
    let (found, outcome) = observe(amounts(&database.db, 1)).await;
    assert_eq!((found.unwrap(), outcome), (vec![100], Some(Outcome::Hit)), "not committed yet");

    drop(reader);
    eventually("the bumps", async || !watch.bumped().await.is_empty()).await;
    assert!(amounts(&database.db, 1).await.unwrap().is_empty());
    assert_eq!(amounts(&database.db, 2).await.unwrap(), [100]);
}

/// In a scope of somebody else, which is dropped as well: then the bumps are queued.
async fn a_drop_during_the_commit_in_a_scope_bumps(cache: Cache) {
    let database = Database::with_journal(SqliteJournalMode::Delete).await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let reader = database.db.begin().await.unwrap();
    donation::Entity::find_by_id(row.id).one(&reader).await.unwrap();
    let has_worked = AtomicBool::new(false);
    let writer = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        move_to(transaction, row, 2).await?;
        has_worked.store(true, Ordering::SeqCst);
        Ok::<_, DbErr>(())
    });
    drop_while_it_commits(fragkeys::on_commit(writer), &has_worked).await;
    drop(reader);
    eventually("the queue", async || cache.queued_bumps() == 0).await;
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Donations:org:2"]);
}

/// Polls a writer until it is done but for its commit, which a reader holds up; drops it then.
async fn drop_while_it_commits<T: std::fmt::Debug>(
    writer: impl Future<Output = T>,
    has_worked: &AtomicBool,
) {
    let mut writer = std::pin::pin!(writer);
    poll_fn(|context| {
        let poll = writer.as_mut().poll(context);
        assert!(poll.is_pending(), "{poll:?} in spite of the reader");
        if has_worked.load(Ordering::SeqCst) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Whether it happened is not known; so it is taken to have.
async fn a_commit_that_fails_bumps(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let failed = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        move_to(transaction, row, 2).await?;
        // A commit then has no transaction to commit.
        transaction.execute_unprepared("ROLLBACK").await.map(drop)
    })
    .await;
    assert!(failed.is_err());
    eventually("the bumps", async || cache.queued_bumps() == 0).await;
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Donations:org:2"]);
}

async fn a_savepoint_waits_for_the_commit(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    fragkeys_sea_orm::transaction(&database.db, async |outer| {
        let savepoint =
            fragkeys_sea_orm::transaction(outer, async |inner| move_to(inner, row, 2).await);
        savepoint.await?;
        assert!(watch.bumped().await.is_empty(), "the savepoint is no commit");
        Ok::<_, DbErr>(())
    })
    .await
    .unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Donations:org:2"]);

    // Nor is it one if the transaction around it is rolled back.
    let refused = fragkeys_sea_orm::transaction(&database.db, async |outer| {
        fragkeys_sea_orm::transaction(outer, async |inner| new_donation(1, 1).insert(inner).await)
            .await?;
        Err::<(), _>(Error::Refused)
    });
    assert!(matches!(refused.await, Err(Error::Refused)));
    assert!(watch.bumped().await.is_empty());
}

async fn a_savepoint_that_is_rolled_back_leaves_the_rest(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    fragkeys_sea_orm::transaction(&database.db, async |outer| {
        let kept = move_to(outer, row, 2).await?;
        let inner = fragkeys_sea_orm::transaction(outer, async |inner| {
            kept.delete(inner).await?;
            Err::<(), _>(Error::Refused)
        });
        assert!(matches!(inner.await, Err(Error::Refused)));
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Donations:org:2"]);
    assert_eq!(stored_amounts(&database.db, 2).await.unwrap(), [100]);
}

/// A line in a log of failures, say: written through the connection, it is there at once.
async fn what_is_written_past_the_transaction_is_bumped_if_it_fails(cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let db = &database.db;
    let refused = fragkeys_sea_orm::transaction_with(deferred(), db, async |_| {
        new_donation(2, 50).insert(db).await?;
        Err::<(), _>(Error::Refused)
    });
    assert!(matches!(refused.await, Err(Error::Refused)));
    eventually("the bumps", async || cache.queued_bumps() == 0).await;
    assert_eq!(watch.bumped().await, ["Donations:2", "Donations:org:2"]);

    let refused = fragkeys_sea_orm::transaction_with(deferred(), db, async |_| {
        let lines = [new_donation(2, 1), new_donation(1, 1)];
        fragkeys_sea_orm::insert_many(lines, db).await?;
        Err::<(), _>(Error::Refused)
    });
    assert!(matches!(refused.await, Err(Error::Refused)));
    eventually("the bumps", async || cache.queued_bumps() == 0).await;
    assert_eq!(watch.bumped().await, ["Donations:org:1", "Donations:org:2"]);
}

async fn a_transaction_of_ones_own_in_a_scope_works_too(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    fragkeys::on_commit(async {
        let transaction = database.db.begin().await?;
        row.delete(&transaction).await?;
        assert!(watch.bumped().await.is_empty());
        fragkeys::committing(transaction.commit()).await
    })
    .await
    .unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1"]);
}

/// A deferred one takes no lock before its first statement.
fn deferred() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Deferred),
        ..TransactionOptions::default()
    }
}

const BY_SOMEBODY_ELSE: &str = "UPDATE donation SET cents = 5";

/// A connection that does not wait for a lock.
async fn impatient(db: &DatabaseConnection) -> DatabaseTransaction {
    let connection = db.begin().await.unwrap();
    connection.execute_unprepared("PRAGMA busy_timeout = 0").await.unwrap();
    connection
}

/// Each update reads its row first: were there no lock, it would fail after somebody's write.
async fn a_writer_on_sqlite_locks_before_it_reads(_cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let other = impatient(&database.db).await;
    fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        donation::Entity::find_by_id(1).one(transaction).await?;
        let refused = other.execute_unprepared(BY_SOMEBODY_ELSE).await.unwrap_err();
        assert!(refused.to_string().contains("locked"), "{refused}");
        move_to(transaction, row, 2).await
    })
    .await
    .unwrap();
}

async fn those_that_read_and_then_write_wait_for_each_other(_cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    let add = |db: DatabaseConnection| async move {
        fragkeys_sea_orm::transaction(&db, async |transaction| {
            let row = donation::Entity::find_by_id(1).one(transaction).await?;
            let row = row.ok_or(DbErr::RecordNotUpdated)?;
            let amount = Set(row.amount + 1);
            let row = donation::ActiveModel { amount, ..row.into_active_model() };
            row.update(transaction).await
        })
        .await
    };
    let writers: Vec<_> = (0..8).map(|_| tokio::spawn(add(database.db.clone()))).collect();
    for writer in writers {
        writer.await.unwrap().unwrap();
    }
    assert_eq!(stored_amounts(&database.db, 1).await.unwrap(), [108]);
}

async fn options_reach_the_database(_cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    let read_only = TransactionOptions {
        access_mode: Some(AccessMode::ReadOnly),
        ..TransactionOptions::default()
    };
    for options in [deferred(), read_only] {
        let other = impatient(&database.db).await;
        fragkeys_sea_orm::transaction_with(options, &database.db, async |transaction| {
            donation::Entity::find_by_id(1).one(transaction).await?;
            other.execute_unprepared(BY_SOMEBODY_ELSE).await
        })
        .await
        .unwrap();
    }
}
