//! Commits that come after their bumps: the database goes on with what nobody waits for.

use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Cache, CommitScope, commit_follows, committing, invalidate, on_commit, with_cache};
use tokio::sync::Notify;

use super::{Database, row};
use crate::support::{eventually, over_both_stores};

over_both_stores! {
    left_with_its_scope,
    left_inside_of_a_scope_that_goes_on,
    given_up_by_the_driver,
    begun_when_the_closure_has_ended,
    waited_for_by_a_task_that_outlives_the_scope,
    joined_to_a_scope_that_ends_before,
}

/// A reader stores the old row under the new version, then the commit comes. Some time later
/// everybody reads what was committed.
async fn heals(cache: &Cache, database: &Database) {
    with_cache(cache.clone(), async {
        eventually("no bump waits", async || cache.queued_bumps() == 0).await;
        row(database).await;
        database.commit().await;
        eventually("it is bumped again", async || row(database).await == 1).await;
    })
    .await;
}

async fn never() -> Result<(), &'static str> {
    std::future::pending().await
}

const SHORT: Duration = Duration::from_millis(1);

async fn left_with_its_scope(cache: Cache) {
    let database = Database::default();
    let transaction = with_cache(cache.clone(), async {
        let transaction = on_commit(async {
            database.write(1);
            invalidate!("Row").await.unwrap();
            committing(never()).await
        });
        tokio::time::timeout(SHORT, transaction).await
    });
    assert!(transaction.await.is_err(), "dropped");
    heals(&cache, &database).await;
}

async fn left_inside_of_a_scope_that_goes_on(cache: Cache) {
    let database = Database::default();
    let transaction = with_cache(cache.clone(), async {
        on_commit(async {
            database.write(1);
            invalidate!("Row").await.unwrap();
            let _ = tokio::time::timeout(SHORT, committing(never())).await;
            Ok::<_, ()>(())
        })
        .await
    });
    transaction.await.unwrap();
    heals(&cache, &database).await;
}

async fn given_up_by_the_driver(cache: Cache) {
    let database = Database::default();
    let transaction = with_cache(cache.clone(), async {
        on_commit(async {
            database.write(1);
            invalidate!("Row").await.unwrap();
            committing(async { Err::<(), _>("connection lost") }).await
        })
        .await
    });
    transaction.await.unwrap_err();
    heals(&cache, &database).await;
}

/// Drivers that commit by themselves, when a closure has given `Ok`.
async fn begun_when_the_closure_has_ended(cache: Cache) {
    let database = Database::default();
    let transaction = with_cache(cache.clone(), async {
        let transaction = on_commit(async {
            database.write(1);
            invalidate!("Row").await.unwrap();
            commit_follows();
            never().await
        });
        tokio::time::timeout(SHORT, transaction).await
    });
    assert!(transaction.await.is_err(), "dropped");
    heals(&cache, &database).await;
}

async fn waited_for_by_a_task_that_outlives_the_scope(cache: Cache) {
    let database = Arc::new(Database::default());
    let may_commit = Arc::new(Notify::new());
    let mut task = None;
    let transaction = with_cache(cache.clone(), async {
        let transaction = on_commit(async {
            database.write(1);
            invalidate!("Row").await.unwrap();
            let (database, may_commit) = (database.clone(), may_commit.clone());
            let commit = CommitScope::current().unwrap().run(async move {
                committing(async move {
                    may_commit.notified().await;
                    database.commit().await;
                })
                .await;
            });
            task = Some(tokio::spawn(commit));
            tokio::task::yield_now().await;
            never().await
        });
        tokio::time::timeout(Duration::from_millis(50), transaction).await
    });
    assert!(transaction.await.is_err(), "dropped");
    with_cache(cache.clone(), async {
        eventually("no bump waits", async || cache.queued_bumps() == 0).await;
        row(&database).await;
        may_commit.notify_one();
        task.unwrap().await.unwrap();
        // The end of the commit bumps, and not a repeat some seconds later.
        eventually("it is bumped", async || cache.queued_bumps() == 0).await;
        assert_eq!(row(&database).await, 1);
    })
    .await;
}

/// The outer scope decides for itself; what the inner one commits later is bumped later.
async fn joined_to_a_scope_that_ends_before(cache: Cache) {
    let database = Arc::new(Database::default());
    let (joined, may_commit) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut task = None;
    let outer = on_commit(async {
        let (cache, database) = (cache.clone(), database.clone());
        let (joined_inside, may_commit) = (joined.clone(), may_commit.clone());
        let inner = on_commit(async move {
            database.write(1);
            cache.invalidate(["Row"]).await.unwrap();
            joined_inside.notify_one();
            may_commit.notified().await;
            assert!(CommitScope::current().is_some(), "its own scope has not ended");
            assert!(cache.invalidate(["Other"]).await.unwrap().is_empty(), "held");
            database.commit().await;
            Ok::<_, ()>(())
        });
        task = Some(tokio::spawn(CommitScope::current().unwrap().run(inner)));
        joined.notified().await;
        Err::<(), _>("rolled back")
    });
    outer.await.unwrap_err();
    with_cache(cache.clone(), async {
        assert_eq!(row(&database).await, 0);
        may_commit.notify_one();
        task.unwrap().await.unwrap().unwrap();
        assert_eq!(row(&database).await, 1);
    })
    .await;
}
