//! Tags whose versions stand at others' keys: read as they are, written as the original does.

use std::sync::atomic::Ordering;

use fragkeys::{Cache, ErrorKind, FragmentedKeys, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use crate::support::{Source, eventually, memory_cache, patient, redis_cache};

const KEY: &str = ":1:User_42NOZ";

#[tagged_cache(tags = [Tag::foreign(KEY)], vary_on = [])]
async fn of_others(source: &Source) -> u32 {
    source.runs.fetch_add(1, Ordering::SeqCst)
}

#[tagged_cache(tags = [python().tag("User", id)], vary_on = [id])]
async fn of_original(source: &Source, id: u32) -> u32 {
    source.runs.fetch_add(1, Ordering::SeqCst)
}

fn python() -> FragmentedKeys {
    FragmentedKeys::django("NOZ")
}

/// How often it is answered by what.
async fn outcomes<const N: usize>(cache: &Cache, source: &Source) -> [Outcome; N] {
    let mut outcomes = [Outcome::Bypass; N];
    for outcome in &mut outcomes {
        *outcome = with_cache(cache.clone(), observe(of_others(source))).await.1.unwrap();
    }
    outcomes
}

async fn original(cache: &Cache, source: &Source) -> Outcome {
    with_cache(cache.clone(), observe(of_original(source, 42))).await.1.unwrap()
}

#[tokio::test]
async fn i2_any_change_by_anyone_is_a_miss() {
    let server = RedisServer::start();
    let (one, two) = (redis_cache(&server).await, redis_cache(&server).await);
    let source = Source::default();
    let texts: [&[u8]; 5] =
        [b"1764000000000.1", b"1764000000000.2", b"\x80\x04\x95\xff\0", b" ", b"1"];
    for text in texts {
        server.set_raw(KEY, text);
        assert_eq!(outcomes(&one, &source).await, [Outcome::Miss, Outcome::Hit]);
        assert_eq!(outcomes(&two, &source).await, [Outcome::Hit]);
    }
}

#[tokio::test]
async fn while_nothing_stands_there_nothing_is_cached() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::default();
    assert_eq!(outcomes(&cache, &source).await, [Outcome::Bypass; 3]);
    assert_eq!(server.cli(&["EXISTS", KEY]), "0", "it is not ours to write");
    server.set_raw(KEY, b"7");
    assert_eq!(outcomes(&cache, &source).await, [Outcome::Miss, Outcome::Hit]);
    // What was cached before it went is not there when it is gone, nor is anything else.
    server.cli(&["DEL", KEY]);
    assert_eq!(outcomes(&cache, &source).await, [Outcome::Bypass; 2]);
    server.cli(&["RPUSH", KEY, "a list"]);
    assert_eq!(outcomes(&cache, &source).await, [Outcome::Bypass; 2]);
    assert_eq!(server.cli(&["LLEN", KEY]), "1");
    assert_eq!((cache.stats().faults, cache.queued_bumps()), (0, 0), "the store does its work");
}

#[tokio::test]
async fn the_lifetime_of_their_keys_is_theirs() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    for ttl in ["-1", "500"] {
        server.set_raw(KEY, b"7");
        if ttl != "-1" {
            server.cli(&["EXPIRE", KEY, ttl]);
        }
        cache.entry("x").group(ttl).tag(Tag::foreign(KEY)).set(&1).await.unwrap();
        assert_eq!(server.cli(&["TTL", KEY]), ttl);
    }
}

#[tokio::test]
async fn they_cannot_be_bumped() {
    let server = RedisServer::start();
    for cache in [redis_cache(&server).await, memory_cache().await] {
        let error = cache.invalidate([Tag::new("A", 1), Tag::foreign(KEY)]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tag);
        assert!(error.to_string().contains("`@:1:User_42NOZ` is a foreign tag"), "{error}");
        assert_eq!(cache.queued_bumps(), 0);
        let error = cache.tag_version(&Tag::foreign(KEY)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tag);
        let error = cache.tag_version(&python().tag("User", 42)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tag);
    }
    assert_eq!(server.cli(&["DBSIZE"]), "0");
}

#[tokio::test]
async fn a_tag_of_the_original_is_seeded_in_its_form() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::default();
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    assert_eq!(original(&cache, &source).await, Outcome::Hit);
    let seed = server.cli(&["GET", KEY]);
    assert!(seed.len() == 13 && seed.bytes().all(|digit| digit.is_ascii_digit()), "{seed}");
    assert!(server.cli(&["TTL", KEY]).parse::<u64>().unwrap() > 3_000);
    // What somebody put there meanwhile is taken as it is.
    server.set_raw(KEY, b"whatever");
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    assert_eq!(original(&cache, &source).await, Outcome::Hit);
    assert_eq!(server.cli(&["GET", KEY]), "whatever");
    server.cli(&["DEL", KEY]);
    server.cli(&["RPUSH", KEY, "a list"]);
    assert_eq!(original(&cache, &source).await, Outcome::Bypass);
}

#[tokio::test]
async fn i3_a_bump_of_the_original_is_above_what_was_there() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let tag = python().tag("User", 42);
    let bump = async || {
        let bumped = cache.invalidate([&tag]).await.unwrap();
        let version = u64::from(bumped.version(&tag).unwrap());
        assert_eq!(server.cli(&["GET", KEY]), version.to_string());
        version
    };
    let mut last = bump().await;
    for _ in 0..100 {
        let next = bump().await;
        assert!(next > last, "{next} after {last}");
        last = next;
    }
    // As Django writes it, and ahead of this clock; and what is no such number at all.
    let ahead = last + 1_000_000;
    server.set_raw(KEY, format!("\u{12}{ahead}.1234\u{94}").as_bytes());
    last = bump().await;
    assert_eq!(last, ahead + 1);
    for garbage in ["99999999999999999999999999999", "nan", "", "17"] {
        server.set_raw(KEY, garbage.as_bytes());
        let next = bump().await;
        assert_eq!(next, last + 1, "after {garbage:?}");
        last = next;
    }
    server.cli(&["DEL", KEY]);
    server.cli(&["RPUSH", KEY, "a list"]);
    assert_eq!(bump().await, last + 1);
}

/// The original adds to what it read before: another bump may have come meanwhile, and is undone.
#[tokio::test]
async fn i3_what_the_original_takes_back_is_not_given_again() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::default();
    let tag = python().tag("User", 42);
    let ahead = 9_000_000_000_000_u64;
    server.set_raw(KEY, format!("{ahead}.5").as_bytes());
    let first = cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap();
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    server.set_raw(KEY, format!("{ahead}.6").as_bytes());
    let second = cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap();
    assert!(second > first, "{second} after {first}");
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    server.cli(&["DEL", KEY]);
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    assert!(server.cli(&["GET", KEY]).parse::<u64>().unwrap() > u64::from(second));
}

#[tokio::test]
async fn bumps_are_written_for_the_original_too() {
    let server = RedisServer::start();
    let only = FragmentedKeys::plain("X").key_prefix("shop:").only(["Review"]);
    let config = patient(server.url()).also_bump(python()).also_bump(only);
    let cache = config.build().await.unwrap();
    let source = Source::default();
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    assert_eq!(original(&cache, &source).await, Outcome::Hit);

    let tags = [Tag::new("User", 42), Tag::scoped("Review", "org", "a:b"), Tag::global("All")];
    let bumped = cache.invalidate(tags.clone()).await.unwrap();
    let told: Vec<Tag> = bumped.into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(told, tags);
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    let mut keys = server.keys(":1:*");
    keys.extend(server.keys("shop:*"));
    keys.sort();
    assert_eq!(keys, [":1:All_NOZ", ":1:Review_org:a:bNOZ", KEY, "shop:Review_org:a:bX"]);

    cache.invalidate_all().await.unwrap();
    assert_eq!(server.keys(":1:*").len(), 3, "of which the original knows nothing");
}

/// I7: past the bound it is one bump of the whole cache, of which the original knows nothing.
#[tokio::test]
async fn many_held_bumps_reach_the_original_as_long_as_there_is_room() {
    let server = RedisServer::start();
    // Each takes the room of two; with the sixth, those before it are lost.
    for (bumps, kept) in [(3, 3), (6, 1)] {
        server.flushall();
        let config = patient(server.url()).also_bump(python()).max_queued_bumps(5);
        let cache = config.build().await.unwrap();
        let entry = cache.entry("any");
        entry.set(&1).await.unwrap();
        let scope = fragkeys::on_commit(async {
            for id in 0..bumps {
                cache.invalidate([Tag::new("User", id)]).await.unwrap();
            }
            Ok::<_, ()>(())
        });
        let bumped = scope.report().await.unwrap().bumped.unwrap();
        assert_eq!(bumped.into_iter().map(|(tag, _)| tag).collect::<Vec<_>>(), ["*".into()]);
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
        assert_eq!(server.keys(":1:*").len(), kept, "of {bumps}");
    }
}

#[tokio::test]
async fn what_stands_for_a_held_tag_is_held_too() {
    let server = RedisServer::start();
    let cache = patient(server.url()).also_bump(python()).build().await.unwrap();
    let source = Source::default();
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    assert_eq!(original(&cache, &source).await, Outcome::Hit);
    let scope = fragkeys::on_commit(async {
        let bumped = cache.invalidate(["User:42"]).await.unwrap();
        assert_eq!(bumped.held(), ["User:42".into()]);
        assert_eq!(original(&cache, &source).await, Outcome::Bypass);
        Ok::<_, ()>(())
    });
    let bumped = scope.report().await.unwrap().bumped.unwrap();
    assert_eq!(bumped.len(), 1);
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
}

/// A user who may not write others' keys: ours are bumped, and cached.
#[tokio::test]
async fn i6_what_others_refuse_does_not_keep_ours_from_being_bumped() {
    let server = RedisServer::start();
    let cache = patient(server.url()).also_bump(python()).build().await.unwrap();
    cache.invalidate(["warm"]).await.unwrap();
    server.cli(&["ACL", "SETUSER", "default", "resetkeys", "~fragkeys:*"]);
    let error = cache.invalidate(["User:42"]).await.unwrap_err();
    assert!(error.to_string().contains("bumping `~:1:User_42NOZ` failed"), "{error}");
    assert_eq!(cache.queued_bumps(), 1);
    let entry = cache.entry("x").tag("User:42");
    entry.set(&1).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    server.cli(&["ACL", "SETUSER", "default", "allkeys"]);
    eventually("the original has it", async || cache.queued_bumps() == 0).await;
    assert_eq!(server.cli(&["EXISTS", KEY]), "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn i6_a_failed_bump_is_retried_for_the_original_too() {
    let mut server = RedisServer::start();
    let cache = patient(server.url()).also_bump(python()).build().await.unwrap();
    cache.invalidate(["User:1"]).await.unwrap();
    server.kill();
    let error = cache.invalidate(["User:42"]).await.unwrap_err();
    assert!(error.to_string().contains("bumping `User:42` failed"), "{error}");
    assert_eq!(cache.queued_bumps(), 2);
    server.restart();
    eventually("both go through", async || cache.queued_bumps() == 0).await;
    assert_eq!(server.cli(&["EXISTS", KEY, "fragkeys:t:User:42"]), "2");
}

#[tokio::test]
async fn the_embedded_store_has_nobody_else() {
    let cache = memory_cache().await;
    let source = Source::default();
    assert_eq!(outcomes(&cache, &source).await, [Outcome::Miss, Outcome::Hit]);
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
    assert_eq!(original(&cache, &source).await, Outcome::Hit);
    cache.invalidate([python().tag("User", 42)]).await.unwrap();
    assert_eq!(original(&cache, &source).await, Outcome::Miss);
}

#[test]
fn their_texts_round_trip_and_no_other_tag_has_them() {
    for tag in [Tag::foreign(KEY), python().tag("User", r"a:b\c"), Tag::foreign("")] {
        assert_eq!(tag.to_string().parse::<Tag>().unwrap(), tag);
        assert_ne!(Tag::global(tag.to_string()), tag);
    }
    for name in ["@x", "~x", "=x", "*"] {
        let tag = Tag::global(name);
        assert_eq!(tag.to_string(), format!(r"\{name}"));
        assert_eq!(tag.to_string().parse::<Tag>().unwrap(), tag);
        assert_eq!(fragkeys::tag!("<name>"), tag);
    }
    assert_eq!(fragkeys::tag!(r"\@x"), Tag::global("@x"));
}
