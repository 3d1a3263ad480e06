//! I1, I2 and I4 for batches, each race forced.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fragkeys::{Cache, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};
use tokio::sync::{Barrier, Notify};

use super::{Table, call};
use crate::support::{memory_cache, over_both_stores, patient, redis_cache};

/// Rows of one value, and the points at which a run waits for the test.
struct Rows {
    value: AtomicU64,
    has_read: Barrier,
    may_return: Barrier,
}

impl Rows {
    fn new() -> Self {
        Rows { value: AtomicU64::new(0), has_read: Barrier::new(2), may_return: Barrier::new(2) }
    }
}

#[tagged_cache(batch, key_name = "rows", tags = ["Row:<id>"], vary_on = [])]
async fn gated(rows: &Rows, ids: &[u64]) -> HashMap<u64, u64> {
    let value = rows.value.load(Ordering::SeqCst);
    rows.has_read.wait().await;
    rows.may_return.wait().await;
    ids.iter().map(|id| (*id, value)).collect()
}

over_both_stores! {
    i1_a_bump_of_one_element_during_a_run,
    i1_a_bump_of_a_hit_during_a_run,
    i8_a_batch_that_is_dropped_stores_nothing_and_leaves_nothing,
}

/// The bumped element's value is not found any more, those of the others are.
async fn i1_a_bump_of_one_element_during_a_run(cache: Cache) {
    let rows = Rows::new();
    let writer = async {
        rows.has_read.wait().await;
        rows.value.store(1, Ordering::SeqCst);
        cache.invalidate([Tag::new("Row", 2)]).await.unwrap();
        rows.may_return.wait().await;
    };
    let run = with_cache(cache.clone(), gated(&rows, &[1, 2, 3]));
    let (old, ()) = tokio::join!(run, writer);
    assert_eq!(old, HashMap::from([(1, 0), (2, 0), (3, 0)]), "this call began before the bump");
    let pass = async {
        rows.has_read.wait().await;
        rows.may_return.wait().await;
    };
    let next = with_cache(cache.clone(), observe(gated(&rows, &[1, 2, 3])));
    let (next, ()) = tokio::join!(next, pass);
    assert_eq!(next, (HashMap::from([(1, 0), (2, 1), (3, 0)]), Some(Outcome::Miss)));
}

/// A hit of this call is given, as it was read before the bump; it is stored nowhere.
async fn i1_a_bump_of_a_hit_during_a_run(cache: Cache) {
    let rows = Rows::new();
    let pass = |bumped: Option<u64>| {
        let (cache, rows) = (&cache, &rows);
        async move {
            rows.has_read.wait().await;
            if let Some(bumped) = bumped {
                rows.value.store(1, Ordering::SeqCst);
                cache.invalidate([Tag::new("Row", bumped)]).await.unwrap();
            }
            rows.may_return.wait().await;
        }
    };
    let call = |ids: &'static [u64]| with_cache(cache.clone(), gated(&rows, ids));
    tokio::join!(call(&[1]), pass(None));
    let (second, ()) = tokio::join!(call(&[1, 2]), pass(Some(1)));
    assert_eq!(second, HashMap::from([(1, 0), (2, 0)]));
    let (third, ()) = tokio::join!(call(&[1, 2]), pass(None));
    assert_eq!(third, HashMap::from([(1, 1), (2, 0)]), "1 ran anew, 2 is as it was stored");
}

async fn i8_a_batch_that_is_dropped_stores_nothing_and_leaves_nothing(cache: Cache) {
    let rows = Rows::new();
    {
        let mut call = std::pin::pin!(with_cache(cache.clone(), gated(&rows, &[1, 2])));
        tokio::select! {
            _ = &mut call => unreachable!("it waits for the test"),
            _ = rows.has_read.wait() => {}
        }
    }
    assert_eq!(cache.stats().stored, 0);
    let rows = Rows::new();
    let pass = async {
        rows.has_read.wait().await;
        rows.may_return.wait().await;
    };
    let (next, ()) = tokio::join!(with_cache(cache.clone(), gated(&rows, &[1, 2])), pass);
    assert_eq!((next.len(), cache.stats().stored), (2, 2));
}

/// The one read of a batch that is known is on its way when an element's version moves: it is
/// asked for again, as what stood there may be newer or older than the version.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_version_that_moves_before_the_entries_are_read() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    let direct = redis_cache(&server).await;
    let table = Arc::new(Table::default());
    for _ in 0..3 {
        call(&cache, &table, &[1, 2, 3]).await;
    }
    table.asked();
    let held = Arc::new(Notify::new());
    let seen = held.clone();
    proxy.on_request(Box::new(move |_| {
        seen.notify_one();
        Action::Hold
    }));
    let reading = tokio::spawn({
        let (cache, table) = (cache.clone(), table.clone());
        async move { call(&cache, &table, &[1, 2, 3]).await }
    });
    held.notified().await;
    direct.invalidate([Tag::new("User", 2)]).await.unwrap();
    proxy.clear_hook();
    proxy.release();
    assert_eq!(reading.await.unwrap().1, Outcome::Miss);
    assert_eq!(table.asked(), [[2]]);
}

/// Another process bumps one element after the other: each very next batch sees it.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_bump_elsewhere_is_seen_by_the_very_next_batch() {
    let server = RedisServer::start();
    let (cache, direct) = (redis_cache(&server).await, redis_cache(&server).await);
    let table = Table::default();
    let ids: Vec<u64> = (0..20).collect();
    for round in 0..300 {
        call(&cache, &table, &ids).await;
        if round % 3 > 0 {
            // Known in cells, or asked for.
            assert_eq!(call(&cache, &table, &ids).await.1, Outcome::Hit);
        }
        table.asked();
        let bumped = round % 20;
        direct.invalidate([Tag::new("User", bumped)]).await.unwrap();
        assert_eq!(call(&cache, &table, &ids).await.1, Outcome::Miss, "round {round}");
        assert_eq!(table.asked(), [[bumped]]);
    }
}

/// Servers that do not track what was read: the versions are asked for each time.
#[tokio::test]
async fn without_tracking_a_batch_asks_for_the_versions_too() {
    for command in ["-client|tracking", "-client|caching"] {
        let server = RedisServer::start();
        server.cli(&["ACL", "SETUSER", "default", command]);
        let (cache, direct) = (redis_cache(&server).await, redis_cache(&server).await);
        let table = Table::default();
        call(&cache, &table, &[1, 2]).await;
        for _ in 0..2 {
            server.reset_stats();
            assert_eq!(call(&cache, &table, &[1, 2]).await.1, Outcome::Hit);
            assert_eq!(server.command_calls("mget"), 2);
        }
        table.asked();
        direct.invalidate([Tag::new("User", 2)]).await.unwrap();
        assert_eq!(call(&cache, &table, &[1, 2]).await.1, Outcome::Miss);
        assert_eq!(table.asked(), [[2]]);
    }
}

/// I4: an entry at another element's key does not verify.
#[tokio::test]
async fn i4_an_entry_of_another_element_is_a_miss() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let table = Table::default();
    call(&cache, &table, &[1]).await;
    let keys = |server: &RedisServer| server.keys("fragkeys:v:*");
    let [one] = keys(&server).try_into().unwrap();
    call(&cache, &table, &[2]).await;
    let two = keys(&server).into_iter().find(|key| *key != one).unwrap();
    server.set_raw(&two, &server.get_raw(&one).unwrap());
    table.asked();
    let (found, outcome) = call(&cache, &table, &[1, 2]).await;
    assert!(found[&2].starts_with("user 2,"), "{found:?}");
    assert_eq!((outcome, cache.stats().rejected), (Outcome::Miss, 1));
    assert_eq!(table.asked(), [[2]]);
    // What is no entry, or no text at all.
    server.set_raw(&two, b"garbage");
    server.cli(&["DEL", &one]);
    server.cli(&["RPUSH", &one, "a"]);
    assert_eq!(call(&cache, &table, &[1, 2]).await.1, Outcome::Miss);
    assert_eq!(table.asked(), [[1, 2]]);
}

/// I4: elements of a batch and calls of a function share nothing, whatever they are called, and
/// neither keeps the other from the cache.
#[tokio::test]
async fn i4_batches_and_single_calls_share_no_entries() {
    mod single {
        #[fragkeys::tagged_cache(key_name = "shared", vary_on = [])]
        pub(super) async fn shared() -> u64 {
            1
        }
    }
    mod batch {
        use std::collections::HashMap;

        #[fragkeys::tagged_cache(batch, key_name = "shared", vary_on = [])]
        pub(super) async fn shared(ids: &[u64]) -> HashMap<u64, u64> {
            ids.iter().map(|id| (*id, id + 100)).collect()
        }
    }
    with_cache(memory_cache().await, async {
        for outcome in [Outcome::Miss, Outcome::Hit] {
            assert_eq!(observe(single::shared()).await, (1, Some(outcome)));
            let batch = observe(batch::shared(&[1])).await;
            assert_eq!(batch, (HashMap::from([(1, 101)]), Some(outcome)));
        }
    })
    .await;
}
