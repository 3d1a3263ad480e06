//! I5 and I6 on real servers: whatever is wrong with the store, functions answer within
//! `operation_timeout`, bumps say so, and all is well again by itself.
//!
//! The guide `faults` has a row for each fault, and each row is a test of that name in `reach`,
//! `network`, `refusal`, `lie`, `loss` or `process`; see `table`.

use std::time::{Duration, Instant};

use fragkeys::{Breaker, Cache, Config, ErrorKind, Outcome, Tag, observe, with_cache};

use crate::support::{Source, eventually, row};

mod breaker;
mod bump;
mod health;
mod lie;
mod loss;
mod network;
mod process;
mod reach;
mod refusal;
mod replay;
mod table;

/// Long enough for a busy machine, short enough to tell it from a hang.
const PATIENCE: Duration = Duration::from_secs(1);
/// What a call may take beyond that: scheduling, not waiting.
const SLACK: Duration = Duration::from_secs(3);
/// Kinds of errors of a server that does not answer.
const SILENT: [ErrorKind; 2] = [ErrorKind::Timeout, ErrorKind::Unreachable];

async fn cache_at(url: impl Into<String>) -> Cache {
    Config::redis(url).operation_timeout(PATIENCE).build().await.unwrap()
}

async fn call(cache: &Cache, source: &Source) -> (String, Outcome) {
    let began = Instant::now();
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, 1))).await;
    let took = began.elapsed();
    assert!(took < PATIENCE + SLACK, "a call took {took:?}");
    (value, outcome.unwrap())
}

/// The store is of no use: calls answer and are not cached, bumps are errors of one of
/// these kinds and wait to be retried.
async fn answers_uncached(cache: &Cache, kinds: &[ErrorKind]) {
    let source = Source::default();
    for run in 0..3 {
        let (value, outcome) = call(cache, &source).await;
        assert_eq!((value, outcome), (format!("row 1, run {run}"), Outcome::Bypass));
    }
    refuses_bumps(cache, kinds).await;
}

/// A bump is an error of one of these kinds, within bounds, and queued; and what depends on it
/// is left alone.
async fn refuses_bumps(cache: &Cache, kinds: &[ErrorKind]) {
    let began = Instant::now();
    let error = cache.invalidate([Tag::new("Row", 1)]).await.unwrap_err();
    assert!(began.elapsed() < PATIENCE + SLACK);
    assert!(kinds.contains(&error.kind()), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("`Row:1`") && text.contains("queued"), "{text}");
    assert_eq!(cache.queued_bumps(), 1);
    assert_eq!(call(cache, &Source::default()).await.1, Outcome::Bypass);
}

/// The server says no, and this is the hint: calls answer uncached, each after one reply.
async fn refuses(cache: &Cache, hint: &str) {
    answers_uncached(cache, &[ErrorKind::Refused]).await;
    let error = cache.health().last_error.unwrap();
    assert!(error.contains(hint), "{error}");
}

/// A store that is silent costs all calls together one deadline: then the breaker is open.
async fn costs_one_deadline(cache: &Cache) {
    let source = Source::default();
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(call(cache, &source).await.1, Outcome::Bypass);
    }
    let took = began.elapsed();
    assert!(took < PATIENCE + SLACK, "20 calls took {took:?}");
    assert_ne!(cache.health().breaker, Breaker::Closed, "{}", cache.health());
}

/// It is of use again: the queued bump goes through, and calls are cached.
async fn recovers(cache: &Cache) {
    eventually("the queued bump goes through", async || cache.queued_bumps() == 0).await;
    let source = Source::default();
    eventually("calls are cached again", async || call(cache, &source).await.1 == Outcome::Hit)
        .await;
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    assert_eq!(call(cache, &source).await.1, Outcome::Miss);
}
