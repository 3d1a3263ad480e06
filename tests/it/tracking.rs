//! Hits for one GET: versions that Redis keeps current, what happens when one moves at the worst
//! moment, and when Redis does not tell.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fragkeys::{Cache, Outcome, Tag, observe, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};

use crate::support::{
    Source, ask, cache_without_leases, eventually, patient, redis_cache, row, worker,
};

async fn call(cache: &Cache, source: &Source) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, 1))).await;
    (value, outcome.unwrap())
}

/// Calls until all versions are known, so that the next call is one GET.
async fn know(cache: &Cache, source: &Source) {
    for _ in 0..3 {
        call(cache, source).await;
    }
}

/// The commands that a call runs.
async fn commands(server: &RedisServer, cache: &Cache, source: &Source) -> (Outcome, [u64; 3]) {
    server.reset_stats();
    let (_, outcome) = call(cache, source).await;
    (outcome, ["get", "mget", "set"].map(|name| server.command_calls(name)))
}

#[tokio::test]
async fn a_hit_is_one_get() {
    let server = RedisServer::start();
    let cache = cache_without_leases(&server).await;
    let source = Source::default();
    know(&cache, &source).await;
    assert_eq!(commands(&server, &cache, &source).await, (Outcome::Hit, [1, 0, 0]));
    cache.invalidate(["Row:1"]).await.unwrap();
    assert_eq!(commands(&server, &cache, &source).await, (Outcome::Miss, [1, 1, 1]));
    assert_eq!(commands(&server, &cache, &source).await, (Outcome::Hit, [1, 0, 0]));
    // Another row shares only the root with it.
    with_cache(cache.clone(), row(&source, 2)).await;
    assert_eq!(commands(&server, &cache, &source).await, (Outcome::Hit, [1, 0, 0]));
}

/// Another process bumps, and is believed at once: each time, as fast as it goes.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_bump_elsewhere_is_seen_by_the_very_next_hit() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let mut other = worker(&server);
    let source = Source::default();
    let mut runs = 0;
    for round in 0..500 {
        know(&cache, &source).await;
        let before = call(&cache, &source).await;
        assert_eq!(before, (format!("row 1, run {runs}"), Outcome::Hit), "round {round}");
        ask(&mut other, "invalidate 1");
        runs += 1;
        let after = call(&cache, &source).await;
        assert_eq!(after, (format!("row 1, run {runs}"), Outcome::Miss), "round {round}");
    }
}

/// Many readers on one connection, so many that they ask together, while another process bumps: none
/// reads what was before.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i2_nobody_reads_less_than_was_bumped_before() {
    let server = RedisServer::start();
    let (cache, bumping) = (redis_cache(&server).await, redis_cache(&server).await);
    const LAST: u32 = 1_000;
    // A row, and the value of it whose bump was acknowledged last.
    let row = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let readers: Vec<_> = (0..40)
        .map(|_| {
            let (cache, row) = (cache.clone(), row.clone());
            tokio::spawn(async move {
                let (value, acknowledged) = &*row;
                let entry = cache.entry("row").tag("Row");
                let mut hits = 0;
                while acknowledged.load(Ordering::SeqCst) < LAST {
                    let floor = acknowledged.load(Ordering::SeqCst);
                    let mut has_run = false;
                    let read = entry.get_or_set_with(|| async {
                        has_run = true;
                        value.load(Ordering::SeqCst)
                    });
                    let read = read.await;
                    assert!(read >= floor, "{read} was read after {floor} was bumped");
                    hits += u32::from(!has_run);
                }
                hits
            })
        })
        .collect();
    for next in 1..=LAST {
        row.0.store(next, Ordering::SeqCst);
        bumping.invalidate(["Row"]).await.unwrap();
        row.1.store(next, Ordering::SeqCst);
    }
    let mut hits = 0;
    for reader in readers {
        hits += reader.await.unwrap();
    }
    assert!(hits > 0, "or it would show nothing");
}

/// The read is on its way when the version moves: its answer, from after the bump but under the
/// old version, must not be taken.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_version_that_moves_before_the_get_runs_makes_it_ask_again() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    let source = Source::default();
    know(&cache, &source).await;
    let held = Arc::new(tokio::sync::Notify::new());
    let seen = held.clone();
    proxy.on_request(Box::new(move |request| {
        if request.windows(4).any(|part| part == b"MGET") {
            return Action::Forward;
        }
        seen.notify_one();
        Action::Hold
    }));
    let reading = tokio::spawn({
        let cache = cache.clone();
        async move { call(&cache, &Source { runs: 7.into() }).await }
    });
    held.notified().await;
    let direct = redis_cache(&server).await;
    direct.invalidate(["Row:1"]).await.unwrap();
    proxy.clear_hook();
    proxy.release();
    assert_eq!(reading.await.unwrap(), ("row 1, run 7".to_owned(), Outcome::Miss));
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_what_was_known_through_a_lost_connection_is_forgotten() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let direct = redis_cache(&server).await;
    let source = Source::default();
    for round in 0..50 {
        know(&cache, &source).await;
        let before = call(&cache, &source).await;
        // What is bumped while it is away, nobody tells it.
        server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        eventually("the other one is there", async || direct.invalidate(["Row:1"]).await.is_ok())
            .await;
        let after = call(&cache, &source).await;
        assert_ne!(after.0, before.0, "round {round}");
        eventually("no bump is queued", async || direct.queued_bumps() == 0).await;
    }
}

#[tokio::test]
async fn i3_flushed_deleted_and_overwritten_versions_are_noticed() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::default();
    for change in
        [vec!["FLUSHALL"], vec!["DEL", "fragkeys:t:Row:1"], vec!["SET", "fragkeys:t:*", "x"]]
    {
        know(&cache, &source).await;
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
        server.cli(&change);
        assert_eq!(call(&cache, &source).await.1, Outcome::Miss, "{change:?}");
    }
    know(&cache, &source).await;
    server.cli(&["INCR", "fragkeys:t:Row:1"]);
    assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
}

/// A server that tells too much, as its table of what was read is full: slower, and right.
#[tokio::test]
async fn a_full_tracking_table_costs_commands_and_no_truth() {
    let server = RedisServer::start_with(&["--tracking-table-max-keys", "1"]);
    let cache = redis_cache(&server).await;
    let direct = redis_cache(&server).await;
    let source = Source::default();
    for _ in 0..20 {
        know(&cache, &source).await;
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
        direct.invalidate(["Row:1"]).await.unwrap();
        assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
    }
}

/// Far more tags than there are cells for.
#[tokio::test(flavor = "multi_thread")]
async fn i7_cells_are_bounded_and_what_is_evicted_is_asked_for_again() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let direct = redis_cache(&server).await;
    let source = Source::default();
    know(&cache, &source).await;
    for page in 0..60 {
        let tags = (0..1_000).map(|number| Tag::new("Filler", page * 1_000 + number));
        cache.entry("filler").tags(tags).get::<u8>().await.unwrap();
    }
    assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
    direct.invalidate(["Row:1"]).await.unwrap();
    assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
}

/// Servers and users that may not track, or do not speak the newer protocol.
#[tokio::test]
async fn without_tracking_a_hit_asks_for_the_versions_too() {
    let denied = |command: &str| {
        let server = RedisServer::start();
        server.cli(&["ACL", "SETUSER", "default", command]);
        server
    };
    let old = RedisServer::start_with(&["--rename-command", "HELLO", "\"\""]);
    for server in [denied("-client|tracking"), denied("-client|caching"), old] {
        let cache = cache_without_leases(&server).await;
        let direct = redis_cache(&server).await;
        let source = Source::default();
        know(&cache, &source).await;
        assert_eq!(commands(&server, &cache, &source).await, (Outcome::Hit, [1, 1, 0]));
        direct.invalidate(["Row:1"]).await.unwrap();
        assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
    }
}
