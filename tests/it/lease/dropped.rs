//! Whoever is dropped, wherever it is: the others get an answer, and no lease is left (I8). Each future is
//! dropped after its first poll, its second, and so on until it is ready before that.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fragkeys::{Cache, with_cache};
use fragkeys_tests::RedisServer;

use super::leases;
use crate::flight::{Source, Value, call, read, wait_for_misses};
use crate::support::{eventually, patient};

/// More than any of these calls is polled before its body runs or it waits.
const POLLS: u64 = 30;

/// Of processes whose leases do not end by themselves as long as a test lasts.
async fn two(server: &RedisServer) -> [Cache; 2] {
    let config = || patient(server.url()).lease_timeout(Duration::from_secs(60));
    let wait = Duration::from_secs(3_600);
    let build = || config().lease_wait(wait).flight_wait(wait).build();
    [build().await.unwrap(), build().await.unwrap()]
}

/// Polls a call whenever it is woken, so often, and drops it; `false` if it was ready before that.
async fn dropped_after(polls: u64, cache: &Cache, source: &Source, id: u64) -> bool {
    let mut call = pin!(with_cache(cache.clone(), read(source, id)));
    let mut polled = 0;
    let limited = poll_fn(|context| {
        if polled == polls {
            return Poll::Ready(true);
        }
        polled += 1;
        call.as_mut().poll(context).map(|_| false)
    });
    // One that waits for somebody is not woken: it is dropped while it waits.
    tokio::time::timeout(Duration::from_millis(20), limited).await.unwrap_or(true)
}

/// The one who leads: whatever it has by then, a flight, a question for a lease, a lease or a run.
#[tokio::test]
async fn i8_a_leader_that_is_dropped_lets_others_run() {
    let server = RedisServer::start();
    let [first, second] = two(&server).await;
    for polls in 1..=POLLS {
        let source = Source::new();
        dropped_after(polls, &first, &source, polls).await;
        source.release(1);
        assert_eq!(call(&second, &source, polls).await.unwrap().0.id, polls);
        assert_eq!(call(&first, &source, polls).await.unwrap().0.id, polls);
        eventually("no lease is left", async || leases(&server).is_empty()).await;
    }
}

/// One that waits for the other process, with another behind it that waits for its flight.
#[tokio::test]
async fn i8_who_is_dropped_while_it_waits_takes_nobody_along() {
    let server = RedisServer::start();
    let [first, second] = two(&server).await;
    for polls in 1..=POLLS {
        let source: Arc<Source> = Source::new();
        let runs = call(&first, &source, polls);
        source.wait_for_runs(1).await;
        let misses = second.stats().misses;
        let mut behind = None;
        tokio::join!(dropped_after(polls, &second, &source, polls), async {
            behind = Some(call(&second, &source, polls));
            wait_for_misses(&second, misses + 1).await;
        });
        source.release(1);
        let value = Value { id: polls, run: 0 };
        assert_eq!(
            (runs.await.unwrap().0, behind.unwrap().await.unwrap().0),
            (value, Value { id: polls, run: 0 })
        );
        assert_eq!(source.runs(), 1, "after {polls} polls");
        eventually("no lease is left", async || leases(&server).is_empty()).await;
    }
}
