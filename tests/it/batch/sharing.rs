//! Batches that miss what others are running for: shared where all of it is under way, and no
//! batch waits for one that waits for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Cache, Outcome, evict, invalidate, observe, refresh, tagged_cache, with_cache};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::support::over_both_stores;

/// Not in the source.
const NOBODY: u64 = 404;
/// What the source fails for.
const BROKEN: u64 = 500;

/// A source whose runs tell what they were asked, and wait until they are let go.
struct Source {
    asked: mpsc::UnboundedSender<Vec<u64>>,
    may_return: Semaphore,
}

type Asked = mpsc::UnboundedReceiver<Vec<u64>>;
type Answer = Result<HashMap<u64, String>, String>;

fn source() -> (Arc<Source>, Asked) {
    let (asked, receiver) = mpsc::unbounded_channel();
    (Arc::new(Source { asked, may_return: Semaphore::new(0) }), receiver)
}

#[tagged_cache(batch, tags = ["User:<id>"], vary_on = [], cache_if = |user| user != "user 7")]
async fn users(source: &Source, ids: &[u64]) -> Answer {
    source.asked.send(ids.to_vec()).unwrap();
    source.may_return.acquire().await.unwrap().forget();
    if ids.contains(&BROKEN) {
        return Err("the source fails".to_owned());
    }
    Ok(ids.iter().filter(|id| **id != NOBODY).map(|id| (*id, format!("user {id}"))).collect())
}

fn call(cache: &Cache, source: &Arc<Source>, ids: &[u64]) -> JoinHandle<(Answer, Option<Outcome>)> {
    let (source, ids) = (source.clone(), ids.to_vec());
    tokio::spawn(with_cache(cache.clone(), async move { observe(users(&source, &ids)).await }))
}

async fn wait_for_misses(cache: &Cache, misses: u64) {
    crate::flight::wait_for_misses(cache, misses).await;
    tokio::task::yield_now().await;
}

async fn next(asked: &mut Asked) -> Vec<u64> {
    tokio::time::timeout(Duration::from_secs(30), asked.recv()).await.expect("a run").unwrap()
}

async fn expect(call: JoinHandle<(Answer, Option<Outcome>)>, ids: &[u64], outcome: Outcome) {
    let (answer, told) = call.await.unwrap();
    let mut found: Vec<u64> = answer.unwrap().into_keys().collect();
    found.sort_unstable();
    assert_eq!((found.as_slice(), told), (ids, Some(outcome)));
}

over_both_stores!(
    callers_of_the_same_elements_share_one_run,
    who_misses_something_else_runs_at_once_for_all_that_it_misses,
    what_is_not_there_is_shared_as_well,
    what_is_refused_is_shared_and_not_stored,
    i2_a_bump_begins_another_run,
    an_err_is_its_own_callers,
    i8_who_waits_takes_over_from_who_is_dropped,
    a_batch_that_needs_itself_ends,
    a_refresh_is_shared_and_an_eviction_is_not_undone,
    crossing_batches_all_end,
);

async fn callers_of_the_same_elements_share_one_run(cache: Cache) {
    let (source, mut asked) = source();
    let ids: Vec<u64> = (11..=60).collect();
    let first = call(&cache, &source, &ids);
    assert_eq!(next(&mut asked).await, ids);
    let others: Vec<_> = (0..100).map(|_| call(&cache, &source, &ids)).collect();
    // And some of them, in another order.
    let some = call(&cache, &source, &[30, 17, 20]);
    wait_for_misses(&cache, 101 * 50 + 3).await;
    source.may_return.add_permits(1);
    expect(first, &ids, Outcome::Miss).await;
    for call in others {
        expect(call, &ids, Outcome::Shared).await;
    }
    expect(some, &[17, 20, 30], Outcome::Shared).await;
    assert!(asked.try_recv().is_err());
    assert_eq!(cache.stats().shared, 100 * 50 + 3);
}

/// Else each of two could wait for the other.
async fn who_misses_something_else_runs_at_once_for_all_that_it_misses(cache: Cache) {
    let (source, mut asked) = source();
    let first = call(&cache, &source, &[1, 2]);
    assert_eq!(next(&mut asked).await, [1, 2]);
    let second = call(&cache, &source, &[2, 3]);
    assert_eq!(next(&mut asked).await, [2, 3]);
    // Both run for it, one for each of its elements.
    let third = call(&cache, &source, &[1, 3]);
    wait_for_misses(&cache, 6).await;
    source.may_return.add_permits(2);
    expect(first, &[1, 2], Outcome::Miss).await;
    expect(second, &[2, 3], Outcome::Miss).await;
    expect(third, &[1, 3], Outcome::Shared).await;
    assert!(asked.try_recv().is_err());
    expect(call(&cache, &source, &[1, 2, 3]), &[1, 2, 3], Outcome::Hit).await;
}

async fn what_is_not_there_is_shared_as_well(cache: Cache) {
    let (source, mut asked) = source();
    let first = call(&cache, &source, &[1, NOBODY]);
    assert_eq!(next(&mut asked).await, [1, NOBODY]);
    let others: Vec<_> = (0..10).map(|_| call(&cache, &source, &[NOBODY, 1])).collect();
    let alone = call(&cache, &source, &[NOBODY]);
    wait_for_misses(&cache, 23).await;
    source.may_return.add_permits(1);
    expect(first, &[1], Outcome::NotStored).await;
    for call in others {
        expect(call, &[1], Outcome::Shared).await;
    }
    expect(alone, &[], Outcome::Shared).await;
    // And with nobody who comes later.
    source.may_return.add_permits(1);
    expect(call(&cache, &source, &[NOBODY]), &[], Outcome::NotStored).await;
    assert_eq!(next(&mut asked).await, [NOBODY]);
}

async fn what_is_refused_is_shared_and_not_stored(cache: Cache) {
    let (source, mut asked) = source();
    let first = call(&cache, &source, &[7, 8]);
    assert_eq!(next(&mut asked).await, [7, 8]);
    let other = call(&cache, &source, &[7]);
    wait_for_misses(&cache, 3).await;
    source.may_return.add_permits(1);
    expect(first, &[7, 8], Outcome::NotStored).await;
    expect(other, &[7], Outcome::Shared).await;
    source.may_return.add_permits(1);
    expect(call(&cache, &source, &[7, 8]), &[7, 8], Outcome::NotStored).await;
    assert_eq!(next(&mut asked).await, [7]);
}

async fn i2_a_bump_begins_another_run(cache: Cache) {
    let (source, mut asked) = source();
    let before = call(&cache, &source, &[1, 2]);
    assert_eq!(next(&mut asked).await, [1, 2]);
    with_cache(cache.clone(), async {
        let id = 1;
        invalidate!("User:<id>").await.unwrap();
    })
    .await;
    let behind = call(&cache, &source, &[1]);
    assert_eq!(next(&mut asked).await, [1]);
    source.may_return.add_permits(2);
    expect(before, &[1, 2], Outcome::Miss).await;
    expect(behind, &[1], Outcome::Miss).await;
    expect(call(&cache, &source, &[1, 2]), &[1, 2], Outcome::Hit).await;
}

async fn an_err_is_its_own_callers(cache: Cache) {
    let (source, mut asked) = source();
    let first = call(&cache, &source, &[1, BROKEN, 2]);
    assert_eq!(next(&mut asked).await, [1, BROKEN, 2]);
    let others: Vec<_> = (0..20).map(|_| call(&cache, &source, &[1, 2])).collect();
    wait_for_misses(&cache, 43).await;
    source.may_return.add_permits(100);
    assert!(first.await.unwrap().0.is_err());
    for call in others {
        assert_eq!(call.await.unwrap().0.unwrap().len(), 2);
    }
    let mut runs = 0;
    while let Ok(ids) = asked.try_recv() {
        assert_eq!(ids, [1, 2]);
        runs += 1;
    }
    // Two are let in for each element; not all.
    assert!((1..=6).contains(&runs), "{runs} runs");
}

async fn i8_who_waits_takes_over_from_who_is_dropped(cache: Cache) {
    let (source, mut asked) = source();
    let first = call(&cache, &source, &[1, 2, 3]);
    next(&mut asked).await;
    let others: Vec<_> = (0..5).map(|_| call(&cache, &source, &[1, 2, 3])).collect();
    wait_for_misses(&cache, 18).await;
    others[0].abort();
    first.abort();
    assert_eq!(next(&mut asked).await, [1, 2, 3]);
    source.may_return.add_permits(10);
    for call in others.into_iter().skip(1) {
        let (answer, _) = call.await.unwrap();
        assert_eq!(answer.unwrap().len(), 3);
    }
}

#[tagged_cache(batch, vary_on = [])]
async fn itself(depth: u32, ids: &[u64]) -> HashMap<u64, u32> {
    let below = match depth {
        0 => HashMap::new(),
        _ => Box::pin(itself(depth - 1, ids)).await,
    };
    ids.iter().map(|id| (*id, below.get(id).copied().unwrap_or_default() + 1)).collect()
}

async fn a_batch_that_needs_itself_ends(cache: Cache) {
    let found = with_cache(cache, itself(4, &[1, 2, 3])).await;
    assert_eq!(found, HashMap::from([(1, 5), (2, 5), (3, 5)]));
}

async fn a_refresh_is_shared_and_an_eviction_is_not_undone(cache: Cache) {
    let (source, mut asked) = source();
    let refreshing = {
        let (cache, source) = (cache.clone(), source.clone());
        tokio::spawn(async move { with_cache(cache, refresh(users(&source, &[1, 2]))).await })
    };
    assert_eq!(next(&mut asked).await, [1, 2]);
    let other = call(&cache, &source, &[2]);
    wait_for_misses(&cache, 3).await;
    source.may_return.add_permits(1);
    assert_eq!(refreshing.await.unwrap().unwrap().len(), 2);
    expect(other, &[2], Outcome::Shared).await;

    let running = {
        let (cache, source) = (cache.clone(), source.clone());
        tokio::spawn(async move { with_cache(cache, refresh(users(&source, &[1, 2]))).await })
    };
    assert_eq!(next(&mut asked).await, [1, 2]);
    assert!(with_cache(cache.clone(), evict(users(&source, &[1, 2]))).await);
    source.may_return.add_permits(1);
    running.await.unwrap().unwrap();
    source.may_return.add_permits(1);
    expect(call(&cache, &source, &[1, 2]), &[1, 2], Outcome::Miss).await;
}

/// Each misses some that others run for, some of which fail or are dropped: all are answered.
async fn crossing_batches_all_end(cache: Cache) {
    let (source, mut asked) = source();
    source.may_return.add_permits(100_000);
    let mut calls = JoinSet::new();
    for number in 0..2_000_u64 {
        let mut ids: Vec<u64> = (0..5).map(|at| (number * 7 + at * number) % 23).collect();
        if number % 11 == 0 {
            ids.push(BROKEN);
        }
        let call = call(&cache, &source, &ids);
        if number % 13 == 0 {
            call.abort();
        }
        calls.spawn(async move { (ids, call.await) });
        if number % 50 == 0 {
            tokio::task::yield_now().await;
            with_cache(cache.clone(), async {
                let id = number % 23;
                invalidate!("User:<id>").await.unwrap();
            })
            .await;
        }
    }
    while let Some(joined) = calls.join_next().await {
        let (ids, answer) = joined.unwrap();
        if let Ok((Ok(found), _)) = answer {
            assert!(ids.iter().all(|id| found[id] == format!("user {id}")), "{ids:?}");
        }
    }
    drop(source);
    let mut runs = 0;
    while asked.recv().await.is_some() {
        runs += 1;
    }
    assert!(runs < 2_000, "{runs} runs");
}
