//! A master that sentinels name: real failovers, and what cannot work.

use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, ErrorKind, Outcome, observe, with_cache};
use fragkeys_tests::sentinel::NAME;
use fragkeys_tests::{RedisServer, Sentinels, wait_until};

use crate::support::{Source, eventually, row};

fn config(started: &Sentinels) -> Config {
    Config::redis_sentinel(started.urls(), NAME).operation_timeout(Duration::from_millis(250))
}

/// A call always answers, and soon.
async fn call(cache: &Cache, source: &Source) -> Outcome {
    let began = Instant::now();
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, 1))).await;
    assert!(value.starts_with("row 1, run "));
    assert!(began.elapsed() < Duration::from_secs(3), "a call took {:?}", began.elapsed());
    outcome.unwrap()
}

async fn hits(cache: &Cache, source: &Source) {
    eventually("hits", async || call(cache, source).await == Outcome::Hit).await;
}

/// Calls until they hit again, on another server than before; prints how long that took.
async fn recovers(what: &str, cache: &Cache, source: &Source, started: &Sentinels, before: usize) {
    let began = Instant::now();
    eventually("a bump goes through", async || {
        call(cache, source).await;
        cache.invalidate(["Row:1"]).await.is_ok()
    })
    .await;
    assert_ne!(started.master(), before);
    hits(cache, source).await;
    println!("{what}: hits are back after {:?}", began.elapsed());
    eventually("no bump is queued", async || cache.queued_bumps() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_killed() {
    let mut started = Sentinels::start();
    let cache = config(&started).build().await.unwrap();
    let source = Source::default();
    hits(&cache, &source).await;
    let before = started.master();
    started.servers[before].kill();
    recovers("killed master", &cache, &source, &started, before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_is_stopped() {
    let started = Sentinels::start();
    let cache = config(&started).build().await.unwrap();
    let source = Source::default();
    hits(&cache, &source).await;
    let before = started.master();
    started.servers[before].pause();
    recovers("stopped master", &cache, &source, &started, before).await;
}

/// The master hangs, is replaced, and comes back before anybody here has asked it anything: its
/// connection is as good as ever, and it believes for some seconds that it is the master.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_master_that_comes_back_after_it_was_replaced_is_left() {
    let started = Sentinels::start();
    let cache = config(&started).build().await.unwrap();
    let source = Source::default();
    hits(&cache, &source).await;
    let before = started.master();
    started.servers[before].pause();
    wait_until("another master", || started.master() != before);
    let after = &started.servers[started.master()];
    wait_until("it to be one", || after.cli(&["ROLE"]).starts_with("master"));
    started.servers[before].resume();
    let began = Instant::now();
    let count = || after.command_calls("get");
    let calls_before = count();
    eventually("the new master is asked", async || {
        call(&cache, &source).await;
        count() > calls_before
    })
    .await;
    let took = began.elapsed();
    println!("a replaced master was left after {took:?}");
    assert!(took < Duration::from_secs(4), "the old one was asked for {took:?}");
}

/// Sentinels that are away cost no answer, and the others are asked.
#[tokio::test(flavor = "multi_thread")]
async fn sentinels_that_are_away() {
    let mut started = Sentinels::start();
    started.sentinels[0].kill();
    started.sentinels[1].pause();
    let cache = config(&started).build().await.unwrap();
    hits(&cache, &Source::default()).await;

    started.sentinels[2].kill();
    started.sentinels[1].kill();
    // What is connected stays so.
    hits(&cache, &Source::default()).await;
    let late = config(&started).build().await.unwrap();
    assert_eq!(call(&late, &Source::default()).await, Outcome::Bypass);
    let error = late.invalidate(["Row:1"]).await.unwrap_err();
    assert!(error.to_string().contains("no sentinel tells who is the master"), "{error}");
}

#[tokio::test]
async fn what_cannot_work_says_what_to_do() {
    let started = Sentinels::start();
    let server = RedisServer::start();
    let cases = [
        (Config::redis_sentinel(started.urls(), "other"), "check `redis_sentinel`"),
        (Config::redis_sentinel([server.url()], NAME), "is it a sentinel?"),
        (Config::redis_sentinel(["redis://127.0.0.1:1"], NAME), "cannot be reached"),
        (
            Config::redis_sentinel(["redis://:hunter2@127.0.0.1:1", &started.urls()[0]], "other"),
            "check `redis_sentinel`",
        ),
        (config(&started).username("worker").password("hunter2"), "credentials"),
    ];
    for (config, hint) in cases {
        let cache = config.operation_timeout(Duration::from_secs(10)).build().await.unwrap();
        let error = cache.invalidate(["T"]).await.unwrap_err();
        let shown = format!("{error:?} {cache:?}");
        assert!(error.to_string().contains(hint) && !shown.contains("hunter2"), "{shown}");
        assert!(matches!(error.kind(), ErrorKind::Refused | ErrorKind::Unreachable), "{shown}");
        assert_eq!(call(&cache, &Source::default()).await, Outcome::Bypass);
    }
}

/// Sentinels and servers with passwords of their own, and a database.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_sentinels_and_of_servers_are_apart() {
    let started = Sentinels::start_with(
        &["--requirepass", "of-servers", "--masterauth", "of-servers"],
        &["--requirepass", "of-sentinels"],
        &[&format!("sentinel auth-pass {NAME} of-servers"), "sentinel sentinel-pass of-sentinels"],
    );
    let urls =
        started.sentinels.iter().map(|s| format!("redis://:of-sentinels@127.0.0.1:{}", s.port()));
    let config = Config::redis_sentinel(urls, NAME).password("of-servers").database(2);
    assert!(!format!("{config:?}").contains("of-se"));
    let cache = config.build().await.unwrap();
    hits(&cache, &Source::default()).await;
    let master = &started.servers[started.master()];
    let keyspace = master.cli(&["INFO", "keyspace"]);
    assert!(keyspace.contains("db2"), "{keyspace}");

    let wrong = started.sentinels.iter().map(|s| format!("redis://:wrong@127.0.0.1:{}", s.port()));
    let cache = Config::redis_sentinel(wrong, NAME).password("of-servers").build().await.unwrap();
    let error = cache.invalidate(["T"]).await.unwrap_err();
    assert!(error.to_string().contains("credentials"), "{error}");
}
