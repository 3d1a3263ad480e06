//! Tags that were taken over, in Redis: other processes, near tiers, and a cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragkeys::{Config, Near, Outcome, Tag, key_of, tagged_cache, with_cache};
use fragkeys_tests::{Action, Cluster, Proxy, RedisServer};

use super::{World, ask, bump, page, part};
use crate::support::{alone, cache_without_leases, eventually, patient, redis_cache};

const LONG: Duration = Duration::from_secs(600);

#[tokio::test]
async fn another_process_finds_the_page_and_then_as_any_other() {
    let server = RedisServer::start();
    let (one, world) = (cache_without_leases(&server).await, World::default());
    ask(&one, page(&world, 1)).await;
    let proxy = Proxy::to(server.port());
    let requests = Arc::new(AtomicU64::new(0));
    let counter = requests.clone();
    proxy.on_request(Box::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Action::Forward
    }));
    let other = patient(proxy.url()).build().await.unwrap();
    // The first time it reads which tags there are.
    assert_eq!(ask(&other, page(&world, 1)).await, (vec![0, 0], Outcome::Hit));
    requests.store(0, Ordering::SeqCst);
    server.reset_stats();
    assert_eq!(ask(&other, page(&world, 1)).await, (vec![0, 0], Outcome::Hit));
    assert_eq!(requests.load(Ordering::SeqCst), 1, "one round trip");
    assert_eq!(["get", "mget"].map(|name| server.command_calls(name)), [1, 0]);
    world.change(2);
    bump(&one, 2).await;
    assert_eq!(ask(&other, page(&world, 1)).await, (vec![0, 1], Outcome::Miss));
    assert_eq!(ask(&one, page(&world, 1)).await, (vec![0, 1], Outcome::Hit));
    // A stranger's bump.
    world.change(1);
    server.cli(&["INCR", "fragkeys:t:Part:1"]);
    for cache in [&one, &other] {
        assert_eq!(ask(cache, page(&world, 1)).await.0, vec![1, 1]);
    }
}

/// The one who remembers which tags there are writes them down for those who do not.
#[tokio::test]
async fn a_page_that_was_made_anew_is_found_by_others() {
    #[tagged_cache(inherit_tags, tags = ["Site"], vary_on = [])]
    async fn tagged_page(world: &World) -> u64 {
        part(world, 1, 1).await
    }
    let server = RedisServer::start();
    let (cache, world) = (redis_cache(&server).await, World::default());
    for _ in 0..2 {
        cache.invalidate(["Site"]).await.unwrap();
        assert_eq!(ask(&cache, tagged_page(&world)).await.1, Outcome::Miss);
        let other = redis_cache(&server).await;
        assert_eq!(ask(&other, tagged_page(&world)).await.1, Outcome::Hit);
    }
}

#[tokio::test]
async fn the_near_tier_keeps_the_page_until_a_fragment_changes() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(LONG);
    let cache = patient(server.url()).near(near).build().await.unwrap();
    let other = redis_cache(&server).await;
    let world = World::default();
    for round in 0..20 {
        let now = vec![world.part(1), world.part(2)];
        eventually("the near tier answers", async || {
            let before = cache.stats().near_hits;
            assert_eq!(ask(&cache, page(&world, 1)).await.0, now);
            cache.stats().near_hits == before + 1
        })
        .await;
        let id = 1 + round % 2;
        world.change(id);
        let now = vec![world.part(1), world.part(2)];
        if round % 4 < 2 {
            bump(&cache, id).await;
            assert_eq!(ask(&cache, page(&world, 1)).await.0, now, "one's own is seen at once");
        } else {
            bump(&other, id).await;
            eventually("it is told", async || ask(&cache, page(&world, 1)).await.0 == now).await;
        }
    }
}

/// A fragment that is late, as a near tier may be, in a page that has its tag itself, and knows better.
#[test]
fn a_fragment_that_is_late_makes_no_page_late() {
    #[tagged_cache(inherit_tags, tags = ["Part:1"], vary_on = [])]
    async fn strict_page(world: &World) -> u64 {
        part(world, 1, 1).await
    }
    #[tagged_cache(inherit_tags, near = false, vary_on = [])]
    async fn loose_page(world: &World) -> u64 {
        part(world, 1, 1).await
    }
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (still, other) = (runtime(), runtime());
    let near = Near::new().max_staleness(LONG);
    let cache = still.block_on(alone(server.url(), "late-part").near(near).build()).unwrap();
    let world = World::default();
    let is_near = async || {
        let before = cache.stats().near_hits;
        ask(&cache, part(&world, 1, 1)).await;
        cache.stats().near_hits > before
    };
    still.block_on(eventually("the near tier answers", is_near));
    // What Redis tells of the first call has come when it answers this.
    still.block_on(cache.tag_version(&Tag::new("Part", 1))).unwrap();
    still.block_on(eventually("the near tier answers", is_near));
    // Here it is known which tags that has.
    other.block_on(with_cache(cache.clone(), key_of(part(&world, 1, 1))));
    // The runtime that Redis tells of this stands still.
    world.change(1);
    server.cli(&["INCR", "late-part:t:Part:1"]);
    assert_eq!(other.block_on(ask(&cache, part(&world, 1, 1))).0, 0, "or it would show nothing");
    let strict = other.block_on(ask(&cache, strict_page(&world)));
    assert_eq!(strict, (0, Outcome::NotStored));
    let loose = other.block_on(ask(&cache, loose_page(&world)));
    assert_eq!(loose, (0, Outcome::Miss), "under the version of the fragment");
    // It is told.
    let is_seen = async || ask(&cache, part(&world, 1, 1)).await.0 == 1;
    still.block_on(eventually("the near tier is told", is_seen));
    for runtime in [&other, &still] {
        assert_eq!(runtime.block_on(ask(&cache, strict_page(&world))).0, 1);
        assert_eq!(runtime.block_on(ask(&cache, loose_page(&world))).0, 1);
    }
}

#[tokio::test]
async fn in_a_cluster() {
    let cluster = Cluster::start();
    let config = Config::redis_cluster(cluster.urls());
    let cache = config.operation_timeout(Duration::from_secs(10)).build().await.unwrap();
    let world = World::default();
    assert_eq!(ask(&cache, page(&world, 1)).await.1, Outcome::Miss);
    for id in [1, 2, 1] {
        world.change(id);
        bump(&cache, id).await;
        let now = vec![world.part(1), world.part(2)];
        assert_eq!(ask(&cache, page(&world, 1)).await, (now.clone(), Outcome::Miss));
        assert_eq!(ask(&cache, page(&world, 1)).await, (now, Outcome::Hit));
    }
}
