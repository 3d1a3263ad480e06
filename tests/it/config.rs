//! Configuration: what is accepted, what is refused and how clearly, and what is global.

use std::time::Duration;

use fragkeys::{
    Config, ErrorKind, Tag, cache, cache_named, invalidate, tag, tagged_cache, with_cache,
};
use fragkeys_tests::{Child, RedisServer};

use crate::support::{Log, ask, memory_cache, patient};

#[tokio::test]
async fn a_bad_setting_is_an_error_of_build_that_says_what_to_write() {
    let memory = Config::memory;
    let cases = [
        (Config::redis(""), "redis://"),
        (Config::redis("localhost"), "redis://"),
        (Config::redis("http://localhost"), "redis://"),
        (Config::redis("redis://:secret@host:notaport"), "redis://"),
        (Config::redis("redis://:secret@"), "redis://"),
        (Config::redis("redis://:secret@host/-1"), "redis://"),
        (Config::redis("redis://:secret@host/x"), "redis://"),
        (Config::redis("redis://:se#cret@host"), "%23"),
        (Config::redis("redis-sentinel://:secret@host"), "redis://"),
        (Config::redis("valkey://:secret@host:notaport"), "redis://"),
        #[cfg(not(feature = "tls"))]
        (Config::redis("rediss://:secret@host"), "feature `tls`"),
        #[cfg(not(feature = "tls"))]
        (Config::redis("valkeys://:secret@host"), "feature `tls`"),
        #[cfg(feature = "tls")]
        (Config::redis("rediss://:secret@host#insecure"), "always verified"),
        (Config::redis_sentinel([""; 0], "mymaster").password("secret"), "no URL"),
        (Config::redis_sentinel(["redis://:secret@host"], ""), "no name"),
        (Config::redis_sentinel(["redis://:secret@host", "host"], "m"), "redis://"),
        (Config::redis_sentinel(["redis://:secret@host/3"], "m"), "Config::database"),
        #[cfg(feature = "tls")]
        (Config::redis_sentinel(["redis://:secret@a", "rediss://b"], "m"), "one of both"),
        (memory().password("secret"), "`password`"),
        (memory().database(1), "`database`"),
        (memory().operation_timeout(Duration::ZERO), "operation_timeout"),
        (memory().operation_timeout(Duration::MAX), "operation_timeout"),
        (memory().default_timeout(Duration::ZERO), "default_timeout"),
        (memory().tag_lifetime(Duration::ZERO), "tag_lifetime"),
        (memory().max_queued_bumps(0), "max_queued_bumps"),
        (memory().prefix(""), "prefix"),
    ];
    for (config, hint) in cases {
        let shown = format!("{config:?}");
        let error = config.build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(error.to_string().contains(hint), "{error} does not mention {hint}");
        assert!(!format!("{shown}{error}{error:?}").contains("secret"), "{shown} {error:?}");
    }
}

#[tokio::test]
async fn extreme_settings_do_no_harm() {
    let cache = Config::memory()
        .default_timeout(Duration::MAX)
        .tag_lifetime(Duration::MAX)
        .max_bytes(0)
        .max_entry_bytes(usize::MAX)
        .build()
        .await
        .unwrap();
    let entry = cache.entry("x").tag("T").timeout(Duration::MAX);
    assert_eq!(entry.set(&1).await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(entry.get_or_set_with(async || 1).await, 1);
    assert_eq!(entry.get::<i32>().await.unwrap(), None, "there is no room");

    let server = RedisServer::start();
    let cache = patient(server.url())
        .default_timeout(Duration::MAX)
        .tag_lifetime(Duration::MAX)
        .build()
        .await
        .unwrap();
    let entry = cache.entry("x").tag("T").timeout(Duration::MAX);
    entry.set(&1).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    entry.delete().await.unwrap();
    let never = cache.entry("x").timeout(Duration::ZERO);
    never.set(&1).await.unwrap();
    assert_eq!(never.get::<i32>().await.unwrap(), None);
}

#[tokio::test]
async fn every_way_to_reach_a_server() {
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "worker", "on", ">hunter2", "~fragkeys:*", "+@all"]);
    let urls = [
        server.url(),
        server.socket_url(),
        format!("redis://worker:hunter2@127.0.0.1:{}/0", server.port()),
        format!("redis://localhost:{}/3", server.port()),
        format!("redis://127.0.0.1:{}?protocol=resp3", server.port()),
        server.url().replace("redis:", "valkey:"),
        server.socket_url().replace("redis+unix:", "valkey+unix:"),
        server.socket_url().replace("redis+unix:", "unix:"),
        server.socket_url() + "?db=4&user=worker&pass=hunter2",
    ];
    let set_apart = patient(format!("redis://nobody:wrong@127.0.0.1:{}/9", server.port()))
        .username("worker")
        .password("hunter2")
        .database(5);
    assert!(!format!("{set_apart:?}").contains("hunter2"));
    for (url, config) in urls
        .into_iter()
        .map(|url| (url.clone(), patient(url)))
        .chain([("set apart".to_owned(), set_apart)])
    {
        let cache = config.build().await.unwrap();
        let entry = cache.entry("x").tag("T");
        entry.set(&1).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), Some(1), "{url}");
        cache.invalidate(["T"]).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), None, "{url}");
        assert!(!format!("{cache:?}").contains("hunter2"));
    }
    let keyspace = server.cli(&["INFO", "keyspace"]);
    assert!(["db0", "db3", "db4", "db5"].iter().all(|db| keyspace.contains(db)), "{keyspace}");
    assert!(!keyspace.contains("db9"), "{keyspace}");
}

/// What cannot work says why, in errors and in the log, and never with which password.
#[tokio::test]
async fn a_login_that_fails_says_what_to_do() {
    let server = RedisServer::start();
    server.cli(&["ACL", "SETUSER", "worker", "on", ">hunter2", "~*", "+@all", "-select"]);
    let at = |login: &str, database: u32| {
        format!("redis://{login}127.0.0.1:{}/{database}", server.port())
    };
    let locked = RedisServer::start_with(&["--requirepass", "hunter2"]);
    let cases = [
        (at("worker:hunter3@", 0), ErrorKind::Refused, "credentials"),
        (at("nobody:hunter2@", 0), ErrorKind::Refused, "credentials"),
        (at("worker:hunter2@", 1), ErrorKind::Refused, "SELECT"),
        (at("", 10_000), ErrorKind::Refused, "no database of this number"),
        (locked.url(), ErrorKind::Refused, "credentials"),
    ];
    for (url, kind, hint) in cases {
        let log = Log::default();
        let listening = log.listen();
        let cache = patient(&url).build().await.unwrap();
        let error = cache.invalidate(["T"]).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(hint), "{error}");
        assert_eq!(cache.entry("x").get_or_set_with(async || 1).await, 1);
        drop(listening);
        let shown = format!("{}{error:?}{cache:?}", log.text());
        assert!(shown.contains(hint) && !shown.contains("hunter"), "{shown}");
    }
}

/// The least that a user of the server must be allowed, as the error for a lack of it says.
#[tokio::test]
async fn an_acl_user_with_few_permissions() {
    let server = RedisServer::start();
    let commands = [
        "get", "set", "mget", "del", "unlink", "incr", "pexpire", "pttl", "time", "eval",
        "evalsha", "ping",
    ];
    let mut rules = vec!["ACL", "SETUSER", "least", "on", ">pw", "~fragkeys:*", "-@all"];
    let allowed: Vec<String> = commands.iter().map(|command| format!("+{command}")).collect();
    rules.extend(allowed.iter().map(String::as_str));
    server.cli(&rules);
    let url = format!("redis://least:pw@127.0.0.1:{}", server.port());
    let cache = patient(&url).build().await.unwrap();
    let entry = cache.entry("x").tag("T");
    entry.set(&1).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    cache.invalidate(["T"]).await.unwrap();
    cache.invalidate((0..1_000).map(|id| Tag::new("T", id))).await.unwrap();
    cache.invalidate_all().await.unwrap();
    entry.delete().await.unwrap();
    assert_eq!(entry.get_or_set_with(|| async { 2 }).await, 2);
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(2));
    assert_eq!(cache.stats().faults, 0);

    let elsewhere = patient(&url).prefix("elsewhere").build().await.unwrap();
    let error = elsewhere.invalidate(["T"]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().contains("permission"), "{error}");
}

#[tagged_cache(tags = ["Count"], vary_on = [], cache_name = "counters")]
async fn count(runs: &std::sync::atomic::AtomicU32) -> u32 {
    runs.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
}

/// Named caches are global, so this is one test: before, at and after the installation.
#[tokio::test]
async fn a_named_cache() {
    let runs = std::sync::atomic::AtomicU32::new(0);
    assert_eq!((count(&runs).await, count(&runs).await), (0, 1), "not installed: uncached");
    let error = cache_named("counters").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotInstalled);
    assert!(error.to_string().contains("install_as(\"counters\")"), "{error}");

    Config::memory().install_as("counters").await.unwrap();
    assert_eq!((count(&runs).await, count(&runs).await), (2, 2));
    cache_named("counters").unwrap().invalidate(["Count"]).await.unwrap();
    assert_eq!(count(&runs).await, 3);
    // The scope's cache goes before any installed one.
    with_cache(memory_cache().await, async {
        assert_eq!((count(&runs).await, count(&runs).await), (4, 4));
    })
    .await;
    assert_eq!(count(&runs).await, 3);

    let error = Config::memory().install_as("counters").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyInstalled);
    assert!(error.to_string().contains("`counters`"), "{error}");
}

#[tokio::test]
async fn with_cache_scopes_functions_bumps_and_the_cache_by_hand() {
    let (outer, inner) = (memory_cache().await, memory_cache().await);
    let user_id = 1;
    with_cache(outer.clone(), async {
        cache().entry("x").tag(tag!("User:<user_id>")).set(&1).await.unwrap();
        with_cache(inner.clone(), async {
            assert_eq!(cache().entry("x").tag("User:1").get::<i32>().await.unwrap(), None);
            invalidate!("User:<user_id>").await.unwrap();
        })
        .await;
        assert_eq!(cache().entry("x").tag("User:1").get::<i32>().await.unwrap(), Some(1));
        invalidate!("User:<user_id>", Tag::global("Other")).await.unwrap();
        assert_eq!(cache().entry("x").tag("User:1").get::<i32>().await.unwrap(), None);
    })
    .await;
    assert_eq!((outer.stats().bumped, inner.stats().bumped), (2, 1));
}

fn describe(envs: &[(&str, &str)]) -> String {
    ask(&mut Child::start(env!("CARGO_BIN_EXE_worker"), &[], envs), "describe")
}

#[test]
fn from_env_reads_url_and_prefix() {
    let memory = describe(&[("FRAGKEYS_URL", ""), ("FRAGKEYS_PREFIX", "NOZ")]);
    assert!(memory.contains("MemoryStore") && memory.contains("NOZ"), "{memory}");
    let redis = describe(&[("FRAGKEYS_URL", "redis://:hunter2@127.0.0.1:1/2")]);
    assert!(redis.contains("127.0.0.1:1") && !redis.contains("hunter2"), "{redis}");
    let valkey = describe(&[("FRAGKEYS_URL", "valkey://:hunter2@127.0.0.1:1/2")]);
    assert!(valkey.contains("127.0.0.1:1") && !valkey.contains("hunter2"), "{valkey}");
}

#[test]
fn installing_twice_is_an_error_and_changes_nothing() {
    let mut worker =
        Child::start(env!("CARGO_BIN_EXE_worker"), &[], &[("FRAGKEYS_PREFIX", "first")]);
    assert_eq!(ask(&mut worker, "install"), "error AlreadyInstalled");
    assert!(ask(&mut worker, "describe").contains("first"));
}

/// Nothing installed: the embedded store, from the first call; and an install may still follow.
#[test]
fn without_an_installed_cache_the_embedded_store_is_used() {
    let mut worker = Child::start(env!("CARGO_BIN_EXE_worker"), &["uninstalled"], &[]);
    assert_eq!(ask(&mut worker, "call 1"), "miss 0");
    ask(&mut worker, "set 5");
    assert_eq!(ask(&mut worker, "call 1"), "hit 0");
    ask(&mut worker, "invalidate 1");
    assert_eq!(ask(&mut worker, "call 1"), "miss 5");
    assert_eq!(ask(&mut worker, "install"), "installed");
    assert_eq!(ask(&mut worker, "call 1"), "miss 5");
    assert_eq!(ask(&mut worker, "install"), "error AlreadyInstalled");
}
