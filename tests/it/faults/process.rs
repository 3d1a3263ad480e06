//! What the program itself does to its calls: they are dropped, or their runtime ends.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fragkeys::{Outcome, Tag, with_cache};
use fragkeys_tests::{Child, RedisServer};

use super::{cache_at, call, recovers};
use crate::support::{Source, eventually, row};

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

/// A runtime that ends while calls wait takes its connection along, and nothing else.
#[test]
fn runtime_shut_down() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (ending, other) = (runtime(), runtime());
    let cache = ending.block_on(cache_at(server.url()));
    ending.block_on(recovers(&cache));
    other.block_on(recovers(&cache));
    assert_eq!((cache.health().runtimes, cache.health().connections), (2, 2));
    server.pause();
    for _ in 0..8 {
        let cache = cache.clone();
        ending.spawn(async move { call(&cache, &Source::default()).await });
        let bump = cache_of(&other, &server);
        ending.spawn(async move { bump.invalidate(["T"]).await });
    }
    ending.shutdown_background();
    server.resume();
    other.block_on(async {
        eventually("its link is forgotten", async || cache.health().runtimes == 1).await;
        recovers(&cache).await;
        assert!(cache.health().is_reachable, "{}", cache.health());
    });
}

fn cache_of(runtime: &tokio::runtime::Runtime, server: &RedisServer) -> fragkeys::Cache {
    runtime.block_on(cache_at(server.url()))
}

/// I8: 24,000 futures of all kinds, each dropped after some poll before it was ready: in a process of
/// its own, whose tasks and memory are counted, and whose later calls are right.
#[test]
fn futures_dropped() {
    let server = RedisServer::start();
    let mut dropper =
        Child::start(env!("CARGO_BIN_EXE_dropper"), &[], &[("FRAGKEYS_URL", &server.url())]);
    let mut round = |number: u32| -> (u64, u64, u64) {
        dropper.send_line(&number.to_string());
        let line = dropper.read_line();
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().expect(&line)).collect();
        (numbers[0], numbers[1], numbers[2])
    };
    let (_, tasks_before, kib_before) = round(4_000);
    let (made, tasks, kib) = round(20_000);
    assert!(made >= 20_000);
    assert_eq!(tasks, tasks_before, "tasks are left over");
    assert!(kib < kib_before + 16 * 1024, "{kib_before} KiB grew to {kib} KiB");
    let clients = server.cli(&["CLIENT", "LIST", "TYPE", "normal"]).lines().count();
    // Of calls, of leases, and that of this question.
    assert!(clients <= 3, "{clients} connections");
}
