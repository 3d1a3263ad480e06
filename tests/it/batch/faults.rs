//! I5 for batches: whatever is wrong with the store, each is answered, within `operation_timeout`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, ErrorKind, Outcome, Tag};
use fragkeys_tests::{Action, Proxy, RedisServer};

use super::{Table, call};
use crate::support::{eventually, patient, redis_cache};

const PATIENCE: Duration = Duration::from_secs(1);
/// What a call may take beyond that: scheduling, not waiting.
const SLACK: Duration = Duration::from_secs(3);

async fn cache_at(proxy: &Proxy) -> Cache {
    Config::redis(proxy.url()).operation_timeout(PATIENCE).build().await.unwrap()
}

/// More than one pipeline's worth.
fn many() -> Vec<u64> {
    (10_000..13_500).collect()
}

/// Each pipeline hangs, and all of them together cost one `operation_timeout`.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_network_that_swallows_everything() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(&proxy).await;
    let table = Table::default();
    call(&cache, &table, &[1, 2]).await;
    table.asked();
    proxy.black_hole();
    let began = Instant::now();
    let (found, outcome) = call(&cache, &table, &many()).await;
    assert!(began.elapsed() < PATIENCE + SLACK, "{:?}", began.elapsed());
    assert_eq!((found.len(), outcome), (3_500, Outcome::Bypass));
    assert_eq!(table.asked(), [many()], "one run");
    assert_eq!(cache.stats().bypassed, 3_500);
}

/// Each pipeline is answered in time, and all of them together take too long.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_slow_network_costs_one_operation_timeout_for_all_pipelines() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(&proxy).await;
    let table = Table::default();
    let ids: Vec<u64> = (10_000..20_000).collect();
    call(&redis_cache(&server).await, &table, &ids).await;
    call(&cache, &table, &[1]).await;
    table.asked();
    // There and back.
    proxy.delay(PATIENCE * 2 / 5);
    let began = Instant::now();
    let (found, outcome) = call(&cache, &table, &ids).await;
    let took = began.elapsed();
    assert!(took < PATIENCE + SLACK, "10 pipelines took {took:?}");
    assert_eq!((found.len(), outcome), (10_000, Outcome::Bypass));
    assert_eq!(
        table.asked(),
        [ids],
        "in another process; nothing was guessed, so nothing was read"
    );
}

/// The store hangs when there is something to store: what the body gave is the answer.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_store_that_hangs_at_the_end() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(&proxy).await;
    let table = Table::default();
    proxy.on_request(Box::new(|request| {
        let is_set = request.windows(9).any(|part| part == b"$3\r\nSET\r\n");
        if is_set { Action::Drop } else { Action::Forward }
    }));
    let began = Instant::now();
    let (found, outcome) = call(&cache, &table, &many()).await;
    assert!(began.elapsed() < PATIENCE + SLACK, "{:?}", began.elapsed());
    assert_eq!((found.len(), outcome), (3_500, Outcome::Bypass));
    proxy.clear_hook();
    eventually("batches are cached again", async || {
        call(&cache, &table, &[1, 2]).await.1 == Outcome::Hit
    })
    .await;
}

/// A connection that is lost between two batches, or in one, is replaced within it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_costs_no_hit() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    let table = Table::default();
    call(&cache, &table, &[1, 2, 3]).await;
    for _ in 0..10 {
        proxy.cut();
        assert_eq!(call(&cache, &table, &[1, 2, 3]).await.1, Outcome::Hit);
    }
    let cuts = Arc::new(AtomicU32::new(1));
    proxy.on_request(Box::new(move |request| {
        let is_read = request.windows(4).any(|part| part == b"MGET");
        let is_first = is_read && cuts.fetch_min(0, Ordering::SeqCst) == 1;
        if is_first { Action::Cut } else { Action::Forward }
    }));
    assert_eq!(call(&cache, &table, &[1, 2, 3]).await.1, Outcome::Hit);
}

/// A full server refuses the new entries and gives the old ones.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_still_gives_what_it_has() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let table = Table::default();
    call(&cache, &table, &[1, 2]).await;
    cache.invalidate([Tag::new("User", 3)]).await.unwrap();
    table.asked();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    for _ in 0..2 {
        let (found, outcome) = call(&cache, &table, &[1, 2, 3]).await;
        assert_eq!((found.len(), outcome), (3, Outcome::Bypass));
    }
    assert_eq!(table.asked(), [[3], [3]]);
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(call(&cache, &table, &[1, 2, 3]).await.1, Outcome::Miss);
}

/// I6: what depends on a bump that failed is left alone, and the others are not.
#[tokio::test(flavor = "multi_thread")]
async fn i6_a_queued_bump_of_one_element() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(&proxy).await;
    let table = Table::default();
    call(&cache, &table, &[1, 2, 3]).await;
    call(&cache, &table, &[1, 2, 3]).await;
    // Bumps are refused, all else goes through.
    server.cli(&["ACL", "SETUSER", "default", "-evalsha", "-eval"]);
    table.asked();
    let error = cache.invalidate([Tag::new("User", 2)]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    for _ in 0..2 {
        let (found, outcome) = call(&cache, &table, &[1, 2, 3]).await;
        assert_eq!((found.len(), outcome), (3, Outcome::Bypass));
        assert_eq!(table.asked(), [[2]], "neither read nor stored");
    }
    server.cli(&["ACL", "SETUSER", "default", "+evalsha", "+eval"]);
    eventually("the queued bump goes through", async || cache.queued_bumps() == 0).await;
    assert_eq!(call(&cache, &table, &[1, 2, 3]).await.1, Outcome::Miss);
    assert_eq!(call(&cache, &table, &[1, 2, 3]).await.1, Outcome::Hit);
}

/// One element depends on a key that nobody has written: it alone is not cached.
#[tokio::test]
async fn an_element_without_a_version_does_not_keep_the_others_from_the_cache() {
    #[fragkeys::tagged_cache(batch, tags = [Tag::foreign(format!("theirs:{id}"))], vary_on = [])]
    async fn foreign(table: &Table, ids: &[u64]) -> std::collections::HashMap<u64, String> {
        table.read(ids)
    }
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let table = Table::default();
    server.cli(&["SET", "theirs:1", "x"]);
    for _ in 0..2 {
        let found = fragkeys::with_cache(cache.clone(), foreign(&table, &[1, 2])).await;
        assert_eq!(found.len(), 2);
    }
    assert_eq!(table.asked(), [vec![1, 2], vec![2]]);
    assert_eq!(cache.stats().faults, 0);
    server.cli(&["SET", "theirs:1", "y"]);
    fragkeys::with_cache(cache.clone(), foreign(&table, &[1])).await;
    assert_eq!(table.asked(), [[1]]);
}

/// I8: batches dropped at every stage leave nothing that a later one trips over.
#[tokio::test(flavor = "multi_thread")]
async fn i8_dropped_batches_leave_nothing_behind() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let table = Table::default();
    for microseconds in (0..2_000).step_by(10) {
        cache.invalidate([Tag::new("User", 2)]).await.unwrap();
        let dropped = call(&cache, &table, &[1, 2, 3]);
        let _ = tokio::time::timeout(Duration::from_micros(microseconds), dropped).await;
        let runs = table.asked().len();
        let (found, outcome) = call(&cache, &table, &[1, 2, 3]).await;
        assert_eq!(found.len(), 3);
        assert!(runs <= 1 && matches!(outcome, Outcome::Hit | Outcome::Miss), "{outcome}");
        table.asked();
    }
    assert_eq!(cache.queued_bumps(), 0);
}
