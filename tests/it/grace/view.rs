//! Old values, and what a future is to see of the versions: `at_least` wins.

use std::sync::{Arc, Mutex};

use fragkeys::{
    Bumped, Cache, CommitScope, Outcome, Tag, at_least, evict, observe, on_commit, tagged_cache,
    with_cache,
};

use super::{Answer, HOUR, Source, ask, covered, expire, impatient_by_reference, life};
use crate::support::{eventually, over_both_stores};

async fn call(cache: &Cache, source: &Source) -> Answer {
    with_cache(cache.clone(), observe(covered(source, 1))).await
}

/// The last good value is older than what was asked for: an error is the better answer.
async fn i2_the_last_good_value_is_not_older_than_asked_for(cache: Cache) {
    let source = Source::open();
    assert_eq!(call(&cache, &source).await.0, Ok(0));
    let first = cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    source.goes_down(true);
    // Also while the source is left alone, and whatever of the tags a token does not name.
    for seen in [first.clone(), "*".parse().unwrap(), first.clone()] {
        let (error, outcome) = at_least(seen, call(&cache, &source)).await;
        assert!(error.is_err(), "{error:?}");
        assert_eq!(outcome, Some(Outcome::NotStored));
        assert_eq!(call(&cache, &source).await, (Ok(0), Some(Outcome::Stale)));
    }
    // One from behind that bump is new enough, though it was invalidated by another.
    source.goes_down(false);
    let value = at_least(first.clone(), call(&cache, &source)).await.0;
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    source.goes_down(true);
    assert_eq!(at_least(first, call(&cache, &source)).await, (value, Some(Outcome::Stale)));
}

/// Nor does it stand in for a run that is slow.
async fn i2_nor_in_the_place_of_waiting(cache: Cache) {
    let source = Source::gated();
    let call = |seen: Option<Bumped>| {
        let source = source.clone();
        ask(&cache, async move {
            let call = impatient_by_reference(&source, 1);
            match seen {
                Some(seen) => at_least(seen, call).await,
                None => call.await,
            }
        })
    };
    source.release(1);
    call(None).await.unwrap().0.unwrap();
    let seen = cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    let asking = call(Some(seen.clone()));
    source.wait_for_runs(2).await;
    let waiting = call(Some(seen));
    // This one began last, and has lost its patience.
    assert_eq!(call(None).await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    source.release(1);
    assert_eq!(asking.await.unwrap().0, Ok(1));
    assert_eq!(waiting.await.unwrap().0, Ok(1));
    assert_eq!(source.runs(), 2);
}

type Told = Arc<Mutex<Vec<Option<Outcome>>>>;

#[tagged_cache(tags = ["Nested"], vary_on = [])]
async fn nested() -> u8 {
    7
}

#[tagged_cache(vary_on = [], timeout = |run| life(*run), stale_while_revalidate = HOUR)]
async fn around_nested(source: Arc<Source>, told: Told) -> Result<usize, String> {
    let run = source.run().await?;
    let outcome = observe(nested()).await.1;
    told.lock().unwrap().push(outcome);
    Ok(run)
}

/// Calls inside of a run that nobody waits for see what its caller asked for.
async fn a_run_behind_the_back_sees_the_same(cache: Cache) {
    let (source, told) = (Source::open(), Told::default());
    let call = || with_cache(cache.clone(), around_nested(source.clone(), told.clone()));
    call().await.unwrap();
    expire().await;
    // A version that the store does not have: what depends on the tag is not cached.
    let ahead = u64::from(cache.tag_version(&Tag::global("Nested")).await.unwrap());
    let forged: Bumped = format!("{}.Nested", ahead + 3_600_000_000_000).parse().unwrap();
    assert_eq!(at_least(forged, call()).await, Ok(0));
    eventually("it runs behind the back", async || told.lock().unwrap().len() == 2).await;
    assert_eq!(*told.lock().unwrap(), [Some(Outcome::Miss), Some(Outcome::Bypass)]);
}

/// As of all functions: it may have read what was rolled back then.
async fn what_began_inside_of_a_transaction_is_not_stored_after_it(cache: Cache) {
    let source = Source::gated();
    let mut reading = None;
    let scope = on_commit(async {
        let read = {
            let (cache, source) = (cache.clone(), source.clone());
            async move { with_cache(cache, covered(&source, 1)).await }
        };
        reading = Some(tokio::spawn(CommitScope::current().unwrap().run(read)));
        source.wait_for_runs(1).await;
        Err::<(), _>("rolled back")
    });
    scope.await.unwrap_err();
    source.release(2);
    assert_eq!(reading.unwrap().await.unwrap(), Ok(0));
    assert_eq!(call(&cache, &source).await, (Ok(1), Some(Outcome::Miss)));
}

/// Who drops a value drops it as the last good one, too.
async fn what_was_evicted_stands_in_for_nothing(cache: Cache) {
    let source = Source::open();
    call(&cache, &source).await.0.unwrap();
    source.goes_down(true);
    assert!(with_cache(cache.clone(), evict(covered(&source, 1))).await);
    assert!(call(&cache, &source).await.0.is_err());
    source.goes_down(false);
    call(&cache, &source).await.0.unwrap();
    source.goes_down(true);
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    // Nothing is there under the version of now; the last good value is under another one.
    with_cache(cache.clone(), evict(covered(&source, 1))).await;
    assert!(call(&cache, &source).await.0.is_err());
}

over_both_stores!(
    i2_the_last_good_value_is_not_older_than_asked_for,
    i2_nor_in_the_place_of_waiting,
    a_run_behind_the_back_sees_the_same,
    what_began_inside_of_a_transaction_is_not_stored_after_it,
    what_was_evicted_stands_in_for_nothing,
);
