//! Who shares a run with whom.

use std::sync::Arc;

use fragkeys::{Cache, Config, Outcome, Tag, observe, on_commit, with_cache};
use fragkeys_tests::RedisServer;
use tokio::task::JoinSet;

use super::{Source, Value, call, read, wait_for_misses};
use crate::support::{memory_cache, over_both_stores, patient, redis_cache};

const CROWD: usize = 10_000;

/// So many calls at once.
fn crowd(cache: &Cache, source: &Arc<Source>, size: usize) -> JoinSet<Value> {
    let mut calls = JoinSet::new();
    for _ in 0..size {
        let source = source.clone();
        calls.spawn(with_cache(cache.clone(), async move { read(&source, 1).await }));
    }
    calls
}

async fn ten_thousand_callers_share_one_run(cache: Cache) {
    let source = Source::new();
    let calls = crowd(&cache, &source, CROWD);
    wait_for_misses(&cache, CROWD as u64).await;
    source.release(1);
    let values = calls.join_all().await;
    assert_eq!(source.runs(), 1);
    assert!(values.iter().all(|value| *value == Value { id: 1, run: 0 }));
    assert_eq!(cache.stats().shared, CROWD as u64 - 1);
}

/// Also where nobody waits for the others, so that some come while the first ones are answered.
async fn one_run_however_they_meet(cache: Cache) {
    let source = Source::open();
    for id in 0..50 {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let source = source.clone();
            calls.spawn(with_cache(cache.clone(), async move { read(&source, id).await }));
        }
        calls.join_all().await;
        assert_eq!(source.runs() as u64, id + 1);
    }
}

/// I2 for those who come after the bump; those before it have asked for what it was then.
async fn a_bump_under_load_is_one_run_more(cache: Cache) {
    let source = Source::new();
    let before = crowd(&cache, &source, CROWD / 2);
    wait_for_misses(&cache, CROWD as u64 / 2).await;
    source.wait_for_runs(1).await;
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    let after = crowd(&cache, &source, CROWD / 2);
    wait_for_misses(&cache, CROWD as u64).await;
    source.wait_for_runs(2).await;
    source.release(2);
    let before = before.join_all().await;
    let after = after.join_all().await;
    assert_eq!(source.runs(), 2);
    assert!(before.iter().all(|value| value.run == 0));
    assert!(after.iter().all(|value| value.run == 1));
}

async fn who_waits_is_told_so(cache: Cache) {
    let source = Source::new();
    let first = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let second = call(&cache, &source, 1);
    wait_for_misses(&cache, 2).await;
    source.release(1);
    assert_eq!(first.await.unwrap(), (Value { id: 1, run: 0 }, Some(Outcome::Miss)));
    assert_eq!(second.await.unwrap(), (Value { id: 1, run: 0 }, Some(Outcome::Shared)));
    assert_eq!(call(&cache, &source, 1).await.unwrap().1, Some(Outcome::Hit));
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.shared, stats.hits), (2, 1, 1));
}

/// I4: another argument is another flight.
async fn other_keys_do_not_wait(cache: Cache) {
    let source = Source::new();
    let first = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let second = call(&cache, &source, 2);
    source.wait_for_runs(2).await;
    source.release(2);
    assert_eq!(first.await.unwrap().0.id, 1);
    assert_eq!(second.await.unwrap().0.id, 2);
}

/// A transaction sees other rows than everybody else: it neither gives nor takes.
async fn transactions_share_with_nobody(cache: Cache) {
    let outside = Source::new();
    let gated = call(&cache, &outside, 1);
    outside.wait_for_runs(1).await;
    let inside = Source::open();
    let within = || {
        let inside = inside.clone();
        on_commit(async move { Ok::<_, ()>(observe(read(&inside, 1)).await) })
    };
    let (value, outcome) = with_cache(cache.clone(), within()).await.unwrap();
    assert_eq!((value.run, outcome), (0, Some(Outcome::NotStored)));
    outside.release(1);
    gated.await.unwrap();

    let inside = Source::new();
    let gated = tokio::spawn(with_cache(cache.clone(), {
        let inside = inside.clone();
        on_commit(async move { Ok::<_, ()>(read(&inside, 2).await) })
    }));
    inside.wait_for_runs(1).await;
    let outside = Source::open();
    assert_eq!(call(&cache, &outside, 2).await.unwrap().1, Some(Outcome::Miss));
    inside.release(1);
    gated.await.unwrap().unwrap();
}

async fn entries_by_hand_share_too(cache: Cache) {
    let source = Source::new();
    let ask = || {
        let (cache, source) = (cache.clone(), source.clone());
        async move {
            let entry = cache.entry("row").tag(Tag::new("Row", 1));
            let made = entry.get_or_try_set_with(|| async { Ok::<_, ()>(source.run(1).await) });
            made.await.unwrap()
        }
    };
    let calls: Vec<_> = (0..100).map(|_| tokio::spawn(ask())).collect();
    wait_for_misses(&cache, 100).await;
    // One key, but another type: it can use neither the entry nor the run.
    let text = cache.entry("row").tag(Tag::new("Row", 1));
    assert_eq!(text.get_or_set_with(|| async { "text".to_owned() }).await, "text");
    source.release(1);
    for call in calls {
        assert_eq!(call.await.unwrap().run, 0);
    }
    assert_eq!(source.runs(), 1);
}

over_both_stores!(
    ten_thousand_callers_share_one_run,
    one_run_however_they_meet,
    a_bump_under_load_is_one_run_more,
    who_waits_is_told_so,
    other_keys_do_not_wait,
    transactions_share_with_nobody,
    entries_by_hand_share_too,
);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_on_several_threads_share_one_run() {
    one_run_however_they_meet(memory_cache().await).await;
    ten_thousand_callers_share_one_run(memory_cache().await).await;
    let server = RedisServer::start();
    one_run_however_they_meet(redis_cache(&server).await).await;
}

#[tokio::test]
async fn caches_share_with_no_other_cache() {
    let server = RedisServer::start();
    // Nor does one wait for the other's lease.
    let cache = || patient(server.url()).lease_wait(std::time::Duration::ZERO).build();
    let (one, other) = (cache().await.unwrap(), cache().await.unwrap());
    let gated = Source::new();
    let first = call(&one, &gated, 1);
    gated.wait_for_runs(1).await;
    let open = Source::open();
    assert_eq!(call(&other, &open, 1).await.unwrap().1, Some(Outcome::Miss));
    gated.release(1);
    first.await.unwrap();
}

/// A function that caches nothing is not asked for its runs either.
#[tokio::test]
async fn what_is_not_cached_is_not_shared() {
    let cache = memory_cache().await;
    let ask = |source: Arc<Source>| {
        let entry = cache.entry("row").timeout(std::time::Duration::ZERO);
        async move { entry.get_or_set_with(|| source.run(1)).await }
    };
    let gated = Source::new();
    let first = tokio::spawn(ask(gated.clone()));
    gated.wait_for_runs(1).await;
    ask(Source::open()).await;
    gated.release(1);
    first.await.unwrap();
}

#[tokio::test]
async fn sharing_can_be_turned_off() {
    let cache = Config::memory().flight_wait(std::time::Duration::ZERO).build().await.unwrap();
    let source = Source::new();
    let calls: Vec<_> = (0..10).map(|_| call(&cache, &source, 1)).collect();
    source.wait_for_runs(10).await;
    source.release(10);
    for call in calls {
        assert_eq!(call.await.unwrap().1, Some(Outcome::Miss));
    }
}
