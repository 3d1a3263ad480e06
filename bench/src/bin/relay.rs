//! From a commit in PostgreSQL to a reader who sees it: the relay bumps what a trigger wrote down.
//!
//! One process commits and reads, one after the other; the relay is a task of its own in it, with
//! a cache of its own. Measured from when the commit was answered until a strict read has it.

use std::time::Instant;

use fragkeys::{Cache, Config, TaggedModel, tagged_cache, with_cache};
use fragkeys_bench::machine;
use fragkeys_bench::report::{thousands, time};
use fragkeys_bench::results::Results;
use fragkeys_bench::statistic::percentile;
use fragkeys_postgres::{Outbox, Relay, trigger_sql};
use fragkeys_tests::{PostgresServer, RedisServer};
use tokio_postgres::{Client, NoTls};

#[derive(TaggedModel)]
#[tagged_model(table = "counters")]
#[allow(dead_code, reason = "PostgreSQL has the rows")]
struct Counter {
    id: i64,
}

#[tagged_cache(timeout = 3600, tags = ["Counter:1"], vary_on = [])]
async fn count(client: &Client) -> i64 {
    let row = client.query_one("SELECT count FROM counters WHERE id = 1", &[]).await;
    row.expect("our own server").get(0)
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--smoke"] => report(20, false).await,
        [] => report(5_000, true).await,
        _ => panic!("usage: relay [--smoke]"),
    }
}

async fn report(commits: usize, is_kept: bool) {
    let (database, redis) = (PostgresServer::start(), RedisServer::start());
    let sql =
        [Outbox::new().create_sql(), trigger_sql::<Counter>()].map(|sql| sql.expect("a model"));
    database.psql(&sql[0]);
    database.psql("CREATE TABLE counters (id bigint PRIMARY KEY, count bigint NOT NULL)");
    database.psql(&sql[1]);
    database.psql("INSERT INTO counters VALUES (1, 0)");
    let relay = Relay::new(&database.url(), cache(&redis).await).expect("a URL of ours");
    let health = relay.health();
    tokio::spawn(relay.run());
    while health.last_drained().is_none() {
        tokio::task::yield_now().await;
    }
    let (writer, reader) = (connect(&database).await, connect(&database).await);
    let measured = measure(&writer, &reader, commits);
    let mut latencies = with_cache(cache(&redis).await, measured).await;
    latencies.sort_unstable();
    let at = |share| time(percentile(&latencies, share) * 1e3);
    let text = format!(
        "# From a commit in PostgreSQL to a reader who sees it\n\nWritten by `bench/run relay`; \
         [how it is measured](../README.md).\n\n{}- PostgreSQL {}, `fsync` off\n\n\
         | commits | p50 | p99 | p99.9 | the last |\n|---|---|---|---|---|\n| {} | {} | {} | {} | {} |\n",
        machine::describe(),
        database.psql("SHOW server_version"),
        thousands(latencies.len() as u64),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    println!("{text}");
    Results::open(is_kept).write("relay.md", &text);
}

/// How long each commit, from when it was answered, took to be seen. In µs.
async fn measure(writer: &Client, reader: &Client, commits: usize) -> Vec<u32> {
    let mut latencies = Vec::with_capacity(commits);
    for expected in (1..).take(commits) {
        // So that there is an entry, which is old from then on.
        assert_eq!(count(reader).await, expected - 1);
        let write = "UPDATE counters SET count = count + 1";
        writer.batch_execute(write).await.expect("our own server");
        let committed = Instant::now();
        while count(reader).await != expected {}
        latencies.push(u32::try_from(committed.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    latencies
}

async fn cache(redis: &RedisServer) -> Cache {
    let config = Config::redis(redis.url()).operation_timeout(std::time::Duration::from_secs(10));
    config.build().await.expect("a URL of ours")
}

async fn connect(database: &PostgresServer) -> Client {
    let connected = tokio_postgres::connect(&database.url(), NoTls).await;
    let (client, connection) = connected.expect("our own server");
    tokio::spawn(connection);
    client
}
