//! Bumps that fail: bounded, queued, retried, and visible.

use std::time::{Duration, Instant};

use fragkeys::{Config, ErrorKind, Tag};
use fragkeys_tests::{Proxy, RedisServer};

use super::{PATIENCE, SLACK, cache_at};
use crate::support::{eventually, patient};

/// I6: a bump that failed is retried until the store has it, and seen by other caches.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_failed_bump_goes_through_later() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    let other = patient(server.url()).build().await.unwrap();
    let entry = other.entry("x").tag("A");
    entry.set(&1).await.unwrap();
    cache.tag_version(&"A".into()).await.unwrap();
    proxy.refuse();
    for tag in ["A", "B", "A"] {
        cache.invalidate([tag]).await.unwrap_err();
    }
    assert_eq!(cache.queued_bumps(), 2);
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1), "others do not know yet");
    proxy.pass();
    eventually("the queue is empty", async || cache.queued_bumps() == 0).await;
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
    assert_eq!(cache.stats().bumped, 2);
}

/// I7: past its bound the queue becomes one bump of everything, and stays small.
#[tokio::test(flavor = "multi_thread")]
async fn i7_a_full_queue_becomes_one_bump_of_the_whole_cache() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let config = Config::redis(proxy.url()).operation_timeout(PATIENCE).max_queued_bumps(3);
    let cache = config.build().await.unwrap();
    let entry = cache.entry("x").tag("untouched");
    entry.set(&1).await.unwrap();
    proxy.refuse();
    for number in 0..10 {
        cache.invalidate([Tag::new("T", number)]).await.unwrap_err();
        assert!(cache.queued_bumps() <= 3);
    }
    proxy.pass();
    eventually("the queue is empty", async || cache.queued_bumps() == 0).await;
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
}

/// I6, I8: a bump whose future is dropped before the answer is done all the same.
#[tokio::test(flavor = "multi_thread")]
async fn i8_a_dropped_bump_is_done_all_the_same() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    let entry = cache.entry("x").tag("T");
    entry.set(&1).await.unwrap();
    proxy.hold();
    {
        let bump = cache.invalidate(["T"]);
        tokio::pin!(bump);
        let waited = tokio::time::timeout(Duration::from_millis(20), &mut bump).await;
        assert!(waited.is_err(), "the bump cannot have been answered");
    }
    assert_eq!(cache.queued_bumps(), 1);
    proxy.pass();
    eventually("the bump is done", async || cache.queued_bumps() == 0).await;
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
}

/// I6: on a hung server a bump takes a bounded time, and then says so.
#[tokio::test(flavor = "multi_thread")]
async fn i6_bumps_on_a_hung_server_are_bounded_told_and_queued() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    cache.invalidate([Tag::new("T", 0)]).await.unwrap();
    server.pause();
    let began = Instant::now();
    for number in 1..=10 {
        let error = cache.invalidate([Tag::new("T", number)]).await.unwrap_err();
        assert!([ErrorKind::Timeout, ErrorKind::Unreachable].contains(&error.kind()), "{error:?}");
        assert_eq!(cache.queued_bumps(), number);
    }
    assert!(began.elapsed() < PATIENCE + SLACK, "only the first of ten waits");
    assert_eq!(cache.health().queued_bumps, 10);
    assert!(cache.health().to_string().contains("10 queued bumps"));
    server.resume();
    eventually("all are through", async || cache.queued_bumps() == 0).await;
    assert_eq!(cache.stats().bumped, 11);
}
