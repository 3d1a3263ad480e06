//! A database with donations, and what becomes of tags.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, Tag, TaggedModel};
use fragkeys_postgres::{Outbox, Relay, trigger_sql};
use fragkeys_tests::{Child, PostgresServer, RedisServer};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_fragkeys-postgres");

/// A machine may have other things to do.
const DEADLINE: Duration = Duration::from_secs(120);

#[derive(TaggedModel)]
#[tagged_model(
    name = "Donations",
    table = "donations",
    columns = [organization_id = "organization"],
    scopes = ["Donations:org:<organization_id>"],
)]
#[allow(dead_code, reason = "PostgreSQL has the rows")]
pub(crate) struct Donation {
    id: i64,
    organization_id: Option<i64>,
}

pub(crate) const TABLE: &str = "CREATE TABLE donations (id bigint PRIMARY KEY, organization bigint, amount bigint NOT NULL DEFAULT 0);";

/// A server with the outbox, the table and its triggers.
pub(crate) fn database() -> PostgresServer {
    let server = PostgresServer::start();
    server.psql(&Outbox::new().create_sql().unwrap());
    server.psql(TABLE);
    server.psql(&trigger_sql::<Donation>().unwrap());
    server
}

/// The tags that these statements put into the outbox, which is empty then.
pub(crate) fn tags_of(server: &PostgresServer, sql: &str) -> BTreeSet<String> {
    server.psql(&format!("{sql};"));
    taken(server)
}

pub(crate) fn taken(server: &PostgresServer) -> BTreeSet<String> {
    let tags = server.psql("DELETE FROM fragkeys.outbox RETURNING tag");
    tags.lines().map(str::to_owned).collect()
}

pub(crate) fn set<const N: usize>(tags: [&str; N]) -> BTreeSet<String> {
    tags.into_iter().map(str::to_owned).collect()
}

pub(crate) async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) async fn cache(redis: &RedisServer) -> Cache {
    patient(&redis.url()).await
}

/// Whose answer can be waited for on a machine that has other things to do.
pub(crate) async fn patient(url: &str) -> Cache {
    Config::redis(url).operation_timeout(Duration::from_secs(20)).build().await.unwrap()
}

/// A relay of this process, until it is dropped.
pub(crate) struct Running(JoinHandle<()>);

impl Running {
    pub(crate) fn start(relay: Relay) -> Self {
        Running(tokio::spawn(async move {
            let error = relay.run().await.unwrap_err();
            panic!("the relay ended: {error}");
        }))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The program as a process.
pub(crate) fn relay_process(database: &str, redis: &str, more: &[&str]) -> Child {
    let mut args = vec!["relay"];
    args.extend(more);
    let envs =
        [("DATABASE_URL", database), ("FRAGKEYS_URL", redis), ("FRAGKEYS_PREFIX", "fragkeys")];
    Child::start(PROGRAM, &args, &envs)
}

pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !is_so().await {
        assert!(Instant::now() < deadline, "still waiting after {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn waiting(client: &Client) -> i64 {
    client.query_one("SELECT count(*) FROM fragkeys.outbox", &[]).await.unwrap().get(0)
}

/// Gives each of these tags a version, and tells it: so few at once that it stands in Redis.
pub(crate) async fn bump_all(cache: &Cache, tags: &[Tag]) -> BTreeMap<Tag, String> {
    let mut versions = BTreeMap::new();
    for some in tags.chunks(100) {
        let bumped = cache.invalidate(some).await.unwrap();
        versions.extend(bumped.iter().map(|(tag, version)| (tag.clone(), version.to_string())));
    }
    versions
}

/// The versions as they stand in Redis, which no read changes.
pub(crate) fn versions(redis: &RedisServer, tags: &[Tag]) -> BTreeMap<Tag, String> {
    let mut versions = BTreeMap::new();
    for some in tags.chunks(1_000) {
        let keys: Vec<String> = some.iter().map(|tag| format!("fragkeys:t:{tag}")).collect();
        let mut command: Vec<&[u8]> = vec![b"MGET"];
        command.extend(keys.iter().map(String::as_bytes));
        let reply = redis.command(&command).to_text();
        let texts: Vec<&str> = reply.lines().collect();
        assert_eq!(texts.len(), some.len(), "{reply}");
        versions.extend(some.iter().cloned().zip(texts.into_iter().map(str::to_owned)));
    }
    versions
}

/// Waits until this tag has another version than this.
pub(crate) async fn bumped(redis: &RedisServer, tag: &Tag, before: &BTreeMap<Tag, String>) {
    eventually("a bump", async || versions(redis, std::slice::from_ref(tag))[tag] != before[tag])
        .await;
}
