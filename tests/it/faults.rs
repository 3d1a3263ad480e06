//! I5 and I6 on real servers: whatever is wrong with the store, functions answer within
//! `operation_timeout`, bumps say so, and all is well again by itself.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, ErrorKind, Outcome, Tag, observe, with_cache};
use fragkeys_tests::{GarbageServer, Proxy, RedisServer};

use crate::support::{Source, eventually, row};

/// Long enough for a busy machine, short enough to tell it from a hang.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a call may take beyond that: scheduling, not waiting.
const SLACK: Duration = Duration::from_secs(3);

async fn cache_at(url: impl Into<String>) -> Cache {
    Config::redis(url).operation_timeout(PATIENCE).build().await.unwrap()
}

async fn call(cache: &Cache, source: &Source) -> (String, Outcome) {
    let began = Instant::now();
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, 1))).await;
    let took = began.elapsed();
    assert!(took < PATIENCE + SLACK, "a call took {took:?}");
    (value, outcome.unwrap())
}

/// The store is of no use: calls answer and are not cached, bumps are errors of one of
/// these kinds and wait to be retried.
async fn answers_uncached(cache: &Cache, kinds: &[ErrorKind]) {
    let source = Source::default();
    for run in 0..3 {
        let (value, outcome) = call(cache, &source).await;
        assert_eq!((value, outcome), (format!("row 1, run {run}"), Outcome::Bypass));
    }
    let began = Instant::now();
    let error = cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    assert!(began.elapsed() < PATIENCE + SLACK);
    assert!(kinds.contains(&error.kind()), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`Row:1`") && text.contains("queued"), "{text}");
    assert_eq!(cache.queued_bumps(), 1);
}

/// It is of use again: the queued bump goes through, and calls are cached.
async fn recovers(cache: &Cache) {
    eventually("the queued bump goes through", async || cache.queued_bumps() == 0).await;
    let source = Source::default();
    eventually("calls are cached again", async || call(cache, &source).await.1 == Outcome::Hit)
        .await;
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    assert_eq!(call(cache, &source).await.1, Outcome::Miss);
}

#[tokio::test(flavor = "multi_thread")]
async fn down_at_start() {
    let mut server = RedisServer::start();
    server.kill();
    let cache = cache_at(server.url()).await;
    answers_uncached(&cache, &[ErrorKind::Unreachable]).await;
    server.restart();
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed() {
    let mut server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.kill();
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
    answers_uncached(&cache, &[ErrorKind::Timeout, ErrorKind::Unreachable]).await;
    server.resume();
    recovers(&cache).await;
}

/// A hung server costs one deadline, and then nothing until it answers.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_costs_one_deadline() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.pause();
    let source = Source::default();
    call(&cache, &source).await;
    eventually("calls no longer wait", async || {
        let began = Instant::now();
        call(&cache, &source).await;
        began.elapsed() < PATIENCE / 4
    })
    .await;
    server.resume();
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn out_of_memory() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "noeviction"]);
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let source = Source::default();
    // What is there is still read; what is not there is computed and given, if not stored.
    let (value, outcome) = call(&cache, &source).await;
    assert_eq!((value.as_str(), outcome), ("row 1, run 1", Outcome::Hit));
    server.cli(&["DEL", &server.keys("fragkeys:v:*").remove(0)]);
    for old in server.keys("fragkeys:v:*") {
        server.cli(&["DEL", &old]);
    }
    assert_eq!(call(&cache, &source).await, ("row 1, run 0".to_owned(), Outcome::Bypass));
    let error = cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("maxmemory"), "{error}");
    // The entry may be outdated now, so it is left alone, though Redis would give it.
    assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_replica() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    recovers(&cache).await;
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let error = cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("replica"), "{error}");
    let source = Source::default();
    assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
    // Its name may lead to another server by now.
    let connections = proxy.accepted();
    eventually("it connects again", async || {
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
        proxy.accepted() > connections
    })
    .await;
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_wanted_or_wrong() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.cli(&["CONFIG", "SET", "requirepass", "hunter2"]);
    for url in [server.url(), server.url().replace("redis://", "redis://:hunter3@")] {
        let cache = cache_at(url).await;
        let error = cache.invalidate(["T"]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Refused, "{error}");
        let shown = format!("{error} {error:?} {cache:?}");
        assert!(!shown.contains("hunter"), "{shown}");
        assert!(call(&cache, &Source::default()).await.1 == Outcome::Bypass);
    }
    let right = cache_at(server.url().replace("redis://", "redis://:hunter2@")).await;
    recovers(&right).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_garbage() {
    let kinds =
        [ErrorKind::Unreachable, ErrorKind::Timeout, ErrorKind::Refused, ErrorKind::Protocol];
    for seed in 0..10 {
        let server = GarbageServer::random(seed);
        answers_uncached(&cache_at(server.url()).await, &kinds).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_accepts_and_never_answers() {
    let server = GarbageServer::silent();
    let cache = cache_at(server.url()).await;
    answers_uncached(&cache, &[ErrorKind::Timeout, ErrorKind::Unreachable]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_answers_are_damaged() {
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
    proxy.pass();
    recovers(&cache).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    recovers(&cache).await;
    proxy.black_hole();
    answers_uncached(&cache, &[ErrorKind::Timeout, ErrorKind::Unreachable]).await;
    proxy.cut();
    proxy.pass();
    recovers(&cache).await;
}

/// A connection that is cut between two calls is replaced within the next one: no miss.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_costs_no_hit() {
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

/// Scripts are gone after a restart or `SCRIPT FLUSH`: loaded again, and nobody notices.
#[tokio::test(flavor = "multi_thread")]
async fn forgotten_scripts() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    cache.invalidate(["T"]).await.unwrap();
    server.cli(&["SCRIPT", "FLUSH"]);
    cache.invalidate(["T"]).await.unwrap();
    server.cli(&["SCRIPT", "FLUSH"]);
    cache.tag_version(&"fresh".into()).await.unwrap();
    assert_eq!(cache.stats().faults, 0);
}

/// I6: a bump that failed is retried until the store has it, and seen by other caches.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_failed_bump_goes_through_later() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let (cache, other) = (cache_at(proxy.url()).await, cache_at(server.url()).await);
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

/// I8: calls dropped at every stage leave nothing that a later call trips over.
#[tokio::test(flavor = "multi_thread")]
async fn i8_dropped_calls_leave_nothing_behind() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    let source = Source::default();
    for microseconds in (0..2_000).step_by(5) {
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        let dropped = with_cache(cache.clone(), row(&source, 1));
        let _ = tokio::time::timeout(Duration::from_micros(microseconds), dropped).await;
        let expected = format!("run {}", source.runs.load(Ordering::SeqCst));
        let (value, outcome) = call(&cache, &source).await;
        match outcome {
            Outcome::Miss => assert!(value.ends_with(&expected), "{value}"),
            other => assert_eq!(other, Outcome::Hit),
        }
    }
    assert_eq!(cache.queued_bumps(), 0);
}
