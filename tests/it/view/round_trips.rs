//! What a snapshot costs, counted by the servers.

use std::time::Duration;

use fragkeys::{Cache, Config, Near, Outcome, observe, snapshot, tagged_cache, with_cache};
use fragkeys_tests::{Cluster, RedisServer};

use crate::support::{alone, cache_without_leases, redis_cache};

#[tagged_cache(tags = ["User:7", "Dashboard"], vary_on = [id])]
async fn widget(id: u64) -> u64 {
    id
}

async fn fifty_hits(cache: &Cache) {
    for id in 0..50 {
        let (_, outcome) = with_cache(cache.clone(), observe(widget(id))).await;
        assert_eq!(outcome, Some(Outcome::Hit), "{id}");
    }
}

async fn fill(cache: &Cache) {
    for id in 0..50 {
        with_cache(cache.clone(), widget(id)).await;
    }
}

/// Without client tracking, where each call asks for its versions otherwise.
#[tokio::test]
async fn fifty_calls_read_their_versions_once() {
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "default", "-client|tracking"]);
    let cache = cache_without_leases(&server).await;
    fill(&cache).await;
    let counts = || ["mget", "get", "evalsha"].map(|name| server.command_calls(name));
    server.reset_stats();
    fifty_hits(&cache).await;
    assert_eq!(counts(), [50, 50, 0], "or it would show nothing");
    server.reset_stats();
    snapshot(fifty_hits(&cache)).await;
    assert_eq!(counts(), [1, 50, 0]);
    // One that is bumped meanwhile is not read again.
    let other = redis_cache(&server).await;
    snapshot(async {
        fifty_hits(&cache).await;
        let bump = tokio::spawn(async move { other.invalidate(["Dashboard"]).await });
        bump.await.unwrap().unwrap();
        server.reset_stats();
        fifty_hits(&cache).await;
        assert_eq!(counts(), [0, 50, 0]);
    })
    .await;
}

#[tokio::test]
async fn in_a_cluster_too() {
    let cluster = Cluster::start();
    let config = Config::redis_cluster(cluster.urls());
    let config = config.operation_timeout(Duration::from_secs(10)).lease_wait(Duration::ZERO);
    let cache = config.build().await.unwrap();
    fill(&cache).await;
    let count = |name| cluster.nodes.iter().map(|node| node.command_calls(name)).sum::<u64>();
    cluster.nodes.iter().for_each(RedisServer::reset_stats);
    snapshot(fifty_hits(&cache)).await;
    // One for each of the three slots in which the versions stand, at once.
    assert_eq!((count("mget"), count("get")), (3, 50));
}

/// The near tier answers once its versions are known to be those of the snapshot.
#[tokio::test]
async fn with_a_near_tier_one_call_asks_and_the_others_do_not() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(Duration::from_secs(600));
    let config = alone(server.url(), "snapshot").lease_wait(Duration::ZERO).near(near);
    let settle = async |cache: &Cache| {
        crate::support::eventually("the near tier answers all", async || {
            let before = cache.stats().near_hits;
            fifty_hits(cache).await;
            cache.stats().near_hits == before + 50
        })
        .await;
    };
    let cache = config.clone().build().await.unwrap();
    fill(&cache).await;
    settle(&cache).await;
    server.reset_stats();
    snapshot(fifty_hits(&cache)).await;
    assert_eq!(["mget", "get"].map(|name| server.command_calls(name)), [0, 1]);
    // And what it finds in Redis, it keeps.
    let other = config.build().await.unwrap();
    snapshot(fifty_hits(&other)).await;
    settle(&other).await;
}
