//! Store trouble around a lease: the function runs at once, and nobody gets an error (I5).

use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, Outcome};
use fragkeys_tests::RedisServer;

use crate::flight::{Source, call, wait_for_misses};
use crate::support::{eventually, redis_cache};

/// Two caches in one server have leases between them, as two processes have.
async fn two(server: &RedisServer) -> [Cache; 2] {
    [redis_cache(server).await, redis_cache(server).await]
}

/// The first one runs, and the second one waits for that.
async fn one_waits(first: &Cache, second: &Cache, source: &std::sync::Arc<Source>) -> [Call; 2] {
    let runs = call(first, source, 1);
    source.wait_for_runs(1).await;
    let waits = call(second, source, 1);
    wait_for_misses(second, 1).await;
    [runs, waits]
}

type Call = tokio::task::JoinHandle<(crate::flight::Value, Option<Outcome>)>;

#[tokio::test]
async fn the_other_ones_value_is_shared() {
    let server = RedisServer::start();
    let [first, second] = two(&server).await;
    let source = Source::new();
    let [runs, waits] = one_waits(&first, &second, &source).await;
    let third = call(&second, &source, 1);
    wait_for_misses(&second, 2).await;
    source.release(1);
    assert_eq!(runs.await.unwrap().1, Some(Outcome::Miss));
    assert_eq!(waits.await.unwrap().1, Some(Outcome::Shared));
    assert_eq!(third.await.unwrap().1, Some(Outcome::Shared));
    assert_eq!((source.runs(), second.stats().shared), (1, 2));
}

/// Its word is waited for, and not asked for again and again: so often as the lease is renewed.
#[tokio::test]
async fn who_waits_is_told_by_redis() {
    let server = RedisServer::start();
    let [first, second] = two(&server).await;
    let source = Source::new();
    let [runs, waits] = one_waits(&first, &second, &source).await;
    server.reset_stats();
    eventually("it is renewed", async || server.command_calls("pexpire") >= 4).await;
    // One of each of them for its renewal, and one for the question of who waits.
    assert!(server.command_calls("evalsha") <= 10, "{}", server.command_calls("evalsha"));
    source.release(1);
    runs.await.unwrap();
    assert_eq!((waits.await.unwrap().1, source.runs()), (Some(Outcome::Shared), 1));
}

/// And where it does not tell, it is asked.
#[tokio::test]
async fn without_tracking_who_waits_asks() {
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "default", "-client|tracking"]);
    let [first, second] = two(&server).await;
    let source = Source::new();
    let [runs, waits] = one_waits(&first, &second, &source).await;
    source.release(1);
    runs.await.unwrap();
    assert_eq!((waits.await.unwrap().1, source.runs()), (Some(Outcome::Shared), 1));
}

#[tokio::test]
async fn i5_a_server_that_dies_lets_who_waits_run() {
    let mut server = RedisServer::start();
    let [first, second] = two(&server).await;
    let source = Source::new();
    let [runs, waits] = one_waits(&first, &second, &source).await;
    server.kill();
    source.wait_for_runs(2).await;
    source.release(2);
    assert_eq!(waits.await.unwrap().0.run, 1);
    assert_eq!(runs.await.unwrap().0.run, 0);
}

/// A server that hangs is noticed when the lease should have been renewed.
#[tokio::test]
async fn i5_a_server_that_hangs_lets_who_waits_run() {
    let server = RedisServer::start();
    let first = redis_cache(&server).await;
    let second = Config::redis(server.url()).build().await.unwrap();
    let source = Source::new();
    let [runs, waits] = one_waits(&first, &second, &source).await;
    let began = Instant::now();
    server.pause();
    source.wait_for_runs(2).await;
    // 750 ms of the lease and 250 ms of `operation_timeout`, and a busy machine; not `lease_wait`.
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    source.release(2);
    assert_eq!(waits.await.unwrap().0.run, 1);
    server.resume();
    assert_eq!(runs.await.unwrap().0.run, 0);
}

/// A connection that is cut is no trouble: who waits goes on with another one.
#[tokio::test]
async fn a_lost_connection_is_replaced() {
    let server = RedisServer::start();
    let [first, second] = two(&server).await;
    let source = Source::new();
    let [runs, waits] = one_waits(&first, &second, &source).await;
    server.cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    source.release(1);
    runs.await.unwrap();
    assert_eq!((waits.await.unwrap().0.run, source.runs()), (0, 1));
}

/// All that Redis has is gone: also the lease, and whoever waits for it may run.
#[tokio::test]
async fn a_flush_takes_the_lease_along() {
    let server = RedisServer::start();
    let [first, second] = two(&server).await;
    let source = Source::new();
    let [runs, waits] = one_waits(&first, &second, &source).await;
    server.flushall();
    source.wait_for_runs(2).await;
    source.release(2);
    assert_eq!((runs.await.unwrap().0.run, waits.await.unwrap().0.run), (0, 1));
}

/// A user who may not write leases, and a server without memory: calls run as they did before there
/// were leases.
#[tokio::test]
async fn i5_where_there_can_be_no_lease_calls_run() {
    let server = RedisServer::start();
    let least = ["ACL", "SETUSER", "least", "on", ">pw", "+@all", "~fragkeys:t:*", "~fragkeys:v:*"];
    server.cli(&least);
    let url = format!("redis://least:pw@127.0.0.1:{}", server.port());
    let cache = crate::support::patient(url).build().await.unwrap();
    let source = Source::open();
    assert_eq!(call(&cache, &source, 1).await.unwrap().1, Some(Outcome::Miss));
    assert_eq!(call(&cache, &source, 1).await.unwrap().1, Some(Outcome::Hit));
    assert_eq!((source.runs(), cache.stats().faults), (1, 1));

    let cache = redis_cache(&server).await;
    assert_eq!(call(&cache, &source, 2).await.unwrap().1, Some(Outcome::Miss));
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_eq!(call(&cache, &source, 3).await.unwrap().0.id, 3);
}

/// A miss asks once more than without leases, and a hit not at all.
#[tokio::test]
async fn what_it_costs() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let without =
        crate::support::patient(server.url()).lease_wait(Duration::ZERO).build().await.unwrap();
    let source = Source::open();
    let mut scripts = Vec::new();
    for (cache, ids) in [(&cache, 1..=10), (&without, 11..=20)] {
        // Its scripts, and the root, are known.
        call(cache, &source, 100 + ids.start()).await.unwrap();
        call(cache, &source, 100 + ids.start()).await.unwrap();
        eventually("leases are let go of", async || server.keys("fragkeys:l:*").is_empty()).await;
        server.reset_stats();
        for id in ids.clone() {
            assert_eq!(call(cache, &source, id).await.unwrap().1, Some(Outcome::Miss));
        }
        // The lease is let go of behind the call.
        let expected = if ids.contains(&1) { 30 } else { 10 };
        eventually("leases are let go of", async || {
            server.command_calls("del") + 20 >= expected.min(30)
        })
        .await;
        scripts.push(server.command_calls("evalsha"));
        server.reset_stats();
        for id in ids {
            assert_eq!(call(cache, &source, id).await.unwrap().1, Some(Outcome::Hit));
        }
        assert_eq!((server.command_calls("evalsha"), server.command_calls("get")), (0, 10));
    }
    // A seed of the tag for each; a question and a release of the lease, the latter behind the call
    // and of several in one.
    assert!((21..=30).contains(&scripts[0]), "{scripts:?}");
    assert_eq!(scripts[1], 10);
}
