//! `prime`: an output in the place of a run.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt::Display;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use fragkeys::{
    Cache, Config, Near, Outcome, Tag, observe, on_commit, peek, prime, tagged_cache, with_cache,
};
use fragkeys_tests::RedisServer;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Source, fallible, outer, read, refused_when_odd};
use crate::flight;
use crate::support::{Log, memory_cache, over_both_stores, redis_cache};

async fn it_is_stored_and_nothing_runs(cache: Cache) {
    let source = Source::default();
    with_cache(cache.clone(), async {
        assert!(prime(read(&source, 1), "one".to_owned()).await);
        let (value, outcome) = observe(read(&source, 1)).await;
        assert_eq!((value.as_str(), outcome), ("one", Some(Outcome::Hit)));
        assert_eq!(peek(read(&source, 2)).await, None);
        // It takes the place of what is there.
        assert!(prime(read(&source, 1), "two".to_owned()).await);
        assert_eq!(read(&source, 1).await, "two");
        assert_eq!(source.runs(), 0);
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        assert_eq!(read(&source, 1).await, "row 1, run 0");
    })
    .await;
    assert_eq!(cache.stats().stored, 3);
}

/// All is as after a run: what that would not store, this does not.
async fn as_if_it_had_been_returned(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        assert!(!prime(fallible(&source), Err("no".to_owned())).await);
        assert_eq!(peek(fallible(&source)).await, None);
        assert!(prime(fallible(&source), Ok(7)).await);
        assert!(!prime(fallible(&source), Err("no".to_owned())).await);
        assert_eq!(fallible(&source).await, Ok(7));

        assert!(!prime(refused_when_odd(&source), 1).await);
        assert_eq!(peek(refused_when_odd(&source)).await, None);
        assert!(prime(refused_when_odd(&source), 2).await);
        assert_eq!(refused_when_odd(&source).await, 2);
        assert_eq!(source.runs(), 0);
    })
    .await;
}

#[tagged_cache(vary_on = [], cache_err = |error: &String| (error == "gone").then_some(Duration::from_secs(60)))]
async fn negative(source: &Source) -> Result<u8, String> {
    source.run();
    Ok(1)
}

async fn chosen_errors_can_be_given(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        assert!(!prime(negative(&source), Err("down".to_owned())).await);
        assert!(prime(negative(&source), Err("gone".to_owned())).await);
        assert_eq!(negative(&source).await, Err("gone".to_owned()));
        assert!(prime(negative(&source), Ok(2)).await);
        assert_eq!(negative(&source).await, Ok(2));
        assert_eq!(source.runs(), 0);
    })
    .await;
}

async fn nothing_is_stored_inside_of_a_transaction(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        let scope = on_commit(async {
            assert!(!prime(read(&source, 1), "one".to_owned()).await);
            Ok::<_, ()>(())
        });
        scope.await.unwrap();
        assert_eq!(peek(read(&source, 1)).await, None);
    })
    .await;
}

/// I1: a run that began before is older than what was given since.
async fn i1_a_run_that_is_under_way_is_not_stored_behind_it(cache: Cache) {
    let source = flight::Source::new();
    let runs = flight::call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let given = flight::Value { id: 1, run: 100 };
    assert!(with_cache(cache.clone(), prime(flight::read(&source, 1), given)).await);
    source.release(1);
    assert_eq!(runs.await.unwrap().0.run, 0);
    assert_eq!(flight::call(&cache, &source, 1).await.unwrap().0.run, 100);
}

/// Calls nested in the future are as ever, and each of several orders is one call's.
async fn only_the_outermost_call_takes_it(cache: Cache) {
    let (source, inner) = (Source::default(), Source::default());
    with_cache(cache, async {
        assert!(prime(outer(&source, &inner), "given".to_owned()).await);
        assert_eq!(outer(&source, &inner).await, "given");
        assert_eq!(peek(read(&inner, 1)).await, None);
        let both = async {
            assert!(prime(read(&inner, 7), "seven".to_owned()).await);
            tokio::task::yield_now().await;
            read(&inner, 8).await
        };
        assert!(prime(both, "eight".to_owned()).await);
        assert_eq!(read(&inner, 7).await, "seven");
        assert_eq!(read(&inner, 8).await, "eight");
        assert!(!prime(async { 42 }, 42).await);
        assert_eq!((source.runs(), inner.runs()), (0, 0));
    })
    .await;
}

#[tagged_cache(batch, vary_on = [], tags = ["Row:<id>"])]
async fn rows(source: &Source, ids: &[u8]) -> Result<HashMap<u8, String>, Rc<str>> {
    source.run();
    Ok(ids.iter().map(|id| (*id, format!("row {id}"))).collect())
}

#[tagged_cache(batch, vary_on = [], cache_if = |number| *number < 10)]
async fn numbers(ids: Vec<u8>) -> BTreeMap<u8, u64> {
    ids.into_iter().map(|id| (id, 0)).collect()
}

async fn a_batch_is_stored_by_element(cache: Cache) {
    let source = Source::default();
    let map = |ids: &[u8]| ids.iter().map(|id| (*id, format!("given {id}"))).collect();
    with_cache(cache, async {
        rows(&source, &[1]).await.unwrap();
        // 3 was not asked for, so its versions are not known.
        assert!(prime(rows(&source, &[1, 2]), Ok(map(&[1, 2, 3]))).await);
        let all = rows(&source, &[1, 2, 3]).await.unwrap();
        assert_eq!(
            all.into_iter().collect::<BTreeMap<_, _>>().into_values().collect::<Vec<_>>(),
            ["given 1", "given 2", "row 3"]
        );
        assert_eq!(source.runs(), 2);
        assert!(!prime(rows(&source, &[4]), Err("no".into())).await);
        assert!(!prime(rows(&source, &[4]), Ok(HashMap::new())).await);
        // One of the two is refused.
        assert!(!prime(numbers(vec![1, 2]), BTreeMap::from([(1, 9), (2, 10)])).await);
        assert_eq!(numbers(vec![1, 2]).await, BTreeMap::from([(1, 9), (2, 0)]));
    })
    .await;
}

/// I8: dropped wherever it is, it has stored all or nothing, and nobody hangs.
async fn i8_dropped_it_changes_nothing_else(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        for polls in 0..1_000 {
            let mut given = Box::pin(prime(read(&source, 1), format!("given {polls}")));
            let mut is_over = false;
            for _ in 0..polls {
                is_over =
                    poll_fn(|context| Poll::Ready(given.as_mut().poll(context).is_ready())).await;
                if is_over {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(given);
            let value = read(&source, 1).await;
            assert!(value.starts_with("given ") || value.starts_with("row 1, run "), "{value}");
            if is_over {
                return assert_eq!(value, format!("given {polls}"));
            }
        }
        panic!("it never ends");
    })
    .await;
}

over_both_stores!(
    it_is_stored_and_nothing_runs,
    as_if_it_had_been_returned,
    chosen_errors_can_be_given,
    nothing_is_stored_inside_of_a_transaction,
    i1_a_run_that_is_under_way_is_not_stored_behind_it,
    only_the_outermost_call_takes_it,
    a_batch_is_stored_by_element,
    i8_dropped_it_changes_nothing_else,
);

/// An error that is neither `Send` nor `Serialize`, and most of what functions return.
#[tagged_cache(vary_on = [])]
async fn any_error() -> Result<Vec<u8>, Box<dyn Error>> {
    Err("it must not run".into())
}

#[tagged_cache(vary_on = [value])]
async fn bound<T>(value: T) -> Option<T>
where
    T: Clone + Send + Sync + Serialize + DeserializeOwned + 'static,
{
    Some(value)
}

#[tagged_cache(vary_on = [value])]
async fn displayed<T: Display + Serialize>(value: T) -> String {
    format!("ran with {value}")
}

#[tokio::test]
async fn whatever_the_type() {
    with_cache(memory_cache().await, async {
        assert!(prime(any_error(), Ok(vec![1])).await);
        assert_eq!(any_error().await.unwrap(), [1]);
        assert!(prime(bound(1_u8), Some(2)).await);
        assert_eq!(bound(1_u8).await, Some(2));
        assert_eq!(bound(1_u16).await, Some(1));
        assert!(prime(displayed("a"), "given".to_owned()).await);
        assert_eq!(displayed("a").await, "given");
        assert_eq!(displayed('a').await, "ran with a");
    })
    .await;
}

#[tagged_cache(vary_on = [value])]
async fn unbound<T: Clone + Send + Sync + Serialize + DeserializeOwned>(value: T) -> Option<T> {
    Some(value)
}

/// What cannot be done is not done, and says why.
#[tokio::test]
async fn what_cannot_be_given_is_said_once() {
    let log = Log::default();
    let _guard = log.listen();
    let source = Source::default();
    with_cache(memory_cache().await, async {
        for _ in 0..2 {
            assert!(!prime(unbound(1_u8), Some(2)).await);
            assert!(!prime(async { read(&source, 1).await.len() }, 3).await);
        }
        assert_eq!(peek(read(&source, 1)).await, None);
        assert_eq!(unbound(1_u8).await, Some(1));
    })
    .await;
    let text = log.text();
    assert_eq!(text.matches("`prime` stores nothing for it").count(), 1, "{text}");
    assert_eq!(text.matches("an output of another type").count(), 1, "{text}");
}

#[tokio::test]
async fn the_near_tier_has_it_as_well() {
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let source = Source::default();
    with_cache(cache.clone(), async {
        read(&source, 1).await;
        assert!(prime(read(&source, 1), "given".to_owned()).await);
        assert_eq!(read(&source, 1).await, "given");
    })
    .await;
    assert_eq!((source.runs(), cache.stats().near_hits), (1, 1));
}

/// I5: a store that is away is no error, and nothing runs.
#[tokio::test]
async fn i5_a_store_that_is_away_stores_nothing() {
    let mut server = RedisServer::start();
    let cache = redis_cache(&server).await;
    server.kill();
    let source = Source::default();
    with_cache(cache, async {
        assert!(!prime(read(&source, 1), "given".to_owned()).await);
    })
    .await;
    assert_eq!(source.runs(), 0);
}

/// The offer is not seen by another future that the same thread polls meanwhile.
#[tokio::test]
async fn two_at_once_do_not_mix() {
    let cache = memory_cache().await;
    let source = Arc::new(Source::default());
    let late = |id: u64| {
        let source = source.clone();
        async move {
            tokio::task::yield_now().await;
            read(&source, id).await
        }
    };
    with_cache(cache, async {
        let mut one = pin!(prime(late(1), "one".to_owned()));
        let mut two = pin!(prime(late(2), "two".to_owned()));
        let both = poll_fn(|context| {
            let first = one.as_mut().poll(context);
            let second = two.as_mut().poll(context);
            if first.is_ready() && second.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        });
        both.await;
        assert_eq!(read(&source, 1).await, "one");
        assert_eq!(read(&source, 2).await, "two");
    })
    .await;
    assert_eq!(source.runs(), 0);
}
