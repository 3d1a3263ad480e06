//! `peek`, `refresh`, `evict`, `prime`, `bypass` and `key_of`: around the outermost cached call of a future.

mod primed;
mod shapes;
mod under_way;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use fragkeys::{
    Cache, Config, Outcome, Tag, bypass, evict, key_of, observe, on_commit, peek, refresh,
    tagged_cache, with_cache,
};
use fragkeys_tests::RedisServer;

use crate::support::{memory_cache, over_both_stores, redis_cache};

/// Counts its runs; fails in the odd ones, where that is asked for.
#[derive(Default)]
struct Source {
    runs: AtomicUsize,
    fails_when_odd: bool,
}

impl Source {
    fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    fn run(&self) -> usize {
        self.runs.fetch_add(1, Ordering::SeqCst)
    }
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
async fn read(source: &Source, id: u64) -> String {
    format!("row {id}, run {}", source.run())
}

#[tagged_cache(vary_on = [])]
async fn fallible(source: &Source) -> Result<usize, String> {
    let run = source.run();
    if source.fails_when_odd && run % 2 == 1 { Err(format!("run {run}")) } else { Ok(run) }
}

#[tagged_cache(vary_on = [], cache_if = |run| run % 2 == 0)]
async fn refused_when_odd(source: &Source) -> usize {
    source.run()
}

#[tagged_cache(tags = ["Outer"], vary_on = [])]
async fn outer(source: &Source, inner: &Source) -> String {
    format!("outer {} of {}", source.run(), read(inner, 1).await)
}

async fn peeking_never_runs(cache: Cache) {
    let source = Source::default();
    with_cache(cache.clone(), async {
        assert_eq!(peek(read(&source, 1)).await, None);
        assert_eq!(source.runs(), 0);
        read(&source, 1).await;
        assert_eq!(peek(read(&source, 1)).await.as_deref(), Some("row 1, run 0"));
        assert_eq!(peek(read(&source, 2)).await, None);
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        assert_eq!(peek(read(&source, 1)).await, None);
        assert_eq!(source.runs(), 1);

        assert_eq!(peek(fallible(&source)).await, None);
        fallible(&source).await.unwrap();
        assert_eq!(peek(fallible(&source)).await, Some(Ok(1)));
    })
    .await;
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses), (2, 6));
}

async fn refreshing_runs_and_stores(cache: Cache) {
    let source = Source::default();
    with_cache(cache.clone(), async {
        assert_eq!(refresh(read(&source, 1)).await, "row 1, run 0");
        assert_eq!(read(&source, 1).await, "row 1, run 0");
        let (value, outcome) = observe(refresh(read(&source, 1))).await;
        assert_eq!((value.as_str(), outcome), ("row 1, run 1", Some(Outcome::Miss)));
        assert_eq!(read(&source, 1).await, "row 1, run 1");
        assert_eq!(source.runs(), 2);
    })
    .await;
}

async fn a_refresh_without_a_value_leaves_what_is_cached(cache: Cache) {
    let source = Source { fails_when_odd: true, ..Source::default() };
    let other = Source::default();
    with_cache(cache, async {
        assert_eq!(fallible(&source).await, Ok(0));
        assert_eq!(refresh(fallible(&source)).await, Err("run 1".to_owned()));
        assert_eq!(fallible(&source).await, Ok(0));
        assert_eq!(refresh(fallible(&source)).await, Ok(2));
        assert_eq!(fallible(&source).await, Ok(2));

        assert_eq!(refused_when_odd(&other).await, 0);
        assert_eq!(refresh(refused_when_odd(&other)).await, 1);
        assert_eq!(refused_when_odd(&other).await, 0);
    })
    .await;
}

async fn evicting_is_about_one_entry(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        assert!(!evict(read(&source, 1)).await);
        assert_eq!(source.runs(), 0);
        read(&source, 1).await;
        read(&source, 2).await;
        assert!(evict(read(&source, 1)).await);
        assert!(!evict(read(&source, 1)).await);
        assert_eq!(read(&source, 2).await, "row 2, run 1");
        assert_eq!(read(&source, 1).await, "row 1, run 2");
    })
    .await;
}

async fn bypassing_neither_reads_nor_stores(cache: Cache) {
    let source = Source::default();
    with_cache(cache, async {
        let (value, outcome) = observe(bypass(read(&source, 1))).await;
        assert_eq!((value.as_str(), outcome), ("row 1, run 0", Some(Outcome::Bypass)));
        assert_eq!(peek(read(&source, 1)).await, None);
        assert_eq!(read(&source, 1).await, "row 1, run 1");
        assert_eq!(bypass(read(&source, 1)).await, "row 1, run 2");
        assert_eq!(read(&source, 1).await, "row 1, run 1");
    })
    .await;
}

/// Calls nested in it, and calls after it, are as ever.
async fn only_the_outermost_call_is_meant(cache: Cache) {
    let (source, inner) = (Source::default(), Source::default());
    with_cache(cache, async {
        outer(&source, &inner).await;
        assert_eq!(refresh(outer(&source, &inner)).await, "outer 1 of row 1, run 0");
        assert_eq!(bypass(outer(&source, &inner)).await, "outer 2 of row 1, run 0");
        assert_eq!(inner.runs(), 1);
        assert!(evict(outer(&source, &inner)).await);
        assert!(peek(read(&inner, 1)).await.is_some());

        let both = async { (read(&inner, 1).await, read(&inner, 1).await) };
        let (first, second) = refresh(both).await;
        assert_eq!((first.as_str(), second.as_str()), ("row 1, run 1", "row 1, run 1"));
        // What is around the first call goes on where that has an answer, and only there.
        let mut is_past = false;
        let around = async {
            read(&inner, 3).await;
            is_past = true;
        };
        assert_eq!(peek(around).await, None);
        assert!(!is_past);
    })
    .await;
}

/// There is nothing to ask, so nothing is said.
async fn a_future_without_a_cached_call(cache: Cache) {
    let plain = async || 42;
    with_cache(cache, async {
        assert_eq!(peek(plain()).await, None);
        assert_eq!(refresh(plain()).await, 42);
        assert_eq!(bypass(plain()).await, 42);
        assert!(!evict(plain()).await);
        assert_eq!(key_of(plain()).await, "");
    })
    .await;
}

async fn entries_by_hand_are_calls_too(cache: Cache) {
    let entry = cache.entry("answer").tag(Tag::new("Row", 1));
    let call = || entry.get_or_set_with(|| async { 42_u8 });
    assert_eq!(peek(call()).await, None);
    assert_eq!(key_of(call()).await, entry.key().await.unwrap());
    entry.set(&1_u8).await.unwrap();
    assert_eq!(peek(call()).await, Some(1));
    assert_eq!(refresh(call()).await, 42);
    assert_eq!(entry.get().await.unwrap(), Some(42_u8));
    assert!(evict(call()).await);
    assert_eq!(entry.get::<u8>().await.unwrap(), None);
}

/// What is held is not read, and nothing is stored.
async fn inside_of_a_transaction(cache: Cache) {
    let source = Source::default();
    let scope = on_commit(async {
        read(&source, 1).await;
        assert_eq!(refresh(read(&source, 1)).await, "row 1, run 2");
        assert_eq!(peek(read(&source, 1)).await, None);
        cache.invalidate([Tag::new("Row", 2)]).await.unwrap();
        assert_eq!(peek(read(&source, 2)).await, None);
        Ok::<_, ()>(())
    });
    with_cache(cache.clone(), async { read(&source, 2).await }).await;
    with_cache(cache.clone(), scope).await.unwrap();
    assert_eq!(source.runs(), 3);
}

/// I8: dropped after however many polls, each leaves the cache as it was or as it should be.
async fn i8_whatever_is_dropped_changes_nothing_else(cache: Cache) {
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
    let source = Source::default();
    let call = || read(&source, 1);
    with_cache(cache, async {
        for polls in 0..1_000 {
            let mut are_over = dropped_after(polls, peek(call())).await;
            are_over &= dropped_after(polls, key_of(call())).await;
            are_over &= dropped_after(polls, refresh(call())).await;
            are_over &= dropped_after(polls, evict(call())).await;
            let runs = source.runs();
            let value = read(&source, 1).await;
            assert!(value.starts_with("row 1, run ") && source.runs() <= runs + 1);
            if are_over {
                return;
            }
        }
        panic!("they never end");
    })
    .await;
}

over_both_stores!(
    peeking_never_runs,
    refreshing_runs_and_stores,
    a_refresh_without_a_value_leaves_what_is_cached,
    evicting_is_about_one_entry,
    bypassing_neither_reads_nor_stores,
    only_the_outermost_call_is_meant,
    a_future_without_a_cached_call,
    entries_by_hand_are_calls_too,
    inside_of_a_transaction,
    i8_whatever_is_dropped_changes_nothing_else,
);

#[tokio::test]
async fn the_key_is_the_one_in_redis() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let source = Source::default();
    with_cache(cache.clone(), async {
        let key = key_of(read(&source, 1)).await;
        assert_eq!((source.runs(), server.keys("fragkeys:v:*")), (0, vec![]));
        read(&source, 1).await;
        assert_eq!(server.keys("fragkeys:v:*"), std::slice::from_ref(&key));
        assert_ne!(key_of(read(&source, 2)).await, key);
        cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        assert_ne!(key_of(read(&source, 1)).await, key);
    })
    .await;
}

/// I5: a store that is away costs time, and only the answers that are its own.
#[tokio::test]
async fn i5_without_a_store() {
    let mut server = RedisServer::start();
    let config = Config::redis(server.url()).operation_timeout(Duration::from_millis(500));
    let cache = config.build().await.unwrap();
    server.kill();
    let source = Source::default();
    with_cache(cache, async {
        assert_eq!(peek(read(&source, 1)).await, None);
        assert!(!evict(read(&source, 1)).await);
        assert_eq!(key_of(read(&source, 1)).await, "fragkeys:v:it::around::read:?");
        assert_eq!(source.runs(), 0);
        assert_eq!(refresh(read(&source, 1)).await, "row 1, run 0");
        assert_eq!(bypass(read(&source, 1)).await, "row 1, run 1");
    })
    .await;
}

/// A spawned task is another one: the order is not for it.
#[tokio::test]
async fn tasks_that_it_spawns_are_not_seen() {
    let cache = memory_cache().await;
    let spawned = async {
        let call = async { read(&Source::default(), 1).await };
        tokio::spawn(with_cache(cache.clone(), call)).await.unwrap()
    };
    assert!(!evict(spawned).await);
    let source = Source::default();
    assert!(with_cache(cache, peek(read(&source, 1))).await.is_some());
}
