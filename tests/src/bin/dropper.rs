//! Another process of a test: makes futures and drops them half-way. Reads how many to drop; answers
//! how many it had to make, as some are ready sooner, and then its tasks and its memory in KiB.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's process ends loudly"
)]

use std::future::poll_fn;
use std::io::BufRead as _;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use fragkeys::{Config, Outcome, Tag, cache, invalidate, observe, tagged_cache};

/// The database: rows whose values only grow.
static ROWS: [AtomicU64; 8] = [const { AtomicU64::new(0) }; 8];

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn row(held: Arc<()>, id: usize) -> u64 {
    let value = ROWS[id].load(Ordering::SeqCst);
    tokio::task::yield_now().await;
    drop(held);
    value
}

type Dropped = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A future of one of the kinds that there are, which keeps `held` alive for as long as it lives.
fn future(number: usize, held: Arc<()>) -> Dropped {
    let id = number % ROWS.len();
    match number / ROWS.len() % 6 {
        0 | 1 => Box::pin(async move {
            row(held, id).await;
        }),
        2 => Box::pin(async move {
            ROWS[id].fetch_add(1, Ordering::SeqCst);
            let _ = invalidate!("Row:<id>").await;
            drop(held);
        }),
        3 => Box::pin(async move {
            let entry = cache().entry("entry").tag(Tag::new("Row", id));
            entry.get_or_set_with(|| async { 1 }).await;
            drop(held);
        }),
        4 => Box::pin(async move {
            let _ = cache().tag_version(&Tag::new("Row", id)).await;
            drop(held);
        }),
        _ => Box::pin(async move {
            let _ = fragkeys::on_commit(async {
                let _ = invalidate!("Row:<id>").await;
                row(held.clone(), id).await;
                Ok::<_, ()>(())
            })
            .await;
            drop(held);
        }),
    }
}

/// Drives a future until it was woken so often; was it dropped before it was ready?
async fn drop_at(mut future: Dropped, mut polls: usize) -> bool {
    let is_ready = poll_fn(|context| {
        if polls == 0 {
            return Poll::Ready(false);
        }
        polls -= 1;
        future.as_mut().poll(context).map(|()| true)
    });
    !is_ready.await
}

/// After its first, second, third or fourth poll: mixed up, so that each kind meets each.
fn polls(number: usize) -> usize {
    1 + (number.wrapping_mul(2_654_435_761) >> 7 & 3)
}

/// Until so many were dropped before they were ready. How many futures did that take?
async fn drop_many(wanted: usize) -> usize {
    let held = Arc::new(());
    let (mut dropped, mut made) = (0, 0);
    while dropped < wanted {
        let futures = (made..made + 100)
            .map(|number| tokio::spawn(drop_at(future(number, held.clone()), polls(number))));
        for task in futures.collect::<Vec<_>>() {
            dropped += usize::from(task.await.unwrap());
        }
        made += 100;
    }
    assert_eq!(Arc::strong_count(&held), 1, "a future that was dropped is still there");
    made
}

async fn until(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    for _ in 0..2_000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("still waiting: {what}");
}

/// Later calls are right: the row's own value, and then a hit.
async fn calls_are_right() {
    until("the queue is empty", async || cache().queued_bumps() == 0).await;
    for (id, current) in ROWS.iter().enumerate() {
        let current = current.fetch_add(1, Ordering::SeqCst) + 1;
        invalidate!("Row:<id>").await.unwrap();
        assert_eq!(row(Arc::default(), id).await, current);
        let again = observe(row(Arc::default(), id)).await;
        assert_eq!(again, (current, Some(Outcome::Hit)));
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::main]
async fn main() {
    let config = Config::from_env().unwrap().operation_timeout(Duration::from_secs(10));
    config.install().await.unwrap();
    for line in std::io::stdin().lock().lines() {
        let made = drop_many(line.unwrap().parse().unwrap()).await;
        calls_are_right().await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        // The connection's own, and none that retries or repeats for longer than half a minute.
        until("only the connection's tasks are left", async || tasks() <= 4).await;
        println!("{made} {} {}", tasks(), resident_kib());
    }
}
