//! The invariants I1–I4, each race forced, over real Redis and between real processes.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fragkeys::{Cache, Outcome, Tag, Version, observe, tagged_cache, with_cache};
use fragkeys_tests::{Child, RedisServer};
use tokio::sync::Barrier;

use crate::support::{ask, memory_cache, redis_cache, worker};

/// A database row, and the points at which a run of the function below waits for the test.
#[derive(Default)]
struct Row {
    value: AtomicU64,
    runs: AtomicU32,
    gate: Option<(Barrier, Barrier)>,
}

impl Row {
    fn gated() -> Self {
        Row { gate: Some((Barrier::new(2), Barrier::new(2))), ..Row::default() }
    }

    fn write(&self, value: u64) {
        self.value.store(value, Ordering::SeqCst);
    }
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn read_row(row: &Row, id: u64) -> u64 {
    row.runs.fetch_add(1, Ordering::SeqCst);
    let value = row.value.load(Ordering::SeqCst);
    if let Some((has_read, may_return)) = &row.gate {
        has_read.wait().await;
        may_return.wait().await;
    }
    value
}

/// I1, I2: a bump during a run makes the run's result unreachable.
async fn a_bump_during_a_run(cache: Cache) {
    let row = Row::gated();
    let (has_read, may_return) = row.gate.as_ref().unwrap();
    let writer = async {
        has_read.wait().await;
        row.write(1);
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        may_return.wait().await;
    };
    let run = with_cache(cache.clone(), read_row(&row, 1));
    let (old, ()) = tokio::join!(run, writer);
    assert_eq!(old, 0, "this call began before the bump");

    let ungated = Row::default();
    ungated.write(1);
    let next = with_cache(cache, observe(read_row(&ungated, 1))).await;
    assert_eq!(next, (1, Some(Outcome::Miss)), "the value from before the bump is not found");
}

#[tokio::test]
async fn i1_a_bump_during_a_run_in_memory() {
    a_bump_during_a_run(memory_cache().await).await;
}

#[tokio::test]
async fn i1_a_bump_during_a_run_in_redis() {
    let server = RedisServer::start();
    a_bump_during_a_run(redis_cache(&server).await).await;
}

/// I1: also a tag that was missing before the run is not read again after it.
#[tokio::test]
async fn i1_a_tag_lost_during_a_run() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let row = Row::gated();
    let (has_read, may_return) = row.gate.as_ref().unwrap();
    let loser = async {
        has_read.wait().await;
        server.flushall();
        may_return.wait().await;
    };
    tokio::join!(with_cache(cache.clone(), read_row(&row, 1)), loser);
    let ungated = Row::default();
    with_cache(cache, read_row(&ungated, 1)).await;
    assert_eq!(ungated.runs.load(Ordering::SeqCst), 1);
}

/// I2: a call after another process's bump sees it; each write is read back at once.
#[test]
fn i2_a_bump_in_another_process_is_seen_by_the_next_call() {
    let server = RedisServer::start();
    let (mut writer, mut reader) = (worker(&server), worker(&server));
    for row in 0..500 {
        ask(&mut reader, &format!("set {row}"));
        ask(&mut writer, "invalidate 1");
        assert_eq!(ask(&mut reader, "call 1"), format!("miss {row}"));
        assert_eq!(ask(&mut reader, "call 1"), format!("hit {row}"));
        // The writer did not bump by itself, and finds what the reader stored.
        assert_eq!(ask(&mut writer, "call 1"), format!("hit {row}"));
    }
}

/// I2: a process that is killed in the middle of things leaves nothing wrong behind.
#[test]
fn i2_a_killed_process_leaves_entries_and_versions_right() {
    let server = RedisServer::start();
    let (mut killed, mut other) = (worker(&server), worker(&server));
    ask(&mut killed, "set 1");
    assert_eq!(ask(&mut killed, "call 1"), "miss 1");
    killed.kill();
    assert_eq!(ask(&mut other, "call 1"), "hit 1");
    ask(&mut other, "set 2");
    ask(&mut other, "invalidate 1");
    assert_eq!(ask(&mut other, "call 1"), "miss 2");
}

/// I3: 1,000 bumps from 4 processes at once, all distinct, growing in each, none lost.
#[test]
fn i3_concurrent_bumps_from_four_processes_are_all_distinct_and_growing() {
    let server = RedisServer::start();
    let mut workers: Vec<Child> = (0..4).map(|_| worker(&server)).collect();
    for worker in &mut workers {
        ask(worker, "describe"); // It is up.
    }
    for worker in &mut workers {
        worker.send_line("bump User:1 250");
    }
    let mut all = BTreeSet::new();
    for worker in &mut workers {
        let line = worker.read_line();
        let versions: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
        assert_eq!(versions.len(), 250);
        all.extend(versions);
    }
    assert_eq!(all.len(), 1_000, "each bump gave a version of its own");
    let last: u64 = server.cli(&["GET", "fragkeys:t:User:1"]).parse().unwrap();
    assert_eq!(all.last(), Some(&last), "the newest is the one that stands");
}

/// I3: whatever happens to a tag's key, the next version was never there before.
#[tokio::test]
async fn i3_no_version_comes_twice() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let tag = Tag::new("User", 1);
    let key = "fragkeys:t:User:1";
    let mut seen: BTreeSet<Version> = BTreeSet::new();
    let mut see = |version: Version, what: &str| {
        assert!(seen.last().is_none_or(|last| *last < version), "not above all before: {what}");
        assert!(seen.insert(version), "seen before: {what}");
    };
    see(cache.tag_version(&tag).await.unwrap(), "the first");
    let accidents: [(&str, &[&str]); 9] = [
        ("evicted", &["DEL", key]),
        ("flushed", &["FLUSHALL"]),
        ("expired", &["PEXPIRE", key, "0"]),
        ("overwritten with text", &["SET", key, "garbage"]),
        ("overwritten with a small number", &["SET", key, "17"]),
        ("overwritten with a leading zero", &["SET", key, "0795396799063214000"]),
        ("overwritten with a negative number", &["SET", key, "-1795396799063214000"]),
        ("overwritten with too large a number", &["SET", key, "99999999999999999999999"]),
        ("overwritten with nothing", &["SET", key, ""]),
    ];
    for (what, command) in accidents {
        server.cli(command);
        see(cache.tag_version(&tag).await.unwrap(), what);
        server.cli(command);
        see(cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap(), what);
    }
    // Another type at the key.
    server.cli(&["DEL", key]);
    server.cli(&["RPUSH", key, "a"]);
    see(cache.tag_version(&tag).await.unwrap(), "a list, read");
    server.cli(&["DEL", key]);
    server.cli(&["HSET", key, "a", "b"]);
    see(cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap(), "a hash, bumped");
}

/// I3: a plain `INCR` by any client is a bump, of a tag that is there and of one that is not.
#[tokio::test]
async fn i3_a_foreign_incr_is_a_bump() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let entry = cache.entry("x").tag("User:1");
    for is_there in [true, false] {
        entry.set(&1).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
        if !is_there {
            server.cli(&["DEL", "fragkeys:t:User:1"]);
        }
        server.cli(&["INCR", "fragkeys:t:User:1"]);
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
        let version = u64::from(cache.tag_version(&"User:1".into()).await.unwrap());
        assert!(version > 1_000_000_000_000_000_000, "{version} is a clock's number");
    }
}

/// I3: a clock that went back, as after a failover: the version still grows.
#[tokio::test]
async fn i3_a_version_from_the_future_still_grows() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let tag = Tag::new("User", 1);
    for future in ["3000000000000000000", "9223372036854775806"] {
        server.cli(&["SET", "fragkeys:t:User:1", future]);
        let read = cache.tag_version(&tag).await.unwrap();
        assert_eq!(read.to_string(), future);
        let bumped = cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap();
        assert_eq!(u64::from(bumped), u64::from(read) + 1);
    }
    // The largest number of all cannot grow; another one it must be.
    let stuck = cache.tag_version(&tag).await.unwrap();
    let bumped = cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap();
    assert_ne!(bumped, stuck);
}

/// I3: a restart that loses everything does not bring an old entry back.
#[tokio::test]
async fn i3_a_restarted_server_starts_with_fresh_versions() {
    let mut server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let entry = cache.entry("x").tag("User:1");
    entry.set(&1).await.unwrap();
    let key = entry.key().await.unwrap();
    let bytes = server.get_raw(&key).unwrap();
    let before = cache.tag_version(&"User:1".into()).await.unwrap();
    server.kill();
    server.restart();
    // The entry survives somehow; its tags do not.
    server.set_raw(&key, &bytes);
    crate::support::eventually("it is connected again", async || entry.key().await.is_ok()).await;
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
    assert!(cache.tag_version(&"User:1".into()).await.unwrap() > before);
}

/// I3: a tag outlives the entries that depend on it.
#[tokio::test]
async fn i3_a_tag_lives_longer_than_its_entries() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let year = std::time::Duration::from_secs(365 * 86_400);
    cache.entry("x").tag("Long").timeout(year).set(&1).await.unwrap();
    cache.entry("x").tag("Usual").set(&1).await.unwrap();
    cache.entry("x").tag("Asked").get::<i32>().await.unwrap();
    cache.invalidate(["Bumped"]).await.unwrap();
    let lifetime = |key: &str| server.cli(&["PTTL", key]).parse::<u128>().unwrap();
    assert!(lifetime("fragkeys:t:Long") > year.as_millis());
    let month = 30 * 86_400_000;
    for (key, expected) in [("Usual", month), ("Bumped", month), ("Asked", 7_200_000)] {
        // Made-up names that nothing is stored for do not fill Redis for long.
        let lifetime = lifetime(&format!("fragkeys:t:{key}"));
        assert!((expected - 60_000..=expected).contains(&lifetime), "{key}: {lifetime} ms");
    }
    assert!(lifetime("fragkeys:t:*") >= month);
    for key in server.keys("fragkeys:v:*") {
        assert!((1..=year.as_millis()).contains(&lifetime(&key)), "an entry without a timeout");
    }
}

/// I3: also a tag that was first asked for by a function which keeps nothing, or not for long.
#[tokio::test]
async fn i3_whoever_stores_makes_the_tags_last() {
    let server = RedisServer::start();
    let (short, long) = (redis_cache(&server).await, redis_cache(&server).await);
    let second = std::time::Duration::from_secs(1);
    short.entry("short").tag("T").timeout(second).get::<i32>().await.unwrap();
    let lifetime = || server.cli(&["PTTL", "fragkeys:t:T"]).parse::<u64>().unwrap();
    // Long enough for a slow run.
    assert!((3_000_000..=3_600_000).contains(&lifetime()));
    long.entry("long").tag("T").timeout(second * 7_200).set(&1).await.unwrap();
    assert!(lifetime() > 29 * 86_400_000);
    // A shorter one does not take that back.
    short.entry("short").tag("T").timeout(second).set(&1).await.unwrap();
    assert!(lifetime() > 29 * 86_400_000);
    let year = std::time::Duration::from_secs(365 * 86_400);
    long.entry("longer").tag("T").timeout(year).set(&1).await.unwrap();
    assert!(u128::from(lifetime()) > year.as_millis());
}

/// I4: two identities under one 128-bit hash, as a collision would put them.
#[tokio::test]
async fn i4_a_collision_of_hashes_is_a_miss() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let (one, two) = (cache.entry("x").group("one"), cache.entry("x").group("two"));
    one.set(&1).await.unwrap();
    let entry = server.get_raw(&one.key().await.unwrap()).unwrap();
    server.set_raw(&two.key().await.unwrap(), &entry);
    assert_eq!(two.get::<i32>().await.unwrap(), None);
    assert_eq!(cache.stats().rejected, 1);
    // The same between two versions of one tag.
    let tagged = cache.entry("x").tag("T");
    tagged.set(&1).await.unwrap();
    let old = server.get_raw(&tagged.key().await.unwrap()).unwrap();
    cache.invalidate(["T"]).await.unwrap();
    server.set_raw(&tagged.key().await.unwrap(), &old);
    assert_eq!(tagged.get::<i32>().await.unwrap(), None);
}
