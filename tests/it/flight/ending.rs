//! However a run ends, those who wait for it get an answer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use fragkeys::{Cache, Config, Outcome, observe, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Source, Value, call, read, wait_for_misses};
use crate::support::{memory_cache, over_both_stores, redis_cache};

/// Polls a future so often and drops it. Says whether it had ended by then.
async fn dropped_after<F: Future>(polls: usize, future: F) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tagged_cache(vary_on = [id])]
async fn yielding(source: &Source, id: u64) -> Value {
    tokio::task::yield_now().await;
    let value = source.run(id).await;
    tokio::task::yield_now().await;
    value
}

/// I8, at every point where the one who runs can be dropped.
async fn i8_who_waits_takes_over_from_who_is_dropped(cache: Cache) {
    let mut was_over = false;
    let mut id = 0;
    while !was_over {
        id += 1;
        let source = Source::new();
        source.release(2);
        let polls = usize::try_from(id).unwrap();
        let waits = || {
            let source = source.clone();
            tokio::spawn(with_cache(cache.clone(), async move { yielding(&source, id).await }))
        };
        let dropped = with_cache(cache.clone(), dropped_after(polls, yielding(&source, id)));
        let (waits, third) = (waits(), waits());
        was_over = dropped.await;
        assert_eq!(waits.await.unwrap().id, id);
        assert_eq!(third.await.unwrap().id, id);
        assert!(source.runs() <= 2, "{} runs", source.runs());
    }
    assert!(id >= 3, "it ended after {id} polls");
}

/// I8, for those who wait: whoever of them is dropped, and when.
async fn i8_who_is_dropped_while_it_waits_takes_nobody_along(cache: Cache) {
    let source = Source::new();
    let leader = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let waiting: Vec<_> = (0..10).map(|_| call(&cache, &source, 1)).collect();
    wait_for_misses(&cache, 11).await;
    tokio::task::yield_now().await;
    // The leader and all but the last one, which is let in by one who never knew that it was.
    leader.abort();
    let (last, others) = waiting.split_last().unwrap();
    others.iter().for_each(tokio::task::JoinHandle::abort);
    source.release(10);
    eventually_finished(last).await;
    for call in waiting.into_iter().rev().take(1) {
        assert_eq!(call.await.unwrap().0.id, 1);
    }
}

async fn eventually_finished<T>(call: &tokio::task::JoinHandle<T>) {
    crate::support::eventually("the last one is answered", async || call.is_finished()).await;
}

#[tagged_cache(vary_on = [])]
async fn panicking(source: &Source, panics: &AtomicUsize) -> Value {
    let value = source.run(1).await;
    let left = panics.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    assert!(left.is_err(), "as was asked for");
    value
}

/// A panic is its own caller's.
async fn who_waits_takes_over_from_who_panics(cache: Cache) {
    let (source, panics) = (Source::new(), Arc::new(AtomicUsize::new(2)));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let (source, panics) = (source.clone(), panics.clone());
            tokio::spawn(with_cache(
                cache.clone(),
                async move { panicking(&source, &panics).await },
            ))
        })
        .collect();
    wait_for_misses(&cache, 20).await;
    source.release(3);
    let mut panicked = 0;
    for call in calls {
        match call.await {
            Ok(value) => assert_eq!(value.run, 2),
            Err(error) => panicked += usize::from(error.is_panic()),
        }
    }
    assert_eq!((panicked, source.runs()), (2, 3));
}

#[tagged_cache(vary_on = [])]
async fn failing(source: &Source, failures: usize) -> Result<Value, String> {
    let value = source.run(1).await;
    if value.run < failures { Err(format!("failure {}", value.run)) } else { Ok(value) }
}

fn failing_calls(
    cache: &Cache,
    source: &Arc<Source>,
    number: usize,
    failures: usize,
) -> JoinSet<Result<Value, String>> {
    let mut calls = JoinSet::new();
    for _ in 0..number {
        let source = source.clone();
        calls.spawn(with_cache(cache.clone(), async move { failing(&source, failures).await }));
    }
    calls
}

/// An `Err` is its own caller's; two others run then, and the first `Ok` is everybody's.
async fn an_ok_behind_an_err_answers_all(cache: Cache) {
    let source = Source::open();
    let answers = failing_calls(&cache, &source, 1_000, 1).join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.is_err()).count(), 1);
    assert!((2..=3).contains(&source.runs()), "{} runs", source.runs());
}

/// Where everything fails, everybody gets an error of its own.
async fn everybody_gets_an_error_of_its_own(cache: Cache) {
    let source = Source::open();
    let answers = failing_calls(&cache, &source, 500, usize::MAX).join_all().await;
    let mut errors: Vec<String> = answers.into_iter().map(Result::unwrap_err).collect();
    errors.sort_unstable();
    errors.dedup();
    assert_eq!((errors.len(), source.runs()), (500, 500));
}

#[tagged_cache(vary_on = [], cache_if = |_| false)]
async fn refused(source: &Source) -> Value {
    source.run(1).await
}

/// It is the answer of a run that they waited for; and nobody else's.
async fn what_is_refused_goes_to_those_who_wait(cache: Cache) {
    let source = Source::new();
    let ask = || {
        let source = source.clone();
        tokio::spawn(with_cache(cache.clone(), async move { observe(refused(&source)).await }))
    };
    let leader = ask();
    source.wait_for_runs(1).await;
    let calls: Vec<_> = (0..20).map(|_| ask()).collect();
    wait_for_misses(&cache, 21).await;
    tokio::task::yield_now().await;
    source.release(2);
    assert_eq!(leader.await.unwrap().1, Some(Outcome::NotStored));
    for call in calls {
        let (value, outcome) = call.await.unwrap();
        assert_eq!((value.run, outcome), (0, Some(Outcome::Shared)));
    }
    assert_eq!(ask().await.unwrap().0.run, 1);
}

/// Encodes, and is read back as something else, if `skipped` is not 0.
#[derive(serde::Serialize, serde::Deserialize)]
struct Lossy {
    #[serde(skip_serializing_if = "is_zero", default)]
    skipped: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[tagged_cache(vary_on = [])]
async fn lossy(together: &Barrier) -> Lossy {
    together.wait().await;
    Lossy { skipped: 0 }
}

/// They cannot be given what cannot be encoded; so they run, and all at once.
async fn what_cannot_be_encoded_is_run_by_everybody_at_once(cache: Cache) {
    let (alone, together) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(10)));
    let ask = |barrier: &Arc<Barrier>| {
        let barrier = barrier.clone();
        tokio::spawn(with_cache(cache.clone(), async move { lossy(&barrier).await }))
    };
    let leader = ask(&alone);
    wait_for_misses(&cache, 1).await;
    tokio::task::yield_now().await;
    let others: Vec<_> = (0..10).map(|_| ask(&together)).collect();
    wait_for_misses(&cache, 11).await;
    alone.wait().await;
    assert_eq!(leader.await.unwrap().skipped, 0);
    for call in others {
        assert_eq!(call.await.unwrap().skipped, 0);
    }
}

over_both_stores!(
    i8_who_waits_takes_over_from_who_is_dropped,
    i8_who_is_dropped_while_it_waits_takes_nobody_along,
    who_waits_takes_over_from_who_panics,
    an_ok_behind_an_err_answers_all,
    everybody_gets_an_error_of_its_own,
    what_is_refused_goes_to_those_who_wait,
    what_cannot_be_encoded_is_run_by_everybody_at_once,
);

#[tagged_cache(vary_on = [])]
async fn slowly_failing(source: &Source) -> Result<Value, ()> {
    source.runs.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(1)).await;
    Err(())
}

/// A thousand errors of a second each take ten seconds and not a thousand.
#[tokio::test(start_paused = true)]
async fn errors_in_a_row_are_few() {
    let cache = memory_cache().await;
    let source = Source::open();
    let began = tokio::time::Instant::now();
    let mut calls = JoinSet::new();
    for _ in 0..1_000 {
        let source = source.clone();
        calls.spawn(with_cache(cache.clone(), async move { slowly_failing(&source).await }));
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(Result::is_err));
    assert_eq!(source.runs(), 1_000);
    // 1 + 2 + 4 + … + 512 callers.
    let seconds = began.elapsed().as_secs_f64();
    assert!((9.9..10.1).contains(&seconds), "{seconds} s");
}

/// What is too large for the store is not too large for those who wait.
#[tokio::test]
async fn what_is_too_large_to_be_stored_is_shared() {
    let cache = Config::memory().max_entry_bytes(1).build().await.unwrap();
    let source = Source::new();
    let calls: Vec<_> = (0..20).map(|_| call(&cache, &source, 1)).collect();
    wait_for_misses(&cache, 20).await;
    tokio::task::yield_now().await;
    source.release(1);
    for call in calls {
        assert_eq!(call.await.unwrap().0.run, 0);
    }
    assert_eq!((source.runs(), cache.stats().stored), (1, 0));
}

/// Who waits has its answer before the store does.
#[tokio::test]
async fn nobody_waits_for_the_store() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::new();
    let leader = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let waits = call(&cache, &source, 1);
    wait_for_misses(&cache, 2).await;
    server.cli(&["CLIENT", "PAUSE", "60000", "WRITE"]);
    source.release(1);
    assert_eq!(waits.await.unwrap().1, Some(Outcome::Shared));
    assert!(!leader.is_finished());
    server.cli(&["CLIENT", "UNPAUSE"]);
    assert_eq!(leader.await.unwrap().1, Some(Outcome::Miss));
    assert_eq!(call(&cache, &source, 1).await.unwrap().1, Some(Outcome::Hit));
    assert_eq!(source.runs(), 1);
}

/// The runtime of the one who runs ends: who waits in another one takes over.
#[test]
fn i8_a_runtime_that_ends_takes_nobody_along() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let cache = first.block_on(memory_cache());
    let source = Source::new();
    let leader = first.spawn(with_cache(cache.clone(), {
        let source = source.clone();
        async move { read(&source, 1).await }
    }));
    second.block_on(source.wait_for_runs(1));
    let enter = second.enter();
    let waits = call(&cache, &source, 1);
    drop(enter);
    second.block_on(wait_for_misses(&cache, 2));
    first.shutdown_background();
    source.release(1);
    assert_eq!(second.block_on(waits).unwrap().0, Value { id: 1, run: 1 });
    drop(leader);
}
