//! What a batch costs on the wire, counted by the server and by a proxy in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Config, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};

use super::{Table, call};
use crate::support::{patient, redis_cache};

/// Requests sent, and commands run, since the last look.
struct Meter {
    server: RedisServer,
    _proxy: Proxy,
    requests: Arc<AtomicU64>,
    cache: Cache,
    table: Table,
}

const COMMANDS: [&str; 7] = ["mget", "get", "set", "evalsha", "eval", "pexpire", "client|caching"];

/// Few enough for each request to be one piece.
const IDS: std::ops::Range<u64> = 10..60;

impl Meter {
    async fn start() -> Self {
        let server = RedisServer::start();
        let proxy = Proxy::to(server.port());
        let requests = Arc::new(AtomicU64::new(0));
        let counter = requests.clone();
        proxy.on_request(Box::new(move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Action::Forward
        }));
        let cache = patient(proxy.url()).build().await.unwrap();
        // Connected, and the scripts are loaded.
        cache.invalidate(["warm"]).await.unwrap();
        cache.entry("warm").get::<u8>().await.unwrap();
        let meter = Meter { server, _proxy: proxy, requests, cache, table: Table::default() };
        meter.read();
        meter
    }

    fn read(&self) -> (u64, Vec<(&'static str, u64)>) {
        let calls = COMMANDS.map(|name| (name, self.server.command_calls(name)));
        self.server.reset_stats();
        let ran = calls.into_iter().filter(|(_, calls)| *calls > 0).collect();
        (self.requests.swap(0, Ordering::SeqCst), ran)
    }

    async fn call(&self, ids: impl IntoIterator<Item = u64>) -> Outcome {
        let ids: Vec<u64> = ids.into_iter().collect();
        call(&self.cache, &self.table, &ids).await.1
    }
}

#[tokio::test]
async fn all_hits_are_one_round_trip() {
    let meter = Meter::start().await;
    meter.call(IDS).await;
    meter.read();
    assert_eq!(meter.call(IDS).await, Outcome::Hit);
    let first = vec![("mget", 2), ("client|caching", 1)];
    assert_eq!(meter.read(), (1, first), "the versions, what is to be told of them, the entries");
    assert_eq!(meter.call(IDS).await, Outcome::Hit);
    assert_eq!(meter.read(), (1, vec![("mget", 1)]), "the entries alone");
}

#[tokio::test]
async fn a_batch_of_misses_is_three_round_trips_with_its_seeds_and_its_store() {
    let meter = Meter::start().await;
    assert_eq!(meter.call(IDS).await, Outcome::Miss);
    let (requests, ran) = meter.read();
    assert_eq!(requests, 3, "versions, seeds, store: {ran:?}");
    assert_eq!(ran.iter().find(|(name, _)| *name == "evalsha"), Some(&("evalsha", 1)));
}

#[tokio::test]
async fn hits_and_misses_are_one_round_trip_before_the_body_and_one_after() {
    let meter = Meter::start().await;
    for _ in 0..2 {
        meter.call(IDS).await;
    }
    meter.cache.invalidate((10..20).map(|id| Tag::new("User", id))).await.unwrap();
    meter.read();
    assert_eq!(meter.call(IDS).await, Outcome::Miss);
    // Cells and versions are asked for at once; ten are stored.
    assert_eq!(meter.read(), (2, vec![("mget", 2), ("set", 10), ("client|caching", 1)]));
}

/// Some were bumped and stored anew by another process, some have never been seen: what is to be
/// read under new versions goes along with the seeds.
#[tokio::test]
async fn seeds_and_second_reads_are_one_round_trip() {
    let meter = Meter::start().await;
    meter.call(IDS).await;
    let other = redis_cache(&meter.server).await;
    other.invalidate((10..20).map(|id| Tag::new("User", id))).await.unwrap();
    call(&other, &Table::default(), &IDS.collect::<Vec<_>>()).await;
    meter.read();
    meter.table.asked();
    assert_eq!(meter.call((10..20).chain(70..80)).await, Outcome::Miss);
    let (requests, _) = meter.read();
    assert_eq!(requests, 3, "versions; seeds and entries; store");
    assert_eq!(meter.table.asked(), [(70..80).collect::<Vec<u64>>()]);
}

#[tokio::test]
async fn an_empty_batch_sends_nothing() {
    let meter = Meter::start().await;
    meter.call([]).await;
    assert_eq!(meter.read(), (0, vec![]));
}

/// A thousand elements a pipeline.
#[tokio::test]
async fn many_elements_go_in_pipelines_of_a_thousand() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let table = Table::default();
    let ids: Vec<u64> = (10_000..15_000).collect();
    // The versions, and nothing to read; 5,000 entries, and the seeds of as many users, of `Users`
    // and of the root. Then versions and entries. Then entries.
    for (outcome, reads, writes) in
        [(Outcome::Miss, 5, 10_002), (Outcome::Hit, 10, 0), (Outcome::Hit, 5, 0)]
    {
        server.reset_stats();
        assert_eq!(call(&cache, &table, &ids).await.1, outcome);
        assert_eq!((server.command_calls("mget"), server.command_calls("set")), (reads, writes));
    }
}

/// However large entries are, a pipeline that stores them is not: the second one is not sent
/// before the first one is answered.
#[tokio::test(flavor = "multi_thread")]
async fn large_entries_are_stored_in_several_pipelines() {
    #[tagged_cache(batch)]
    async fn large(ids: &[u64]) -> BTreeMap<u64, String> {
        ids.iter().map(|id| (*id, "x".repeat(6 << 20))).collect()
    }
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let patience = Duration::from_secs(2);
    let hasty = Config::redis(proxy.url()).operation_timeout(patience).build().await.unwrap();
    hasty.tag_version(&"warm".into()).await.unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let counter = sent.clone();
    proxy.on_request(Box::new(move |piece| {
        let is_set = piece.windows(9).any(|part| part == b"$3\r\nSET\r\n");
        if is_set || counter.load(Ordering::SeqCst) > 0 {
            counter.fetch_add(piece.len() as u64, Ordering::SeqCst);
            return Action::Drop;
        }
        Action::Forward
    }));
    let ids: Vec<u64> = (0..7).collect();
    let lost = with_cache(hasty, observe(large(&ids))).await;
    assert_eq!((lost.0.len(), lost.1), (7, Some(Outcome::Bypass)));
    let sent = sent.load(Ordering::SeqCst);
    assert!((1..20 << 20).contains(&sent), "{sent} bytes in one pipeline");

    let cache = redis_cache(&server).await;
    for outcome in [Outcome::Miss, Outcome::Hit] {
        let found = with_cache(cache.clone(), observe(large(&ids))).await;
        assert_eq!((found.0.len(), found.1), (7, Some(outcome)));
    }
}
