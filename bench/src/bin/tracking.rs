//! What client tracking costs those who bump: broadcast by prefix against per read.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, Tag};
use fragkeys_bench::machine;
use fragkeys_bench::plot::{Panel, bars};
use fragkeys_bench::report::{thousands, time};
use fragkeys_bench::resp3::{Connection, Frame};
use fragkeys_bench::results::Results;
use fragkeys_bench::statistic::Spread;
use fragkeys_tests::RedisServer;
use tokio::task::JoinSet;

const TAGS: u64 = 1_000;
/// In how many of them a process is interested.
const INTERESTS: u64 = 10;
/// Who bump at the same time, as fast as they can.
const BUMPERS: u64 = 16;

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Broadcast,
    PerRead,
}

/// One way to track, on so many connections.
#[derive(Clone, Copy, PartialEq)]
struct Setting {
    kind: Kind,
    connections: u64,
}

/// What was seen in one round.
#[derive(Clone, Copy)]
struct Seen {
    bumps_a_second: f64,
    /// ns of the server's processor time, for each bump.
    cpu: f64,
    /// Sent by the server, for each bump.
    bytes: f64,
    /// That arrived at all connections, for each bump.
    pushes: f64,
}

fn main() {
    let is_smoke = std::env::args().nth(1).as_deref() == Some("--smoke");
    let (rounds, length, counts): (_, _, &[u64]) = match is_smoke {
        true => (1, Duration::from_millis(20), &[1, 10]),
        false => (7, Duration::from_millis(700), &[1, 10, 100, 1_000]),
    };
    let none = Setting { kind: Kind::PerRead, connections: 0 };
    let of = |kind| counts.iter().map(move |&connections| Setting { kind, connections });
    let settings: Vec<Setting> =
        [none].into_iter().chain(of(Kind::Broadcast)).chain(of(Kind::PerRead)).collect();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = RedisServer::start();
    let seen = runtime.block_on(async {
        let cache = Config::redis(server.url()).operation_timeout(Duration::from_secs(10));
        let cache = cache.build().await.expect("a URL of ours");
        let mut seen = vec![Vec::new(); settings.len()];
        for _ in 0..rounds {
            for (seen, setting) in seen.iter_mut().zip(&settings) {
                let round = measure(&server, &cache, *setting, length).await;
                seen.push(round.expect("our own server; is `ulimit -n` below 2,100?"));
            }
        }
        seen
    });
    let text = text(&settings, &seen);
    println!("{text}");
    let results = Results::open(!is_smoke);
    results.write("tracking.md", &text);
    plot(&settings, &seen, &results);
}

async fn measure(
    server: &RedisServer,
    cache: &Cache,
    setting: Setting,
    length: Duration,
) -> io::Result<Seen> {
    bump_for(cache, length / 10).await;
    let pushes = Arc::new(AtomicU64::new(0));
    let mut trackers = JoinSet::new();
    for _ in 0..setting.connections {
        let connection = start_to_track(server.port(), setting.kind).await?;
        trackers.spawn(track(connection, setting.kind, pushes.clone()));
    }
    // Not measured: what comes at first.
    bump_for(cache, length / 5).await;
    let before = Usage::of(server);
    let pushed = pushes.load(Ordering::Relaxed);
    let started = Instant::now();
    let bumps = bump_for(cache, length).await as f64;
    let elapsed = started.elapsed().as_secs_f64();
    let after = Usage::of(server);
    let pushed = pushes.load(Ordering::Relaxed) - pushed;
    // A connection that was lost meanwhile would make the others look cheap.
    while let Some(lost) = trackers.try_join_next() {
        lost.expect("no panic")?;
    }
    trackers.shutdown().await;
    Ok(Seen {
        bumps_a_second: bumps / elapsed,
        cpu: (after.cpu - before.cpu) * 1e9 / bumps,
        bytes: (after.bytes - before.bytes) / bumps,
        pushes: pushed as f64 / bumps,
    })
}

/// Bumps one tag after the other; how many.
async fn bump_for(cache: &Cache, length: Duration) -> u64 {
    let started = Instant::now();
    let mut bumpers = JoinSet::new();
    for _ in 0..BUMPERS {
        let cache = cache.clone();
        bumpers.spawn(async move {
            let mut bumps = 0;
            while started.elapsed() < length {
                let tag = Tag::new("User", fastrand::u64(..TAGS));
                cache.invalidate([tag]).await.expect("our own server");
                bumps += 1;
            }
            bumps
        });
    }
    bumpers.join_all().await.into_iter().sum()
}

async fn start_to_track(port: u16, kind: Kind) -> io::Result<Connection> {
    let mut connection = Connection::open(port).await?;
    match kind {
        Kind::Broadcast => {
            let on = ["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "fragkeys:t:"];
            connection.ask(&[&on]).await?;
        }
        Kind::PerRead => {
            connection.ask(&[&["CLIENT", "TRACKING", "ON", "OPTIN"]]).await?;
            let keys: Vec<String> = (0..INTERESTS)
                .map(|_| format!("fragkeys:t:User:{}", fastrand::u64(..TAGS)))
                .collect();
            let mget: Vec<&str> =
                std::iter::once("MGET").chain(keys.iter().map(String::as_str)).collect();
            connection.ask(&[&["CLIENT", "CACHING", "YES"], &mget]).await?;
        }
    }
    Ok(connection)
}

/// Takes pushes as they come; tracking per read asks again for what has changed, at once: a
/// process would do so at its next call.
async fn track(mut connection: Connection, kind: Kind, pushes: Arc<AtomicU64>) -> io::Result<()> {
    loop {
        let Frame::Invalidation(keys) = connection.next().await? else { continue };
        pushes.fetch_add(1, Ordering::Relaxed);
        if kind == Kind::PerRead {
            for key in keys {
                let key = String::from_utf8(key).map_err(io::Error::other)?;
                connection.send(&[&["CLIENT", "CACHING", "YES"], &["MGET", &key]]).await?;
            }
        }
    }
}

/// What the server says that it has used.
struct Usage {
    /// Seconds.
    cpu: f64,
    bytes: f64,
}

impl Usage {
    fn of(server: &RedisServer) -> Self {
        let info = server.cli(&["INFO", "cpu"]) + "\r\n" + &server.cli(&["INFO", "stats"]);
        let field = |name: &str| -> f64 {
            let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.and_then(|value| value.trim().parse().ok()).expect("a field of INFO")
        };
        Usage {
            cpu: field("used_cpu_user") + field("used_cpu_sys"),
            bytes: field("total_net_output_bytes"),
        }
    }
}

fn text(settings: &[Setting], seen: &[Vec<Seen>]) -> String {
    let mut text = format!(
        "# What client tracking costs a bump\n\nWritten by `bench/run tracking`; [how it is \
         measured](../README.md). Median of the rounds, in parentheses the lowest and the \
         highest.\n\n{}\n| tracking | connections | bumps a second | to none | server's processor \
         time a bump | bytes sent a bump | pushes a bump |\n|---|---|---|---|---|---|---|\n",
        machine::describe()
    );
    for (index, setting) in settings.iter().enumerate() {
        let spread = |field: fn(&Seen) -> f64| Spread::of(seen[index].iter().map(field));
        text += &format!(
            "| {} | {} | {} | {} | {} | {:.0} | {:.2} |\n",
            name(setting),
            thousands(setting.connections),
            thousands(spread(|seen| seen.bumps_a_second).median as u64),
            to_none(seen, index),
            time(spread(|seen| seen.cpu).median),
            spread(|seen| seen.bytes).median,
            spread(|seen| seen.pushes).median,
        );
    }
    text
}

fn name(setting: &Setting) -> &'static str {
    match setting {
        Setting { connections: 0, .. } => "none",
        Setting { kind: Kind::Broadcast, .. } => "broadcast by prefix",
        Setting { kind: Kind::PerRead, .. } => "per read (OPTIN)",
    }
}

/// Of bumps a second, in the same round.
fn to_none(seen: &[Vec<Seen>], index: usize) -> Spread {
    let rate = |seen: &Seen| seen.bumps_a_second;
    Spread::of_ratios(seen[index].iter().map(rate), seen[0].iter().map(rate))
}

fn plot(settings: &[Setting], seen: &[Vec<Seen>], results: &Results) {
    let row = |index: usize| {
        let connections = thousands(settings[index].connections);
        (format!("{}, connections: {connections}", name(&settings[index])), to_none(seen, index))
    };
    let rows = (1..settings.len()).map(row).collect();
    let note = "to none; longer is better";
    let panel = Panel { title: "bumps a second".to_owned(), note, rows, end: 1.25 };
    let path = results.path("tracking.svg");
    bars(&path, "Bumps while others track", &[panel], |name| name.starts_with("per read"));
}
