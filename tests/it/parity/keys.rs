//! Keys of entries by hand, and the tagged methods of the Django backend.

use std::time::Duration;

use fragkeys::{ErrorKind, Tag};
use fragkeys_tests::RedisServer;

use crate::support::{Source, memory_cache, redis_cache, row};

#[tokio::test]
async fn a_key_is_an_entry_with_tags_and_a_group() {
    let cache = memory_cache().await;
    let weekly = || cache.entry("stats").tag(Tag::new("Campaign", 7)).group("weekly");
    weekly().set(&1).await.unwrap();
    assert_eq!(weekly().get::<i32>().await.unwrap(), Some(1));
    let daily = cache.entry("stats").tag(Tag::new("Campaign", 7)).group("daily");
    assert_eq!(daily.get::<i32>().await.unwrap(), None);
    assert_eq!(cache.entry("stats").group("weekly").get::<i32>().await.unwrap(), None);
}

#[tokio::test]
async fn tags_are_added_one_by_one_or_together() {
    let cache = memory_cache().await;
    let tags = [Tag::new("Campaign", 7), Tag::global("Stats")];
    cache.entry("x").tag(&tags[0]).tag(&tags[1]).set(&1).await.unwrap();
    // In whatever order: theirs would be another key.
    let together = cache.entry("x").tags([&tags[1], &tags[0]]);
    assert_eq!(together.get::<i32>().await.unwrap(), Some(1));
}

#[tokio::test]
async fn the_text_of_a_key_names_the_entry_and_changes_with_a_bump() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let entry = cache.entry("profile").tag(Tag::new("User", 42));
    entry.set(&1).await.unwrap();
    let key = entry.key().await.unwrap();
    assert!(key.starts_with("fragkeys:v:profile:"), "{key}");
    assert_eq!(server.keys("fragkeys:v:*"), [key.as_str()]);
    cache.invalidate([Tag::new("User", 42)]).await.unwrap();
    assert_ne!(entry.key().await.unwrap(), key);
}

/// Theirs writes `a_1_b_2` for `a = "1_b_2"` and for `a = "1", b = "2"`.
#[tokio::test]
async fn parts_of_a_key_cannot_run_into_each_other() {
    let cache = memory_cache().await;
    cache.entry("stats").group("a_1").tag(Tag::new("b", 2)).set(&1).await.unwrap();
    for entry in [
        cache.entry("stats_a").group("1").tag(Tag::new("b", 2)),
        cache.entry("stats").group("a_1_b").tag(Tag::new("", 2)),
        cache.entry("stats_a_1").tag(Tag::new("b", 2)),
    ] {
        assert_eq!(entry.get::<i32>().await.unwrap(), None, "{entry:?}");
    }
}

#[tokio::test]
async fn set_and_get_with_tags() {
    let server = RedisServer::start();
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let profile = || cache.entry("profile").tag(Tag::new("User", 42));
        let hour = Duration::from_secs(3_600);
        profile().timeout(hour).set(&"Ada".to_owned()).await.unwrap();
        assert_eq!(profile().get::<String>().await.unwrap().as_deref(), Some("Ada"));
        cache.invalidate([Tag::new("User", 42)]).await.unwrap();
        let default = profile().get::<String>().await.unwrap().unwrap_or_default();
        assert_eq!(default, "");
    }
    // The one that the bump hid is still there, and goes by its timeout.
    let keys = server.keys("fragkeys:v:profile:*");
    let ttl: i64 = server.cli(&["TTL", &keys[0]]).parse().unwrap();
    assert!(keys.len() == 1 && (1..=3_600).contains(&ttl), "{keys:?} {ttl}");
}

#[tokio::test]
async fn get_or_set_runs_the_closure_once_and_keeps_none_and_no_errors() {
    let server = RedisServer::start();
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let entry = cache.entry("profile").tag(Tag::new("User", 42));
        let mut runs = 0;
        for _ in 0..2 {
            // Theirs takes a None for a miss, and asks again each time.
            let found: Option<String> = entry
                .get_or_set_with(|| {
                    runs += 1;
                    async { None }
                })
                .await;
            assert_eq!(found, None);
        }
        assert_eq!(runs, 1);
        let failing = cache.entry("failing");
        for attempt in 0..2 {
            let answer: Result<u8, i32> =
                failing.get_or_try_set_with(|| async { Err(attempt) }).await;
            assert_eq!(answer, Err(attempt));
        }
    }
}

#[tokio::test]
async fn delete_drops_one_entry() {
    let server = RedisServer::start();
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let entry = cache.entry("profile").tag(Tag::new("User", 42));
        entry.set(&1).await.unwrap();
        assert!(entry.delete().await.unwrap());
        assert!(!entry.delete().await.unwrap(), "and says whether it was there");
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
    }
    assert!(server.keys("fragkeys:v:*").is_empty());
}

#[tokio::test]
async fn many_tags_are_bumped_in_one_round_trip_and_counted() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    cache.invalidate(["warm"]).await.unwrap();
    server.reset_stats();
    let bumped = cache.invalidate([Tag::new("User", 42), Tag::new("Campaign", 99)]).await.unwrap();
    assert_eq!(bumped.len(), 2);
    assert_eq!(server.command_calls("evalsha"), 1);
}

/// Theirs counts the tags that it did not fail to bump, and swallows why.
#[tokio::test]
async fn a_bump_that_fails_is_an_error_and_is_retried() {
    let mut server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::default();
    fragkeys::with_cache(cache.clone(), row(&source, 42)).await;
    server.kill();
    let error = cache.invalidate([Tag::new("Row", 42)]).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unreachable | ErrorKind::Timeout), "{error}");
    assert!(error.to_string().contains("Row:42"), "{error}");
    assert_eq!(cache.queued_bumps(), 1);
    server.restart();
    crate::support::eventually("the queue is empty", async || cache.queued_bumps() == 0).await;
}
