//! Guarded tags: what readers do while a change is under way, and what a crash leaves behind.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fragkeys::{
    Cache, Config, ErrorKind, Outcome, Tag, Version, guard, observe, tagged_cache, with_cache,
};
use fragkeys_tests::RedisServer;
use tokio::sync::{Barrier, oneshot};

use crate::support::{Source, eventually, over_both_stores, patient, row};

mod commit;
mod crash;
mod faults;
mod marks;
mod windows;

over_both_stores! {
    readers_run_and_store_nothing_until_it_has_ended,
    a_run_from_before_it_is_not_found_after_it,
    a_run_inside_of_it_is_not_stored_after_it,
    a_dropped_one_gives_no_version_back,
    a_bump_meanwhile_is_ok_and_does_not_end_it,
    by_hand_it_is_nothing_cached_and_nothing_stored,
    a_batch_leaves_out_what_is_guarded,
    what_cannot_be_bumped_is_an_error_beside_the_answer,
    its_answer_may_be_anything,
}

/// Short, for those that are left to end by themselves.
const SHORT: Duration = Duration::from_millis(400);

async fn call(cache: &Cache, source: &Source, id: u64) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, id))).await;
    (value, outcome.unwrap())
}

async fn version(cache: &Cache) -> Version {
    cache.tag_version(&Tag::new("Row", 1)).await.unwrap()
}

async fn readers_run_and_store_nothing_until_it_has_ended(cache: Cache) {
    let source = Source::default();
    call(&cache, &source, 1).await;
    call(&cache, &source, 2).await;
    let before = version(&cache).await;
    let write = async {
        for run in 2..4 {
            let seen = call(&cache, &source, 1).await;
            assert_eq!(seen, (format!("row 1, run {run}"), Outcome::Bypass));
        }
        assert_eq!(call(&cache, &source, 2).await.1, Outcome::Hit, "another row");
        let error = cache.tag_version(&Tag::new("Row", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Guarded);
        "written"
    };
    let faults = cache.stats().faults;
    let told = with_cache(cache.clone(), guard([Tag::new("Row", 1)], write).report()).await;
    assert!(told.value == "written" && told.marked.is_ok());
    let after = told.bumped.unwrap().version(&Tag::new("Row", 1)).unwrap();
    assert!(after > before && version(&cache).await == after);
    assert_eq!(call(&cache, &source, 1).await, ("row 1, run 4".to_owned(), Outcome::Miss));
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Hit);
    assert_eq!(cache.stats().faults, faults, "it is no fault of the store");
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn gated(gate: &Barrier, runs: &AtomicU32, id: u64) -> u32 {
    let run = runs.fetch_add(1, Ordering::SeqCst);
    gate.wait().await;
    gate.wait().await;
    run
}

async fn a_run_from_before_it_is_not_found_after_it(cache: Cache) {
    let (gate, runs, free) = (Barrier::new(2), AtomicU32::new(0), Barrier::new(1));
    let writer = async {
        gate.wait().await;
        guard([Tag::new("Row", 1)], async { gate.wait().await }).await;
    };
    let both = async { tokio::join!(gated(&gate, &runs, 1), writer).0 };
    assert_eq!(with_cache(cache.clone(), both).await, 0);
    assert_eq!(with_cache(cache, observe(gated(&free, &runs, 1))).await, (1, Some(Outcome::Miss)));
}

async fn a_run_inside_of_it_is_not_stored_after_it(cache: Cache) {
    let (gate, runs, free) = (Barrier::new(2), AtomicU32::new(0), Barrier::new(1));
    let (begun, has_begun) = oneshot::channel();
    let (end, may_end) = oneshot::channel::<()>();
    let writer = async {
        let write = async {
            begun.send(()).unwrap();
            may_end.await.unwrap();
        };
        guard([Tag::new("Row", 1)], write).await;
        gate.wait().await;
    };
    let reader = async {
        has_begun.await.unwrap();
        let enters = async {
            gate.wait().await;
            end.send(()).unwrap();
        };
        tokio::join!(observe(gated(&gate, &runs, 1)), enters).0
    };
    let both = async { tokio::join!(writer, reader).1 };
    assert_eq!(with_cache(cache.clone(), both).await, (0, Some(Outcome::Bypass)));
    assert_eq!(with_cache(cache, observe(gated(&free, &runs, 1))).await, (1, Some(Outcome::Miss)));
}

/// Polls a guard until its future runs, and drops it there.
async fn drop_one(cache: &Cache) {
    let (begun, has_begun) = oneshot::channel();
    let write = async {
        begun.send(()).unwrap();
        std::future::pending::<()>().await;
    };
    let guarded = with_cache(cache.clone(), guard([Tag::new("Row", 1)], write));
    tokio::select! {
        () = guarded => unreachable!(),
        _ = has_begun => {}
    }
}

async fn a_dropped_one_gives_no_version_back(cache: Cache) {
    let source = Source::default();
    call(&cache, &source, 1).await;
    drop_one(&cache).await;
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Bypass);
    // Nobody else is kept from guarding it, and the dropped one goes on to count.
    with_cache(cache.clone(), guard([Tag::new("Row", 1)], async {})).await;
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Bypass);
}

async fn ends_by_itself(cache: Cache) {
    let source = Source::default();
    call(&cache, &source, 1).await;
    let before = version(&cache).await;
    drop_one(&cache).await;
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Bypass);
    eventually("the mark ends", async || {
        let outcome = call(&cache, &source, 1).await.1;
        assert_ne!(outcome, Outcome::Hit, "the old entry has come back");
        outcome == Outcome::Miss
    })
    .await;
    assert!(version(&cache).await > before);
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Hit);
}

#[tokio::test]
async fn a_dropped_one_ends_by_itself_with_a_fresh_version() {
    ends_by_itself(Config::memory().guard_timeout(SHORT).build().await.unwrap()).await;
    let server = RedisServer::start();
    ends_by_itself(patient(server.url()).guard_timeout(SHORT).build().await.unwrap()).await;
    assert_eq!(server.keys("fragkeys:g:*"), [""; 0], "nothing of it is left");
}

async fn a_bump_meanwhile_is_ok_and_does_not_end_it(cache: Cache) {
    let source = Source::default();
    let tag = Tag::new("Row", 1);
    let mut last = version(&cache).await;
    let mut see = |version: Version| {
        assert!(version > last, "{version} after {last}");
        last = version;
    };
    let write = async {
        for _ in 0..3 {
            see(cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap());
            assert_eq!(call(&cache, &source, 1).await.1, Outcome::Bypass);
        }
    };
    let told = with_cache(cache.clone(), guard([&tag], write).report()).await;
    see(told.bumped.unwrap().version(&tag).unwrap());
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss);
    see(cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap());
}

async fn by_hand_it_is_nothing_cached_and_nothing_stored(cache: Cache) {
    let entry = || cache.entry("by hand").tag(Tag::new("Row", 1));
    entry().set(&1).await.unwrap();
    let looked_inside = entry();
    let write = async {
        assert_eq!(looked_inside.get::<i32>().await.unwrap(), None);
        entry().set(&2).await.unwrap();
        assert!(!entry().delete().await.unwrap());
        assert_eq!(entry().get_or_set_with(async || 3).await, 3);
        assert_eq!(entry().key().await.unwrap_err().kind(), ErrorKind::Guarded);
    };
    with_cache(cache.clone(), guard([Tag::new("Row", 1)], write)).await;
    // What it worked out inside is not stored after the end.
    looked_inside.set(&2).await.unwrap();
    assert_eq!(entry().get::<i32>().await.unwrap(), None);
    // The next one is as ever.
    looked_inside.set(&4).await.unwrap();
    assert_eq!(entry().get::<i32>().await.unwrap(), Some(4));
}

#[tagged_cache(batch, tags = ["Row:<id>"], vary_on = [])]
async fn rows(source: &Source, ids: &[u64]) -> std::collections::HashMap<u64, u32> {
    let run = source.runs.fetch_add(1, Ordering::SeqCst);
    ids.iter().map(|id| (*id, run)).collect()
}

async fn a_batch_leaves_out_what_is_guarded(cache: Cache) {
    let source = Source::default();
    let read = || with_cache(cache.clone(), rows(&source, &[1, 2, 3]));
    read().await;
    let write = async {
        for run in 1..3 {
            let found = read().await;
            assert_eq!((found[&1], found[&2], found[&3]), (0, run, 0));
        }
    };
    with_cache(cache.clone(), guard([Tag::new("Row", 2)], write)).await;
    assert_eq!(read().await[&2], 3);
    assert_eq!(read().await[&2], 3);
}

async fn what_cannot_be_bumped_is_an_error_beside_the_answer(cache: Cache) {
    let source = Source::default();
    call(&cache, &source, 1).await;
    let tags = [Tag::constant("env", "production"), Tag::new("Row", 1)];
    let told = with_cache(cache.clone(), guard(tags, async { 7 }).report()).await;
    assert_eq!(told.value, 7);
    assert_eq!(told.marked.unwrap_err().kind(), ErrorKind::Tag);
    assert_eq!(told.bumped.unwrap_err().kind(), ErrorKind::Tag);
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss, "the other tag is bumped");
}

async fn its_answer_may_be_anything(cache: Cache) {
    let source = Source::default();
    call(&cache, &source, 1).await;
    let failed = guard([Tag::new("Row", 1)], async { Err::<(), _>("no") });
    assert_eq!(with_cache(cache.clone(), failed).await, Err("no"));
    // Perhaps it was committed before that.
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss);
    let none: [Tag; 0] = [];
    assert_eq!(with_cache(cache, guard(none, async { 3 })).await, 3);
}
