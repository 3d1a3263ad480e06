//! Elements that are hard to tell apart, and those for which there is no key.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};

use fragkeys::{Outcome, observe, tagged_cache, with_cache};
use serde::{Serialize, Serializer};

use crate::support::memory_cache;

/// Two that differ only in what serde does not show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Half {
    shown: u32,
    #[serde(skip)]
    hidden: u32,
}

/// Both are answered, though they share an entry.
#[tokio::test]
async fn elements_that_serde_cannot_tell_apart_are_both_answered() {
    #[tagged_cache(batch)]
    async fn halves(halves: &[Half]) -> BTreeMap<Half, u32> {
        halves.iter().map(|half| (half.clone(), half.shown)).collect()
    }
    let both = [Half { shown: 1, hidden: 1 }, Half { shown: 1, hidden: 2 }];
    let cache = memory_cache().await;
    with_cache(cache, async {
        assert_eq!(halves(&both).await.len(), 2);
        let (found, outcome) = observe(halves(&both)).await;
        assert_eq!((found.len(), outcome), (2, Some(Outcome::Hit)));
    })
    .await;
}

/// One whose `Serialize` fails for some values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Picky(u32);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            0 => Err(serde::ser::Error::custom("not this one")),
            number => number.serialize(serializer),
        }
    }
}

/// What has no key is asked for each time, and does not keep the others from the cache.
#[tokio::test]
async fn an_element_without_a_key_is_asked_for_each_time() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    #[tagged_cache(batch)]
    async fn picky(numbers: &[Picky]) -> HashMap<Picky, u32> {
        ASKED.fetch_add(numbers.len(), Ordering::SeqCst);
        numbers.iter().map(|number| (number.clone(), number.0)).collect()
    }
    let numbers = [Picky(0), Picky(1), Picky(2)];
    let cache = memory_cache().await;
    with_cache(cache, async {
        for (asked, stored) in [(3, 2), (1, 2)] {
            ASKED.store(0, Ordering::SeqCst);
            let (found, outcome) = observe(picky(&numbers)).await;
            assert_eq!((found.len(), outcome), (3, Some(Outcome::Bypass)));
            assert_eq!(ASKED.load(Ordering::SeqCst), asked);
            assert_eq!(fragkeys::cache().stats().stored, stored);
        }
    })
    .await;
}

/// A value that its codec would not read back is given and not stored.
#[tokio::test]
async fn values_that_cannot_be_stored_are_given() {
    #[tagged_cache(batch, codec = fragkeys::Json)]
    async fn floats(ids: &[u64]) -> HashMap<u64, f64> {
        ids.iter().map(|id| (*id, if *id == 1 { f64::NAN } else { 1.0 })).collect()
    }
    let cache = memory_cache().await;
    for _ in 0..2 {
        let (found, outcome) = with_cache(cache.clone(), observe(floats(&[1, 2]))).await;
        assert!(found[&1].is_nan());
        assert_eq!(outcome, Some(Outcome::NotStored));
    }
    assert_eq!((cache.stats().stored, cache.stats().unstorable), (1, 2));
}

/// A cache that was never installed: the body answers for all.
#[tokio::test]
async fn without_its_cache_the_body_answers() {
    #[tagged_cache(batch, cache_name = "nowhere to be found")]
    async fn homeless(ids: Vec<u64>) -> Result<HashMap<u64, u64>, ()> {
        Ok(ids.into_iter().map(|id| (id, id)).collect())
    }
    let (found, outcome) = observe(homeless(vec![1, 1, 2])).await;
    assert_eq!((found.unwrap().len(), outcome), (2, Some(Outcome::Bypass)));
}
