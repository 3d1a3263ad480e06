//! Hits of many callers at once: they ask together, and what befalls one is no other's.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fragkeys::{Cache, Outcome, key_of, observe, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use crate::support::{Source, cache_without_leases, patient, redis_cache, row};

/// Of these, eight find less than a crowd and ask alone; the others are two rounds.
const CALLERS: u64 = 20;
const ALONE: u64 = 8;

async fn call(cache: Cache, source: Arc<Source>, id: u64) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache, observe(row(&source, id))).await;
    (value, outcome.unwrap())
}

/// So many callers, one after the other in the line of a runtime with one thread.
fn all_call(cache: &Cache, source: &Arc<Source>) -> Vec<JoinHandle<(String, Outcome)>> {
    (0..CALLERS).map(|id| tokio::spawn(call(cache.clone(), source.clone(), id))).collect()
}

async fn join(calls: Vec<JoinHandle<(String, Outcome)>>) -> Vec<(String, Outcome)> {
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }
    answers
}

/// Calls until all versions are known. What comes back is what all hits from now on answer.
async fn know(cache: &Cache, source: &Arc<Source>) -> Vec<(String, Outcome)> {
    for id in (0..CALLERS).cycle().take(3 * CALLERS as usize) {
        call(cache.clone(), source.clone(), id).await;
    }
    let hit = |id| (format!("row {id}, run {id}"), Outcome::Hit);
    (0..CALLERS).map(hit).collect()
}

#[tokio::test]
async fn a_crowd_asks_together_and_each_gets_its_own() {
    let server = RedisServer::start();
    let cache = cache_without_leases(&server).await;
    let source = Arc::new(Source::default());
    let hits = know(&cache, &source).await;
    for _ in 0..50 {
        server.reset_stats();
        assert_eq!(join(all_call(&cache, &source)).await, hits);
        let commands = ["get", "mget", "set"].map(|name| server.command_calls(name));
        assert_eq!(commands, [ALONE, 2, 0]);
    }
}

/// Keeps what is asked for together from the server, until it is released.
fn hold_rounds(proxy: &Proxy) {
    let is_round = |data: &[u8]| {
        data.windows(4).any(|part| part == b"MGET") && data.windows(3).any(|part| part == b":v:")
    };
    proxy.on_request(Box::new(move |data| match is_round(data) {
        true => Action::Hold,
        false => Action::Forward,
    }));
}

async fn held(proxy: &Arc<Proxy>) {
    let proxy = proxy.clone();
    let waiting = tokio::task::spawn_blocking(move || proxy.wait_held(Duration::from_secs(30)));
    assert!(waiting.await.unwrap());
}

#[tokio::test]
async fn i2_a_version_that_moves_while_a_round_is_under_way_makes_its_call_ask_again() {
    let server = RedisServer::start();
    let proxy = Arc::new(Proxy::to(server.port()));
    let cache = patient(proxy.url()).build().await.unwrap();
    let direct = redis_cache(&server).await;
    let source = Arc::new(Source::default());
    let mut answers = know(&cache, &source).await;
    hold_rounds(&proxy);
    let calls = all_call(&cache, &source);
    held(&proxy).await;
    direct.invalidate(["Row:12"]).await.unwrap();
    proxy.clear_hook();
    proxy.release();
    answers[12] = (format!("row 12, run {CALLERS}"), Outcome::Miss);
    assert_eq!(join(calls).await, answers);
}

/// Among them the one that came first.
#[tokio::test]
async fn i8_who_leaves_takes_nobody_along() {
    let server = RedisServer::start();
    let proxy = Arc::new(Proxy::to(server.port()));
    let cache = patient(proxy.url()).lease_wait(Duration::ZERO).build().await.unwrap();
    let source = Arc::new(Source::default());
    let hits = know(&cache, &source).await;
    for leavers in [vec![8], vec![8, 9, 10, 11, 12, 13, 14, 15], vec![9, 19], (0..20).collect()] {
        hold_rounds(&proxy);
        let mut calls = all_call(&cache, &source);
        held(&proxy).await;
        for leaver in &leavers {
            calls[*leaver].abort();
        }
        proxy.clear_hook();
        proxy.release();
        for (id, call) in calls.iter_mut().enumerate().filter(|(id, _)| !leavers.contains(id)) {
            assert_eq!(call.await.unwrap(), hits[id], "{leavers:?}");
        }
    }
    // Those who left are not counted any more. What they had asked for goes ahead of the first.
    assert_eq!(call(cache.clone(), source.clone(), 1).await, hits[1]);
    server.reset_stats();
    assert_eq!(call(cache, source, 1).await, hits[1]);
    assert_eq!(["get", "mget"].map(|name| server.command_calls(name)), [1, 0]);
}

#[tokio::test]
async fn i5_a_round_that_is_refused_is_answered_by_the_functions() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Arc::new(Source::default());
    know(&cache, &source).await;
    server.cli(&["ACL", "SETUSER", "default", "-mget"]);
    let outcomes = join(all_call(&cache, &source)).await.into_iter().map(|(_, outcome)| outcome);
    let (alone, together): (Vec<_>, Vec<_>) =
        outcomes.enumerate().partition(|(id, _)| *id < ALONE as usize);
    assert!(alone.iter().all(|(_, outcome)| *outcome == Outcome::Hit), "{alone:?}");
    assert!(together.iter().all(|(_, outcome)| *outcome == Outcome::Bypass), "{together:?}");
}

#[tokio::test]
async fn i5_a_strangers_list_at_one_key_is_one_miss() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Arc::new(Source::default());
    let mut answers = know(&cache, &source).await;
    let key = with_cache(cache.clone(), key_of(row(&source, 15))).await;
    server.cli(&["DEL", &key]);
    server.cli(&["LPUSH", &key, "x"]);
    answers[15] = (format!("row 15, run {CALLERS}"), Outcome::Miss);
    assert_eq!(join(all_call(&cache, &source)).await, answers);
    answers[15].1 = Outcome::Hit;
    assert_eq!(join(all_call(&cache, &source)).await, answers);
}

/// The task that asks for a round ends with its runtime; who waits goes on in another.
#[test]
fn i8_a_round_whose_runtime_ends_is_answered() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let source = Arc::new(Source::default());
    let first = Runtime::new().unwrap();
    let cache = first.block_on(patient(proxy.url()).build()).unwrap();
    first.block_on(know(&cache, &source));
    // Nothing is answered while they are polled, also where that takes long.
    proxy.on_request(Box::new(|_| Action::Hold));
    type Calling = Pin<Box<dyn Future<Output = (String, Outcome)> + Send>>;
    let mut calls: Vec<Calling> = Vec::new();
    for id in 0..CALLERS {
        calls.push(Box::pin(call(cache.clone(), source.clone(), id)));
    }
    first.block_on(poll_fn(|context| {
        assert!(calls.iter_mut().all(|call| call.as_mut().poll(context).is_pending()));
        Poll::Ready(())
    }));
    drop(first);
    proxy.clear_hook();
    proxy.release();
    let second = Runtime::new().unwrap();
    for (id, call) in calls.into_iter().enumerate() {
        let (value, _) = second.block_on(call);
        assert!(value.starts_with(&format!("row {id}, ")), "{value}");
    }
}
