//! A runtime that ends while a transaction is committed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use fragkeys::with_cache;
use sea_orm::sqlx::sqlite::SqliteJournalMode;
use sea_orm::{ActiveModelTrait, DbErr, EntityTrait, TransactionTrait};
use tokio::runtime::Runtime;

use crate::entity::donation;
use crate::support::{Database, donation, memory_cache, new_donation};

/// A reader holds the commit up; the runtime that it was given to ends meanwhile.
#[test]
fn that_the_outcome_is_not_known_is_said() {
    // The connections outlive the other one, and need some runtime to be closed in.
    let survivor = Runtime::new().unwrap();
    let _inside = survivor.enter();
    let runtime = Runtime::new().unwrap();
    let (cache, database, reader) = runtime.block_on(async {
        let cache = memory_cache().await;
        let database = Database::with_journal(SqliteJournalMode::Delete).await;
        with_cache(cache.clone(), donation(&database.db)).await;
        let reader = database.db.begin().await.unwrap();
        donation::Entity::find().one(&reader).await.unwrap();
        (cache, database, reader)
    });
    let has_worked = AtomicBool::new(false);
    let writer = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        new_donation(1, 50).insert(transaction).await?;
        has_worked.store(true, Ordering::SeqCst);
        Ok::<_, DbErr>(())
    });
    let mut writer = std::pin::pin!(with_cache(cache, writer));
    let handle = runtime.handle().clone();
    let mut poll = || {
        let _inside = handle.enter();
        writer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
    while !has_worked.load(Ordering::SeqCst) {
        assert!(poll().is_pending(), "in spite of the reader");
        std::thread::yield_now();
    }
    runtime.shutdown_background();
    let outcome = loop {
        match poll() {
            Poll::Ready(outcome) => break outcome,
            Poll::Pending => std::thread::yield_now(),
        }
    };
    let error = outcome.unwrap_err().to_string();
    assert!(error.contains("whether it committed is not known"), "{error}");
    drop(reader);
}
