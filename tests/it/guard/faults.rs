//! The store is away, hung or comes back while a guard lives.

use fragkeys::{Config, Outcome, Tag, guard, with_cache};
use fragkeys_tests::{Proxy, RedisServer};
use std::time::Duration;

use super::{SHORT, Source, call, version};
use crate::support::{eventually, patient, redis_cache};

/// The write is not the cache's to refuse. What is bumped is queued, and done when it is back.
#[tokio::test]
async fn without_a_store_the_future_runs_and_the_bump_is_queued() {
    let mut server = RedisServer::start();
    let config = Config::redis(server.url()).operation_timeout(Duration::from_millis(200));
    let cache = config.build().await.unwrap();
    let source = Source::default();
    call(&cache, &source, 1).await;
    server.kill();
    let told = with_cache(cache.clone(), guard([Tag::new("Row", 1)], async { 7 }).report()).await;
    assert_eq!(told.value, 7);
    assert!(told.marked.unwrap_err().to_string().contains("could not be marked"));
    assert!(told.bumped.unwrap_err().to_string().contains("queued"));
    assert_eq!(cache.queued_bumps(), 1);
    server.restart();
    eventually("the bump went through", async || {
        call(&cache, &source, 1).await;
        cache.queued_bumps() == 0
    })
    .await;
    eventually("it is cached again", async || call(&cache, &source, 1).await.1 == Outcome::Hit)
        .await;
}

/// Nobody knows whether a dropped one has committed: unmarked, its bump is queued.
#[tokio::test]
async fn without_a_store_a_dropped_one_leaves_its_bump_queued() {
    let mut server = RedisServer::start();
    let config = Config::redis(server.url()).operation_timeout(Duration::from_millis(200));
    let cache = config.build().await.unwrap();
    cache.invalidate(["warm"]).await.unwrap();
    server.kill();
    super::drop_one(&cache).await;
    assert_eq!(cache.queued_bumps(), 1);
}

/// Cut off for longer than it is believed to live: what was marked is cached again, under a fresh
/// version; when it can say so again, it is marked again; and its end is a bump.
#[tokio::test]
async fn one_that_outlives_its_time_is_marked_again_when_it_can_be() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let config = Config::redis(proxy.url()).operation_timeout(Duration::from_millis(200));
    let cache = config.guard_timeout(SHORT).build().await.unwrap();
    let other = redis_cache(&server).await;
    let source = Source::default();
    call(&other, &source, 1).await;
    let before = version(&other).await;
    let told = with_cache(
        cache.clone(),
        guard([Tag::new("Row", 1)], async {
            assert_eq!(call(&other, &source, 1).await.1, Outcome::Bypass);
            proxy.black_hole();
            eventually("it is taken for dead", async || {
                let outcome = call(&other, &source, 1).await.1;
                assert!(outcome != Outcome::Hit || version(&other).await > before);
                outcome == Outcome::Hit
            })
            .await;
            proxy.pass();
            proxy.cut();
            eventually("it is marked again", async || {
                call(&other, &source, 1).await.1 == Outcome::Bypass
            })
            .await;
        })
        .report(),
    );
    let told = told.await;
    assert!(told.marked.is_ok());
    told.bumped.unwrap();
    assert_eq!(call(&other, &source, 1).await.1, Outcome::Miss);
}

/// Hung before it: the future waits no longer than any call would.
#[tokio::test]
async fn a_hung_store_delays_it_by_one_operation_timeout() {
    let server = RedisServer::start();
    let patience = Duration::from_secs(3);
    let cache = Config::redis(server.url()).operation_timeout(patience).build().await.unwrap();
    cache.invalidate(["warm"]).await.unwrap();
    server.pause();
    let since = std::time::Instant::now();
    let begun = with_cache(cache.clone(), guard([Tag::new("Row", 1)], async { since.elapsed() }));
    let begun = begun.await;
    assert!(begun < 2 * patience, "{begun:?}");
    server.resume();
    eventually("the bump went through", async || {
        let _ = cache.entry("x").get::<u8>().await;
        cache.queued_bumps() == 0
    })
    .await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_errors() {
    for timeout in [Duration::ZERO, Duration::from_millis(99), Duration::from_secs(86_401)] {
        let error = patient("redis://127.0.0.1:1/").guard_timeout(timeout).build().await;
        assert!(error.unwrap_err().to_string().contains("guard_timeout"));
    }
}
