//! Which runtime does the work: connections and retries when runtimes end, idle or do not
//! exist, when callers leave early, and when caches are dropped.

use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, Outcome, Tag, observe, with_cache};
use fragkeys_tests::{Proxy, RedisServer};
use tokio::runtime::Runtime;

use crate::support::{Source, eventually, patient, row};

async fn cache_at(url: impl Into<String>) -> Cache {
    patient(url).build().await.unwrap()
}

async fn call(cache: &Cache, source: &Source) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, 1))).await;
    (value, outcome.unwrap())
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A cache that outlives the runtime which it was first used in.
#[test]
fn another_runtime_has_its_own_connection() {
    let server = RedisServer::start();
    let cache = runtime().block_on(cache_at(server.url()));
    let source = Source::default();
    for round in 0..5 {
        let (_, outcome) = runtime().block_on(call(&cache, &source));
        assert_eq!(outcome, if round == 0 { Outcome::Miss } else { Outcome::Hit });
    }
    // Two at once, one of which is not being driven.
    let (idle, busy) = (runtime(), runtime());
    idle.block_on(call(&cache, &source));
    assert_eq!(busy.block_on(call(&cache, &source)).1, Outcome::Hit);
}

/// Without any runtime there is no connection, and still an answer.
#[test]
fn i5_no_runtime_at_all() {
    let server = RedisServer::start();
    let runtime = runtime();
    let cache = runtime.block_on(cache_at(server.url()));
    drop(runtime);
    let source = Source::default();
    let mut future = std::pin::pin!(with_cache(cache.clone(), row(&source, 1)));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) else {
        panic!("it must not wait for a runtime that does not exist");
    };
    assert_eq!(value, "row 1, run 0");
}

/// Callers that never wait as long as `operation_timeout` learn that the server hangs, too.
#[test]
fn i5_impatient_callers_do_not_hang_for_ever() {
    let server = RedisServer::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let cache = Config::redis(server.url())
            .operation_timeout(Duration::from_secs(3_600))
            .build()
            .await
            .unwrap();
        let source = Source::default();
        call(&cache, &source).await;
        server.pause();
        eventually("a call does not wait for the server", async || {
            let patience = Duration::from_millis(100);
            tokio::time::timeout(patience, call(&cache, &source)).await.is_ok()
        })
        .await;
        server.resume();
        eventually("hits are back", async || call(&cache, &source).await.1 == Outcome::Hit).await;
    });
}

/// The same for callers so impatient that each of them says nothing.
#[test]
fn i5_very_impatient_callers_do_not_hang_for_ever() {
    let server = RedisServer::start();
    Runtime::new().unwrap().block_on(async {
        let cache = cache_at(server.url()).await;
        let source = Source::default();
        call(&cache, &source).await;
        server.pause();
        eventually("a call does not wait for the server", async || {
            let patience = Duration::from_millis(5);
            tokio::time::timeout(patience, call(&cache, &source)).await.is_ok()
        })
        .await;
        server.resume();
    });
}

/// A server that is slow and alive is not taken for a hung one because a caller left.
#[test]
fn a_slow_server_is_not_given_up_for_one_impatient_caller() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    Runtime::new().unwrap().block_on(async {
        let cache = cache_at(proxy.url()).await;
        let source = Source::default();
        call(&cache, &source).await;
        proxy.delay(Duration::from_millis(400));
        let patience = Duration::from_millis(50);
        tokio::time::timeout(patience, call(&cache, &source)).await.unwrap_err();
        for _ in 0..3 {
            assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
        }
    });
}

/// I6: a retry that began on a runtime which nobody drives any more is taken over.
#[test]
fn i6_a_retry_on_an_idle_runtime_is_taken_over() {
    let mut server = RedisServer::start();
    let (idle, busy) = (runtime(), runtime());
    let cache = idle.block_on(cache_at(server.url()));
    idle.block_on(cache.entry("x").set(&1)).unwrap();
    server.kill();
    idle.block_on(cache.invalidate(["T"])).unwrap_err();
    server.restart();
    let source = Source::default();
    busy.block_on(eventually("the bump goes through", async || {
        call(&cache, &source).await;
        cache.queued_bumps() == 0
    }));
    drop(idle);
}

/// I6: also when all that is left of the cache is its queue.
#[test]
fn i6_a_queued_bump_outlives_its_cache() {
    let mut server = RedisServer::start();
    let runtime = runtime();
    runtime.block_on(async {
        let cache = cache_at(server.url()).await;
        let before = cache.tag_version(&"T".into()).await.unwrap();
        server.kill();
        cache.invalidate(["T"]).await.unwrap_err();
        drop(cache);
        server.restart();
        server.cli(&["SET", "fragkeys:t:T", &before.to_string()]);
        eventually("the bump is there", async || {
            server.cli(&["GET", "fragkeys:t:T"]) != before.to_string()
        })
        .await;
    });
}

/// I6: a long queue goes through in parts, each of which counts.
#[test]
fn i6_a_long_queue_goes_through_however_short_the_patience() {
    let mut server = RedisServer::start();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(async {
        let config = Config::redis(server.url()).operation_timeout(Duration::from_millis(10));
        let cache = config.build().await.unwrap();
        server.kill();
        cache.invalidate((0..10_000).map(|id| Tag::new("T", id))).await.unwrap_err();
        assert_eq!(cache.queued_bumps(), 10_000);
        server.restart();
        eventually("the queue is empty", async || cache.queued_bumps() == 0).await;
    });
}

/// A server that accepts and closes is not up: no storm of connections.
#[test]
fn a_server_that_hangs_up_is_not_called_again_and_again() {
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    server.kill();
    runtime().block_on(async {
        let cache = cache_at(proxy.url()).await;
        let source = Source::default();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
            tokio::task::yield_now().await;
        }
        assert!(proxy.accepted() < 30, "{} connections in a second", proxy.accepted());
    });
}
