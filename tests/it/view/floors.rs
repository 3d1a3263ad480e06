//! `at_least`: whoever bumped and whichever tier answers; and forged tokens.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fragkeys::{Bumped, Cache, Near, Outcome, Tag, at_least, observe, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use crate::support::{Source, alone, ask, eventually, patient, redis_cache, worker_with};

/// Nothing is seen only because trust ran out.
const LONG: Duration = Duration::from_secs(600);

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn row(source: &Source, id: u64) -> Arc<String> {
    Arc::new(format!("row {id}, run {}", source.runs.fetch_add(1, Ordering::SeqCst)))
}

async fn call(cache: &Cache, source: &Source, id: u64) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, id))).await;
    (value.to_string(), outcome.unwrap())
}

async fn settle(cache: &Cache, source: &Source, id: u64) {
    eventually("the near tier answers", async || {
        let before = cache.stats().near_hits;
        call(cache, source, id).await;
        cache.stats().near_hits > before
    })
    .await;
    // What Redis tells of that has come when it answers this.
    cache.tag_version(&Tag::new("Row", id)).await.unwrap();
    eventually("the near tier answers", async || {
        let before = cache.stats().near_hits;
        call(cache, source, id).await;
        cache.stats().near_hits > before
    })
    .await;
}

/// The runtime that Redis tells of the bump stands still, so the near tier is late for as long
/// as it is believed: ten minutes.
#[test]
fn a_near_tier_that_is_late_is_not_asked() {
    let server = RedisServer::start();
    let mut writer = worker_with(&server, "floors");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (still, other) = (runtime(), runtime());
    let near = Near::new().max_staleness(LONG);
    let cache = still.block_on(alone(server.url(), "floors").near(near).build()).unwrap();
    let source = Source::default();
    still.block_on(settle(&cache, &source, 1));
    still.block_on(settle(&cache, &source, 2));
    let version = ask(&mut writer, "invalidate 1");
    let token: Bumped = format!("{version}.Row:1").parse().unwrap();
    let late = ("row 1, run 0".to_owned(), Outcome::Hit);
    assert_eq!(other.block_on(call(&cache, &source, 1)), late, "or it would show nothing");

    let seen = other.block_on(at_least(token.clone(), call(&cache, &source, 1)));
    assert_eq!(seen, ("row 1, run 2".to_owned(), Outcome::Miss));
    // What it does not ask for comes from where it was, once this runtime knows which tags it has.
    other.block_on(at_least(token.clone(), call(&cache, &source, 2)));
    let before = cache.stats().near_hits;
    let other_row = other.block_on(at_least(token.clone(), call(&cache, &source, 2)));
    assert_eq!(other_row, ("row 2, run 1".to_owned(), Outcome::Hit));
    assert_eq!(cache.stats().near_hits, before + 1);
    // A token that does not say all leaves the near tier out.
    let partial = other.block_on(at_least("*".parse().unwrap(), call(&cache, &source, 2)));
    assert_eq!((partial.1, cache.stats().near_hits), (Outcome::Hit, before + 1));
}

#[tokio::test]
async fn a_near_tier_that_has_the_version_answers() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(LONG);
    let cache = patient(server.url()).near(near).build().await.unwrap();
    let source = Source::default();
    let bumped = cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    settle(&cache, &source, 1).await;
    let before = cache.stats().near_hits;
    assert_eq!(at_least(bumped, call(&cache, &source, 1)).await.1, Outcome::Hit);
    assert_eq!(cache.stats().near_hits, before + 1);
}

/// It costs the one who forged it a run a call: nothing is written, nothing is found out, and
/// nobody else misses.
#[tokio::test]
async fn a_forged_token_costs_its_own_calls_misses_and_no_more() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(LONG);
    for cache in
        [redis_cache(&server).await, patient(server.url()).near(near).build().await.unwrap()]
    {
        let source = Source::default();
        call(&cache, &source, 1).await;
        let honest = cache.tag_version(&Tag::new("Row", 1)).await.unwrap();
        let before = server.get_raw("fragkeys:t:Row:1");
        let ahead = u64::from(honest) + 3_600_000_000_000;
        let forged: Bumped = format!("{ahead}.Row:1.%2A.Other:9").parse().unwrap();
        for _ in 0..3 {
            let inside = at_least(forged.clone(), call(&cache, &source, 1)).await;
            assert_eq!(inside.1, Outcome::Bypass);
            assert_eq!(call(&cache, &source, 1).await, ("row 1, run 0".to_owned(), Outcome::Hit));
        }
        assert_eq!(server.get_raw("fragkeys:t:Row:1"), before);
        assert_eq!(server.get_raw("fragkeys:t:Other:9"), None);
        assert!(
            cache
                .invalidate([Tag::new("Row", 1)])
                .await
                .unwrap()
                .iter()
                .all(|(_, version)| { u64::from(*version) < ahead })
        );
        // By hand it is nothing cached, and what is set is found by others.
        let entry = cache.entry("by hand").tag(Tag::new("Row", 1));
        entry.set(&1).await.unwrap();
        let found = at_least(forged, async { entry.get::<i32>().await }).await.unwrap();
        assert_eq!((found, entry.get::<i32>().await.unwrap()), (None, Some(1)));
    }
}

/// The server forgets a bump that a user was told of.
#[tokio::test]
async fn a_bump_that_redis_has_lost_is_seen_all_the_same() {
    let server = RedisServer::start();
    let (cache, other) = (redis_cache(&server).await, redis_cache(&server).await);
    let source = Source::default();
    call(&cache, &source, 1).await;
    let before = server.get_raw("fragkeys:t:Row:1").unwrap();
    let bumped = other.invalidate([Tag::new("Row", 1)]).await.unwrap();
    server.set_raw("fragkeys:t:Row:1", &before);
    assert_eq!(call(&cache, &source, 1).await.1, Outcome::Hit, "or it would show nothing");
    let inside = at_least(bumped, call(&cache, &source, 1)).await;
    assert_eq!(inside, ("row 1, run 1".to_owned(), Outcome::Bypass));
}
