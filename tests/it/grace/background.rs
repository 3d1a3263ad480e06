//! Runs that nobody waits for: how many there are, and what becomes of them (I7, I8).

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fragkeys::{Cache, Config, Outcome, Tag, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use super::{HOUR, SOON, Source, ask, expire, impatient, life, revalidated};
use crate::support::{eventually, over_both_stores, patient};

#[tagged_cache(vary_on = [id], timeout = SOON, stale_while_revalidate = HOUR)]
async fn briefly(source: Arc<Source>, id: u64) -> Result<usize, String> {
    source.run().await
}

/// I7: one runs, one waits for its turn, and the third does not begin; all are given the old value.
#[tokio::test]
async fn i7_past_the_bounds_no_run_begins() {
    let config = Config::memory().max_refreshes(1).max_queued_refreshes(1);
    let cache = config.build().await.unwrap();
    let source = Source::gated();
    source.release(3);
    for id in 1..=3 {
        ask(&cache, briefly(source.clone(), id)).await.unwrap().0.unwrap();
    }
    expire().await;
    for id in 1..=3 {
        let outcome = ask(&cache, briefly(source.clone(), id)).await.unwrap().1;
        assert_eq!(outcome, Some(Outcome::Stale));
    }
    source.wait_for_runs(4).await;
    assert_eq!((source.runs(), cache.stats().refused_refreshes), (4, 1));
    source.release(1);
    source.wait_for_runs(5).await;
    source.release(1);
    eventually("both are stored", async || cache.stats().stored == 5).await;
    // There is room again.
    source.release(1);
    assert_eq!(ask(&cache, briefly(source.clone(), 3)).await.unwrap().1, Some(Outcome::Stale));
    eventually("the third is stored", async || cache.stats().stored == 6).await;
}

/// One that has waited for its turn begins, however much was stored by others meanwhile.
#[tokio::test]
async fn a_busy_process_forgets_none_that_waits() {
    let cache = Config::memory().max_refreshes(1).build().await.unwrap();
    let source = Source::gated();
    source.release(2);
    for id in 1..=2 {
        ask(&cache, briefly(source.clone(), id)).await.unwrap().0.unwrap();
    }
    expire().await;
    for id in 1..=2 {
        ask(&cache, briefly(source.clone(), id)).await.unwrap().0.unwrap();
    }
    source.wait_for_runs(3).await;
    // More than a process remembers to have stored.
    let open = Source::open();
    with_cache(cache.clone(), async {
        for id in 0..20_000 {
            super::covered(&open, id).await.unwrap();
        }
    })
    .await;
    source.release(2);
    source.wait_for_runs(4).await;
}

/// I7: a run that cannot be handed over stays its caller's.
#[tokio::test]
async fn i7_past_the_bound_a_slow_run_is_waited_for() {
    let cache = Config::memory().max_refreshes(0).build().await.unwrap();
    let source = Source::gated();
    source.release(1);
    ask(&cache, impatient(source.clone(), 1)).await.unwrap().0.unwrap();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    let elected = ask(&cache, impatient(source.clone(), 1));
    source.wait_for_runs(2).await;
    let other = ask(&cache, impatient(source.clone(), 1));
    assert_eq!(other.await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    source.release(1);
    assert_eq!(elected.await.unwrap(), (Ok(1), Some(Outcome::Miss)));

    // Nor does one begin.
    let (_, stale) = (ask(&cache, revalidated(Source::open(), 1)).await.unwrap(), Source::gated());
    expire().await;
    let elected = ask(&cache, revalidated(stale.clone(), 1));
    stale.wait_for_runs(1).await;
    let other = ask(&cache, revalidated(stale.clone(), 1));
    assert_eq!(other.await.unwrap().1, Some(Outcome::Stale));
    stale.release(1);
    assert_eq!(elected.await.unwrap().1, Some(Outcome::Miss));
}

#[tagged_cache(vary_on = [], timeout = |run| life(*run), stale_while_revalidate = HOUR)]
async fn breaking(source: Arc<Source>) -> Result<usize, String> {
    let run = source.run().await?;
    assert!(run != 1, "as was asked for");
    Ok(run)
}

#[tokio::test]
async fn one_that_fails_in_memory() {
    let config = || Config::memory();
    one_that_fails_is_counted_and_tried_again_later(config).await;
}

#[tokio::test]
async fn one_that_fails_in_redis() {
    let server = RedisServer::start();
    let config = || patient(server.url());
    one_that_fails_is_counted_and_tried_again_later(config).await;
}

/// A run that panics or fails is its own matter; and the source is left alone for a while: here for an
/// hour, or not at all.
async fn one_that_fails_is_counted_and_tried_again_later(config: impl Fn() -> Config) {
    let source = Source::open();
    let cache = config().prefix("an hour").retry_after(HOUR).build().await.unwrap();
    let call = || ask(&cache, breaking(source.clone()));
    call().await.unwrap().0.unwrap();
    expire().await;
    assert_eq!(call().await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    eventually("it has panicked", async || cache.stats().failed_refreshes == 1).await;
    for _ in 0..20 {
        assert_eq!(call().await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    }
    assert_eq!(source.runs(), 2);

    let source = Source::open();
    let cache = config().prefix("at once").retry_after(Duration::ZERO).build().await.unwrap();
    let call = || ask(&cache, breaking(source.clone()));
    call().await.unwrap().0.unwrap();
    expire().await;
    call().await.unwrap().0.unwrap();
    eventually("it has panicked", async || cache.stats().failed_refreshes == 1).await;
    source.goes_down(true);
    eventually("it is tried again, and fails", async || {
        call().await.unwrap().0.unwrap();
        cache.stats().failed_refreshes >= 2
    })
    .await;
    source.goes_down(false);
    eventually("it works again", async || call().await.unwrap().1 == Some(Outcome::Hit)).await;
}

/// I8: a caller that is dropped wherever it is takes nobody along, and leaves nothing behind.
async fn i8_who_is_dropped_takes_nobody_along(cache: Cache) {
    for polls in 1..60 {
        let source = Source::gated();
        source.release(1);
        ask(&cache, impatient(source.clone(), polls)).await.unwrap().0.unwrap();
        cache.invalidate([Tag::new("Row", polls)]).await.unwrap();
        let dropped = with_cache(cache.clone(), async {
            let mut call = pin!(impatient(source.clone(), polls));
            for _ in 0..polls {
                if poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        dropped.await;
        source.release(10);
        // On a busy machine it may lose its patience again.
        eventually("somebody runs", async || {
            let value = ask(&cache, impatient(source.clone(), polls)).await.unwrap().0.unwrap();
            assert!(value <= 2, "after {polls} polls");
            value > 0
        })
        .await;
    }
}

over_both_stores!(i8_who_is_dropped_takes_nobody_along);

/// I8: a runtime that ends with runs in it leaves room for others.
#[test]
fn i8_a_runtime_that_ends_leaves_room() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let cache: Cache =
        first.block_on(Config::memory().max_refreshes(1).max_queued_refreshes(0).build()).unwrap();
    let source = Source::gated();
    source.release(1);
    first.block_on(async {
        ask(&cache, revalidated(source.clone(), 1)).await.unwrap().0.unwrap();
        expire().await;
        ask(&cache, revalidated(source.clone(), 1)).await.unwrap().0.unwrap();
        source.wait_for_runs(2).await;
    });
    drop(first);
    assert_eq!(cache.stats().failed_refreshes, 1);
    second.block_on(async {
        source.release(1);
        eventually("another one runs", async || {
            ask(&cache, revalidated(source.clone(), 1)).await.unwrap().1 == Some(Outcome::Hit)
        })
        .await;
    });
}
