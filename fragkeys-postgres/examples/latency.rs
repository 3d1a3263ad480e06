//! From a commit to a reader who sees it: 1,000 commits, one after the other, on servers that this
//! program starts.
//!
//! `cargo run --release -p fragkeys-postgres --example latency` prints p50 and p99.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a measurement ends loudly")]

use std::process::Command;
use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, TaggedModel, tagged_cache, with_cache};
use fragkeys_postgres::{Outbox, Relay, trigger_sql};
use fragkeys_tests::{PostgresServer, RedisServer};
use tokio_postgres::{Client, NoTls};

const COMMITS: usize = 1_000;

#[derive(TaggedModel)]
#[tagged_model(table = "counters")]
#[allow(dead_code, reason = "PostgreSQL has the rows")]
struct Counter {
    id: i64,
}

#[tagged_cache(tags = ["Counter:1"], vary_on = [])]
async fn count(client: &Client) -> i64 {
    client.query_one("SELECT count FROM counters WHERE id = 1", &[]).await.unwrap().get(0)
}

#[tokio::main]
async fn main() {
    let (database, redis) = (PostgresServer::start(), RedisServer::start());
    database.psql(&Outbox::new().create_sql().unwrap());
    database.psql("CREATE TABLE counters (id bigint PRIMARY KEY, count bigint NOT NULL)");
    database.psql(&trigger_sql::<Counter>().unwrap());
    database.psql("INSERT INTO counters VALUES (1, 0)");

    let relay = Relay::new(&database.url(), cache(&redis).await).unwrap();
    let health = relay.health();
    tokio::spawn(relay.run());
    while health.last_drained().is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (writer, reader) = (connect(&database).await, connect(&database).await);
    let mut times = with_cache(cache(&redis).await, measure(&writer, &reader)).await;
    times.sort_unstable();
    report(&database, &times);
}

/// How long each commit, from when it was answered, took to be seen.
async fn measure(writer: &Client, reader: &Client) -> Vec<Duration> {
    let mut times = Vec::with_capacity(COMMITS);
    for expected in 1.. {
        if times.len() == COMMITS {
            break;
        }
        // So that there is an entry, which is old from then on.
        assert_eq!(count(reader).await, expected - 1);
        writer.batch_execute("UPDATE counters SET count = count + 1").await.unwrap();
        let committed = Instant::now();
        while count(reader).await != expected {}
        times.push(committed.elapsed());
    }
    times
}

async fn cache(redis: &RedisServer) -> Cache {
    // Nothing is hurried here: a late answer is to be waited for, and to be measured.
    let config = Config::redis(redis.url()).operation_timeout(Duration::from_secs(10));
    config.build().await.unwrap()
}

async fn connect(database: &PostgresServer) -> Client {
    let (client, connection) = tokio_postgres::connect(&database.url(), NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn report(database: &PostgresServer, times: &[Duration]) {
    let at = |share: f64| {
        let index = (share * (times.len() - 1) as f64).round() as usize;
        format!("{:.2} ms", times[index].as_secs_f64() * 1_000.0)
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let system = Command::new("uname").arg("-sr").output().map(|output| output.stdout);
    let version = redis_version();
    println!(
        "- {}, {cores} cores, {}",
        model.unwrap_or("unknown processor"),
        text(&system.unwrap_or_default())
    );
    println!("- PostgreSQL {}, {version}, fsync off", database.psql("SHOW server_version"));
    println!(
        "- {} build; load average afterwards {}",
        profile(),
        load.split(' ').next().unwrap_or("?")
    );
    println!("\n| commits | p50 | p90 | p99 | longest |\n|---:|---:|---:|---:|---:|");
    println!("| {} | {} | {} | {} | {} |", times.len(), at(0.5), at(0.9), at(0.99), at(1.0));
}

fn redis_version() -> String {
    let output = Command::new("redis-server").arg("--version").output();
    let said = output.map(|output| text(&output.stdout)).unwrap_or_default();
    said.split(" sha").next().unwrap_or_default().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "release" }
}
