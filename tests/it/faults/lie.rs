//! Servers whose answers make no sense, and strangers' bytes at our keys.

use fragkeys::{ErrorKind, Outcome, Tag};
use fragkeys_tests::{GarbageServer, RedisServer};

use super::{answers_uncached, cache_at, call, recovers};
use crate::support::Source;

#[tokio::test(flavor = "multi_thread")]
async fn garbage() {
    let kinds =
        [ErrorKind::Unreachable, ErrorKind::Timeout, ErrorKind::Refused, ErrorKind::Protocol];
    for seed in 0..10 {
        let server = GarbageServer::random(seed);
        answers_uncached(&cache_at(server.url()).await, &kinds).await;
    }
}

/// Commands whose replies are well-formed and of another type.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_type_of_reply() {
    let lies = |command: &str, other: &str| {
        let away = format!("{command}0");
        let args = ["--rename-command", command, &away, "--rename-command", other, command];
        RedisServer::start_with(&args)
    };
    // A number for a list of versions.
    let cache = cache_at(lies("MGET", "EXISTS").url()).await;
    assert_eq!(cache.queued_bumps(), 0);
    for (server, expected) in [
        // A number for the versions.
        (lies("MGET", "EXISTS"), Outcome::Bypass),
        // A number for the answer to a store.
        (lies("SET", "APPEND"), Outcome::Bypass),
    ] {
        let cache = cache_at(server.url()).await;
        let source = Source::default();
        for run in 0..3 {
            let (value, outcome) = call(&cache, &source).await;
            assert_eq!((value, outcome), (format!("row 1, run {run}"), expected));
        }
    }
    // A list for the versions that a bump gives.
    let server = lies("EVALSHA", "ECHO");
    let cache = cache_at(server.url()).await;
    let error = cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    assert!([ErrorKind::Refused, ErrorKind::Protocol].contains(&error.kind()), "{error}");
    assert_eq!(cache.queued_bumps(), 1);
}

/// What stands where a version should counts as a bump, once, and is replaced.
#[tokio::test(flavor = "multi_thread")]
async fn another_type_at_a_version() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    let source = Source::default();
    for strange in [&["RPUSH", "a"][..], &["SADD", "a"], &["SET", "a text"], &["HSET", "a", "b"]] {
        call(&cache, &source).await;
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
        server.cli(&["DEL", "fragkeys:t:Row:1"]);
        server.cli(&[&[strange[0], "fragkeys:t:Row:1"], &strange[1..]].concat());
        assert_eq!(call(&cache, &source).await.1, Outcome::Miss, "{strange:?}");
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit, "{strange:?}");
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        server.cli(&["DEL", "fragkeys:t:Row:1"]);
        server.cli(&[&[strange[0], "fragkeys:t:Row:1"], &strange[1..]].concat());
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        assert_eq!(server.cli(&["TYPE", "fragkeys:t:Row:1"]), "string");
    }
    assert_eq!(cache.stats().faults, 0);
    recovers(&cache).await;
}

/// A stranger's value at an entry's key is a miss, and the next store replaces it.
#[tokio::test(flavor = "multi_thread")]
async fn another_type_at_an_entry() {
    let server = RedisServer::start();
    let cache = cache_at(server.url()).await;
    let source = Source::default();
    call(&cache, &source).await;
    let key = server.keys("fragkeys:v:*").remove(0);
    for strange in ["RPUSH", "SADD", "SET"] {
        server.cli(&["DEL", &key]);
        server.cli(&[strange, &key, "stranger"]);
        assert_eq!(call(&cache, &source).await.1, Outcome::Miss, "{strange}");
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit, "{strange}");
    }
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    assert_eq!(cache.stats().faults, 0);
}
