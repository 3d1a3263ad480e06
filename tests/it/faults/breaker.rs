//! The circuit breaker: what opens it, for whom, and how soon it closes.

use std::time::{Duration, Instant};

use fragkeys::{Breaker, Config, Outcome, Tag, with_cache};
use fragkeys_tests::{Proxy, RedisServer};

use super::{PATIENCE, SLACK, cache_at, call, recovers};
use crate::support::{Source, eventually, row};

/// Longer than all of a test.
const ENDLESS: Duration = Duration::from_secs(3_600);

/// Open, a call adds less than 0.1 ms to its function: half of a thousand do, whatever else the
/// machine is at.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_breaker_costs_a_call_next_to_nothing() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    server.pause();
    let source = Source::default();
    call(&cache, &source).await;
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..1_000 {
        let began = Instant::now();
        assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
        times.push(began.elapsed());
    }
    times.sort();
    assert!(times[500] <= Duration::from_micros(100), "the median is {:?}", times[500]);
    server.resume();
    recovers(&cache).await;
}

/// The first one that waits in vain opens it for those that wait as well, and began later.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_in_vain_opens_it_for_everybody() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    // So long that a busy machine does not make two of one.
    let patience = 3 * PATIENCE;
    let cache = Config::redis(proxy.url()).operation_timeout(patience).build().await.unwrap();
    recovers(&cache).await;
    proxy.black_hole();
    let began = Instant::now();
    let calls = (0..200).map(|number| {
        let cache = cache.clone();
        tokio::spawn(async move {
            // The last one begins when the first one has waited for most of its time.
            tokio::time::sleep(patience / 250 * number).await;
            call(&cache, &Source::default()).await
        })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().1, Outcome::Bypass);
    }
    let took = began.elapsed();
    assert!(took < patience + patience / 2, "one deadline and not two: {took:?}");
    proxy.pass();
    recovers(&cache).await;
}

/// So it is while nobody was ever connected.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_attempt_holds_up_nobody_for_long() {
    let server = RedisServer::start();
    server.pause();
    // An attempt may take longer than calls wait.
    let config = Config::redis(server.url()).operation_timeout(Duration::from_millis(100));
    let cache = config.build().await.unwrap();
    let source = Source::default();
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
    }
    assert!(began.elapsed() < SLACK, "50 calls took {:?}", began.elapsed());
    server.resume();
    eventually("it is there", async || cache.health().breaker == Breaker::Closed).await;
}

/// After a look that was in vain, nothing is stored: that would wait again.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_waits_once_and_not_for_its_store_too() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    recovers(&cache).await;
    let stored = cache.stats().stored;
    proxy.hold();
    let source = Source::default();
    assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
    // Back before the body has run: the call is over all the same.
    let entry = cache.entry("x").tag("Row:1");
    let value = entry.get_or_set_with(|| async {
        proxy.pass();
        eventually("it is back", async || cache.health().breaker == Breaker::Closed).await;
        7
    });
    assert_eq!(value.await, 7);
    assert_eq!(cache.stats().stored, stored);
    recovers(&cache).await;
}

/// One slow command is no reason: a `PING` behind it is answered, and the breaker closes at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_on_the_same_connection_closes_it() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = Config::redis(proxy.url()).operation_timeout(PATIENCE);
    let cache = cache.lease_wait(Duration::ZERO).build().await.unwrap();
    recovers(&cache).await;
    proxy.delay(PATIENCE * 3 / 4);
    assert_eq!(call(&cache, &Source::default()).await.1, Outcome::Bypass);
    assert_ne!(cache.health().breaker, Breaker::Closed);
    proxy.pass();
    eventually("it is closed", async || cache.health().breaker == Breaker::Closed).await;
    assert_eq!(proxy.accepted(), 1, "no new connection");
    recovers(&cache).await;
}

/// Hits are back a second after Redis is, however long it was away.
#[tokio::test(flavor = "multi_thread")]
async fn hits_are_back_within_a_second() {
    let mut server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    recovers(&cache).await;
    for is_killed in [true, false, true] {
        if is_killed {
            server.kill()
        } else {
            server.pause()
        }
        let source = Source::default();
        let down_until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < down_until {
            assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if is_killed {
            server.restart()
        } else {
            server.resume()
        }
        let back = Instant::now();
        eventually("hits are back", async || call(&cache, &source).await.1 == Outcome::Hit).await;
        let took = back.elapsed();
        assert!(took < Duration::from_secs(1) + SLACK, "killed: {is_killed}, back after {took:?}");
    }
}

/// Callers who bring their own, shorter patience learn of it too; and a server that answers some of
/// them is not given up.
#[tokio::test(flavor = "multi_thread")]
async fn patient_settings_and_impatient_callers() {
    let server = RedisServer::start();
    let cache = Config::redis(server.url()).operation_timeout(ENDLESS).build().await.unwrap();
    let source = Source::default();
    with_cache(cache.clone(), row(&source, 1)).await;
    server.pause();
    eventually("the breaker opens", async || {
        let patience = Duration::from_millis(30);
        let _ = tokio::time::timeout(patience, with_cache(cache.clone(), row(&source, 1))).await;
        cache.health().breaker != Breaker::Closed
    })
    .await;
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    server.resume();
    eventually("it closes", async || cache.health().breaker == Breaker::Closed).await;
}
