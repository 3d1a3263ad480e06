//! One of the processes of a herd: many callers at once, spoken to line by line.
//!
//! `FRAGKEYS_URL` says where its cache is, or `HERD_CLUSTER` (URLs, with commas between); each run of
//! its function asks the source at `HERD_SOURCE`. `HERD_LEASE_WAIT` and `HERD_LEASE_TIMEOUT` in ms;
//! `HERD_THREADS`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's process ends loudly"
)]

use std::collections::BTreeSet;
use std::io::BufRead as _;
use std::sync::LazyLock;
use std::time::Duration;

use fragkeys::{Config, Tag, cache, evict, peek, refresh, tagged_cache};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

static SOURCE: LazyLock<String> = LazyLock::new(|| std::env::var("HERD_SOURCE").unwrap());

/// What the source says: a value, `err`, or `panic`; `unshared` is a value that is not cached.
async fn ask(id: u64) -> Result<String, String> {
    let mut stream = BufReader::new(TcpStream::connect(SOURCE.as_str()).await.unwrap());
    stream.write_all(format!("{id}\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_line(&mut answer).await.unwrap();
    match answer.trim_end() {
        "err" => Err("the source fails".to_owned()),
        "panic" => panic!("the source says so"),
        "" => panic!("the source is gone"),
        value => Ok(value.to_owned()),
    }
}

#[tagged_cache(
    timeout = 3600,
    tags = ["Row:<id>"],
    vary_on = [id],
    key_name = "herd::row",
    cache_if = |value| value != "unshared"
)]
async fn row(id: u64) -> Result<String, String> {
    ask(id).await
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id], key_name = "herd::unleased", lease = false)]
async fn unleased(id: u64) -> Result<String, String> {
    ask(id).await
}

type Calls = JoinSet<Result<String, String>>;

fn main() {
    let threads = number(std::env::var("HERD_THREADS").as_deref().unwrap_or("2"));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads).enable_all().build().unwrap().block_on(async {
        configured().install().await.unwrap();
        let mut calls = Calls::new();
        for line in std::io::stdin().lock().lines() {
            let line = line.unwrap();
            println!("{}", obey(&line.split(' ').collect::<Vec<_>>(), &mut calls).await);
        }
    });
}

fn configured() -> Config {
    let config = match std::env::var("HERD_CLUSTER") {
        Ok(urls) => Config::redis_cluster(urls.split(',')),
        Err(_) => Config::from_env().unwrap(),
    };
    // A busy machine may keep the server from answering for a while.
    let config = config.operation_timeout(PATIENCE).flight_wait(PATIENCE);
    let time =
        |name: &str| std::env::var(name).map(|time| Duration::from_millis(number(&time) as u64));
    let config = config.lease_wait(time("HERD_LEASE_WAIT").unwrap_or(PATIENCE));
    match time("HERD_LEASE_TIMEOUT") {
        Ok(timeout) => config.lease_timeout(timeout),
        Err(_) => config,
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

fn number(text: &str) -> usize {
    text.parse().unwrap()
}

async fn obey(words: &[&str], calls: &mut Calls) -> String {
    match words {
        // So many callers at once of so many ids, from the first on.
        ["call", name, callers, first, ids] => {
            let (callers, first, ids) = (number(callers), number(first), number(ids));
            for caller in 0..callers {
                let id = (first + caller % ids) as u64;
                let is_leased = *name == "row";
                calls.spawn(
                    async move { if is_leased { row(id).await } else { unleased(id).await } },
                );
            }
            "ok".to_owned()
        }
        ["refresh", id] => {
            let id = number(id) as u64;
            calls.spawn(async move { refresh(row(id)).await });
            "ok".to_owned()
        }
        ["evict", id] => evict(row(number(id) as u64)).await.to_string(),
        ["peek", id] => peek(row(number(id) as u64)).await.is_some().to_string(),
        ["misses"] => cache().stats().misses.to_string(),
        ["drop"] => {
            calls.abort_all();
            while calls.join_next().await.is_some() {}
            "ok".to_owned()
        }
        ["invalidate", id] => {
            cache().invalidate([Tag::new("Row", id)]).await.unwrap();
            "ok".to_owned()
        }
        ["invalidate-all"] => {
            cache().invalidate_all().await.unwrap();
            "ok".to_owned()
        }
        ["collect"] => collect(calls).await,
        other => panic!("unknown command {other:?}"),
    }
}

/// How many answered, how many values they had, how many errors and panics there were.
async fn collect(calls: &mut Calls) -> String {
    let (mut answers, mut errors, mut panics) = (0, 0, 0);
    let mut values = BTreeSet::new();
    while let Some(call) = calls.join_next().await {
        match call {
            Ok(Ok(value)) => {
                answers += 1;
                values.insert(value);
            }
            Ok(Err(_)) => {
                answers += 1;
                errors += 1;
            }
            Err(_) => panics += 1,
        }
    }
    format!("{answers} {} {errors} {panics}", values.len())
}
