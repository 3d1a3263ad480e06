//! Bumps of so many tags that Redis removes the versions instead of writing others: each tag's next
//! reader seeds one. All that a bump promises holds all the same.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fragkeys::{
    Bumped, Cache, FragmentedKeys, Near, Outcome, Tag, Version, at_least, guard, observe, snapshot,
    tagged_cache, with_cache,
};
use fragkeys_tests::{Cluster, RedisServer};
use tokio::sync::Barrier;

use crate::support::{Source, eventually, over_both_stores, patient, redis_cache, row};

over_both_stores! {
    i1_a_run_from_before_it_is_not_found_after_it,
    i2_each_of_them_is_seen_by_the_next_call,
    in_a_snapshot_it_is_seen_and_what_runs_then_is_found_outside,
    a_floor_of_it_is_met_by_what_is_seeded,
}

const MANY: u64 = 1_500;

fn tags() -> impl Iterator<Item = Tag> {
    (0..MANY).map(|id| Tag::new("Row", id))
}

async fn bump(cache: &Cache) -> Bumped {
    let bumped = cache.invalidate(tags()).await.unwrap();
    assert_eq!(bumped.len() as u64, MANY);
    bumped
}

async fn call(cache: &Cache, source: &Source, id: u64) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, id))).await;
    (value, outcome.unwrap())
}

async fn version(cache: &Cache, id: u64) -> Version {
    cache.tag_version(&Tag::new("Row", id)).await.unwrap()
}

fn key(id: u64) -> String {
    format!("fragkeys:t:Row:{id}")
}

/// What stands at a tag's key.
fn stands(server: &RedisServer, id: u64) -> Option<String> {
    server.get_raw(&key(id)).map(|text| String::from_utf8(text).unwrap())
}

fn is_marked(server: &RedisServer, id: u64) -> bool {
    stands(server, id).is_some_and(|text| text.starts_with("900"))
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn gated(gate: &Barrier, runs: &AtomicU32, id: u64) -> u32 {
    gate.wait().await;
    gate.wait().await;
    runs.fetch_add(1, Ordering::SeqCst)
}

async fn i1_a_run_from_before_it_is_not_found_after_it(cache: Cache) {
    let (gate, runs) = (Barrier::new(2), AtomicU32::new(0));
    let free = Barrier::new(1);
    let writer = async {
        gate.wait().await;
        bump(&cache).await;
        gate.wait().await;
    };
    let reader = with_cache(cache.clone(), observe(gated(&gate, &runs, 1)));
    let ((value, outcome), ()) = tokio::join!(reader, writer);
    assert_eq!((value, outcome), (0, Some(Outcome::Miss)));
    let after = with_cache(cache, observe(gated(&free, &runs, 1))).await;
    assert_eq!(after, (1, Some(Outcome::Miss)));
}

async fn i2_each_of_them_is_seen_by_the_next_call(cache: Cache) {
    let source = Source::default();
    let sample = [0, 1, 999, 1_000, MANY - 1];
    for _ in 0..20 {
        for id in sample {
            call(&cache, &source, id).await;
            assert_eq!(call(&cache, &source, id).await.1, Outcome::Hit);
        }
        bump(&cache).await;
        for id in sample {
            assert_eq!(call(&cache, &source, id).await.1, Outcome::Miss, "row {id}");
        }
    }
}

async fn in_a_snapshot_it_is_seen_and_what_runs_then_is_found_outside(cache: Cache) {
    let source = Source::default();
    let inside = snapshot(async {
        assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss);
        bump(&cache).await;
        assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss);
        let settled = ("row 1, run 1".to_owned(), Outcome::Hit);
        assert_eq!(call(&cache, &source, 1).await, settled);
        // From then on it stays.
        let other = cache.clone();
        tokio::spawn(async move { bump(&other).await }).await.unwrap();
        assert_eq!(call(&cache, &source, 1).await, settled);
        bump(&cache).await;
        assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss);
    });
    with_cache(cache.clone(), inside).await;
    assert_eq!(call(&cache, &source, 1).await, ("row 1, run 2".to_owned(), Outcome::Hit));
}

async fn a_floor_of_it_is_met_by_what_is_seeded(cache: Cache) {
    let source = Source::default();
    let bumped = bump(&cache).await;
    let token: Bumped = bumped.to_string().parse().unwrap();
    for floor in [bumped, token] {
        for id in [1, 2] {
            let outcome = at_least(floor.clone(), call(&cache, &source, id)).await.1;
            assert_ne!(outcome, Outcome::Bypass, "it is above the floor");
        }
        assert_eq!(at_least(floor, call(&cache, &source, 1)).await.1, Outcome::Hit);
    }
}

/// No version stays behind that nobody reads, and none is told that a seed could be below.
#[tokio::test]
async fn what_it_leaves_in_redis() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let few = cache.invalidate(tags().take(255)).await.unwrap();
    assert_eq!(server.keys("fragkeys:t:Row:*").len(), 255);
    for (tag, told) in &few {
        assert_eq!(cache.tag_version(tag).await.unwrap(), *told, "few are written as told");
    }
    let bumped = bump(&cache).await;
    assert_eq!(server.keys("fragkeys:t:Row:*"), Vec::<String>::new());
    for (tag, told) in bumped.iter().step_by(100) {
        assert_eq!(u64::from(*told) % 1_000, 0, "a floor for all of its microsecond");
        let seeded = cache.tag_version(tag).await.unwrap();
        assert!(few.version(tag).is_none_or(|before| before < *told) && *told <= seeded, "{tag}");
        let lifetime: i64 = server.cli(&["PTTL", &format!("fragkeys:t:{tag}")]).parse().unwrap();
        assert!(lifetime > 0, "{tag}");
    }
}

/// Readers elsewhere, who know the versions and ask for nothing but the entry.
#[tokio::test(flavor = "multi_thread")]
async fn i2_other_connections_see_it_at_once() {
    let server = RedisServer::start();
    let (cache, other) = (redis_cache(&server).await, redis_cache(&server).await);
    let source = Source::default();
    for round in 0..100 {
        for _ in 0..3 {
            call(&cache, &source, 7).await;
        }
        server.reset_stats();
        assert_eq!(call(&cache, &source, 7).await.1, Outcome::Hit);
        assert_eq!(server.command_calls("mget"), 0, "its versions are known");
        bump(&other).await;
        assert_eq!(call(&cache, &source, 7).await.1, Outcome::Miss, "round {round}");
        assert_eq!(call(&other, &source, 7).await.1, Outcome::Hit, "round {round}");
    }
}

/// In the process that bumps before it is `Ok`, elsewhere as soon as Redis has told.
#[tokio::test]
async fn near_tiers_see_it() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(Duration::from_secs(600));
    let build = async || patient(server.url()).near(near).build().await.unwrap();
    let (cache, plain, source) = (build().await, redis_cache(&server).await, Source::default());
    for bumping in [&cache, &plain] {
        eventually("the near tier answers", async || {
            let before = cache.stats().near_hits;
            call(&cache, &source, 1).await;
            cache.stats().near_hits > before
        })
        .await;
        let runs = source.runs.load(Ordering::SeqCst);
        bump(bumping).await;
        assert_eq!(call(&cache, &source, 1).await, (format!("row 1, run {runs}"), Outcome::Miss));
    }
}

/// I3: what is not older than the bump is raised and not removed; all else is gone.
#[tokio::test]
async fn i3_versions_from_the_future_still_grow() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let (future, last) = ("3000000000000000000", i64::MAX.to_string());
    server.cli(&["SET", &key(0), future]);
    server.cli(&["SET", &key(1_001), &last]);
    server.cli(&["SET", &key(2), "999999999999999999999"]);
    server.cli(&["SET", &key(3), "a stranger's text"]);
    server.cli(&["SET", &key(4), "1"]);
    server.cli(&["RPUSH", &key(5), "a", "list"]);
    server.cli(&["SET", &key(6), "1000000000000000001"]);
    let bumped = bump(&cache).await;
    let told = |id| bumped.version(&Tag::new("Row", id)).unwrap();
    assert_eq!(told(0).to_string(), "3000000000000000001");
    assert_eq!(version(&cache, 0).await, told(0));
    assert!(told(1_001).to_string() < last, "the largest number cannot grow: another one");
    assert_eq!(version(&cache, 1_001).await, told(1_001));
    for id in [0, 1_001] {
        assert!(server.cli(&["PTTL", &key(id)]).parse::<i64>().unwrap() > 0);
    }
    for id in 2..8 {
        assert_eq!(server.cli(&["EXISTS", &key(id)]), "0", "{}", key(id));
        assert_eq!(told(id), told(9), "one version for all that is older");
        assert!(version(&cache, id).await >= told(id));
    }
}

/// A guard's mark stands whatever is bumped beside it; when the guard has ended, the tag is newer than
/// what was told.
#[tokio::test]
async fn marks_stay() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::default();
    call(&cache, &source, 1_002).await;
    let before = version(&cache, 1_002).await;
    let guarded = guard([Tag::new("Row", 1_002)], async {
        assert!(is_marked(&server, 1_002));
        let told = bump(&cache).await.version(&Tag::new("Row", 1_002)).unwrap();
        assert!(told > before && u64::from(told) < 9_000_000_000_000_000_000);
        assert!(is_marked(&server, 1_002));
        assert_eq!(call(&cache, &source, 1_002).await.1, Outcome::Bypass);
        assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss);
        told
    });
    let told = with_cache(cache.clone(), guarded).await;
    assert!(version(&cache, 1_002).await > told);
    assert_eq!(call(&cache, &source, 1_002).await.1, Outcome::Miss);
}

/// A server that takes nothing any more lets go of versions; and what it would have to write, it
/// keeps, marks too: then the bump is an error and waits.
#[tokio::test]
async fn out_of_memory() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let cache = redis_cache(&server).await;
    let source = Source::default();
    call(&cache, &source, 9).await;
    assert!(stands(&server, 9).is_some());
    let guarded = guard([Tag::new("Row", 2)], async {
        server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
        cache.invalidate(tags().skip(3)).await.unwrap();
        assert!(stands(&server, 9).is_none());
        assert_eq!(cache.queued_bumps(), 0);
        let error = cache.invalidate(tags()).await.unwrap_err();
        assert!(error.to_string().contains("maxmemory"), "{error}");
        assert_eq!(cache.queued_bumps() as u64, MANY);
        assert!(is_marked(&server, 2));
        server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
        eventually("the bumps are through", async || {
            call(&cache, &source, 9).await;
            cache.queued_bumps() == 0
        })
        .await;
        assert!(is_marked(&server, 2));
    });
    with_cache(cache.clone(), guarded).await;
    assert_eq!(call(&cache, &source, 2).await.1, Outcome::Miss);
}

/// What an application in Python reads is written as ever.
#[tokio::test]
async fn counterparts_are_written() {
    let server = RedisServer::start();
    let original = FragmentedKeys::plain("");
    let cache = patient(server.url()).also_bump(original).build().await.unwrap();
    bump(&cache).await;
    let keys = server.keys("*").into_iter().filter(|key| !key.starts_with("fragkeys:"));
    let keys: Vec<String> = keys.collect();
    assert_eq!(keys.len() as u64, MANY);
    let read = || keys.iter().map(|key| server.cli(&["GET", key]).parse::<u64>().unwrap());
    let before: Vec<u64> = read().take(20).collect();
    bump(&cache).await;
    assert!(before.into_iter().zip(read()).all(|(before, after)| before < after));
}

/// Where all versions stand in one slot, and where they stand in many.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_cluster() {
    let cluster = Cluster::start();
    for prefix in ["fragkeys", "{one}"] {
        let config = fragkeys::Config::redis_cluster(cluster.urls()).prefix(prefix);
        let config = config.operation_timeout(Duration::from_secs(10));
        let (cache, other) = (config.clone().build().await.unwrap(), config.build().await.unwrap());
        let source = Source::default();
        for id in [1, 2] {
            call(&cache, &source, id).await;
            assert_eq!(call(&cache, &source, id).await.1, Outcome::Hit);
        }
        let bumped = bump(&other).await;
        for id in [1, 2] {
            assert_eq!(call(&cache, &source, id).await.1, Outcome::Miss, "{prefix} {id}");
            let told = bumped.version(&Tag::new("Row", id)).unwrap();
            assert!(version(&cache, id).await >= told, "{prefix} {id}");
        }
    }
}
