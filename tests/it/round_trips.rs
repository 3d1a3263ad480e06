//! What a call costs on the wire, counted by the server and by a proxy in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};

use crate::support::patient;

#[tagged_cache(tags = ["User:<id>", "Team:<id>", "Dashboard"], vary_on = [id])]
async fn page(id: u64) -> String {
    format!("page {id}")
}

/// Requests sent and commands run since the last look.
struct Meter {
    server: RedisServer,
    _proxy: Proxy,
    requests: Arc<AtomicU64>,
    cache: Cache,
}

const COMMANDS: [&str; 8] = ["mget", "get", "set", "del", "eval", "evalsha", "incr", "scan"];

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
        // What leases cost, tests of leases count.
        let cache = patient(proxy.url()).lease_wait(Duration::ZERO).build().await.unwrap();
        // Connected, and the scripts are loaded.
        cache.invalidate(["warm"]).await.unwrap();
        cache.entry("warm").get::<u8>().await.unwrap();
        let meter = Meter { server, _proxy: proxy, requests, cache };
        meter.read();
        meter
    }

    /// The number of requests, and each command that ran with its count.
    fn read(&self) -> (u64, Vec<(&'static str, u64)>) {
        let calls = COMMANDS.map(|name| (name, self.server.command_calls(name)));
        self.server.reset_stats();
        let ran = calls.into_iter().filter(|(_, calls)| *calls > 0).collect();
        (self.requests.swap(0, Ordering::SeqCst), ran)
    }

    async fn call(&self) -> Outcome {
        with_cache(self.cache.clone(), observe(page(1))).await.1.unwrap()
    }
}

#[tokio::test]
async fn a_hit_is_one_round_trip() {
    let meter = Meter::start().await;
    meter.call().await;
    meter.read();
    assert_eq!(meter.call().await, Outcome::Hit);
    assert_eq!(meter.read(), (1, vec![("mget", 1), ("get", 1)]), "what is to be told of it");
    assert_eq!(meter.call().await, Outcome::Hit);
    assert_eq!(meter.read(), (1, vec![("get", 1)]));
}

#[tokio::test]
async fn a_miss_is_one_round_trip_before_the_body_and_one_after() {
    let meter = Meter::start().await;
    meter.call().await;
    meter.cache.invalidate(["Dashboard"]).await.unwrap();
    meter.read();
    assert_eq!(meter.call().await, Outcome::Miss);
    assert_eq!(meter.read(), (2, vec![("mget", 1), ("get", 1), ("set", 1)]));
}

#[tagged_cache(
    tags = ["User:<id>"],
    vary_on = [id],
    stale_while_revalidate = 60,
    stale_if_error = 60,
    refresh_ahead = xfetch
)]
async fn page_with_grace(id: u64) -> Result<String, String> {
    Ok(format!("page {id}"))
}

/// What leads to the last good value is written in the round trip that stores it, and a hit reads none of
/// it.
#[tokio::test]
async fn grace_costs_no_round_trip() {
    let meter = Meter::start().await;
    let call = async || with_cache(meter.cache.clone(), observe(page_with_grace(1))).await.1;
    call().await;
    meter.cache.invalidate([Tag::new("User", 1)]).await.unwrap();
    meter.read();
    assert_eq!(call().await, Some(Outcome::Miss));
    assert_eq!(meter.read(), (2, vec![("mget", 1), ("get", 1), ("set", 2)]));
    call().await;
    meter.read();
    assert_eq!(call().await, Some(Outcome::Hit));
    assert_eq!(meter.read(), (1, vec![("get", 1)]));
}

#[tokio::test]
async fn a_hit_after_another_processs_bump_is_two_round_trips() {
    let meter = Meter::start().await;
    meter.call().await;
    // Without a lease, whose release would be counted, too.
    let other = patient(meter.server.url()).lease_wait(Duration::ZERO).build().await.unwrap();
    other.invalidate(["Dashboard"]).await.unwrap();
    with_cache(other, page(1)).await;
    meter.read();
    assert_eq!(meter.call().await, Outcome::Hit);
    assert_eq!(meter.read(), (2, vec![("mget", 1), ("get", 2)]));
}

/// Tags that were never seen are seeded by one script, whatever their number.
#[tokio::test]
async fn the_first_call_of_all_seeds_its_tags_at_once() {
    let meter = Meter::start().await;
    assert_eq!(meter.call().await, Outcome::Miss);
    // The script itself gets and sets each of the three tags.
    let (requests, _) = meter.read();
    assert_eq!(requests, 3, "versions, seeds, store");
}

/// A bump is one script, however many tags it names and however many entries depend on them.
#[tokio::test]
async fn a_bump_is_one_round_trip() {
    let meter = Meter::start().await;
    for id in 0..100 {
        with_cache(meter.cache.clone(), page(id)).await;
    }
    meter.read();
    for tags in [1, 10, 1_000] {
        meter.cache.invalidate((0..tags).map(|id| Tag::new("User", id))).await.unwrap();
        let (_, ran) = meter.read();
        assert_eq!(ran.iter().find(|(name, _)| *name == "evalsha"), Some(&("evalsha", 1)));
        assert!(!ran.iter().any(|(name, _)| ["scan", "del"].contains(name)), "{ran:?}");
    }
    meter.cache.invalidate_all().await.unwrap();
    assert_eq!(meter.read().0, 1);
}

/// All that is held goes at once, however many calls it took; rolled back, nothing goes.
#[tokio::test]
async fn the_bumps_of_a_transaction_are_one_round_trip() {
    let meter = Meter::start().await;
    for outcome in [Ok(()), Err(())] {
        let transaction = fragkeys::on_commit(async {
            for id in 0..100 {
                meter.cache.invalidate([Tag::new("User", id)]).await.unwrap();
            }
            assert_eq!(meter.read().0, 0);
            outcome
        });
        assert_eq!(transaction.await, outcome);
        assert_eq!(meter.read().0, u64::from(outcome.is_ok()));
    }
}
