//! The near tier: hits without the network, other processes' bumps within a bound, this one's at
//! once, and what it never does.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Near, NearStats, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use crate::support::{Source, alone, ask, eventually, patient, worker};

mod cluster;
mod kept;
mod memory;
mod trust;

/// Long enough that nothing in a test is seen only because trust ran out.
const LONG: Duration = Duration::from_secs(600);

#[tagged_cache(tags = ["Row:<id>", "Rows"], vary_on = [id])]
async fn row(source: &Source, id: u64) -> Arc<String> {
    Arc::new(format!("row {id}, run {}", source.runs.fetch_add(1, Ordering::SeqCst)))
}

async fn near_cache(server: &RedisServer, near: Near) -> Cache {
    patient(server.url()).near(near).build().await.unwrap()
}

async fn call(cache: &Cache, source: &Source) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, 1))).await;
    (value.to_string(), outcome.unwrap())
}

fn stats(cache: &Cache) -> NearStats {
    cache.near_stats().unwrap()
}

/// Calls until the near tier answers, and goes on doing so.
async fn settle(cache: &Cache, source: &Source) {
    answers(cache, source).await;
    // Redis tells of a write behind its answers to what it read in the same moment; an answer to
    // what is asked afterwards comes behind all of that.
    cache.tag_version(&Tag::from("Rows")).await.unwrap();
    answers(cache, source).await;
}

async fn answers(cache: &Cache, source: &Source) {
    eventually("the near tier answers", async || {
        let before = cache.stats().near_hits;
        call(cache, source).await;
        cache.stats().near_hits > before
    })
    .await;
}

#[tokio::test]
async fn hits_send_nothing_to_redis() {
    let server = RedisServer::start();
    let config = alone(server.url(), "near-hits").lease_wait(Duration::ZERO);
    let cache = config.near(Near::new().max_staleness(LONG)).build().await.unwrap();
    let source = Source::default();
    settle(&cache, &source).await;
    server.reset_stats();
    let before = cache.stats();
    for _ in 0..1_000 {
        assert_eq!(call(&cache, &source).await, ("row 1, run 0".to_owned(), Outcome::Hit));
    }
    let after = cache.stats();
    assert_eq!((after.near_hits - before.near_hits, after.hits - before.hits), (1_000, 0));
    for command in ["get", "mget", "client|caching", "client|trackinginfo", "ping"] {
        assert_eq!(server.command_calls(command), 0, "{command}");
    }
    let near = stats(&cache);
    assert_eq!((near.entries, near.hits), (1, after.near_hits));
    assert!(near.bytes > 0 && near.trusted_since.is_some());
}

/// No word of Redis is needed: it does not even get one.
#[tokio::test]
async fn i2_a_bump_of_this_process_is_seen_by_the_next_call() {
    let server = RedisServer::start();
    let cache = near_cache(&server, Near::new().max_staleness(LONG)).await;
    let source = Source::default();
    for (round, tags) in ["Row:1", "Rows", "Row:1"].into_iter().cycle().take(300).enumerate() {
        settle(&cache, &source).await;
        assert_eq!(call(&cache, &source).await.0, format!("row 1, run {round}"));
        cache.invalidate([tags]).await.unwrap();
        let after = call(&cache, &source).await;
        assert_eq!(after, (format!("row 1, run {}", round + 1), Outcome::Miss));
    }
    settle(&cache, &source).await;
    cache.invalidate_all().await.unwrap();
    assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
}

/// Another runtime's connection is told by nobody but us: it is not driven while we look.
#[test]
fn i2_a_bump_of_this_process_reaches_runtimes_that_stand_still() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    for round in 0..20 {
        let config = patient(server.url()).prefix(format!("round-{round}"));
        let near = Near::new().max_staleness(LONG);
        let cache = one.block_on(config.near(near).build()).unwrap();
        let source = Source::default();
        // Known through the one's connection, and believed in both.
        one.block_on(settle(&cache, &source));
        let before = other.block_on(call(&cache, &source));
        assert_eq!(before, ("row 1, run 0".to_owned(), Outcome::Hit));
        other.block_on(cache.invalidate(["Row:1"])).unwrap();
        assert_eq!(other.block_on(call(&cache, &source)).0, "row 1, run 1");
    }
}

/// A cache of its own on the same Redis is told as well.
#[test]
fn i2_a_bump_of_this_process_reaches_its_other_caches() {
    let server = RedisServer::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    let near = Near::new().max_staleness(LONG);
    let (cache, bumping) =
        (one.block_on(near_cache(&server, near)), other.block_on(near_cache(&server, near)));
    let source = Source::default();
    one.block_on(settle(&cache, &source));
    other.block_on(bumping.invalidate(["Row:1"])).unwrap();
    let standing = other.block_on(call(&cache, &source));
    assert_eq!(standing.0, "row 1, run 1");
}

#[tokio::test]
async fn a_bump_of_another_process_is_seen_soon() {
    let server = RedisServer::start();
    let cache = near_cache(&server, Near::new().max_staleness(LONG)).await;
    let mut other = worker(&server);
    let source = Source::default();
    for round in 0..100 {
        settle(&cache, &source).await;
        let before = call(&cache, &source).await.0;
        if round % 2 == 0 {
            ask(&mut other, "invalidate 1");
        } else {
            server.cli(&["INCR", "fragkeys:t:Rows"]);
        }
        // Long before trust would run out.
        eventually("the bump is seen", async || call(&cache, &source).await.0 != before).await;
    }
    assert!(stats(&cache).pushes >= 100);
}

/// Many runtimes read while this process bumps: none gets less than was acknowledged before.
#[test]
fn i2_under_load_nobody_reads_less_than_was_bumped() {
    const LAST: u32 = 2_000;
    #[tagged_cache(tags = ["Counter"], vary_on = [])]
    async fn counter(value: &AtomicU32) -> u32 {
        value.load(Ordering::SeqCst)
    }
    let server = RedisServer::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let cache = runtime.block_on(near_cache(&server, Near::new()));
    let state = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (cache, state) = (cache.clone(), state.clone());
            std::thread::spawn(move || {
                let runtime =
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let (value, acknowledged) = &*state;
                    while acknowledged.load(Ordering::SeqCst) < LAST {
                        let floor = acknowledged.load(Ordering::SeqCst);
                        let read = with_cache(cache.clone(), counter(value)).await;
                        assert!(read >= floor, "{read} was read after {floor} was bumped");
                        tokio::task::yield_now().await;
                    }
                });
            })
        })
        .collect();
    runtime.block_on(async {
        for next in 1..=LAST {
            state.0.store(next, Ordering::SeqCst);
            cache.invalidate(["Counter"]).await.unwrap();
            state.1.store(next, Ordering::SeqCst);
            // Now and then long enough for the near tier to fill up again.
            if next % 20 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    readers.into_iter().for_each(|reader| reader.join().unwrap());
    assert!(cache.stats().near_hits > 0, "or it would show nothing");
}
