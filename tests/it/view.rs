//! What a future sees of the versions: at least those of a token, or the same all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fragkeys::{
    Bumped, Cache, Outcome, Tag, at_least, observe, snapshot, tagged_cache, with_cache,
};
use fragkeys_tests::RedisServer;
use tokio::sync::Barrier;

use crate::support::{Source, memory_cache, over_both_stores, patient, redis_cache, row};

mod floors;
mod round_trips;
mod token;

over_both_stores! {
    a_bump_elsewhere_is_not_seen_inside,
    a_bump_of_its_own_is_seen_inside,
    a_bump_of_its_own_is_seen_over_a_read_that_was_under_way,
    a_version_that_is_read_later_is_the_one_of_then,
    a_snapshot_inside_of_one_is_part_of_it,
    a_batch_agrees_with_single_calls,
    what_runs_inside_after_a_bump_is_not_found_outside,
    a_floor_inside_of_a_snapshot_lifts_it,
}

async fn call(source: &Source, id: u64) -> (String, Outcome) {
    let (value, outcome) = observe(row(source, id)).await;
    (value, outcome.unwrap())
}

/// As another request does it.
async fn bump_elsewhere(cache: &Cache, tag: Tag) -> Bumped {
    let cache = cache.clone();
    tokio::spawn(async move { cache.invalidate([tag]).await }).await.unwrap().unwrap()
}

async fn a_bump_elsewhere_is_not_seen_inside(cache: Cache) {
    let source = Source::default();
    with_cache(cache.clone(), row(&source, 1)).await;
    let inside = snapshot(async {
        assert_eq!(call(&source, 1).await.1, Outcome::Hit);
        bump_elsewhere(&cache, Tag::new("Row", 1)).await;
        assert_eq!(call(&source, 1).await, ("row 1, run 0".to_owned(), Outcome::Hit));
        bump_elsewhere(&cache, "*".into()).await;
        assert_eq!(call(&source, 1).await, ("row 1, run 0".to_owned(), Outcome::Hit));
    });
    with_cache(cache.clone(), inside).await;
    let after = with_cache(cache, call(&source, 1)).await;
    assert_eq!(after, ("row 1, run 1".to_owned(), Outcome::Miss));
}

async fn a_bump_of_its_own_is_seen_inside(cache: Cache) {
    let source = Source::default();
    let inside = snapshot(async {
        assert_eq!(call(&source, 1).await.1, Outcome::Miss);
        for run in 1..4 {
            cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
            assert_eq!(call(&source, 1).await, (format!("row 1, run {run}"), Outcome::Miss));
            assert_eq!(call(&source, 1).await, (format!("row 1, run {run}"), Outcome::Hit));
        }
        // Around a transaction as well.
        let update = fragkeys::on_commit(async {
            cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
            Ok::<_, ()>(())
        });
        update.await.unwrap();
        assert_eq!(call(&source, 1).await.1, Outcome::Miss);
        cache.invalidate_all().await.unwrap();
        assert_eq!(call(&source, 1).await.1, Outcome::Miss);
        // Given up at once, it is done all the same.
        let mut bump = Box::pin(cache.invalidate([Tag::new("Row", 1)]));
        std::future::poll_fn(|context| {
            let _ = bump.as_mut().poll(context);
            std::task::Poll::Ready(())
        })
        .await;
        drop(bump);
        crate::support::eventually("it is not queued any more", async || {
            let _ = call(&source, 9).await;
            cache.queued_bumps() == 0
        })
        .await;
        assert_eq!(call(&source, 1).await.1, Outcome::Miss);
    });
    with_cache(cache.clone(), inside).await;
}

#[tagged_cache(tags = ["Gated"], vary_on = [id])]
async fn gated(gate: &Barrier, runs: &AtomicU32, id: u64) -> u32 {
    gate.wait().await;
    gate.wait().await;
    runs.fetch_add(1, Ordering::SeqCst)
}

/// A call of the same request has read the version by then, and goes on behind the bump.
async fn a_bump_of_its_own_is_seen_over_a_read_that_was_under_way(cache: Cache) {
    let (gate, runs) = (Barrier::new(2), AtomicU32::new(0));
    let inside = snapshot(async {
        let writer = async {
            gate.wait().await;
            cache.invalidate(["Gated"]).await.unwrap();
            gate.wait().await;
        };
        tokio::join!(gated(&gate, &runs, 1), writer);
        let free = Barrier::new(1);
        assert_eq!(observe(gated(&free, &runs, 1)).await, (1, Some(Outcome::Miss)));
    });
    with_cache(cache.clone(), inside).await;
}

async fn a_version_that_is_read_later_is_the_one_of_then(cache: Cache) {
    let source = Source::default();
    with_cache(cache.clone(), row(&source, 2)).await;
    let inside = snapshot(async {
        call(&source, 1).await;
        // Nothing has read this one yet.
        bump_elsewhere(&cache, Tag::new("Row", 2)).await;
        assert_eq!(call(&source, 2).await.1, Outcome::Miss);
        assert_eq!(call(&source, 2).await.1, Outcome::Hit);
    });
    with_cache(cache.clone(), inside).await;
    assert_eq!(with_cache(cache, call(&source, 2)).await.1, Outcome::Hit);
}

async fn a_snapshot_inside_of_one_is_part_of_it(cache: Cache) {
    let source = Source::default();
    let inside = snapshot(async {
        call(&source, 1).await;
        bump_elsewhere(&cache, Tag::new("Row", 1)).await;
        snapshot(async { assert_eq!(call(&source, 1).await.1, Outcome::Hit) }).await;
    });
    with_cache(cache.clone(), inside).await;
}

#[tagged_cache(batch, tags = ["Row:<id>"], vary_on = [])]
async fn rows(source: &Source, ids: &[u64]) -> std::collections::HashMap<u64, u32> {
    let run = source.runs.fetch_add(1, Ordering::SeqCst);
    ids.iter().map(|id| (*id, run)).collect()
}

async fn a_batch_agrees_with_single_calls(cache: Cache) {
    let source = Source::default();
    let inside = snapshot(async {
        rows(&source, &[1, 2]).await;
        bump_elsewhere(&cache, Tag::new("Row", 1)).await;
        let (found, outcome) = observe(rows(&source, &[1, 2])).await;
        assert_eq!((found[&1], found[&2], outcome), (0, 0, Some(Outcome::Hit)));
        cache.invalidate([Tag::new("Row", 2)]).await.unwrap();
        let found = rows(&source, &[1, 2]).await;
        assert_eq!((found[&1], found[&2]), (0, 1));
    });
    with_cache(cache.clone(), inside).await;
    let found = with_cache(cache, rows(&source, &[1, 2])).await;
    assert_eq!((found[&1], found[&2]), (2, 1));
}

async fn what_runs_inside_after_a_bump_is_not_found_outside(cache: Cache) {
    let source = Source::default();
    let inside = snapshot(async {
        // Its tag is known by then, and its entry is not there.
        let tag = cache.entry("other").tag(Tag::new("Row", 1));
        assert_eq!(tag.get::<u8>().await.unwrap(), None);
        bump_elsewhere(&cache, Tag::new("Row", 1)).await;
        assert_eq!(call(&source, 1).await.1, Outcome::Miss);
        assert_eq!(call(&source, 1).await.1, Outcome::Hit);
    });
    with_cache(cache.clone(), inside).await;
    assert_eq!(with_cache(cache, call(&source, 1)).await.1, Outcome::Miss);
}

async fn a_floor_inside_of_a_snapshot_lifts_it(cache: Cache) {
    let source = Source::default();
    let inside = snapshot(async {
        call(&source, 1).await;
        let bumped = bump_elsewhere(&cache, Tag::new("Row", 1)).await;
        assert_eq!(call(&source, 1).await.1, Outcome::Hit);
        assert_eq!(at_least(bumped, call(&source, 1)).await.1, Outcome::Miss);
        assert_eq!(call(&source, 1).await, ("row 1, run 1".to_owned(), Outcome::Hit));
    });
    with_cache(cache.clone(), inside).await;
}

/// Where Redis shows what was before the bump, nothing from before it is found.
#[tokio::test]
async fn a_bump_of_its_own_is_seen_though_redis_has_lost_it() {
    let server = RedisServer::start();
    // Another connection, as for a lease, would make up for it.
    let cache = patient(server.url()).lease_wait(Duration::ZERO).build().await.unwrap();
    let source = Source::default();
    let inside = snapshot(async {
        call(&source, 1).await;
        let before = server.get_raw("fragkeys:t:Row:1").unwrap();
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        server.set_raw("fragkeys:t:Row:1", &before);
        assert_eq!(call(&source, 1).await, ("row 1, run 1".to_owned(), Outcome::Miss));
        assert_eq!(call(&source, 1).await, ("row 1, run 1".to_owned(), Outcome::Hit));
    });
    with_cache(cache.clone(), inside).await;
    assert_eq!(with_cache(cache, call(&source, 1)).await.0, "row 1, run 0", "or it shows nothing");
}

/// Two caches that know one tag: each has versions of its own.
#[tokio::test]
async fn a_snapshot_keeps_caches_apart() {
    let server = RedisServer::start();
    let (one, other) = (redis_cache(&server).await, memory_cache().await);
    let source = Arc::new(Source::default());
    snapshot(async {
        for cache in [&one, &other] {
            assert_eq!(with_cache(cache.clone(), call(&source, 1)).await.1, Outcome::Miss);
        }
        other.invalidate([Tag::new("Row", 1)]).await.unwrap();
        assert_eq!(with_cache(one.clone(), call(&source, 1)).await.1, Outcome::Hit);
        assert_eq!(with_cache(other.clone(), call(&source, 1)).await.1, Outcome::Miss);
    })
    .await;
}
