//! What ends trust: silence of every kind, a lost connection, tracking that is off, and bumps
//! that did not go through. And that it comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, Near, Outcome, evict, refresh, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer, Reply, RespClient};

use super::{LONG, Source, call, near_cache, row, settle, stats};
use crate::support::{eventually, patient};

pub(super) const STALENESS: Duration = Duration::from_millis(400);

/// Short waits for a store that does not answer; the bound on staleness is what is measured.
async fn short_of_patience(url: String) -> Cache {
    let near = Near::new().max_staleness(STALENESS);
    let config = Config::redis(url).operation_timeout(Duration::from_millis(100));
    config.near(near).build().await.unwrap()
}

/// Calls for a good while. None that begins later than `STALENESS` after this moment may be
/// answered from what is in the near tier now.
pub(super) async fn nothing_old_is_believed_for_long(old: &str, call: impl AsyncFn() -> String) {
    let since = Instant::now();
    while since.elapsed() < 3 * STALENESS {
        let began = since.elapsed();
        let value = call().await;
        assert!(value != old || began <= STALENESS, "{value} after {began:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn trusted_again(cache: &Cache, source: &Source) {
    eventually("it is trusted again", async || {
        call(cache, source).await;
        stats(cache).trusted_since.is_some()
    })
    .await;
    settle(cache, source).await;
}

/// The worst of networks: it swallows what is sent and says nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_ends_it() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = short_of_patience(proxy.url()).await;
    let source = Source::default();
    settle(&cache, &source).await;
    let old = call(&cache, &source).await.0;
    proxy.black_hole();
    server.cli(&["INCR", "fragkeys:t:Row:1"]);
    nothing_old_is_believed_for_long(&old, async || call(&cache, &source).await.0).await;
    let near = stats(&cache);
    assert!(near.lost_to_silence + near.lost_to_disconnect > 0 && near.trusted_since.is_none());
    proxy.pass();
    proxy.cut();
    trusted_again(&cache, &source).await;
    assert_ne!(call(&cache, &source).await.0, old);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_server_ends_it() {
    let server = RedisServer::start();
    let cache = short_of_patience(server.url()).await;
    let source = Source::default();
    settle(&cache, &source).await;
    let old = call(&cache, &source).await.0;
    server.pause();
    nothing_old_is_believed_for_long(&old, async || call(&cache, &source).await.0).await;
    server.resume();
    trusted_again(&cache, &source).await;
}

/// A script keeps it busy, so it refuses to say whether it tracks. That is no reason to do without
/// for as long as the connection lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_busy_is_believed_again() {
    let server = RedisServer::start_with(&["--lua-time-limit", "10"]);
    let cache = short_of_patience(server.url()).await;
    let source = Source::default();
    settle(&cache, &source).await;
    let port = server.port();
    let script = std::thread::spawn(move || {
        let mut client = RespClient::connect(port).unwrap();
        client.command(&[b"EVAL", b"while true do end", b"0"])
    });
    eventually("it is busy", async || {
        let answer = server.command(&[b"GET", b"x"]);
        let is_busy = matches!(answer, Reply::Error(error) if error.starts_with("BUSY"));
        is_busy && stats(&cache).trusted_since.is_none()
    })
    .await;
    let since = Instant::now();
    while since.elapsed() < STALENESS {
        call(&cache, &source).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    server.cli(&["SCRIPT", "KILL"]);
    script.join().unwrap().unwrap();
    trusted_again(&cache, &source).await;
    assert_eq!(stats(&cache).lost_to_tracking, 0);
}

/// The connection's runtime does not run, so nothing that Redis tells is read.
#[test]
fn a_runtime_that_stands_still_ends_it() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (still, other) = (runtime(), runtime());
    let cache = still.block_on(near_cache(&server, Near::new().max_staleness(STALENESS)));
    let source = Source::default();
    still.block_on(settle(&cache, &source));
    let old = still.block_on(call(&cache, &source)).0;
    server.cli(&["INCR", "fragkeys:t:Row:1"]);
    other.block_on(nothing_old_is_believed_for_long(&old, async || call(&cache, &source).await.0));
    assert_ne!(other.block_on(call(&cache, &source)).0, old);
}

/// Nobody tells what is bumped while the connection is away, nor what was known through it.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_ends_it_at_once_and_for_good() {
    let server = RedisServer::start();
    let cache = near_cache(&server, Near::new().max_staleness(LONG)).await;
    let source = Source::default();
    for round in 1..=20 {
        settle(&cache, &source).await;
        let old = call(&cache, &source).await.0;
        server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        server.cli(&["INCR", "fragkeys:t:Row:1"]);
        eventually("the bump is seen", async || call(&cache, &source).await.0 != old).await;
        assert_eq!(stats(&cache).lost_to_disconnect, round);
    }
}

#[tokio::test]
async fn i3_flushed_deleted_and_overwritten_versions_are_noticed() {
    let server = RedisServer::start();
    let cache = near_cache(&server, Near::new().max_staleness(LONG)).await;
    let source = Source::default();
    for change in [
        vec!["FLUSHALL"],
        vec!["DEL", "fragkeys:t:Row:1"],
        vec!["SET", "fragkeys:t:*", "x"],
        vec!["PEXPIRE", "fragkeys:t:Rows", "1"],
    ] {
        settle(&cache, &source).await;
        let old = call(&cache, &source).await.0;
        server.cli(&change);
        eventually("it is noticed", async || call(&cache, &source).await.0 != old).await;
    }
}

/// A proxy between, say, that shares its connections: tracking is off, and nothing else tells.
#[tokio::test]
async fn tracking_that_is_off_is_found_and_the_connection_replaced() {
    const OFF: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$3\r\nOFF\r\n";
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let is_done = Arc::new(AtomicBool::new(false));
    let done = is_done.clone();
    // The answer to either is a word that a connection is satisfied with.
    proxy.on_request(Box::new(move |request| {
        if request.ends_with(b"PING\r\n") && !done.swap(true, Ordering::SeqCst) {
            return Action::Replace(OFF);
        }
        Action::Forward
    }));
    let near = Near::new().max_staleness(LONG);
    // Without the connection of leases, which could be that one and is never believed.
    let config = patient(proxy.url()).lease_wait(Duration::ZERO);
    let cache = config.near(near).build().await.unwrap();
    let source = Source::default();
    call(&cache, &source).await;
    assert!(is_done.load(Ordering::SeqCst), "or it would show nothing");
    eventually("it is found", async || {
        call(&cache, &source).await;
        stats(&cache).lost_to_tracking == 1
    })
    .await;
    settle(&cache, &source).await;
    let old = call(&cache, &source).await.0;
    server.cli(&["INCR", "fragkeys:t:Row:1"]);
    eventually("the bump is seen", async || call(&cache, &source).await.0 != old).await;
    assert_eq!(stats(&cache).lost_to_tracking, 1);
}

/// It goes on answering, and hears of bumps when its master tells it, or never.
#[tokio::test]
async fn a_server_that_became_a_replica_is_not_believed() {
    let server = RedisServer::start();
    let cache = near_cache(&server, Near::new().max_staleness(STALENESS)).await;
    let source = Source::default();
    settle(&cache, &source).await;
    // Of a master that nobody reaches: so nothing is flushed.
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    eventually("it is noticed", async || {
        let before = cache.stats().near_hits;
        call(&cache, &source).await;
        cache.stats().near_hits == before && stats(&cache).lost_to_cluster == 1
    })
    .await;
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    trusted_again(&cache, &source).await;
}

/// Without tracking, or without a way to know of it, hits go to Redis.
#[tokio::test]
async fn without_proof_it_stays_empty() {
    let denied = |command: &str| {
        let server = RedisServer::start();
        server.cli(&["ACL", "SETUSER", "default", command]);
        server
    };
    let old = RedisServer::start_with(&["--rename-command", "HELLO", "\"\""]);
    for server in [denied("-client|trackinginfo"), denied("-client|tracking"), old] {
        let cache = near_cache(&server, Near::new()).await;
        let source = Source::default();
        for _ in 0..20 {
            call(&cache, &source).await;
        }
        assert_eq!((cache.stats().near_hits, stats(&cache).trusted_since), (0, None));
        server.cli(&["INCR", "fragkeys:t:Row:1"]);
        assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
    }
}

/// While a failed bump waits, nothing is believed that may depend on it.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_bump_that_failed_ends_it_until_it_is_through() {
    let server = RedisServer::start();
    let config = Config::redis(server.url()).operation_timeout(Duration::from_millis(100));
    let cache = config.near(Near::new().max_staleness(LONG)).build().await.unwrap();
    let source = Source::default();
    settle(&cache, &source).await;
    let old = call(&cache, &source).await.0;
    server.pause();
    assert!(cache.invalidate(["Row:1"]).await.is_err());
    assert_ne!(call(&cache, &source).await.0, old);
    server.resume();
    eventually("the bump is through", async || cache.queued_bumps() == 0).await;
    assert_ne!(call(&cache, &source).await.0, old);
    trusted_again(&cache, &source).await;
}

/// Meanwhile the tier answers nothing, but what was refreshed or evicted does not come back with it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refreshed_or_evicted_while_a_bump_waits() {
    let server = RedisServer::start();
    let cache = near_cache(&server, Near::new().max_staleness(LONG)).await;
    let source = Source::default();
    settle(&cache, &source).await;
    let scripts = |sign: &str| {
        server.cli(&[
            "ACL",
            "SETUSER",
            "default",
            &format!("{sign}eval"),
            &format!("{sign}evalsha"),
        ])
    };
    scripts("-");
    assert!(cache.invalidate(["Other"]).await.is_err());
    with_cache(cache.clone(), refresh(row(&source, 1))).await;
    scripts("+");
    eventually("the bump is through", async || cache.queued_bumps() == 0).await;
    assert_eq!(call(&cache, &source).await, ("row 1, run 1".to_owned(), Outcome::Hit));
    settle(&cache, &source).await;
    scripts("-");
    assert!(cache.invalidate(["Other"]).await.is_err());
    assert!(with_cache(cache.clone(), evict(row(&source, 1))).await);
    scripts("+");
    eventually("the bump is through", async || cache.queued_bumps() == 0).await;
    assert_eq!(call(&cache, &source).await, ("row 1, run 2".to_owned(), Outcome::Miss));
}

/// Nobody calls, so nobody asks Redis whether it still tells; the next call has it ask again.
#[tokio::test]
async fn an_idle_tier_lets_redis_alone() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(Duration::from_millis(40));
    let cache = near_cache(&server, near).await;
    let source = Source::default();
    settle(&cache, &source).await;
    eventually("it is not asked any more", async || {
        server.reset_stats();
        tokio::time::sleep(Duration::from_millis(60)).await;
        server.command_calls("client|trackinginfo") == 0
    })
    .await;
    settle(&cache, &source).await;
    assert!(server.command_calls("client|trackinginfo") > 0);
}
