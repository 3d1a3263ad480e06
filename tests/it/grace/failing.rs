//! `stale_if_error`: the last good value in the place of an error, even of an invalidated one.

use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Cache, Config, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use super::{HOUR, Source, ask, covered};
use crate::flight::wait_for_misses;
use crate::support::{eventually, memory_cache, over_both_stores, patient, redis_cache};

fn call(cache: &Cache, source: &Arc<Source>, id: u64) -> tokio::task::JoinHandle<super::Answer> {
    let source = source.clone();
    ask(cache, async move { covered(&source, id).await })
}

/// With a source that is asked once an hour while it fails.
#[tokio::test]
async fn an_invalidated_value_in_memory() {
    let cache = Config::memory().retry_after(HOUR).build().await.unwrap();
    an_invalidated_value_stands_in_for_an_error(cache).await;
}

#[tokio::test]
async fn an_invalidated_value_in_redis() {
    let server = RedisServer::start();
    let cache = patient(server.url()).retry_after(HOUR).build().await.unwrap();
    an_invalidated_value_stands_in_for_an_error(cache).await;
}

/// After a bump there is nothing under the new version; the last good one is found all the same.
async fn an_invalidated_value_stands_in_for_an_error(cache: Cache) {
    let source = Source::open();
    assert_eq!(call(&cache, &source, 1).await.unwrap(), (Ok(0), Some(Outcome::Miss)));
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    source.goes_down(true);
    for _ in 0..50 {
        assert_eq!(call(&cache, &source, 1).await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    }
    // The source was asked once, and is left alone.
    assert_eq!((source.runs(), cache.stats().stale), (2, 50));
    // What has no last good value has its error.
    let (error, outcome) = call(&cache, &source, 2).await.unwrap();
    assert!(error.is_err());
    assert_eq!(outcome, Some(Outcome::NotStored));
    // Never while the source works: a bump is seen at once.
    source.goes_down(false);
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    assert_eq!(call(&cache, &source, 1).await.unwrap(), (Ok(3), Some(Outcome::Miss)));
}

/// Those who wait for a run that fails are given the old value, each by a look of its own, and
/// none of them runs.
async fn those_who_wait_are_given_it(cache: Cache) {
    let source = Source::gated();
    source.release(1);
    call(&cache, &source, 1).await.unwrap().0.unwrap();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    source.goes_down(true);
    let calls: Vec<_> = (0..50).map(|_| call(&cache, &source, 1)).collect();
    wait_for_misses(&cache, 51).await;
    source.wait_for_runs(2).await;
    tokio::task::yield_now().await;
    source.release(1);
    for call in calls {
        assert_eq!(call.await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    }
    assert_eq!(source.runs(), 2);
}

#[tagged_cache(
    vary_on = [],
    stale_if_error = HOUR,
    cache_err = |error: &String| error.contains("gone").then_some(Duration::from_secs(60))
)]
async fn negative(source: &Source, error: &str) -> Result<usize, String> {
    source.run().await.map_err(|_| error.to_owned())
}

/// An error that is chosen is an answer; any other one is a failure.
async fn a_chosen_error_is_an_answer(cache: Cache) {
    let source = Source::open();
    with_cache(cache.clone(), async {
        negative(&source, "").await.unwrap();
        cache.invalidate_all().await.unwrap();
        source.goes_down(true);
        assert_eq!(observe(negative(&source, "broken")).await, (Ok(0), Some(Outcome::Stale)));
        cache.invalidate_all().await.unwrap();
        let gone = Err("gone".to_owned());
        assert_eq!(observe(negative(&source, "gone")).await, (gone.clone(), Some(Outcome::Miss)));
        assert_eq!(observe(negative(&source, "broken")).await, (gone, Some(Outcome::Hit)));
        assert_eq!(source.runs(), 3);
    })
    .await;
}

over_both_stores!(those_who_wait_are_given_it, a_chosen_error_is_an_answer,);

/// A minute of the source being down, by a clock that the test moves: every call is answered, the
/// source is asked once a second, and what it says when it is back is everybody's at once.
#[tokio::test(start_paused = true)]
async fn a_source_that_is_down_for_a_minute() {
    for is_bumped in [false, true] {
        let cache = memory_cache().await;
        let source = Source::open();
        call(&cache, &source, 1).await.unwrap().0.unwrap();
        // Expired, or invalidated.
        match is_bumped {
            true => drop(cache.invalidate([Tag::new("Row", 1)]).await.unwrap()),
            false => tokio::time::advance(Duration::from_secs(61)).await,
        }
        source.goes_down(true);
        let mut answered = 0;
        for _ in 0..600 {
            for _ in 0..10 {
                assert_eq!(call(&cache, &source, 1).await.unwrap(), (Ok(0), Some(Outcome::Stale)));
                answered += 1;
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(answered, 6_000);
        let tries = source.runs() - 1;
        assert!((55..=61).contains(&tries), "{tries} runs in a minute");
        source.goes_down(false);
        tokio::time::advance(Duration::from_secs(1)).await;
        let (value, outcome) = call(&cache, &source, 1).await.unwrap();
        assert_eq!((value, outcome), (Ok(tries + 1), Some(Outcome::Miss)));
        for _ in 0..10 {
            assert_eq!(call(&cache, &source, 1).await.unwrap().1, Some(Outcome::Hit));
        }
    }
}

/// The window is measured from the end of the value's own time, also of an invalidated one.
#[tokio::test(start_paused = true)]
async fn it_stands_in_for_no_longer_than_it_may() {
    let cache = memory_cache().await;
    let source = Source::open();
    call(&cache, &source, 1).await.unwrap().0.unwrap();
    call(&cache, &source, 2).await.unwrap().0.unwrap();
    cache.invalidate([Tag::new("Row", 2)]).await.unwrap();
    source.goes_down(true);
    tokio::time::advance(Duration::from_secs(60 + 3_598)).await;
    assert_eq!(call(&cache, &source, 1).await.unwrap().1, Some(Outcome::Stale));
    assert_eq!(call(&cache, &source, 2).await.unwrap().1, Some(Outcome::Stale));
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(call(&cache, &source, 1).await.unwrap().1, Some(Outcome::NotStored));
    assert_eq!(call(&cache, &source, 2).await.unwrap().1, Some(Outcome::NotStored));
}

/// Only functions that ask for it write where the last good value is, and only they read it.
#[tokio::test]
async fn what_points_to_the_last_good_value() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::open();
    call(&cache, &source, 1).await.unwrap().0.unwrap();
    let pointers = server.keys("fragkeys:p:*");
    assert_eq!(pointers.len(), 1, "{pointers:?}");
    assert!(pointers[0].starts_with("fragkeys:p:it::grace::covered:"), "{pointers:?}");
    let life: u64 = server.cli(&["PTTL", &pointers[0]]).trim().parse().unwrap();
    assert!((3_600_000..=3_660_000).contains(&life), "{life} ms");
    // Whoever writes something else there has it ignored (I4, I5).
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    source.goes_down(true);
    for strange in ["", "strange", &"x".repeat(100)] {
        server.cli(&["SET", &pointers[0], strange]);
        assert!(call(&cache, &source, 1).await.unwrap().0.is_err());
    }
    with_cache(cache.clone(), crate::support::row(&crate::support::Source::default(), 1)).await;
    assert_eq!(server.keys("fragkeys:p:*").len(), 1);
}

/// I5: without the store there is no last good value, and the function's own answer it is.
#[tokio::test]
async fn i5_a_store_that_is_away() {
    let mut server = RedisServer::start();
    let cache = Config::redis(server.url()).build().await.unwrap();
    let source = Source::open();
    call(&cache, &source, 1).await.unwrap().0.unwrap();
    server.kill();
    eventually("it is noticed", async || !cache.health().is_reachable).await;
    assert_eq!(call(&cache, &source, 1).await.unwrap(), (Ok(1), Some(Outcome::Bypass)));
    source.goes_down(true);
    assert!(call(&cache, &source, 1).await.unwrap().0.is_err());
}
