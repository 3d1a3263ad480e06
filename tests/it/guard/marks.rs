//! Marks in Redis: other processes, near tiers, clusters, strangers, and what they cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragkeys::{Config, Near, Outcome, Tag, guard, observe, tagged_cache, with_cache};
use fragkeys_tests::{Action, Cluster, Proxy, RedisServer};

use super::{SHORT, Source, call, version};
use crate::support::{ask, eventually, patient, redis_cache, worker};

const KEY: &str = "fragkeys:t:Row:1";

async fn guarded<F: Future>(cache: &fragkeys::Cache, inside: F) -> F::Output {
    with_cache(cache.clone(), guard([Tag::new("Row", 1)], inside)).await
}

#[tokio::test]
async fn it_is_one_round_trip_before_and_one_after() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let requests = Arc::new(AtomicU64::new(0));
    let counter = requests.clone();
    proxy.on_request(Box::new(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        Action::Forward
    }));
    let cache = patient(proxy.url()).build().await.unwrap();
    let tags = || (0..100).map(|id| Tag::new("Row", id));
    // The scripts are loaded.
    with_cache(cache.clone(), guard(tags(), async {})).await;
    requests.store(0, Ordering::SeqCst);
    let inside = async { requests.swap(0, Ordering::SeqCst) };
    assert_eq!(with_cache(cache.clone(), guard(tags(), inside)).await, 1);
    assert_eq!(requests.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_runs_meanwhile() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let mut other = worker(&server);
    ask(&mut other, "set 1");
    assert_eq!(ask(&mut other, "call 1"), "miss 1");
    assert_eq!(ask(&mut other, "call 1"), "hit 1");
    guarded(&cache, async {
        ask(&mut other, "set 2");
        assert_eq!(ask(&mut other, "call 1"), "bypass 2");
        let bumped = ask(&mut other, "invalidate 1");
        assert!(bumped.parse::<u64>().is_ok(), "{bumped}");
        assert_eq!(ask(&mut other, "call 1"), "bypass 2");
    })
    .await;
    assert_eq!(ask(&mut other, "call 1"), "miss 2");
    assert_eq!(ask(&mut other, "call 1"), "hit 2");
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn near_row(source: &Source, id: u64) -> u32 {
    source.runs.fetch_add(1, Ordering::SeqCst)
}

/// Here at once, and elsewhere as soon as Redis has told.
#[tokio::test]
async fn near_tiers_see_it_and_keep_nothing_meanwhile() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(Duration::from_secs(600));
    let build = async || patient(server.url()).near(near).build().await.unwrap();
    let (here, elsewhere, source) = (build().await, build().await, Source::default());
    let read = async |cache: &fragkeys::Cache| {
        with_cache(cache.clone(), observe(near_row(&source, 1))).await.1.unwrap()
    };
    for cache in [&here, &elsewhere] {
        eventually("the near tier answers", async || {
            let before = cache.stats().near_hits;
            read(cache).await;
            cache.stats().near_hits > before
        })
        .await;
    }
    guarded(&here, async {
        assert_eq!(read(&here).await, Outcome::Bypass);
        eventually("the mark is told", async || read(&elsewhere).await == Outcome::Bypass).await;
        let before = elsewhere.stats().near_hits;
        for _ in 0..10 {
            assert_eq!(read(&elsewhere).await, Outcome::Bypass);
        }
        assert_eq!(elsewhere.stats().near_hits, before);
    })
    .await;
    assert_eq!(read(&here).await, Outcome::Miss);
    eventually("it is cached there too", async || read(&elsewhere).await == Outcome::Hit).await;
}

/// It lives for longer than anybody would wait for word of it.
#[tokio::test]
async fn it_says_that_it_lives() {
    let server = RedisServer::start();
    let cache = patient(server.url()).guard_timeout(SHORT).build().await.unwrap();
    let source = Source::default();
    let other = redis_cache(&server).await;
    guarded(&cache, async {
        let since = tokio::time::Instant::now();
        while since.elapsed() < 3 * SHORT {
            assert_eq!(call(&other, &source, 1).await.1, Outcome::Bypass);
            tokio::time::sleep(SHORT / 20).await;
        }
    })
    .await;
    assert_eq!(call(&other, &source, 1).await.1, Outcome::Miss);
}

/// What strangers do to the mark, and what becomes of it.
#[tokio::test]
async fn whatever_a_stranger_does_the_end_gives_a_fresh_version() {
    let server = RedisServer::start();
    let cache = patient(server.url()).guard_timeout(SHORT).build().await.unwrap();
    let source = Source::default();
    let stays: [&[&str]; 3] =
        [&["INCR", KEY], &["INCRBY", KEY, "123456"], &["PEXPIRE", KEY, "3600000"]];
    let ends_early: [&[&str]; 5] = [
        &["DEL", KEY],
        &["SET", KEY, "17"],
        &["SET", KEY, "9223372036854775808"],
        &["DEL", "fragkeys:g:Row:1"],
        &["FLUSHALL"],
    ];
    for (command, is_kept) in
        stays.map(|it| (it, true)).into_iter().chain(ends_early.map(|it| (it, false)))
    {
        call(&cache, &source, 1).await;
        let before = version(&cache).await;
        guarded(&cache, async {
            server.cli(command);
            let outcome = call(&cache, &source, 1).await.1;
            assert_eq!(outcome == Outcome::Bypass, is_kept, "{command:?}");
            // What ends it early does so until it says the next time that it lives.
            eventually("it is marked again", async || {
                call(&cache, &source, 1).await.1 == Outcome::Bypass
            })
            .await;
        })
        .await;
        let after = version(&cache).await;
        assert!(after > before, "{command:?}");
        assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss, "{command:?}");
    }
    // Another type at the key of the guards.
    server.cli(&["SET", "fragkeys:g:Row:1", "text"]);
    guarded(&cache, async {
        assert_eq!(call(&cache, &source, 1).await.1, Outcome::Bypass);
        server.cli(&["SET", "fragkeys:g:Row:1", "text"]);
        assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss, "nobody guards it any more");
    })
    .await;
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Miss);
}

/// A mark that nobody made, of whatever number, is replaced at its first read.
#[tokio::test]
async fn a_number_like_a_mark_is_none_without_a_guard() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let mut last = version(&cache).await;
    for number in ["9000000000000000000", "9000012345678901234", "9099999999999999999"] {
        server.cli(&["SET", KEY, number]);
        let next = version(&cache).await;
        assert!(next > last && u64::from(next) < 9_000_000_000_000_000_000, "{next}");
        server.cli(&["SET", KEY, number]);
        last = cache.invalidate(["Row:1"]).await.unwrap().version(&"Row:1".into()).unwrap();
        assert!(last > next && u64::from(last) < 9_000_000_000_000_000_000, "{last}");
    }
    // A version just below is followed by none that looks like a mark.
    server.cli(&["SET", KEY, "8999999999999999999"]);
    let after = cache.invalidate(["Row:1"]).await.unwrap().version(&"Row:1".into()).unwrap();
    assert!(u64::from(after) < 8_999_999_999_999_999_999);
}

/// Past a thousand guards at once, they are counted as one that nobody ends.
#[tokio::test]
async fn a_thousand_guards_of_a_tag_are_bounded() {
    let server = RedisServer::start();
    let with = async |timeout| patient(server.url()).guard_timeout(timeout).build().await.unwrap();
    let caches = [with(Duration::from_secs(60)).await, with(SHORT).await];
    let source = Source::default();
    let end = Arc::new(tokio::sync::Barrier::new(1_101));
    let mut tasks = Vec::new();
    // The thousand that last, and then those that are too many.
    for (cache, number) in caches.iter().zip([1_000, 100]) {
        let begun = Arc::new(tokio::sync::Barrier::new(number + 1));
        for _ in 0..number {
            let (cache, begun, end) = (cache.clone(), begun.clone(), end.clone());
            tasks.push(tokio::spawn(async move {
                guarded(&cache, async {
                    begun.wait().await;
                    end.wait().await;
                })
                .await;
            }));
        }
        begun.wait().await;
    }
    let guards: u64 = server.cli(&["HLEN", "fragkeys:g:Row:1"]).parse().unwrap();
    assert!((1_000..=1_002).contains(&guards), "{guards}");
    end.wait().await;
    for task in tasks {
        task.await.unwrap();
    }
    eventually("it is cached again", async || call(&caches[0], &source, 1).await.1 == Outcome::Hit)
        .await;
}

#[tagged_cache(tags = ["Named:<name>"], vary_on = [name])]
async fn named(source: &Source, name: &str) -> u32 {
    source.runs.fetch_add(1, Ordering::SeqCst)
}

/// Versions and guards of a tag stand with one master, whatever braces are in its name.
#[tokio::test]
async fn in_a_cluster_it_holds_tags_of_all_masters() {
    let cluster = Cluster::start();
    let config = Config::redis_cluster(cluster.urls());
    let config = config.operation_timeout(Duration::from_secs(10)).guard_timeout(SHORT);
    let cache = config.build().await.unwrap();
    let source = Source::default();
    let odd = ["{a}", "a{b}c", "}", "{", "{}", "}{", "{}a{b}", "\\", "a:b", "x}y{z"];
    let names: Vec<String> =
        (0..30).map(|id| id.to_string()).chain(odd.map(str::to_owned)).collect();
    let read = async |name: &str| {
        with_cache(cache.clone(), observe(named(&source, name))).await.1.unwrap()
    };
    let tags = || names.iter().map(|name| Tag::new("Named", name));
    for name in &names {
        read(name).await;
        assert_eq!(read(name).await, Outcome::Hit, "{name}");
    }
    let inside = async {
        for name in &names {
            assert_eq!(read(name).await, Outcome::Bypass, "{name}");
        }
        let bumped = cache.invalidate(tags()).await.unwrap();
        assert_eq!(bumped.len(), names.len());
        // For longer than it would be believed without a word.
        tokio::time::sleep(2 * SHORT).await;
        for name in &names {
            assert_eq!(read(name).await, Outcome::Bypass, "{name}");
        }
    };
    let told = with_cache(cache.clone(), guard(tags(), inside).report()).await;
    assert!(told.marked.is_ok() && told.bumped.unwrap().len() == names.len());
    for name in &names {
        assert_eq!(read(name).await, Outcome::Miss, "{name}");
        assert_eq!(read(name).await, Outcome::Hit, "{name}");
    }
    for node in &cluster.nodes[..3] {
        assert!(!node.keys("fragkeys:t:Named:*").is_empty());
        assert!(node.keys("*").iter().all(|key| !key.contains(":g:") && !key.contains("\\g")));
    }
}
