//! Handlers, backends and configuration: where the cache is, and its plain methods.

use std::time::Duration;

use fragkeys::{Config, FragmentedKeys, Tag, cache, with_cache};
use fragkeys_tests::{Child, RedisServer};

use crate::support::{ask, memory_cache, patient, redis_cache, worker};

/// Theirs is a dictionary that grows.
#[tokio::test]
async fn memory_is_a_bounded_store_of_this_process() {
    let cache = Config::memory().max_bytes(64 << 10).build().await.unwrap();
    for id in 0..1_000 {
        cache.entry("page").group(id.to_string()).set(&vec![0_u8; 1_000]).await.unwrap();
    }
    let mut kept = 0;
    for id in 0..1_000 {
        let entry = cache.entry("page").group(id.to_string());
        kept += usize::from(entry.get::<Vec<u8>>().await.unwrap().is_some());
    }
    assert!((1..100).contains(&kept), "{kept} pages of 1 kB in 64 KiB");
}

#[tokio::test]
async fn redis_is_named_by_its_url() {
    let server = RedisServer::start();
    let (one, other) = (redis_cache(&server).await, redis_cache(&server).await);
    one.entry("x").set(&1).await.unwrap();
    assert_eq!(other.entry("x").get::<i32>().await.unwrap(), Some(1));
    assert!(Config::redis("http://localhost").build().await.is_err());
}

/// In place of a handler's or a backend's plain methods: an entry without tags.
#[tokio::test]
async fn get_and_set_without_tags() {
    let server = RedisServer::start();
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let plain = cache.entry("plain").timeout(Duration::from_secs(60));
        assert_eq!(plain.get::<String>().await.unwrap(), None);
        plain.set(&"text".to_owned()).await.unwrap();
        assert_eq!(plain.get::<String>().await.unwrap().as_deref(), Some("text"));
        assert!(plain.delete().await.unwrap());
        assert_eq!(plain.get::<String>().await.unwrap().unwrap_or_default(), "");
    }
}

/// In place of `get_many` and `set_many`: entries at once, over the one connection.
#[tokio::test]
async fn many_entries_at_once() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let (one, other, missing) = (cache.entry("a"), cache.entry("b"), cache.entry("c"));
    tokio::try_join!(one.set(&1), other.set(&2)).unwrap();
    let found = tokio::try_join!(one.get::<i32>(), other.get::<i32>(), missing.get::<i32>());
    assert_eq!(found.unwrap(), (Some(1), Some(2), None));
    let clients = server.cli(&["CLIENT", "LIST"]);
    let ours = clients.lines().filter(|line| !line.contains("cmd=client")).count();
    assert_eq!(ours, 1, "{clients}");
}

/// In place of `delete_many`: a tag that they share.
#[tokio::test]
async fn entries_that_go_together_share_a_tag() {
    let cache = memory_cache().await;
    let pages = [cache.entry("a").tag("Pages"), cache.entry("b").tag("Pages")];
    for page in &pages {
        page.set(&1).await.unwrap();
    }
    cache.invalidate(["Pages"]).await.unwrap();
    for page in &pages {
        assert_eq!(page.get::<i32>().await.unwrap(), None);
    }
}

/// In place of `add`: the value that is there, or this one.
#[tokio::test]
async fn get_or_set_leaves_what_is_there() {
    let cache = memory_cache().await;
    let entry = cache.entry("plain");
    assert_eq!(entry.get_or_set_with(async || 1).await, 1);
    assert_eq!(entry.get_or_set_with(async || 2).await, 1);
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
}

#[tokio::test]
async fn an_entry_is_there_if_it_can_be_read() {
    let cache = memory_cache().await;
    let entry = cache.entry("plain");
    assert!(entry.get::<Option<u8>>().await.unwrap().is_none());
    // A stored None is there.
    entry.set(&None::<u8>).await.unwrap();
    assert!(entry.get::<Option<u8>>().await.unwrap().is_some());
}

/// In place of `touch`: an entry's life is that of its value, which is stored anew with another.
#[tokio::test]
async fn a_set_gives_an_entry_another_timeout() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let entry = |seconds| cache.entry("plain").timeout(Duration::from_secs(seconds));
    entry(60).set(&1).await.unwrap();
    let value: i32 = entry(60).get().await.unwrap().unwrap();
    entry(6_000).set(&value).await.unwrap();
    let ttl: i64 = server.cli(&["TTL", &entry(60).key().await.unwrap()]).parse().unwrap();
    assert!(ttl > 60, "{ttl}");
}

/// In place of `incr` and `decr`: the count stands where it cannot be evicted, and is cached.
#[tokio::test]
async fn a_count_is_kept_in_its_source_and_cached() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let clicks = || cache.entry("clicks").tag(Tag::new("Campaign", 7));
    let read = async || clicks().get_or_set_with(async || server.cli(&["GET", "clicks"])).await;
    server.cli(&["INCRBY", "clicks", "5"]);
    assert_eq!(read().await, "5");
    server.cli(&["DECR", "clicks"]);
    assert_eq!(read().await, "5", "until the bump");
    cache.invalidate([Tag::new("Campaign", 7)]).await.unwrap();
    assert_eq!(read().await, "4");
}

/// Theirs empties the whole Redis database, strangers' keys too.
#[tokio::test]
async fn clear_is_one_bump_and_touches_nothing_else() {
    let server = RedisServer::start();
    server.set_raw("stranger", b"x");
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let entries = [cache.entry("a"), cache.entry("b").tag("T")];
        for entry in &entries {
            entry.set(&1).await.unwrap();
        }
        assert_eq!(cache.invalidate_all().await.unwrap().len(), 1);
        for entry in &entries {
            assert_eq!(entry.get::<i32>().await.unwrap(), None);
        }
    }
    assert_eq!(server.get_raw("stranger").as_deref(), Some(b"x".as_slice()));
}

/// In place of `close`: a connection ends with the last clone of its cache.
#[tokio::test]
async fn a_cache_is_closed_by_dropping_it() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    cache.entry("x").set(&1).await.unwrap();
    let connections = || server.cli(&["CLIENT", "LIST"]).lines().count();
    assert_eq!(connections(), 2, "ours, and the one that asks");
    drop(cache);
    crate::support::eventually("the connection ends", async || connections() == 1).await;
}

#[tokio::test]
async fn an_entry_without_a_timeout_has_that_of_the_cache() {
    let server = RedisServer::start();
    let config = patient(server.url()).default_timeout(Duration::from_secs(500));
    let entry = config.build().await.unwrap().entry("x");
    entry.set(&1).await.unwrap();
    let ttl: i64 = server.cli(&["TTL", &entry.key().await.unwrap()]).parse().unwrap();
    assert!((400..=500).contains(&ttl), "{ttl}");
}

#[test]
fn a_cache_is_installed_once_at_startup() {
    let server = RedisServer::start();
    let mut program = worker(&server);
    assert_eq!(ask(&mut program, "call 1"), "miss 0");
    assert_eq!(ask(&mut program, "call 1"), "hit 0");
    assert_eq!(server.keys("fragkeys:t:Row:*"), ["fragkeys:t:Row:1"]);
    // Theirs lets anyone put another one in its place.
    assert_eq!(ask(&mut program, "install"), "error AlreadyInstalled");
}

/// Theirs raises where nothing is configured.
#[test]
fn without_configuration_the_store_of_this_process_is_used() {
    let mut program = Child::start(env!("CARGO_BIN_EXE_worker"), &["uninstalled"], &[]);
    assert_eq!(ask(&mut program, "call 1"), "miss 0");
    assert_eq!(ask(&mut program, "call 1"), "hit 0");
}

/// In place of changing the one that all use: another one for a future, in tests and for tenants.
#[tokio::test]
async fn another_cache_for_one_future() {
    let (mine, theirs) = (memory_cache().await, memory_cache().await);
    let read = async || cache().entry("x").get::<i32>().await.unwrap();
    with_cache(mine.clone(), async { cache().entry("x").set(&1).await }).await.unwrap();
    assert_eq!(with_cache(mine, read()).await, Some(1));
    assert_eq!(with_cache(theirs, read()).await, None);
}

#[tokio::test]
async fn prefixes_keep_programs_apart_in_one_redis() {
    let server = RedisServer::start();
    let shop = patient(server.url()).prefix("shop").build().await.unwrap();
    let blog = patient(server.url()).prefix("blog").build().await.unwrap();
    for cache in [&shop, &blog] {
        cache.entry("x").tag("T").set(&1).await.unwrap();
    }
    shop.invalidate(["T"]).await.unwrap();
    assert_eq!(shop.entry("x").tag("T").get::<i32>().await.unwrap(), None);
    assert_eq!(blog.entry("x").tag("T").get::<i32>().await.unwrap(), Some(1));
    assert_eq!(server.keys("*:t:T"), ["blog:t:T", "shop:t:T"]);
}

/// The epoch is in the identity of each entry; there is no tag to put in front of others.
#[tokio::test]
async fn another_epoch_makes_every_entry_miss() {
    let server = RedisServer::start();
    let generation = async |epoch| patient(server.url()).epoch(epoch).build().await.unwrap();
    let entry = |cache: &fragkeys::Cache| cache.entry("x").tag("T");
    entry(&redis_cache(&server).await).set(&1).await.unwrap();
    assert_eq!(entry(&generation(0).await).get::<i32>().await.unwrap(), Some(1), "the default");
    assert_eq!(entry(&generation(2).await).get::<i32>().await.unwrap(), None);
    entry(&generation(2).await).set(&2).await.unwrap();
    assert_eq!(entry(&generation(2).await).get::<i32>().await.unwrap(), Some(2));
    // A tag's version is that of all generations: one bump reaches both.
    generation(2).await.invalidate(["T"]).await.unwrap();
    assert_eq!(entry(&generation(0).await).get::<i32>().await.unwrap(), None);
}

#[tokio::test]
async fn prefix_and_epoch_can_be_read() {
    let cache = Config::memory().prefix("NOZ").epoch(2).build().await.unwrap();
    assert_eq!((cache.prefix(), cache.epoch()), ("NOZ", 2));
    let cache = Config::memory().build().await.unwrap();
    assert_eq!((cache.prefix(), cache.epoch()), ("fragkeys", 0));
}

/// In a process of its own, as it is global; others use `with_cache`.
#[test]
fn tests_start_anew() {
    let mut program = Child::start(env!("CARGO_BIN_EXE_worker"), &[], &[]);
    assert_eq!(ask(&mut program, "install"), "error AlreadyInstalled");
    assert_eq!(ask(&mut program, "call 1"), "miss 0");
    assert_eq!(ask(&mut program, "reset"), "ok");
    assert_eq!(ask(&mut program, "install"), "installed");
    assert_eq!(ask(&mut program, "call 1"), "miss 0");
    // The embedded store, where nothing is installed, begins empty as well.
    let mut program = Child::start(env!("CARGO_BIN_EXE_worker"), &["uninstalled"], &[]);
    assert_eq!(ask(&mut program, "call 1"), "miss 0");
    assert_eq!(ask(&mut program, "call 1"), "hit 0");
    assert_eq!(ask(&mut program, "reset"), "ok");
    assert_eq!(ask(&mut program, "call 1"), "miss 0");
}

/// As Django pickles them, and as the package without Django writes them. With the real
/// packages: `tests/it/interop.rs`.
#[tokio::test]
async fn versions_that_python_keeps_are_used_in_place() {
    let server = RedisServer::start();
    let python = FragmentedKeys::django("NOZ");
    let config = patient(server.url()).also_bump(python.clone());
    let cache = config.build().await.unwrap();
    let pickle = |text: &str| {
        // Protocol 5: a frame, a short text, its memo, the end.
        let body = [&[0x8c, text.len() as u8], text.as_bytes(), &[0x94, b'.']].concat();
        let frame = (body.len() as u64).to_le_bytes();
        [&[0x80, 5, 0x95], frame.as_slice(), &body].concat()
    };
    for tag in [python.tag("User", 42), Tag::foreign(":1:User_42NOZ")] {
        let entry = cache.entry("profile").tag(tag);
        server.set_raw(":1:User_42NOZ", &pickle("1763869287123.4567"));
        entry.set(&1).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
        server.set_raw(":1:User_42NOZ", &pickle("1763869287123.5567"));
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
        // Ours, in milliseconds and above what is there.
        entry.set(&1).await.unwrap();
        cache.invalidate(["User:42"]).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
        let bumped = server.get_raw(":1:User_42NOZ").unwrap();
        let bumped: u64 = String::from_utf8(bumped).unwrap().parse().unwrap();
        assert!(bumped > 1_763_869_287_123, "{bumped}");
    }
}
