//! Around calls whose run is under way elsewhere.

use fragkeys::{Cache, Outcome, Tag, bypass, evict, observe, peek, refresh, with_cache};

use crate::flight::{Source, call, read, wait_for_misses};
use crate::support::over_both_stores;

async fn nobody_is_waited_for(cache: Cache) {
    let source = Source::new();
    let runs = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let open = Source::open();
    with_cache(cache.clone(), async {
        assert_eq!(peek(read(&open, 1)).await, None);
        assert_eq!(bypass(read(&open, 1)).await.run, 0);
        assert_eq!(refresh(read(&open, 1)).await.run, 1);
    })
    .await;
    source.release(1);
    runs.await.unwrap();
}

/// What began before a refresh is not stored behind it, though its own caller gets it.
async fn a_refresh_outdates_what_is_under_way(cache: Cache) {
    let source = Source::new();
    let old = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let newer = Source::open();
    newer.run(1).await;
    let refreshed = with_cache(cache.clone(), refresh(read(&newer, 1))).await;
    assert_eq!(refreshed.run, 1);
    source.release(1);
    let (value, outcome) = old.await.unwrap();
    assert_eq!((value.run, outcome), (0, Some(Outcome::NotStored)));
    assert_eq!(with_cache(cache, peek(read(&source, 1))).await, Some(refreshed));
}

/// Who comes during a refresh of what is not cached shares it.
async fn a_refresh_is_shared(cache: Cache) {
    let source = Source::new();
    let refreshes = tokio::spawn(with_cache(cache.clone(), {
        let source = source.clone();
        async move { refresh(read(&source, 1)).await }
    }));
    source.wait_for_runs(1).await;
    let waits = call(&cache, &source, 1);
    wait_for_misses(&cache, 1).await;
    tokio::task::yield_now().await;
    source.release(1);
    assert_eq!(refreshes.await.unwrap().run, 0);
    let (value, outcome) = waits.await.unwrap();
    assert_eq!((value.run, outcome), (0, Some(Outcome::Shared)));
}

/// I8: who waits for a refresh that is dropped takes over.
async fn i8_a_refresh_that_is_dropped(cache: Cache) {
    let source = Source::new();
    let refreshes = tokio::spawn(with_cache(cache.clone(), {
        let source = source.clone();
        async move { refresh(read(&source, 1)).await }
    }));
    source.wait_for_runs(1).await;
    let waits = call(&cache, &source, 1);
    wait_for_misses(&cache, 1).await;
    tokio::task::yield_now().await;
    refreshes.abort();
    source.wait_for_runs(2).await;
    source.release(2);
    assert_eq!(waits.await.unwrap().0.run, 1);
}

/// I1: a bump during a refresh makes its value unreachable.
async fn i1_a_bump_during_a_refresh(cache: Cache) {
    let source = Source::new();
    let refreshes = tokio::spawn(with_cache(cache.clone(), {
        let source = source.clone();
        async move { observe(refresh(read(&source, 1))).await }
    }));
    source.wait_for_runs(1).await;
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    source.release(1);
    refreshes.await.unwrap();
    assert_eq!(with_cache(cache, peek(read(&source, 1))).await, None);
}

/// What was evicted does not come back from a run that began before; who comes after runs.
async fn an_eviction_outdates_what_is_under_way(cache: Cache) {
    let source = Source::new();
    let old = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    assert!(!with_cache(cache.clone(), evict(read(&source, 1))).await);
    let new = call(&cache, &source, 1);
    source.wait_for_runs(2).await;
    source.release(1);
    assert_eq!(old.await.unwrap().1, Some(Outcome::NotStored));
    assert_eq!(with_cache(cache.clone(), peek(read(&source, 1))).await, None);
    source.release(1);
    assert_eq!(new.await.unwrap().1, Some(Outcome::Miss));
    assert_eq!(with_cache(cache, peek(read(&source, 1))).await.map(|it| it.run), Some(1));
}

over_both_stores!(
    nobody_is_waited_for,
    a_refresh_outdates_what_is_under_way,
    a_refresh_is_shared,
    i8_a_refresh_that_is_dropped,
    i1_a_bump_during_a_refresh,
    an_eviction_outdates_what_is_under_way,
);
