//! Bumps that a new connection makes up for, at the worst moments.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

use fragkeys::{Cache, Config, FragmentedKeys, Outcome, Tag, tagged_cache, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};

use super::{PATIENCE, call, recovers};
use crate::support::{self, Source, eventually};

/// Without leases: their connection would make up for what is lost before the one that a test is
/// about.
fn patient(url: impl Into<String>) -> Config {
    support::patient(url).lease_wait(Duration::ZERO)
}

async fn cache_at(url: impl Into<String>) -> Cache {
    patient(url).operation_timeout(PATIENCE).build().await.unwrap()
}

fn row() -> Tag {
    Tag::new("Row", 1)
}

/// The tag's version as it stands in the server.
fn stands(server: &RedisServer, tag: &str) -> String {
    server.cli(&["GET", &format!("fragkeys:t:{tag}")])
}

/// I2: its answer had come, from the server that was lost, and nobody had looked at it yet: so it was
/// missing among the recent bumps. It is bumped again before it is `Ok`.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_bump_that_is_answered_while_its_server_is_replaced() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let proxy = Proxy::to(old.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    cache.invalidate([row()]).await.unwrap(); // The script is known.
    let before = stands(&old, "Row:1");
    new.cli(&["SET", "fragkeys:t:Row:1", &before]);
    proxy.on_request(Box::new(|request| {
        if request.windows(4).any(|part| part == b"EVAL") { Action::Hold } else { Action::Forward }
    }));
    let mut bump = pin!(cache.invalidate([row()]));
    let is_ready = poll_fn(|context| Poll::Ready(bump.as_mut().poll(context).is_ready())).await;
    assert!(!is_ready, "it is on its way");
    eventually("it is held", async || proxy.wait_held(std::time::Duration::ZERO)).await;
    proxy.clear_hook();
    proxy.release();
    // Replies come in order.
    cache.tag_version(&"Other".into()).await.unwrap();
    assert_ne!(stands(&old, "Row:1"), before, "the old server has it");
    proxy.lead_to(new.port());
    proxy.cut();
    cache.tag_version(&"Other".into()).await.unwrap();
    assert_eq!(proxy.accepted(), 2);
    let told = bump.await.unwrap().version(&row()).unwrap();
    assert_eq!(stands(&new, "Row:1"), told.to_string());
}

/// I2: until the recent bumps are through, nobody is answered from the new connection.
#[tokio::test(flavor = "multi_thread")]
async fn i2_no_read_before_the_replay() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    let source = Source::default();
    call(&cache, &source).await;
    let old = stands(&server, "Row:1");
    cache.invalidate([row()]).await.unwrap();
    server.cli(&["SET", "fragkeys:t:Row:1", &old]); // It forgets.
    proxy.on_request(Box::new(|request| {
        if request.windows(4).any(|part| part == b"EVAL") { Action::Hold } else { Action::Forward }
    }));
    proxy.cut();
    let reading = tokio::spawn({
        let cache = cache.clone();
        async move { call(&cache, &Source { runs: 1.into() }).await }
    });
    eventually("the replay is under way", async || proxy.wait_held(std::time::Duration::ZERO))
        .await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!reading.is_finished());
    assert_eq!(server.command_calls("mget"), 1, "the first call's");
    proxy.clear_hook();
    proxy.release();
    assert_eq!(reading.await.unwrap(), ("row 1, run 1".to_owned(), Outcome::Miss));
}

/// I2, I6: a server that lacks a bump and will not be given it. What depends on the bump is left
/// alone until it is; all else is read.
#[tokio::test(flavor = "multi_thread")]
async fn i6_what_cannot_be_made_up_for_is_queued() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    let source = Source::default();
    call(&cache, &source).await;
    let old = stands(&server, "Row:1");
    cache.invalidate([row()]).await.unwrap();
    let other = cache.entry("x").tag("Other");
    other.set(&1).await.unwrap();
    server.cli(&["SET", "fragkeys:t:Row:1", &old]);
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    proxy.cut();
    eventually("what else there is, is read", async || {
        matches!(other.get::<i32>().await, Ok(Some(1)))
    })
    .await;
    assert_eq!(call(&cache, &source).await.1, Outcome::Bypass);
    assert_eq!(cache.queued_bumps(), 1);
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    recovers(&cache).await;
}

/// Several tags, the whole cache's among them, and one that another process bumped meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn each_version_is_above_what_was_told_and_none_is_lowered() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = cache_at(proxy.url()).await;
    let tags: Vec<Tag> = (0..25_000).map(|number| Tag::new("T", number)).collect();
    let told = cache.invalidate(tags.clone()).await.unwrap();
    cache.invalidate_all().await.unwrap();
    let root = stands(&server, "*");
    let later = i64::MAX.to_string();
    server.cli(&["SET", "fragkeys:t:*", "1000000000000000001"]);
    server.cli(&["SET", "fragkeys:t:T:0", "1000000000000000001"]);
    server.cli(&["SET", "fragkeys:t:T:24999", "1000000000000000001"]);
    server.cli(&["SET", "fragkeys:t:T:7", &later]);
    server.cli(&["DEL", "fragkeys:t:T:8"]);
    cache.tag_version(&tags[9]).await.unwrap(); // Many are removed; this one is there again.
    let untouched = stands(&server, "T:9");
    proxy.cut();
    cache.tag_version(&"Other".into()).await.unwrap();
    assert!(stands(&server, "*") > root);
    for number in [0, 24_999] {
        let told = told.version(&tags[number]).unwrap().to_string();
        assert!(stands(&server, &format!("T:{number}")) > told);
    }
    assert_eq!(stands(&server, "T:7"), later);
    assert_eq!(stands(&server, "T:8"), "(nil)", "its first read gives it a new one");
    assert_eq!(stands(&server, "T:9"), untouched);
}

/// What was bumped for a Python application is made up for as well.
#[tokio::test(flavor = "multi_thread")]
async fn counterparts_of_the_original_too() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let original = FragmentedKeys::plain("");
    let config = Config::redis(proxy.url())
        .operation_timeout(PATIENCE)
        .lease_wait(Duration::ZERO)
        .also_bump(original);
    let cache = config.build().await.unwrap();
    cache.invalidate([row()]).await.unwrap();
    let key = server.keys("*").into_iter().find(|key| !key.starts_with("fragkeys:")).unwrap();
    let told: u64 = server.cli(&["GET", &key]).parse().unwrap();
    server.cli(&["SET", &key, &(told - 5_000).to_string()]);
    proxy.cut();
    cache.tag_version(&"Other".into()).await.unwrap();
    assert!(server.cli(&["GET", &key]).parse::<u64>().unwrap() > told);
}

/// I7: past the bound the oldest bumps are forgotten, and if any is lost, all entries are.
#[tokio::test(flavor = "multi_thread")]
async fn i7_more_bumps_than_are_remembered_cost_misses_and_no_truth() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    cache.invalidate(["First"]).await.unwrap();
    for page in 0..11 {
        let tags = (0..10_000).map(|number| Tag::new("T", page * 10_000 + number));
        cache.invalidate(tags).await.unwrap();
    }
    let entry = cache.entry("x").tag("Other");
    entry.set(&1).await.unwrap();
    // Nothing is lost: nothing is missed.
    proxy.cut();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    // The newest one is lost, so the forgotten one may be.
    server.cli(&["SET", "fragkeys:t:T:109999", "1000000000000000001"]);
    proxy.cut();
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
}

/// I2: some bumps are forgotten and one is lost, so all entries are to be; and the connection is lost
/// before they are. The next one knows that as well.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_replay_that_is_cut_before_it_bumps_everything() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    for page in 0..11 {
        let tags = (0..10_000).map(|number| Tag::new("T", page * 10_000 + number));
        cache.invalidate(tags).await.unwrap();
    }
    let entry = cache.entry("x").tag("Other");
    entry.set(&1).await.unwrap();
    let root = stands(&server, "*");
    server.cli(&["SET", "fragkeys:t:T:109999", "1000000000000000001"]);
    let (is_cut, has) = (Arc::new(AtomicBool::new(false)), |request: &[u8], part: &[u8]| {
        request.windows(part.len()).any(|window| window == part)
    });
    let cut = is_cut.clone();
    proxy.on_request(Box::new(move |request| {
        let bumps_all = has(request, b"EVAL") && has(request, b"fragkeys:t:*\r\n");
        if bumps_all && !cut.swap(true, Ordering::SeqCst) { Action::Cut } else { Action::Forward }
    }));
    proxy.cut();
    let mut found = None;
    eventually("it is connected again", async || {
        let answer = entry.get::<i32>().await;
        let is_ok = answer.is_ok();
        found = answer.ok().flatten();
        is_ok
    })
    .await;
    assert!(is_cut.load(Ordering::SeqCst), "or it would show nothing");
    assert_eq!(found, None);
    assert!(stands(&server, "*") > root);
}

/// I2: a look is under way when its connection's replay finds a bump that is lost and cannot be made up
/// for: what depends on it is not believed, though it was not queued when the look began.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_bump_that_is_queued_during_a_look() {
    #[tagged_cache(batch, tags = ["Row:<id>"], vary_on = [])]
    async fn rows(runs: &AtomicU32, ids: &[u64]) -> HashMap<u64, u32> {
        let run = runs.fetch_add(1, Ordering::SeqCst);
        ids.iter().map(|id| (*id, run)).collect()
    }
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let cache = patient(proxy.url()).build().await.unwrap();
    let (source, runs) = (Source::default(), AtomicU32::new(0));
    call(&cache, &source).await;
    with_cache(cache.clone(), rows(&runs, &[1, 2])).await;
    let old = stands(&server, "Row:1");
    cache.invalidate([row()]).await.unwrap();
    server.cli(&["SET", "fragkeys:t:Row:1", &old]);
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    proxy.on_request(Box::new(|request| {
        if request.windows(4).any(|part| part == b"EVAL") { Action::Hold } else { Action::Forward }
    }));
    proxy.cut();
    let one = call(&cache, &source);
    let many = with_cache(cache.clone(), rows(&runs, &[1, 2]));
    let (mut one, mut many) = (pin!(one), pin!(many));
    let mut are_both_under_way = async || {
        poll_fn(|context| {
            let one = one.as_mut().poll(context).is_pending();
            Poll::Ready(one && many.as_mut().poll(context).is_pending())
        })
        .await
    };
    eventually("the replay is under way", async || {
        assert!(are_both_under_way().await);
        proxy.wait_held(std::time::Duration::ZERO)
    })
    .await;
    assert_eq!(cache.queued_bumps(), 0, "or the looks would not begin");
    proxy.clear_hook();
    proxy.release();
    assert_eq!(one.await, ("row 1, run 1".to_owned(), Outcome::Bypass));
    assert_eq!(many.await, HashMap::from([(1, 1), (2, 0)]), "the other one is as it was");
    server.cli(&["REPLICAOF", "NO", "ONE"]);
    recovers(&cache).await;
}

/// I2: a master that is made a replica of one that lags behind, and keeps its connections. What it then
/// has is another's, so the connection is made ready anew.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_master_that_is_demoted_behind_a_kept_connection() {
    let (master, lagging) = (RedisServer::start(), RedisServer::start());
    let cache = cache_at(master.url()).await;
    let source = Source::default();
    call(&cache, &source).await;
    for key in master.keys("fragkeys:[tv]:*") {
        lagging.set_raw(&key, &master.get_raw(&key).unwrap());
    }
    cache.invalidate([row()]).await.unwrap();
    call(&cache, &source).await;
    assert_eq!(call(&cache, &source).await.0, "row 1, run 1");
    master.cli(&["REPLICAOF", "127.0.0.1", &lagging.port().to_string()]);
    eventually("it has the other's data", async || {
        master.cli(&["INFO", "replication"]).contains("master_link_status:up")
    })
    .await;
    assert_eq!(stands(&master, "Row:1"), stands(&lagging, "Row:1"), "which is an old version");
    let (value, outcome) = call(&cache, &Source { runs: 2.into() }).await;
    assert_eq!((value.as_str(), outcome), ("row 1, run 2", Outcome::Bypass));
    assert_eq!(cache.queued_bumps(), 1);
    master.cli(&["REPLICAOF", "NO", "ONE"]);
    recovers(&cache).await;
}
