//! What a call costs with the breaker open, and how soon hits are back when Redis is:
//!
//! ```sh
//! cargo run --release -p fragkeys-tests --bin fragkeys-recovery
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's process ends loudly"
)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fragkeys::{Breaker, Cache, Config, Outcome, observe, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

const ROUNDS: usize = 20;
const CALLS: usize = 2_000;

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn row(id: u64) -> u64 {
    id
}

/// The times of all rounds, in order.
#[derive(Default)]
struct Times {
    /// Of the first call that waits for it.
    first: Vec<Duration>,
    open: Vec<Duration>,
    /// From when Redis answers until the first hit.
    back: Vec<Duration>,
}

async fn timed(cache: &Cache) -> (Duration, Outcome) {
    let began = Instant::now();
    let (_, outcome) = with_cache(cache.clone(), observe(row(1))).await;
    (began.elapsed(), outcome.unwrap())
}

async fn until_hit(cache: &Cache) -> Duration {
    let began = Instant::now();
    while timed(cache).await.1 != Outcome::Hit {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

async fn round(
    server: &mut RedisServer,
    cache: &Cache,
    away: fn(&mut RedisServer),
    back: fn(&mut RedisServer),
    times: &mut Times,
) {
    until_hit(cache).await;
    away(server);
    times.first.push(timed(cache).await.0);
    while cache.health().breaker == Breaker::Closed {
        timed(cache).await;
    }
    // Until probes are as seldom as they get.
    tokio::time::sleep(uneven_pause()).await;
    for _ in 0..CALLS {
        times.open.push(timed(cache).await.0);
    }
    back(server);
    times.back.push(until_hit(cache).await);
}

/// Not in step with the pauses between probes.
fn uneven_pause() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Duration::from_millis(1_000 + u64::from(now.subsec_micros() % 1_000))
}

fn share(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::main]
async fn main() {
    type Change = fn(&mut RedisServer);
    let faults: [(&str, Change, Change); 2] = [
        ("killed", RedisServer::kill, RedisServer::restart),
        ("stopped", |server| server.pause(), |server| server.resume()),
    ];
    println!(
        "| Redis is | first call ms | then: median µs | 99 % µs | hits back: median ms | longest ms |"
    );
    println!("|---|---|---|---|---|---|");
    for (name, away, back) in faults {
        let mut server = RedisServer::start();
        let cache = Config::redis(server.url()).build().await.unwrap();
        let mut times = Times::default();
        for _ in 0..ROUNDS {
            round(&mut server, &cache, away, back, &mut times).await;
        }
        let (millis, micros) = (1_000.0, 1_000_000.0);
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} |",
            share(&mut times.first, 50).as_secs_f64() * millis,
            share(&mut times.open, 50).as_secs_f64() * micros,
            share(&mut times.open, 99).as_secs_f64() * micros,
            share(&mut times.back, 50).as_secs_f64() * millis,
            share(&mut times.back, 100).as_secs_f64() * millis,
        );
    }
}
