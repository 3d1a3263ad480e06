//! Servers that are not there, hang, or are slow.

use std::time::{Duration, Instant};

use fragkeys::{Breaker, Config, ErrorKind, Outcome};
use fragkeys_tests::{GarbageServer, Proxy, RedisServer};

use super::{
    PATIENCE, SILENT, answers_uncached, cache_at, call, costs_one_deadline, recovers, refuses_bumps,
};
use crate::support::Source;

#[tokio::test(flavor = "multi_thread")]
async fn killed() {
    let mut server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.kill();
    costs_one_deadline(&cache).await;
    answers_uncached(&cache, &[ErrorKind::Unreachable]).await;
    server.restart();
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stopped() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.pause();
    costs_one_deadline(&cache).await;
    answers_uncached(&cache, &SILENT).await;
    server.resume();
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn never_there() {
    let mut server = RedisServer::start();
    server.kill();
    let began = Instant::now();
    let cache = cache_at(server.url()).await;
    assert!(began.elapsed() < PATIENCE, "building waits for nobody");
    costs_one_deadline(&cache).await;
    answers_uncached(&cache, &[ErrorKind::Unreachable]).await;
    server.restart();
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn never_answers() {
    let server = GarbageServer::silent();
    let cache = cache_at(server.url()).await;
    costs_one_deadline(&cache).await;
    answers_uncached(&cache, &SILENT).await;
}

/// It is not called again and again either.
#[tokio::test(flavor = "multi_thread")]
async fn hangs_up() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    proxy.refuse();
    let cache = cache_at(proxy.url()).await;
    let source = Source::default();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
        tokio::task::yield_now().await;
    }
    assert!(proxy.accepted() < 30, "{} connections in a second", proxy.accepted());
    answers_uncached(&cache, &[ErrorKind::Unreachable]).await;
    proxy.pass();
    recovers(&cache).await;
}

/// Many replies that come late, but in time, are hits, and no reason to go without the store.
#[tokio::test(flavor = "multi_thread")]
async fn slow_and_in_time() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let patience = Duration::from_secs(3);
    let cache = Config::redis(proxy.url()).operation_timeout(patience);
    let cache = cache.lease_wait(Duration::ZERO).build().await.unwrap();
    recovers(&cache).await;
    // All that was bumped is known, so that a hit is one round trip.
    for _ in 0..3 {
        call(&cache, &Source::default()).await;
    }
    // Once each way: a reply takes two thirds of the deadline.
    proxy.delay(patience / 3);
    for _ in 0..2 {
        let calls = (0..50).map(|_| {
            let cache = cache.clone();
            tokio::spawn(async move { call(&cache, &Source::default()).await })
        });
        for call in calls.collect::<Vec<_>>() {
            assert_eq!(call.await.unwrap().1, Outcome::Hit);
        }
        assert_eq!(cache.health().breaker, Breaker::Closed, "{}", cache.health());
    }
    assert_eq!(proxy.accepted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_too_late() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    recovers(&cache).await;
    proxy.delay(2 * PATIENCE);
    costs_one_deadline(&cache).await;
    refuses_bumps(&cache, &SILENT).await;
    proxy.pass();
    recovers(&cache).await;
}
