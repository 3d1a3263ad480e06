//! What a network does to connections.

use fragkeys::{ErrorKind, Outcome, Tag};
use fragkeys_tests::{Proxy, RedisServer};

use super::{SILENT, answers_uncached, cache_at, call, costs_one_deadline, recovers};
use crate::support::Source;

/// A connection that is cut between two calls is replaced within the next one: no miss.
#[tokio::test(flavor = "multi_thread")]
async fn cut() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    let source = Source::default();
    call(&cache, &source).await;
    for _ in 0..20 {
        proxy.cut();
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
    }
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
}

/// The same of one that ends in one direction alone.
#[tokio::test(flavor = "multi_thread")]
async fn half_closed() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    let source = Source::default();
    call(&cache, &source).await;
    for _ in 0..20 {
        proxy.half_close();
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
    }
    proxy.half_close();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
    assert_eq!(cache.queued_bumps(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn black_holed() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    recovers(&cache).await;
    proxy.black_hole();
    costs_one_deadline(&cache).await;
    answers_uncached(&cache, &SILENT).await;
    proxy.pass();
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupted() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    recovers(&cache).await;
    let source = Source::default();
    for seed in 1..30 {
        proxy.corrupt(seed);
        let (value, _) = call(&cache, &source).await;
        assert!(value.starts_with("row 1, run "), "{value}");
        proxy.pass();
        proxy.cut();
    }
    proxy.corrupt(30);
    let bumped = cache.invalidate([Tag::new("Row", 1)]).await;
    let kinds =
        [ErrorKind::Unreachable, ErrorKind::Timeout, ErrorKind::Refused, ErrorKind::Protocol];
    assert!(bumped.map_or_else(|error| kinds.contains(&error.kind()), |_| true));
    proxy.pass();
    proxy.cut();
    recovers(&cache).await;
}
