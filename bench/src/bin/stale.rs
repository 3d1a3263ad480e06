//! Bumps in one process, each read back at once in another one: how many reads are stale?
//!
//! The parent writes a row, bumps its tag, and tells the child, which calls the cached function
//! twice: the first call must run it and see the row, the second must be a hit. Every fourth
//! pair has readers in the background besides, so that reads are on their way when the bump comes.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fragkeys::{Config, Outcome, observe, tagged_cache};
use fragkeys_bench::machine;
use fragkeys_bench::report::thousands;
use fragkeys_bench::resp3::{Connection, Frame, Item};
use fragkeys_bench::results::Results;
use fragkeys_tests::{Child, RedisServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Tags that are bumped and read at the same time, each by a pair of tasks.
const PAIRS: u64 = 64;
/// Every such pair has readers in the background.
const CROWDED: u64 = 4;
const CROWD: u64 = 4;
/// The argument that makes this program the child.
const READ: &str = "read";

/// The "database": a number for each pair, in a file.
static ROWS: OnceLock<File> = OnceLock::new();

#[tagged_cache(timeout = 3600, tags = ["Row:<pair>"], vary_on = [pair])]
async fn row(pair: u64) -> u64 {
    read_row(pair)
}

fn read_row(pair: u64) -> u64 {
    let mut bytes = [0; 8];
    let rows = ROWS.get().expect("opened at the start");
    rows.read_exact_at(&mut bytes, pair * 8).expect("as many rows as pairs");
    u64::from_le_bytes(bytes)
}

/// What the child saw after one bump: counts, added up over bumps.
#[derive(Debug, Default, Clone, Copy)]
struct Seen {
    reads: u64,
    stale: u64,
    runs: u64,
    hits: u64,
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        [READ, url, folder, way] => read(url, Path::new(folder), way == BROKEN).await,
        ["--smoke"] => report(&[(TRACKED, 2_000), (BROKEN, 2_000)], false).await,
        [] => report(&[(TRACKED, 1_000_000), (BROKEN, 100_000)], true).await,
        [count] => {
            let count = count.parse().expect("usage: stale [BUMPS | --smoke]");
            report(&[(TRACKED, count), (BROKEN, count.min(100_000))], false).await;
        }
        _ => panic!("usage: stale [BUMPS | --smoke]"),
    }
}

/// The way that fragkeys reads.
const TRACKED: &str = "fragkeys";
/// A reader with the same tracking on a second connection, as a control: it must be caught.
const BROKEN: &str = "pushes on a second connection (the control)";

async fn report(ways: &[(&str, u64)], is_kept: bool) {
    let mut text = format!(
        "# Bumps in one process, read back at once in another\n\nWritten by `bench/run stale`; [how \
         it is measured](../README.md).\n\n{}\n| reader | bumps | reads | stale | ran the function \
         | hits | seconds |\n|---|---|---|---|---|---|---|\n",
        machine::describe()
    );
    for &(way, bumps) in ways {
        let started = Instant::now();
        let seen = bump_all(way, bumps).await;
        let [reads, stale, runs, hits] =
            [seen.reads, seen.stale, seen.runs, seen.hits].map(thousands);
        let (count, seconds) = (thousands(bumps), started.elapsed().as_secs_f64());
        text +=
            &format!("| {way} | {count} | {reads} | {stale} | {runs} | {hits} | {seconds:.0} |\n");
        // Otherwise it would show nothing: no bump may go unseen for want of an entry.
        assert!(seen.runs > 0 && seen.hits > 0, "{seen:?}");
        match way {
            TRACKED => assert_eq!(seen.stale, 0, "stale reads"),
            // Of a few, by chance none.
            _ => assert!(
                seen.stale > 0 || bumps < 10_000,
                "the control was not caught: this measures nothing"
            ),
        }
    }
    println!("{text}");
    Results::open(is_kept).write("stale.md", &text);
}

/// The parent: writes, bumps, and has the child read.
async fn bump_all(way: &str, bumps: u64) -> Seen {
    let server = RedisServer::start();
    let folder = tempfile::tempdir().expect("a temporary directory");
    let rows = File::create(folder.path().join("rows")).expect("a file for the rows");
    rows.write_all_at(&[0; 8 * PAIRS as usize], 0).expect("a file for the rows");
    let rows = Arc::new(rows);
    let listener = UnixListener::bind(folder.path().join("socket")).expect("a socket");
    let program = std::env::current_exe().expect("the path of this program");
    let place = folder.path().to_str().expect("a path in UTF-8");
    let _child = Child::start(program, &[READ, &server.url(), place, way], &[]);
    let cache = Config::redis(server.url()).operation_timeout(Duration::from_secs(10));
    let cache = cache.build().await.expect("a URL of ours");
    let mut pairs = JoinSet::new();
    for share in 0..PAIRS {
        let (mut stream, _) = listener.accept().await.expect("the child connects");
        let (cache, rows) = (cache.clone(), rows.clone());
        let count = bumps / PAIRS + u64::from(share < bumps % PAIRS);
        pairs.spawn(async move {
            let pair = stream.read_u64().await.expect("the child says which pair it is");
            let mut seen = Seen::default();
            for next in 1..=count {
                rows.write_all_at(&next.to_le_bytes(), pair * 8).expect("a file for the rows");
                cache.invalidate([format!("Row:{pair}")]).await.expect("our own server");
                stream.write_u64(next).await.expect("the child lives");
                for field in [&mut seen.reads, &mut seen.stale, &mut seen.runs, &mut seen.hits] {
                    *field += u64::from(stream.read_u8().await.expect("the child lives"));
                }
            }
            seen
        });
    }
    let seen = pairs.join_all().await.into_iter();
    seen.fold(Seen::default(), |all, one| Seen {
        reads: all.reads + one.reads,
        stale: all.stale + one.stale,
        runs: all.runs + one.runs,
        hits: all.hits + one.hits,
    })
}

/// The child: a task for each pair, which reads when it is told.
async fn read(url: &str, folder: &Path, is_broken: bool) {
    ROWS.set(File::open(folder.join("rows")).expect("the parent's rows")).expect("set once");
    let cache = Config::redis(url).operation_timeout(Duration::from_secs(10));
    cache.install().await.expect("a URL of ours");
    let port = url.trim_end_matches('/').rsplit(':').next().and_then(|port| port.parse().ok());
    let port = port.expect("a URL with a port");
    let mut pairs = JoinSet::new();
    for pair in 0..PAIRS {
        let stream = UnixStream::connect(folder.join("socket")).await.expect("the parent's socket");
        let broken = match is_broken {
            true => Some(Broken::start(port, pair).await),
            false => None,
        };
        if !is_broken && pair % CROWDED == 0 {
            for _ in 0..CROWD {
                tokio::spawn(async move {
                    loop {
                        row(pair).await;
                        tokio::task::yield_now().await;
                    }
                });
            }
        }
        pairs.spawn(serve(stream, pair, broken));
    }
    // Each ends when the parent has no more for it; the readers in the background do not.
    pairs.join_all().await;
    std::process::exit(0);
}

async fn serve(mut stream: UnixStream, pair: u64, broken: Option<Broken>) {
    stream.write_u64(pair).await.expect("the parent lives");
    while let Ok(bumped) = stream.read_u64().await {
        let mut seen = [0_u8; 4];
        for _ in 0..2 {
            let (value, outcome) = match &broken {
                Some(broken) => broken.read(pair),
                None => observe(row(pair)).await,
            };
            let is_hit = outcome == Some(Outcome::Hit);
            seen[0] += 1;
            seen[1] += u8::from(value < bumped);
            seen[2] += u8::from(!is_hit);
            seen[3] += u8::from(is_hit);
        }
        if stream.write_all(&seen).await.is_err() {
            return;
        }
    }
}

/// A reader that believes its value until a push says otherwise, on a connection on which
/// nothing is read: what many caches with client tracking do.
struct Broken {
    is_valid: Arc<AtomicBool>,
    value: AtomicU64,
}

impl Broken {
    async fn start(port: u16, pair: u64) -> Self {
        let is_valid = Arc::new(AtomicBool::new(false));
        let mut connection = Connection::open(port).await.expect("our own server");
        let prefix = format!("fragkeys:t:Row:{pair}");
        let on = ["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", &prefix];
        let reply = connection.ask(&[&on]).await.expect("our own server");
        assert_eq!(reply, [Item::Line(b"+OK".to_vec())]);
        tokio::spawn({
            let is_valid = is_valid.clone();
            async move {
                while let Ok(frame) = connection.next().await {
                    if matches!(frame, Frame::Invalidation(_)) {
                        is_valid.store(false, Ordering::SeqCst);
                    }
                }
            }
        });
        Broken { is_valid, value: AtomicU64::new(0) }
    }

    fn read(&self, pair: u64) -> (u64, Option<Outcome>) {
        if self.is_valid.swap(true, Ordering::SeqCst) {
            return (self.value.load(Ordering::SeqCst), Some(Outcome::Hit));
        }
        let value = read_row(pair);
        self.value.store(value, Ordering::SeqCst);
        (value, Some(Outcome::Miss))
    }
}
