//! What Redis forgets: keys, and bumps that it had acknowledged.

use fragkeys::{Cache, Outcome, Tag, Version};
use fragkeys_tests::{Proxy, RedisServer};

use super::{cache_at, call, recovers};
use crate::support::{Source, eventually};

const TAG: &str = "fragkeys:t:Row:1";

/// A call's value is cached.
async fn fill(cache: &Cache, source: &Source) {
    call(cache, source).await;
    assert_eq!(call(cache, source).await.1, Outcome::Hit);
}

fn row() -> Tag {
    Tag::new("Row", 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn flushed() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    let source = Source::default();
    for _ in 0..5 {
        fill(&cache, &source).await;
        let before = cache.tag_version(&row()).await.unwrap();
        server.flushall();
        assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
        assert!(cache.tag_version(&row()).await.unwrap() > before);
    }
    server.flushall();
    cache.invalidate([row()]).await.unwrap();
    recovers(&cache).await;
}

/// Keys that make room for others: the version, or the entry, or both.
#[tokio::test(flavor = "multi_thread")]
async fn evicted() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-random"]);
    let cache = cache_at(server.url()).await;
    let source = Source::default();
    fill(&cache, &source).await;
    let before = cache.tag_version(&row()).await.unwrap();
    // Everything, as there is no room for a single key.
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    eventually("all is evicted", async || {
        let _ = server.command(&[b"SET", b"filler", b"x"]);
        server.keys("fragkeys:*").is_empty()
    })
    .await;
    let (value, _) = call(&cache, &source).await;
    assert_eq!(value, "row 1, run 1");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    recovers(&cache).await;
    assert!(cache.tag_version(&row()).await.unwrap() > before);
}

/// An old entry that everybody would find again, were it not for the process that bumped it.
async fn is_found_by_another(server: &RedisServer, value: &str) {
    let other = cache_at(server.url()).await;
    let found = call(&other, &Source { runs: 99.into() }).await;
    assert_eq!(found, (value.to_owned(), Outcome::Hit), "or this shows nothing");
}

/// The version that is there is not below the one that was acknowledged, and the old entry is not found.
async fn has_come_through(cache: &Cache, source: &Source, acknowledged: Version) {
    assert_eq!(call(cache, source).await, ("row 1, run 1".to_owned(), Outcome::Miss));
    assert!(cache.tag_version(&row()).await.unwrap() >= acknowledged);
    assert_eq!(call(cache, source).await.1, Outcome::Hit);
    assert_eq!((cache.stats().faults, cache.queued_bumps()), (0, 0));
}

/// I2: a snapshot from before the bump.
#[tokio::test(flavor = "multi_thread")]
async fn restarted_from_a_snapshot() {
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    let source = Source::default();
    fill(&cache, &source).await;
    server.cli(&["SAVE"]);
    let acknowledged = cache.invalidate([row()]).await.unwrap().version(&row()).unwrap();
    proxy.hold();
    server.restart();
    is_found_by_another(&server, "row 1, run 0").await;
    proxy.cut();
    proxy.pass();
    has_come_through(&cache, &source, acknowledged).await;
    assert!(server.cli(&["PTTL", TAG]).parse::<u64>().unwrap() > 0);
}

/// I2: a replica that missed the bump becomes the master.
#[tokio::test(flavor = "multi_thread")]
async fn failed_over_to_a_lagging_replica() {
    let mut master = RedisServer::start();
    let replica = RedisServer::start();
    let (proxy, replication) = (Proxy::to(master.port()), Proxy::to(master.port()));
    let cache = cache_at(proxy.url()).await;
    let source = Source::default();
    fill(&cache, &source).await;
    replica.cli(&["REPLICAOF", "127.0.0.1", &replication.port().to_string()]);
    eventually("the replica has all", async || {
        replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
            && replica.get_raw(TAG) == master.get_raw(TAG)
    })
    .await;
    replication.hold();
    let acknowledged = cache.invalidate([row()]).await.unwrap().version(&row()).unwrap();
    assert_ne!(replica.get_raw(TAG), master.get_raw(TAG), "it lags behind");
    proxy.hold();
    master.kill();
    replica.cli(&["REPLICAOF", "NO", "ONE"]);
    is_found_by_another(&replica, "row 1, run 0").await;
    proxy.lead_to(replica.port());
    proxy.cut();
    proxy.pass();
    has_come_through(&cache, &source, acknowledged).await;
}
