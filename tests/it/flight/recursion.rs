//! A run that needs itself gets an answer, instead of waiting for it.

use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Cache, Config, tagged_cache, with_cache};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use crate::support::over_both_stores;

/// How deep it goes is not part of the key, so each level asks for what the one above it makes.
#[tagged_cache(vary_on = [])]
async fn itself(depth: u32) -> u32 {
    if depth == 0 { 0 } else { Box::pin(itself(depth - 1)).await + 1 }
}

#[tagged_cache(vary_on = [])]
async fn ping(depth: u32) -> u32 {
    if depth == 0 { 0 } else { Box::pin(pong(depth - 1)).await + 1 }
}

#[tagged_cache(vary_on = [])]
async fn pong(depth: u32) -> u32 {
    if depth == 0 { 0 } else { Box::pin(ping(depth - 1)).await + 1 }
}

#[tagged_cache(vary_on = [])]
async fn joined(depth: u32) -> u32 {
    if depth == 0 {
        return 1;
    }
    let below = || Box::pin(joined(depth - 1));
    let (one, other) = tokio::join!(below(), below());
    one + other
}

#[tagged_cache(vary_on = [])]
async fn selected(depth: u32) -> u32 {
    if depth == 0 {
        return 0;
    }
    tokio::select! {
        below = Box::pin(selected(depth - 1)) => below + 1,
        below = Box::pin(itself(depth)) => below,
    }
}

#[tagged_cache(vary_on = [])]
async fn spawned(cache: Cache, depth: u32) -> u32 {
    if depth == 0 { 0 } else { spawn(cache, depth - 1).await.unwrap() + 1 }
}

fn spawn(cache: Cache, depth: u32) -> JoinHandle<u32> {
    tokio::spawn(with_cache(cache.clone(), spawned(cache, depth)))
}

async fn it_calls_itself(cache: Cache) {
    assert_eq!(with_cache(cache, itself(5)).await, 5);
}

async fn two_call_each_other(cache: Cache) {
    assert_eq!(with_cache(cache, ping(5)).await, 5);
}

async fn it_calls_itself_in_a_join(cache: Cache) {
    assert_eq!(with_cache(cache, joined(3)).await, 8);
}

async fn it_calls_itself_in_a_select(cache: Cache) {
    assert_eq!(with_cache(cache, selected(3)).await, 3);
}

over_both_stores!(
    it_calls_itself,
    two_call_each_other,
    it_calls_itself_in_a_join,
    it_calls_itself_in_a_select,
);

/// What it spawns waits for what waits for it, until `flight_wait` is over.
#[tokio::test]
async fn it_spawns_itself() {
    let cache = Config::memory().flight_wait(Duration::from_millis(50)).build().await.unwrap();
    assert_eq!(with_cache(cache.clone(), spawned(cache, 3)).await, 3);
}

#[tagged_cache(vary_on = [name])]
async fn needs_the_other(name: &str, both_run: Option<Arc<Barrier>>) -> String {
    let Some(both_run) = both_run else { return name.to_owned() };
    both_run.wait().await;
    let other = if name == "a" { "b" } else { "a" };
    format!("{name}{}", Box::pin(needs_the_other(other, None)).await)
}

/// Each runs for what the other waits for.
#[tokio::test]
async fn two_tasks_that_need_each_other() {
    let cache = Config::memory().flight_wait(Duration::from_millis(50)).build().await.unwrap();
    let both_run = Arc::new(Barrier::new(2));
    let [a, b] = ["a", "b"].map(|name| {
        tokio::spawn(with_cache(cache.clone(), needs_the_other(name, Some(both_run.clone()))))
    });
    let (a, b) = (a.await.unwrap(), b.await.unwrap());
    assert!(a.starts_with("ab") && b.starts_with("ba"), "{a} {b}");
}
