//! Orders for one call, options, and runs that need themselves.

use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, ErrorKind, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use super::{Herd, Source, leases};
use crate::support::patient;

/// Nobody who is told to do something else waits for a lease.
#[tokio::test(flavor = "multi_thread")]
async fn orders_wait_for_nobody() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let [mut runs, mut waits, mut orders] = [(); 3].map(|()| Herd::start(&server, &source));
    runs.call(1, 1);
    let first = source.next().await;
    waits.call(1, 1);
    waits.wait_for_misses(1).await;
    assert_eq!(orders.ask("peek 1"), "false");
    assert_eq!((source.runs(), leases(&server).len()), (1, 1));
    // It runs whoever does, and what it stores answers those who wait.
    orders.ask("refresh 1");
    source.next().await.answer("refreshed").await;
    orders.expect(1);
    waits.expect(1);
    first.answer("first").await;
    runs.expect(1);
    assert_eq!(source.runs(), 2);
}

/// Behind an eviction nobody waits for a run that began before it.
#[tokio::test(flavor = "multi_thread")]
async fn an_eviction_lets_another_one_run() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let [mut runs, mut waits, mut orders] = [(); 3].map(|()| Herd::start(&server, &source));
    runs.call(1, 1);
    let first = source.next().await;
    waits.call(1, 1);
    waits.wait_for_misses(1).await;
    assert_eq!(orders.ask("evict 1"), "false");
    source.next().await.answer("second").await;
    waits.expect(1);
    first.answer("first").await;
    runs.expect(1);
    assert_eq!(source.runs(), 2);
}

/// `lease = false`: each process runs.
#[tokio::test(flavor = "multi_thread")]
async fn functions_without_a_lease() {
    let server = RedisServer::start();
    let mut source = Source::start().await;
    let [mut first, mut second] = [(); 2].map(|()| Herd::start(&server, &source));
    first.ask("call unleased 10 1 1");
    second.ask("call unleased 10 1 1");
    let runs = [source.next().await, source.next().await];
    assert!(leases(&server).is_empty());
    for run in runs {
        run.answer("value").await;
    }
    first.expect(10);
    second.expect(10);
    assert_eq!(source.runs(), 2);
}

/// The first process waits for the second one, which asks for the same.
#[tagged_cache(vary_on = [])]
async fn through(other: Option<Cache>) -> u32 {
    match other {
        Some(other) => Box::pin(with_cache(other, through(None))).await + 1,
        None => 1,
    }
}

#[tokio::test]
async fn a_run_that_needs_itself_through_another_process_ends() {
    let server = RedisServer::start();
    let cache = || patient(server.url()).lease_wait(Duration::from_millis(300)).build();
    let (one, other) = (cache().await.unwrap(), cache().await.unwrap());
    let began = Instant::now();
    assert_eq!(with_cache(one, through(Some(other))).await, 2);
    assert!(began.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_wait_above_an_hour_is_an_error() {
    let error = Config::memory().lease_wait(Duration::from_secs(3_601)).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("lease_wait"), "{error}");
    for timeout in [Duration::from_millis(99), Duration::from_secs(61)] {
        let error = Config::memory().lease_timeout(timeout).build().await.unwrap_err();
        assert!(error.to_string().contains("lease_timeout"), "{error}");
    }
    // The embedded store has none, and takes the setting.
    let cache = Config::memory().lease_wait(Duration::from_secs(1)).build().await.unwrap();
    assert_eq!(with_cache(cache, through(None)).await, 1);
}
