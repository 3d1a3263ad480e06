//! Tags, their versions, and who holds them.

use fragkeys::{ErrorKind, Tag, invalidate, tag, with_cache};
use fragkeys_tests::RedisServer;

use crate::support::{memory_cache, redis_cache};

#[tokio::test]
async fn a_tag_is_a_plain_value() {
    let tag = Tag::new("User", 42);
    assert_eq!(tag.to_string(), "User:42");
    assert_eq!("User:42".parse::<Tag>().unwrap(), tag);
    assert_eq!(Tag::global("Dashboard").to_string(), "Dashboard");
    // It holds no version that could grow old: two caches bump it, and it tells both apart.
    let (one, other) = (memory_cache().await, memory_cache().await);
    let before = other.tag_version(&tag).await.unwrap();
    one.invalidate([&tag]).await.unwrap();
    assert_eq!(other.tag_version(&tag).await.unwrap(), before);
    other.invalidate([&tag]).await.unwrap();
    assert!(other.tag_version(&tag).await.unwrap() > before);
}

/// Theirs joins name, instance and prefix without a separator.
#[test]
fn names_and_instances_cannot_run_into_each_other() {
    assert_ne!(Tag::new("a", "b:c"), Tag::scoped("a", "b", "c"));
    assert_ne!(Tag::new("User", "1_2"), Tag::new("User_1", "2"));
}

#[test]
fn the_factories_differ_in_their_names_alone() {
    let plain = Tag::new("Stats", "daily");
    assert_eq!(Tag::model("Stats", "daily"), plain);
    assert_eq!(Tag::list("Stats", "daily"), plain);
    assert_eq!(Tag::aggregate("Stats", "daily"), plain);
    assert_eq!(Tag::custom("Stats", "daily"), plain);
    // Theirs has the scope in the instance, `"org:7"`.
    assert_eq!(Tag::scoped("Review", "org", 7), tag!("Review:org:7"));
}

#[tokio::test]
async fn a_constant_is_part_of_the_key_and_refuses_to_be_bumped() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let banner = |api| cache.entry("banner").tag(Tag::constant("api", api));
    banner("v1").set(&1).await.unwrap();
    assert_eq!(banner("v2").get::<i32>().await.unwrap(), None);
    assert_eq!(banner("v1").get::<i32>().await.unwrap(), Some(1));
    assert_eq!(server.keys("fragkeys:t:*"), ["fragkeys:t:*"], "it has no version in Redis");

    let constant = Tag::constant("api", "v1");
    assert_eq!(cache.invalidate([&constant]).await.unwrap_err().kind(), ErrorKind::Tag);
    assert_eq!(cache.tag_version(&constant).await.unwrap_err().kind(), ErrorKind::Tag);
    assert_eq!(banner("v1").get::<i32>().await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_bump_hides_what_depends_on_the_tag() {
    let server = RedisServer::start();
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let user = cache.entry("profile").tag(Tag::new("User", 42));
        let other = cache.entry("profile").tag(Tag::new("User", 43));
        for entry in [&user, &other] {
            entry.set(&1).await.unwrap();
        }
        let user_id = 42;
        let bumped = with_cache(cache.clone(), invalidate!("User:<user_id>")).await.unwrap();
        assert_eq!(bumped.len(), 1);
        assert_eq!(user.get::<i32>().await.unwrap(), None);
        assert_eq!(other.get::<i32>().await.unwrap(), Some(1));
    }
}

/// Theirs reads, adds 0.1 and writes: of two at once, one is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_bump_of_many_at_once_is_lost() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let tag = Tag::new("User", 42);
    let bumps: Vec<_> = (0..200)
        .map(|_| {
            let (cache, tag) = (cache.clone(), tag.clone());
            tokio::spawn(async move { cache.invalidate([&tag]).await.unwrap().version(&tag) })
        })
        .collect();
    let mut versions = Vec::new();
    for bump in bumps {
        versions.push(bump.await.unwrap().unwrap());
    }
    versions.sort_unstable();
    versions.dedup();
    assert_eq!(versions.len(), 200);
}

/// In place of a version that is reset or set: a bump, which is a clock's number already.
#[tokio::test]
async fn a_version_only_grows() {
    let server = RedisServer::start();
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let tag = Tag::new("User", 42);
        let first = cache.tag_version(&tag).await.unwrap();
        let mut last = first;
        for _ in 0..10 {
            let next = cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap();
            assert!(next > last);
            last = next;
        }
        assert_eq!(cache.tag_version(&tag).await.unwrap(), last);
        assert!(u64::from(first) > 1_000_000_000_000_000_000, "µs since 1970, and three digits");
    }
}

/// Nor by a server that has lost everything: a seed is a clock's number too.
#[tokio::test]
async fn a_lost_version_does_not_come_back() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let tag = Tag::new("User", 42);
    let entry = cache.entry("profile").tag(&tag);
    entry.set(&1).await.unwrap();
    let (version, key) = (cache.tag_version(&tag).await.unwrap(), entry.key().await.unwrap());
    server.cli(&["DEL", "fragkeys:t:User:42"]);
    assert!(cache.tag_version(&tag).await.unwrap() > version);
    assert_ne!(entry.key().await.unwrap(), key);
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
}

#[tokio::test]
async fn a_tag_and_its_version_for_people() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let tag = Tag::new("User", 42);
    let version = cache.tag_version(&tag).await.unwrap();
    assert_eq!(cache.tag_version(&tag).await.unwrap(), version, "seeded once");
    let in_redis = server.get_raw("fragkeys:t:User:42").unwrap();
    assert_eq!(String::from_utf8(in_redis).unwrap(), version.to_string());
    assert_eq!(format!("{tag}@{version}"), format!("User:42@{}", u64::from(version)));
}

#[tokio::test]
async fn all_versions_of_a_call_come_in_one_round_trip() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let entry = cache.entry("x").tags(["A", "B", "C"]).tag(Tag::constant("env", "test"));
    entry.set(&1).await.unwrap();
    server.reset_stats();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    assert_eq!(server.command_calls("mget"), 1);
    assert_eq!(server.command_calls("get"), 1, "sent along with the MGET");
}

/// A tag has no cache of its own: which one is bumped is said at the bump.
#[tokio::test]
async fn one_tag_serves_every_cache() {
    let (one, other) = (memory_cache().await, memory_cache().await);
    let tag = Tag::new("User", 42);
    for cache in [&one, &other] {
        cache.entry("x").tag(&tag).set(&1).await.unwrap();
    }
    one.invalidate([&tag]).await.unwrap();
    assert_eq!(one.entry("x").tag(&tag).get::<i32>().await.unwrap(), None);
    assert_eq!(other.entry("x").tag(&tag).get::<i32>().await.unwrap(), Some(1));
}
