//! Bumps and transactions: what is held, what is sent, and what nobody else may read.

mod faults;
mod late;
mod scopes;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fragkeys::{
    Cache, CommitScope, Outcome, Tag, Version, committing, invalidate, observe, on_commit,
};
use fragkeys::{tagged_cache, with_cache};

use tokio::sync::Notify;

use crate::support::over_both_stores;

/// A table of one row, as others see it, and as the transaction that changes it does.
#[derive(Default)]
struct Database {
    committed: AtomicU64,
    uncommitted: AtomicU64,
}

impl Database {
    fn write(&self, value: u64) {
        self.uncommitted.store(value, Ordering::SeqCst);
    }

    async fn commit(&self) {
        self.committed.store(self.uncommitted.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

/// The row as it is committed.
#[tagged_cache(tags = ["Row"], vary_on = [])]
async fn row(database: &Database) -> u64 {
    database.committed.load(Ordering::SeqCst)
}

/// The row through a connection or a transaction: one entry, whoever asks.
#[tagged_cache(tags = ["Row"], vary_on = [])]
async fn row_through(cell: &AtomicU64) -> u64 {
    cell.load(Ordering::SeqCst)
}

#[tagged_cache(tags = ["Other"], vary_on = [])]
async fn other(cell: &AtomicU64) -> u64 {
    cell.load(Ordering::SeqCst)
}

async fn version(cache: &Cache) -> Version {
    cache.tag_version(&Tag::global("Row")).await.unwrap()
}

over_both_stores! {
    bumped_before_the_commit_a_refill_stays_stale,
    bumped_on_commit_a_refill_is_unreachable,
    i2_after_the_scope_nobody_reads_what_was_before,
    an_error_drops_the_bumps,
    a_panic_drops_the_bumps,
    a_cancellation_drops_the_bumps,
    a_held_bump_says_so,
    all_bumps_are_sent_at_once,
    what_is_held_is_neither_read_nor_stored,
    nothing_is_stored_inside,
    entries_by_hand_obey_too,
    constant_tags_are_refused_at_once,
    a_commit_of_unknown_outcome_is_bumped,
    what_fails_after_the_commit_does_not_take_the_bump_along,
    a_drop_during_the_commit_does_not_take_the_bump_along,
    what_is_bumped_after_the_commit_is_certain_too,
    what_began_inside_is_not_stored_when_the_scope_has_ended,
    an_entry_that_was_held_is_fenced_when_the_scope_has_ended,
}

/// The hole: this is what happens without a scope.
async fn bumped_before_the_commit_a_refill_stays_stale(cache: Cache) {
    let database = Database::default();
    with_cache(cache, async {
        database.write(1);
        invalidate!("Row").await.unwrap();
        assert_eq!(row(&database).await, 0, "a reader refills before the commit");
        database.commit().await;
        assert_eq!(row(&database).await, 0, "and from then on everybody reads the old row");
    })
    .await;
}

async fn bumped_on_commit_a_refill_is_unreachable(cache: Cache) {
    let database = Arc::new(Database::default());
    let reader = (cache.clone(), database.clone());
    with_cache(cache, async {
        assert_eq!(row(&database).await, 0);
        on_commit(async {
            database.write(1);
            invalidate!("Row").await.unwrap();
            // Somebody else, who is in no transaction.
            let (cache, database_of_reader) = reader;
            let refill = async move { with_cache(cache, observe(row(&database_of_reader))).await };
            assert_eq!(tokio::spawn(refill).await.unwrap(), (0, Some(Outcome::Hit)));
            database.commit().await;
            Ok::<_, ()>(())
        })
        .await
        .unwrap();
        assert_eq!(observe(row(&database)).await, (1, Some(Outcome::Miss)));
        assert_eq!(observe(row(&database)).await, (1, Some(Outcome::Hit)));
    })
    .await;
}

/// The same with a reader whose run began before the commit and ends after it.
async fn i2_after_the_scope_nobody_reads_what_was_before(cache: Cache) {
    let (began, may_end) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let database = Database::default();
    let entry = cache.entry("row").tag("Row");
    let slow_reader = entry.get_or_set_with::<u64, _, _>(|| async {
        let seen = database.committed.load(Ordering::SeqCst);
        began.notify_one();
        may_end.notified().await;
        seen
    });
    let writer = async {
        began.notified().await;
        on_commit(async {
            database.write(1);
            cache.invalidate(["Row"]).await.unwrap();
            database.commit().await;
            Ok::<_, ()>(())
        })
        .await
        .unwrap();
        may_end.notify_one();
    };
    let (seen, ()) = tokio::join!(slow_reader, writer);
    assert_eq!(seen, 0, "it began before");
    assert_eq!(entry.get::<u64>().await.unwrap(), None, "its result is under the old version");
}

async fn an_error_drops_the_bumps(cache: Cache) {
    let before = version(&cache).await;
    let outcome = on_commit(async {
        cache.invalidate(["Row"]).await.unwrap();
        Err::<(), _>("rolled back")
    })
    .await;
    assert_eq!(outcome, Err("rolled back"));
    assert_eq!(version(&cache).await, before);
    assert_eq!(cache.queued_bumps(), 0);
}

async fn a_panic_drops_the_bumps(cache: Cache) {
    let before = version(&cache).await;
    let panicking = tokio::spawn(on_commit({
        let cache = cache.clone();
        async move {
            cache.invalidate(["Row"]).await.unwrap();
            assert!(cache.queued_bumps() > 0, "as planned");
            Ok::<_, ()>(())
        }
    }));
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(version(&cache).await, before);
    assert_eq!(cache.queued_bumps(), 0);
    cache.invalidate(["Row"]).await.unwrap();
    assert!(version(&cache).await > before, "later bumps are not held");
}

async fn a_cancellation_drops_the_bumps(cache: Cache) {
    let before = version(&cache).await;
    {
        let held = tokio::sync::Notify::new();
        let transaction = on_commit(async {
            cache.invalidate(["Row"]).await.unwrap();
            held.notify_one();
            std::future::pending::<Result<(), ()>>().await
        });
        tokio::select! {
            _ = transaction => unreachable!("it never ends"),
            () = held.notified() => {}
        }
    }
    assert_eq!(version(&cache).await, before);
    assert_eq!(cache.queued_bumps(), 0);
}

async fn a_held_bump_says_so(cache: Cache) {
    let committed = on_commit(async {
        let bumped = cache.invalidate(["Row", "Row", "Other"]).await.unwrap();
        assert!(bumped.is_empty(), "no new version yet");
        assert_eq!(bumped.held(), [Tag::global("Row"), Tag::global("Other")]);
        Ok::<_, ()>(7)
    })
    .report()
    .await
    .unwrap();
    assert_eq!(committed.value, 7);
    let bumped = committed.bumped.unwrap();
    assert_eq!((bumped.len(), bumped.held()), (2, &[][..]));
    assert_eq!(bumped.version(&Tag::global("Row")), Some(version(&cache).await));
}

async fn all_bumps_are_sent_at_once(cache: Cache) {
    let committed = on_commit(async {
        for number in 0..100 {
            cache.invalidate([Tag::new("Many", number % 50)]).await.unwrap();
        }
        cache.invalidate_all().await.unwrap();
        Ok::<_, ()>(())
    })
    .report()
    .await;
    assert_eq!(committed.unwrap().bumped.unwrap().len(), 51, "each once, and the root");
    assert_eq!(cache.stats().bumped, 51);
}

async fn what_is_held_is_neither_read_nor_stored(cache: Cache) {
    let (mine, theirs) = (AtomicU64::new(1), AtomicU64::new(0));
    with_cache(cache, async {
        assert_eq!((row_through(&theirs).await, other(&theirs).await), (0, 0));
        let outcome = on_commit(async {
            invalidate!("Row").await.unwrap();
            // It must see its own change, and nobody else may.
            assert_eq!(observe(row_through(&mine)).await, (1, Some(Outcome::Bypass)));
            assert_eq!(observe(row_through(&mine)).await, (1, Some(Outcome::Bypass)));
            assert_eq!(observe(other(&mine)).await, (0, Some(Outcome::Hit)), "no tag of its");
            Err::<(), _>("rolled back")
        })
        .await;
        assert!(outcome.is_err());
        assert_eq!(observe(row_through(&theirs)).await, (0, Some(Outcome::Hit)));
    })
    .await;
}

/// Also before its tag is held: the order of write, read and bump is the user's.
async fn nothing_is_stored_inside(cache: Cache) {
    let (mine, theirs) = (AtomicU64::new(1), AtomicU64::new(0));
    with_cache(cache, async {
        let _ = on_commit(async {
            assert_eq!(observe(row_through(&mine)).await, (1, Some(Outcome::NotStored)));
            invalidate!("Row").await.unwrap();
            Err::<(), _>("rolled back")
        })
        .await;
        assert_eq!(observe(row_through(&theirs)).await, (0, Some(Outcome::Miss)));
    })
    .await;
}

async fn entries_by_hand_obey_too(cache: Cache) {
    let entry = cache.entry("by hand").tag("Row");
    entry.set(&1).await.unwrap();
    on_commit(async {
        cache.invalidate(["Row"]).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
        entry.set(&2).await.unwrap();
        assert_eq!(entry.get_or_set_with(|| async { 3 }).await, 3);
        assert!(entry.key().await.is_ok());
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
    entry.set(&4).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(4));
}

async fn constant_tags_are_refused_at_once(cache: Cache) {
    let outcome = on_commit(async {
        cache.invalidate([Tag::constant("env", "test")]).await?;
        Ok::<_, fragkeys::Error>(())
    })
    .await;
    assert_eq!(outcome.unwrap_err().kind(), fragkeys::ErrorKind::Tag);
}

/// The connection is lost after COMMIT was sent: it may have happened.
async fn a_commit_of_unknown_outcome_is_bumped(cache: Cache) {
    let before = version(&cache).await;
    let outcome = on_commit(async {
        cache.invalidate(["Row"]).await.unwrap();
        committing(async { Err::<(), _>("connection lost") }).await
    })
    .await;
    assert!(outcome.is_err());
    bumped_in_the_background(&cache, before).await;
}

async fn what_fails_after_the_commit_does_not_take_the_bump_along(cache: Cache) {
    let before = version(&cache).await;
    let outcome = on_commit(async {
        cache.invalidate(["Row"]).await.unwrap();
        committing(async {}).await;
        Err::<(), _>("the mail could not be sent")
    })
    .await;
    assert!(outcome.is_err());
    bumped_in_the_background(&cache, before).await;
}

async fn a_drop_during_the_commit_does_not_take_the_bump_along(cache: Cache) {
    let before = version(&cache).await;
    {
        let under_way = tokio::sync::Notify::new();
        let transaction = on_commit(async {
            cache.invalidate(["Row"]).await.unwrap();
            committing(async {
                under_way.notify_one();
                std::future::pending::<Result<(), ()>>().await
            })
            .await
        });
        tokio::select! {
            _ = transaction => unreachable!("it never ends"),
            () = under_way.notified() => {}
        }
    }
    bumped_in_the_background(&cache, before).await;
}

/// "Bump when it is committed": also when something else fails then.
async fn what_is_bumped_after_the_commit_is_certain_too(cache: Cache) {
    let before = version(&cache).await;
    let _ = on_commit(async {
        committing(async {}).await;
        cache.invalidate(["Row"]).await.unwrap();
        Err::<(), _>("the mail could not be sent")
    })
    .await;
    bumped_in_the_background(&cache, before).await;
}

/// It may have read what was rolled back then.
async fn what_began_inside_is_not_stored_when_the_scope_has_ended(cache: Cache) {
    let (began, may_end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut reading = None;
    let outcome = on_commit(async {
        let (cache, began_inside, may_end) = (cache.clone(), began.clone(), may_end.clone());
        let read = async move {
            let entry = cache.entry("row").tag("Row");
            let read = entry.get_or_set_with(|| async {
                began_inside.notify_one();
                may_end.notified().await;
                666
            });
            read.await
        };
        reading = Some(tokio::spawn(CommitScope::current().unwrap().run(read)));
        began.notified().await;
        Err::<(), _>("rolled back")
    })
    .await;
    outcome.unwrap_err();
    may_end.notify_one();
    assert_eq!(reading.unwrap().await.unwrap(), 666);
    assert_eq!(cache.entry("row").tag("Row").get::<i32>().await.unwrap(), None);
}

/// A `get` inside, a `set` outside: the value is no newer than the `get`.
async fn an_entry_that_was_held_is_fenced_when_the_scope_has_ended(cache: Cache) {
    let entry = cache.entry("row").tag("Row");
    on_commit(async {
        cache.invalidate(["Row"]).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    entry.set(&1).await.unwrap();
    assert_eq!(cache.entry("row").tag("Row").get::<i32>().await.unwrap(), None);
    entry.set(&2).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(2));
}

async fn bumped_in_the_background(cache: &Cache, before: Version) {
    crate::support::eventually("it is bumped", async || cache.queued_bumps() == 0).await;
    assert!(version(cache).await > before);
}
