//! Tags of a value in Redis: other processes, near tiers, clusters, strangers' bytes, and round trips.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragkeys::{Config, Near, Outcome, Tag};
use fragkeys_tests::{Action, Cluster, Proxy, RedisServer};

use super::{Table, call, fill};
use crate::support::{cache_without_leases, eventually, patient, redis_cache};

/// An `INCR` gives no time, and is seen all the same: also of an item that is new to the page.
#[tokio::test]
async fn a_foreign_incr_during_a_run_leaves_nothing_old() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    for id in 1..20_u64 {
        let table = Table::with([id]);
        // The tag has a version, from long ago.
        cache.tag_version(&Tag::new("Item", id)).await.unwrap();
        let begun = table.clone();
        let run = fragkeys::with_cache(cache.clone(), async {
            incremented_meanwhile(&begun, &server, id).await;
        });
        run.await;
        let read = async || {
            fragkeys::with_cache(cache.clone(), fragkeys::observe(changing(&table, None, id))).await
        };
        for _ in 0..3 {
            assert_eq!(read().await.0, table.page(), "item {id}");
        }
        assert_eq!(read().await.1, Some(Outcome::Hit));
    }
}

#[fragkeys::tagged_cache(
    vary_on = [id],
    tags_from = |page: &super::Page| page.items.iter().map(|item| Tag::new("Item", item.id)),
)]
async fn changing(table: &Table, server: Option<&RedisServer>, id: u64) -> super::Page {
    let page = table.page();
    if let Some(server) = server {
        table.change(id);
        server.cli(&["INCR", &format!("fragkeys:t:Item:{id}")]);
    }
    page
}

async fn incremented_meanwhile(table: &Table, server: &RedisServer, id: u64) {
    changing(table, Some(server), id).await;
}

#[tokio::test]
async fn another_process_finds_the_page_and_then_as_any_other() {
    let server = RedisServer::start();
    let table = Table::with(1..=20);
    fill(&cache_without_leases(&server).await, &table).await;
    let proxy = Proxy::to(server.port());
    let requests = Arc::new(AtomicU64::new(0));
    let counter = requests.clone();
    proxy.on_request(Box::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Action::Forward
    }));
    let other = patient(proxy.url()).build().await.unwrap();
    other.entry("warm").get::<u8>().await.unwrap();
    // The first time it reads which tags there are.
    assert_eq!(call(&other, &table).await.1, Outcome::Hit);
    server.reset_stats();
    requests.store(0, Ordering::SeqCst);
    assert_eq!(call(&other, &table).await.1, Outcome::Hit);
    assert_eq!(requests.load(Ordering::SeqCst), 1, "one round trip");
    assert_eq!(["get", "mget"].map(|name| server.command_calls(name)), [1, 0], "as any other hit");
    // Where its versions are not known, they are asked for with the page.
    server.cli(&["ACL", "SETUSER", "default", "-client|tracking"]);
    let old = patient(proxy.url()).build().await.unwrap();
    for _ in 0..2 {
        assert_eq!(call(&old, &table).await.1, Outcome::Hit);
    }
    server.reset_stats();
    requests.store(0, Ordering::SeqCst);
    assert_eq!(call(&old, &table).await.1, Outcome::Hit);
    assert_eq!(requests.load(Ordering::SeqCst), 1, "one round trip");
    assert_eq!(["get", "mget"].map(|name| server.command_calls(name)), [1, 1]);
    // And a bump is seen.
    table.change(7);
    redis_cache(&server).await.invalidate([Tag::new("Item", 7)]).await.unwrap();
    for cache in [&other, &old] {
        assert_eq!(call(cache, &table).await.0, table.page());
    }
}

/// The process that wrote the list has other tags by now.
#[tokio::test]
async fn a_list_that_has_changed_is_read_again() {
    let server = RedisServer::start();
    let (one, other) = (redis_cache(&server).await, redis_cache(&server).await);
    let table = Table::with([1, 2]);
    fill(&one, &table).await;
    assert_eq!(call(&other, &table).await.1, Outcome::Hit);
    table.items.lock().unwrap()[0].id = 9;
    one.invalidate(["Items"]).await.unwrap();
    fill(&one, &table).await;
    assert_eq!(call(&other, &table).await, (table.page(), Outcome::Hit));
}

#[tokio::test]
async fn the_near_tier_keeps_the_page_until_an_item_changes() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(Duration::from_secs(600));
    let cache = patient(server.url()).near(near).build().await.unwrap();
    let other = redis_cache(&server).await;
    let table = Table::with([1, 2]);
    for round in 0..20 {
        eventually("the near tier answers", async || {
            let before = cache.stats().near_hits;
            assert_eq!(call(&cache, &table).await.0, table.page());
            cache.stats().near_hits > before
        })
        .await;
        table.change(1 + round % 2);
        if round % 4 < 2 {
            cache.invalidate([Tag::new("Item", 1 + round % 2)]).await.unwrap();
            assert_eq!(call(&cache, &table).await.0, table.page(), "one's own is seen at once");
        } else {
            other.invalidate([Tag::new("Item", 1 + round % 2)]).await.unwrap();
            eventually("it is told", async || call(&cache, &table).await.0 == table.page()).await;
        }
    }
    // Over the embedded store as well.
    let cache = Config::memory().near(near).build().await.unwrap();
    fill(&cache, &table).await;
    call(&cache, &table).await;
    assert!(cache.stats().near_hits > 0);
    table.change(1);
    cache.invalidate([Tag::new("Item", 1)]).await.unwrap();
    assert_eq!(call(&cache, &table).await.0, table.page());
}

#[tokio::test]
async fn in_a_cluster() {
    let cluster = Cluster::start();
    let config = Config::redis_cluster(cluster.urls());
    let cache = config.operation_timeout(Duration::from_secs(10)).build().await.unwrap();
    let table = Table::with(1..=30);
    fill(&cache, &table).await;
    for id in 1..=30 {
        table.change(id);
        cache.invalidate([Tag::new("Item", id)]).await.unwrap();
        assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Miss));
        assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Hit));
    }
}

/// Lists and pages that strangers have overwritten, cut, or put in each other's place.
#[tokio::test]
async fn what_strangers_leave_there_is_a_miss() {
    let server = RedisServer::start();
    let table = Table::with([1, 2]);
    fill(&redis_cache(&server).await, &table).await;
    let keys = server.keys("fragkeys:v:*");
    assert_eq!(keys.len(), 2, "{keys:?}");
    let honest: Vec<Vec<u8>> = keys.iter().map(|key| server.get_raw(key).unwrap()).collect();
    for (key, bytes) in keys.iter().zip(&honest) {
        let other = honest.iter().find(|it| *it != bytes).unwrap();
        let mut flipped = bytes.clone();
        *flipped.last_mut().unwrap() ^= 1;
        let cut = &bytes[..bytes.len() / 2];
        for hostile in [b"", b"garbage".as_slice(), cut, &flipped, other] {
            server.set_raw(key, hostile);
            // A process that has seen nothing yet.
            let cache = redis_cache(&server).await;
            fill(&cache, &table).await;
        }
    }
}
