//! `stale_while_revalidate`: what has expired is given while one runs; never what was invalidated.

use std::sync::Arc;

use fragkeys::{Cache, Outcome, Tag, evict, observe, on_commit, peek, refresh, with_cache};

use super::{Source, ask, expire, revalidated, revalidated_by_a_caller};
use crate::support::{eventually, over_both_stores};

async fn what_has_expired_is_given_while_one_runs(cache: Cache) {
    let source = Source::gated();
    source.release(1);
    assert_eq!(ask(&cache, revalidated(source.clone(), 1)).await.unwrap().1, Some(Outcome::Miss));
    expire().await;
    // A hundred callers, none of whom waits, and one run.
    for _ in 0..100 {
        let (value, outcome) = ask(&cache, revalidated(source.clone(), 1)).await.unwrap();
        assert_eq!((value, outcome), (Ok(0), Some(Outcome::Stale)));
    }
    source.wait_for_runs(2).await;
    assert_eq!((source.runs(), cache.stats().stale), (2, 100));
    source.release(1);
    eventually("the run is stored", async || cache.stats().stored == 2).await;
    let (value, outcome) = ask(&cache, revalidated(source.clone(), 1)).await.unwrap();
    assert_eq!((value, outcome), (Ok(1), Some(Outcome::Hit)));
    assert_eq!((source.runs(), cache.stats().refreshes), (2, 1));
}

/// Where the arguments are borrowed, the caller who is first runs, and the others are given it.
async fn one_caller_runs_where_arguments_are_borrowed(cache: Cache) {
    let source = Source::gated();
    let call = || {
        let source = source.clone();
        ask(&cache, async move { revalidated_by_a_caller(&source, 1).await })
    };
    source.release(1);
    call().await.unwrap().0.unwrap();
    expire().await;
    let elected = call();
    source.wait_for_runs(2).await;
    for _ in 0..100 {
        assert_eq!(call().await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    }
    source.release(1);
    assert_eq!(elected.await.unwrap(), (Ok(1), Some(Outcome::Miss)));
    assert_eq!(call().await.unwrap(), (Ok(1), Some(Outcome::Hit)));
    assert_eq!(source.runs(), 2);
}

/// Its own error is not its answer: the others are given the value as well.
async fn who_runs_and_fails_is_given_it_too(cache: Cache) {
    let source = Source::open();
    let call = || {
        let source = source.clone();
        ask(&cache, async move { revalidated_by_a_caller(&source, 1).await })
    };
    call().await.unwrap().0.unwrap();
    expire().await;
    source.goes_down(true);
    assert_eq!(call().await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    assert_eq!(source.runs(), 2);
}

/// I2, with the race forced: a bump while the run for the expired value is under way.
async fn i2_what_was_invalidated_is_never_given(cache: Cache) {
    let source = Source::gated();
    source.release(1);
    ask(&cache, revalidated(source.clone(), 1)).await.unwrap().0.unwrap();
    expire().await;
    assert_eq!(ask(&cache, revalidated(source.clone(), 1)).await.unwrap().1, Some(Outcome::Stale));
    source.wait_for_runs(2).await;
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    // It begins after the bump: neither the old value nor the run from before is for it.
    let after = ask(&cache, revalidated(source.clone(), 1));
    source.wait_for_runs(3).await;
    assert!(!after.is_finished());
    source.release(2);
    assert_eq!(after.await.unwrap(), (Ok(2), Some(Outcome::Miss)));
    eventually("both are stored", async || cache.stats().stored == 3).await;
    assert_eq!(ask(&cache, revalidated(source, 1)).await.unwrap(), (Ok(2), Some(Outcome::Hit)));
}

/// What is expired is not cached, for whoever asks what is.
async fn orders_are_about_what_has_not_expired(cache: Cache) {
    let source = Source::open();
    with_cache(cache.clone(), async {
        let call = || revalidated(source.clone(), 1);
        call().await.unwrap();
        expire().await;
        assert_eq!(peek(call()).await, None);
        assert_eq!(source.runs(), 1);
        assert_eq!(refresh(call()).await, Ok(1));
        assert_eq!(peek(call()).await, Some(Ok(1)));
        assert!(fragkeys::prime(call(), Ok(7)).await);
        assert_eq!(observe(call()).await, (Ok(7), Some(Outcome::Hit)));
        assert!(evict(call()).await);
        assert_eq!(observe(call()).await, (Ok(2), Some(Outcome::Miss)));
    })
    .await;
}

/// What a transaction sees is its own.
async fn nothing_old_inside_of_a_transaction(cache: Cache) {
    let source = Source::open();
    with_cache(cache, async {
        revalidated(source.clone(), 1).await.unwrap();
        expire().await;
        let scope = on_commit(async {
            let (value, _) = observe(revalidated(source.clone(), 1)).await;
            assert_eq!(value, Ok(1));
            Ok::<_, ()>(())
        });
        scope.await.unwrap();
    })
    .await;
}

/// A run behind the back uses the cache that its caller did.
async fn nested_calls_use_the_same_cache(cache: Cache) {
    #[fragkeys::tagged_cache(timeout = super::SOON, vary_on = [], stale_while_revalidate = 60)]
    async fn outer(source: Arc<Source>) -> Result<usize, String> {
        super::covered(&source, 9).await
    }
    let source = Source::open();
    let ask = || ask(&cache, outer(source.clone()));
    ask().await.unwrap().0.unwrap();
    expire().await;
    assert_eq!(ask().await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    eventually("it is stored", async || cache.stats().stored == 3).await;
    // The inner one was a hit of this cache.
    assert_eq!((source.runs(), cache.stats().hits), (1, 1));
}

over_both_stores!(
    what_has_expired_is_given_while_one_runs,
    one_caller_runs_where_arguments_are_borrowed,
    who_runs_and_fails_is_given_it_too,
    i2_what_was_invalidated_is_never_given,
    orders_are_about_what_has_not_expired,
    nothing_old_inside_of_a_transaction,
    nested_calls_use_the_same_cache,
);
