//! Whatever dies on the way, every tag of a commit is bumped, and no other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fragkeys::Tag;
use fragkeys_postgres::Relay;
use fragkeys_tests::{Action, Proxy, RedisServer};
use rustix::process::{Pid, Signal, kill_process};

use crate::relay::contains;
use crate::support::{
    Running, bump_all, bumped, cache, connect, database, eventually, relay_process, versions,
    waiting,
};

/// Holds the request that is the n-th with this word, and all that come behind it.
fn hold_at(proxy: &Proxy, word: &'static [u8], n: usize) {
    let seen = Arc::new(AtomicUsize::new(0));
    proxy.on_request(Box::new(move |bytes| {
        let is_it = contains(bytes, word) && seen.fetch_add(1, Ordering::SeqCst) + 1 >= n;
        if is_it { Action::Hold } else { Action::Forward }
    }));
}

async fn held(proxy: &Proxy) {
    eventually("something to be held", async || proxy.wait_held(Duration::from_millis(1))).await;
}

/// Donations, organizations, and what has nothing to do with either.
fn tags(
    donations: std::ops::RangeInclusive<i64>,
    organizations: std::ops::Range<i64>,
) -> BTreeSet<Tag> {
    let donations = donations.map(|id| Tag::new("Donations", id));
    let organizations = organizations.map(|id| Tag::scoped("Donations", "org", id));
    donations.chain(organizations).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_update_bumps_every_tag_and_no_other_whatever_dies_meanwhile() {
    let mut server = database();
    // So that versions outlive it: those of tags that were not bumped must be the same.
    let mut redis = RedisServer::start_with(&["--appendonly", "yes"]);
    server.psql("INSERT INTO donations SELECT i, i % 10 FROM generate_series(1, 11000) AS i; DELETE FROM fragkeys.outbox");
    let mut affected = tags(1..=10_000, 0..10);
    affected.extend((1_000..1_010).map(|id| Tag::scoped("Donations", "org", id)));
    let mut others = tags(10_001..=11_000, 10..20);
    others.insert(Tag::global("Dashboard"));
    let all: Vec<Tag> = affected.union(&others).cloned().collect();
    let before = bump_all(&cache(&redis).await, &all).await;

    let (to_database, to_redis) = (Proxy::to(server.port()), Proxy::to(redis.port()));
    let start = || {
        let database = server.url_through(to_database.port());
        relay_process(&database, &to_redis.url(), &["--batch", "200", "--poll-ms", "50"])
    };

    // Killed while a bump is on its way to Redis, after some others.
    hold_at(&to_redis, b"EVAL", 5);
    let mut relay = start();
    server.psql("UPDATE donations SET organization = organization + 1000 WHERE id <= 10000");
    held(&to_redis).await;
    relay.kill();
    to_redis.clear_hook();
    to_redis.cut();
    let left = server.psql("SELECT count(*) FROM fragkeys.outbox").parse::<usize>().unwrap();
    assert!((1..10_020).contains(&left), "{left} left: it was in the middle");

    // Killed when Redis has the bumps and PostgreSQL does not have the COMMIT.
    hold_at(&to_database, b"COMMIT", 3);
    let mut relay = start();
    held(&to_database).await;
    relay.kill();
    to_database.clear_hook();
    to_database.cut();

    // Redis goes away under a relay that has work to do.
    hold_at(&to_redis, b"EVAL", 3);
    let mut relay = start();
    held(&to_redis).await;
    redis.kill();
    to_redis.clear_hook();
    to_redis.release();
    let attempts = to_redis.accepted();
    eventually("it to try again", async || to_redis.accepted() > attempts).await;
    let left = server.psql("SELECT count(*) FROM fragkeys.outbox").parse::<usize>().unwrap();
    assert!(left > 0);

    // And PostgreSQL as well.
    server.restart();
    redis.restart();
    let client = connect(&server.url()).await;
    eventually("the outbox to be empty", async || waiting(&client).await == 0).await;
    kill_process(Pid::from_raw(i32::try_from(relay.pid()).unwrap()).unwrap(), Signal::TERM)
        .unwrap();
    assert!(relay.wait().success());

    let after = versions(&redis, &all);
    let bumped: BTreeSet<Tag> =
        all.iter().filter(|tag| before[*tag] != after[*tag]).cloned().collect();
    assert_eq!(bumped.len(), affected.len());
    assert!(bumped == affected);
    assert!(
        affected
            .iter()
            .all(|tag| after[tag].parse::<u64>().unwrap() > before[tag].parse().unwrap())
    );
}

/// Neither data nor the end of the connection comes: only a clock can tell.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_hangs_is_given_up() {
    let (server, redis) = (database(), RedisServer::start());
    let proxy = Proxy::to(server.port());
    let cache = cache(&redis).await;
    let tag = Tag::new("Donations", 1);
    let before = bump_all(&cache, std::slice::from_ref(&tag)).await;
    let relay = Relay::new(&server.url_through(proxy.port()), cache).unwrap();
    let health = relay.health();
    let _running = Running::start(relay);
    eventually("the first look", async || health.last_drained().is_some()).await;
    proxy.black_hole();
    server.psql("INSERT INTO donations VALUES (1)");
    eventually("it to be given up", async || !health.is_connected()).await;
    proxy.pass();
    bumped(&redis, &tag, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_server_need_be_up_at_the_start() {
    let (mut server, mut redis) = (database(), RedisServer::start());
    let tag = Tag::new("Donations", 1);
    server.psql("INSERT INTO donations VALUES (1)");
    server.kill();
    redis.kill();
    let proxy = Proxy::to(server.port());
    let _relay = relay_process(&server.url_through(proxy.port()), &redis.url(), &[]);
    eventually("an attempt", async || proxy.accepted() > 1).await;
    server.restart();
    redis.restart();
    let key = format!("fragkeys:t:{tag}");
    eventually("the bump", async || redis.get_raw(&key).is_some()).await;
    let client = connect(&server.url()).await;
    eventually("the outbox to be empty", async || waiting(&client).await == 0).await;
}
