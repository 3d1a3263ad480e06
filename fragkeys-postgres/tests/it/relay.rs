//! From a commit to its bumps, while nothing fails.

use std::collections::BTreeMap;
use std::time::Duration;

use fragkeys::{Config, Tag, observe, tagged_cache, with_cache};
use fragkeys_postgres::{Outbox, Relay};
use fragkeys_tests::{Action, Proxy, RedisServer};

use crate::support::{
    Running, bump_all, bumped, cache, connect, database, eventually, patient, versions, waiting,
};

/// So long that only a notification can have woken a relay.
const NEVER: Duration = Duration::from_secs(86_400);

fn donation(id: i64) -> Tag {
    Tag::new("Donations", id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_wakes_the_relay_and_what_was_cached_misses() {
    #[tagged_cache(tags = ["Donations:org:<organization>"], vary_on = [organization])]
    async fn amounts(client: &tokio_postgres::Client, organization: i64) -> Vec<i64> {
        let sql = "SELECT amount FROM donations WHERE organization = $1 ORDER BY id";
        let rows = client.query(sql, &[&organization]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    let (server, redis) = (database(), RedisServer::start());
    let (client, cache) = (&connect(&server.url()).await, cache(&redis).await);
    let relay = Relay::new(&server.url(), cache.clone()).unwrap().poll_every(NEVER);
    let health = relay.health();
    let _running = Running::start(relay);
    eventually("the first look", async || health.last_drained().is_some()).await;
    assert!(health.is_connected());

    with_cache(cache, async {
        assert_eq!(amounts(client, 7).await, Vec::<i64>::new());
        assert_eq!(observe(amounts(client, 7)).await.1.unwrap().to_string(), "hit");
        server.psql("INSERT INTO donations VALUES (1, 7, 100)");
        eventually("the new row", async || amounts(client, 7).await == [100]).await;
        server.psql("UPDATE donations SET amount = 200");
        eventually("the new amount", async || amounts(client, 7).await == [200]).await;
    })
    .await;
    eventually("all to be relayed", async || health.relayed() == 4).await;
    assert_eq!((health.backlog(), health.refused()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outbox_that_wakes_nobody_is_looked_at() {
    let (server, redis) = (database(), RedisServer::start());
    server.psql(&Outbox::new().without_notify().create_sql().unwrap());
    let cache = cache(&redis).await;
    let before = bump_all(&cache, &[donation(1)]).await;
    let relay = Relay::new(&server.url(), cache).unwrap().poll_every(Duration::from_millis(20));
    let health = relay.health();
    let _running = Running::start(relay);
    eventually("the first look", async || health.last_drained().is_some()).await;
    server.psql("INSERT INTO donations VALUES (1, 7)");
    bumped(&redis, &donation(1), &before).await;
}

/// Ids are given in the order of the statements and become visible in that of the commits.
#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_commits_late_under_an_early_id_is_not_passed_over() {
    let (server, redis) = (database(), RedisServer::start());
    let cache = cache(&redis).await;
    let before = bump_all(&cache, &[donation(1), donation(2), donation(3)]).await;
    let relay = Relay::new(&server.url(), cache).unwrap().poll_every(NEVER);
    let _running = Running::start(relay);

    let (early, late) = (connect(&server.url()).await, connect(&server.url()).await);
    early.batch_execute("BEGIN; INSERT INTO donations VALUES (1)").await.unwrap();
    late.batch_execute("BEGIN; INSERT INTO donations VALUES (3); ROLLBACK").await.unwrap();
    late.batch_execute("INSERT INTO donations VALUES (2)").await.unwrap();
    bumped(&redis, &donation(2), &before).await;
    eventually("the outbox to be empty", async || waiting(&late).await == 0).await;
    assert_eq!(versions(&redis, &[donation(1)])[&donation(1)], before[&donation(1)]);

    early.batch_execute("COMMIT").await.unwrap();
    bumped(&redis, &donation(1), &before).await;
    assert_eq!(versions(&redis, &[donation(3)])[&donation(3)], before[&donation(3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_relays_take_different_tags() {
    let (server, redis) = (database(), RedisServer::start());
    let proxy = Proxy::to(redis.port());
    let tags: Vec<Tag> = (1..=1_000).map(donation).collect();
    let before = bump_all(&cache(&redis).await, &tags).await;
    let client = connect(&server.url()).await;
    server.psql("INSERT INTO donations SELECT i FROM generate_series(1, 1000) AS i");

    // The first one stands still with some locked.
    let slow = patient(&proxy.url()).await;
    proxy.on_request(Box::new(|bytes| {
        if contains(bytes, b"EVAL") { Action::Hold } else { Action::Forward }
    }));
    let first = Relay::new(&server.url(), slow).unwrap().batch_size(100).poll_every(NEVER);
    let _first = Running::start(first);
    eventually("the first one to hold", async || proxy.wait_held(Duration::from_millis(1))).await;

    let second = Relay::new(&server.url(), cache(&redis).await).unwrap().batch_size(100);
    let _second = Running::start(second);
    eventually("the second one's to be gone", async || waiting(&client).await == 100).await;
    let held = changed(&before, &versions(&redis, &tags));
    assert_eq!(held, 900);

    proxy.clear_hook();
    proxy.release();
    eventually("all to be gone", async || waiting(&client).await == 0).await;
    assert_eq!(changed(&before, &versions(&redis, &tags)), 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_bump_does_not_stop_the_others() {
    let (server, redis) = (database(), RedisServer::start());
    let cache = cache(&redis).await;
    let before = bump_all(&cache, &[donation(1), donation(2)]).await;
    server.psql(
        "INSERT INTO fragkeys.outbox (tag)
         VALUES ('=env:test'), ('Donations:1'), (''), ('@:1:somebody'), ('Donations:2')",
    );
    let relay = Relay::new(&server.url(), cache).unwrap();
    let health = relay.health();
    let _running = Running::start(relay);
    bumped(&redis, &donation(1), &before).await;
    bumped(&redis, &donation(2), &before).await;
    eventually("all to be gone", async || health.refused() == 3).await;
    assert_eq!(health.relayed(), 2);
    assert_eq!(server.psql("SELECT count(*) FROM fragkeys.outbox"), "0");
}

/// As a master of a cluster that is away, or a key that this user may not write: what comes behind
/// it goes through.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_bumped_now_does_not_stop_the_others() {
    let (server, redis) = (database(), RedisServer::start());
    let tags: Vec<Tag> = (1..=4).map(donation).collect();
    let before = bump_all(&cache(&redis).await, &tags).await;
    redis.cli(&["ACL", "SETUSER", "relay", "on", ">secret", "+@all", "resetkeys", "~fragkeys:*"]);
    let url = redis.url().replace("redis://", "redis://relay:secret@");
    let cache = Config::redis(url).operation_timeout(Duration::from_secs(20));
    // The oldest ones, and more than a batch; one stands beside one that can be bumped.
    server.psql(
        "INSERT INTO fragkeys.outbox (tag) SELECT '~other:' || i FROM generate_series(1, 5) AS i;
         INSERT INTO donations SELECT i FROM generate_series(1, 2) AS i",
    );
    let relay = Relay::new(&server.url(), cache.build().await.unwrap()).unwrap().batch_size(2);
    let health = relay.health();
    let _running = Running::start(relay);
    bumped(&redis, &tags[1], &before).await;
    eventually("the others to be held", async || health.held() == 5).await;
    let client = connect(&server.url()).await;
    eventually("only those to be left", async || waiting(&client).await == 5).await;
    server.psql("INSERT INTO donations SELECT i FROM generate_series(3, 4) AS i");
    bumped(&redis, &tags[3], &before).await;
    eventually("only those to be left again", async || waiting(&client).await == 5).await;
    assert_eq!(health.last_drained(), None);
    redis.cli(&["ACL", "SETUSER", "relay", "allkeys"]);
    eventually("all to be gone", async || waiting(&client).await == 0).await;
    eventually("none to be held", async || health.held() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_star_bumps_the_whole_cache() {
    let (server, redis) = (database(), RedisServer::start());
    let cache = cache(&redis).await;
    let entry = cache.entry("anything").tag(Tag::new("Other", 1));
    entry.set(&5).await.unwrap();
    let _running = Running::start(Relay::new(&server.url(), cache).unwrap());
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(5));
    server.psql("SELECT fragkeys.bump('*')");
    eventually("the entry to be gone", async || entry.get::<i32>().await.unwrap().is_none()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_tags_come_in_smaller_batches() {
    let (server, redis) = (database(), RedisServer::start());
    server.psql("INSERT INTO fragkeys.outbox (tag) SELECT i || repeat('x', 1500000) FROM generate_series(1, 9) AS i");
    let relay = Relay::new(&server.url(), patient(&redis.url()).await).unwrap().poll_every(NEVER);
    let health = relay.health();
    let _running = Running::start(relay);
    eventually("all to be relayed", async || health.relayed() == 9).await;
    assert_eq!(redis.keys("fragkeys:t:*").len(), 9);
    // The program loads once, and then one call a batch: 3 tags each.
    let calls = redis.command_calls("evalsha") + redis.command_calls("eval");
    assert!(calls >= 3, "{calls}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_measured_and_told() {
    let (server, mut redis) = (database(), RedisServer::start());
    let config = Config::redis(redis.url()).operation_timeout(Duration::from_millis(200));
    let relay = Relay::new(&server.url(), config.build().await.unwrap()).unwrap().large_backlog(5);
    let health = relay.health();
    redis.kill();
    server.psql("INSERT INTO donations SELECT i FROM generate_series(1, 25) AS i");
    let _running = Running::start(relay);
    eventually("a measurement", async || health.backlog() == 25).await;
    assert!(health.oldest() > Duration::ZERO);
    assert_eq!((health.relayed(), health.last_drained()), (0, None));
    redis.restart();
    eventually("all to be relayed", async || health.relayed() == 25).await;
    assert_eq!((health.backlog(), health.oldest()), (0, Duration::ZERO));
}

pub(crate) fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

fn changed(before: &BTreeMap<Tag, String>, after: &BTreeMap<Tag, String>) -> usize {
    after.iter().filter(|(tag, version)| before[*tag] != **version).count()
}
