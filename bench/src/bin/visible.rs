//! A bump in one process: how soon is it seen by near hits in another?
//!
//! The child calls a cached function of each tag again and again, from its near tier, and tells the
//! parent each new value. The parent writes a row, bumps its tag, and measures from the `Ok` until it
//! is told; so the way back from the child is in the numbers.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fragkeys::{Config, Near, tagged_cache};
use fragkeys_bench::machine;
use fragkeys_bench::report::{thousands, time};
use fragkeys_bench::results::Results;
use fragkeys_bench::statistic::percentile;
use fragkeys_tests::{Child, RedisServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Tags that are bumped at the same time, each with a reader that does nothing else.
const TAGS: u64 = 16;
/// The argument that makes this program the child.
const READ: &str = "read";

/// The "database": a number for each tag, in a file.
static ROWS: OnceLock<File> = OnceLock::new();

#[tagged_cache(timeout = 3600, tags = ["Row:<tag>", "Rows"], vary_on = [tag])]
async fn row(tag: u64) -> u64 {
    let mut bytes = [0; 8];
    let rows = ROWS.get().expect("opened at the start");
    rows.read_exact_at(&mut bytes, tag * 8).expect("as many rows as tags");
    u64::from_le_bytes(bytes)
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [READ, url, folder] => read(url, Path::new(folder)).await,
        ["--smoke"] => report(200, false).await,
        [] => report(10_000, true).await,
        [count] => report(count.parse().expect("usage: visible [BUMPS | --smoke]"), false).await,
        _ => panic!("usage: visible [BUMPS | --smoke]"),
    }
}

async fn report(bumps: u64, is_kept: bool) {
    let (mut latencies, near_hits) = bump_all(bumps).await;
    latencies.sort_unstable();
    assert!(near_hits > bumps, "the near tier answered {near_hits} times: this shows nothing");
    let at = |share| time(percentile(&latencies, share) * 1e3);
    let text = format!(
        "# From a bump's `Ok` to the new value in another process\n\nWritten by `bench/run visible`; \
         [how it is measured](../README.md).\n\n{}\n| bumps | near hits meanwhile | p50 | p99 | p99.9 \
         | the last |\n|---|---|---|---|---|---|\n| {} | {} | {} | {} | {} | {} |\n",
        machine::describe(),
        thousands(latencies.len() as u64),
        thousands(near_hits),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    println!("{text}");
    Results::open(is_kept).write("visible.md", &text);
}

/// The parent: writes, bumps, and waits until the child has seen it. In µs, and the child's near hits.
async fn bump_all(bumps: u64) -> (Vec<u32>, u64) {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let rows = File::create(folder.path().join("rows")).expect("a file for the rows");
    rows.write_all_at(&[0; 8 * TAGS as usize], 0).expect("a file for the rows");
    let rows = Arc::new(rows);
    let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
    let program = std::env::current_exe().expect("the path of this program");
    let place = folder.path().to_str().expect("a path in UTF-8");
    let _child = Child::start(program, &[READ, &server.url(), place], &[]);
    let cache = Config::redis(server.url()).operation_timeout(Duration::from_secs(10));
    let cache = cache.build().await.expect("a URL of ours");
    let mut streams = Vec::new();
    for _ in 0..TAGS {
        streams.push(listener.accept().await.expect("the child connects").0);
    }
    let mut tags = JoinSet::new();
    for mut stream in streams {
        let (cache, rows) = (cache.clone(), rows.clone());
        tags.spawn(async move {
            let tag = stream.read_u64().await.expect("the child says which tag it is");
            let (mut latencies, mut near_hits) = (Vec::new(), 0);
            for next in 1..=bumps.div_ceil(TAGS) {
                rows.write_all_at(&next.to_le_bytes(), tag * 8).expect("a file for the rows");
                cache.invalidate([format!("Row:{tag}")]).await.expect("our own server");
                let bumped = Instant::now();
                // One read by the child between the row and the bump is not followed by another.
                let value = stream.read_u64().await.expect("the child lives");
                latencies.push(u32::try_from(bumped.elapsed().as_micros()).unwrap_or(u32::MAX));
                assert_eq!(value, next, "tag {tag}");
                near_hits = stream.read_u64().await.expect("the child lives");
            }
            (latencies, near_hits)
        });
    }
    let told = tags.join_all().await;
    let near_hits = told.iter().map(|(_, near_hits)| *near_hits).max().unwrap_or_default();
    (told.into_iter().flat_map(|(latencies, _)| latencies).collect(), near_hits)
}

/// The child: a reader for each tag.
async fn read(url: &str, folder: &Path) {
    ROWS.set(File::open(folder.join("rows")).expect("the parent's rows")).expect("set once");
    let config = Config::redis(url).operation_timeout(Duration::from_secs(10));
    config.near(Near::new()).install().await.expect("a URL of ours");
    let mut readers = JoinSet::new();
    for tag in 0..TAGS {
        let stream = UnixStream::connect(folder.join("socket")).await.expect("the parent's socket");
        readers.spawn(watch(stream, tag));
    }
    // Each ends when the parent does not listen any more.
    readers.join_all().await;
}

/// Reads without a pause, and tells each new value.
async fn watch(mut stream: UnixStream, tag: u64) {
    stream.write_u64(tag).await.expect("the parent lives");
    let mut last = 0;
    loop {
        let value = row(tag).await;
        if value != last {
            last = value;
            let near_hits = fragkeys::cache().stats().near_hits;
            let told = [value.to_be_bytes(), near_hits.to_be_bytes()].concat();
            if stream.write_all(&told).await.is_err() {
                return;
            }
        }
        tokio::task::yield_now().await;
    }
}
