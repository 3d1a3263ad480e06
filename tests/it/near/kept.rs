//! What is kept, for how long, and what stays out.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, LazyLock};
use std::time::{Duration, Instant};

use fragkeys::{
    Config, ErrorKind, Near, Outcome, Tag, bypass, evict, observe, on_commit, peek, refresh,
    tagged_cache, with_cache,
};
use fragkeys_tests::RedisServer;
use serde::{Deserialize, Serialize};

use super::{LONG, Source, call, near_cache, row, settle, stats};
use crate::support::{alone, eventually};

#[derive(Serialize, Deserialize)]
struct NotClone(u32);

#[tagged_cache(vary_on = [])]
async fn not_clone(source: &Source) -> NotClone {
    NotClone(source.runs.fetch_add(1, Ordering::SeqCst))
}

#[tagged_cache(vary_on = [])]
async fn not_clone_shared(source: &Source) -> Result<Arc<NotClone>, Infallible> {
    Ok(Arc::new(NotClone(source.runs.fetch_add(1, Ordering::SeqCst))))
}

#[tagged_cache(vary_on = [], near = false)]
async fn strict(source: &Source) -> u32 {
    source.runs.fetch_add(1, Ordering::SeqCst)
}

#[tagged_cache(vary_on = [])]
async fn owned_text(source: &Source) -> Cow<'static, str> {
    source.runs.fetch_add(1, Ordering::SeqCst).to_string().into()
}

#[tokio::test]
async fn values_that_cannot_be_shared_and_functions_that_are_strict_stay_out() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(LONG);
    let cache = alone(server.url(), "near-strict").near(near).build().await.unwrap();
    let source = Source::default();
    settle(&cache, &source).await;
    let source = Source::default();
    let near_hits = || cache.stats().near_hits;
    let before = near_hits();
    with_cache(cache.clone(), async {
        for _ in 0..5 {
            not_clone(&source).await;
            strict(&source).await;
        }
        assert_eq!(near_hits(), before);
        for _ in 0..5 {
            not_clone_shared(&source).await.unwrap();
            owned_text(&source).await;
        }
        assert!(near_hits() > before);
    })
    .await;
    assert_eq!(source.runs.load(Ordering::SeqCst), 4);
}

/// Two calls under one hash are told apart: by all of their bytes.
#[tokio::test]
async fn i4_calls_are_told_apart() {
    #[tagged_cache(tags = ["First:<first>"], vary_on = [second])]
    async fn pair(first: &str, second: &str) -> String {
        format!("{first}|{second}")
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let long = "x".repeat(300);
    let texts = ["", "a", "ab", "b", "a:b", "1_b", &long];
    with_cache(cache.clone(), async {
        for _ in 0..2 {
            for first in texts {
                for second in texts {
                    assert_eq!(pair(first, second).await, format!("{first}|{second}"));
                }
            }
        }
    })
    .await;
    assert_eq!(cache.stats().near_hits, 49);
}

/// A hit of the near tier is what a hit of the store is, also where the function gave more.
#[tokio::test]
async fn a_value_is_kept_as_it_is_read_back() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Page {
        text: String,
        #[serde(skip)]
        scratch: u32,
    }
    #[tagged_cache(vary_on = [])]
    async fn page() -> Page {
        Page { text: "text".to_owned(), scratch: 7 }
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    with_cache(cache.clone(), async {
        assert_eq!(page().await.scratch, 7);
        assert_eq!(page().await, Page { text: "text".to_owned(), scratch: 0 });
    })
    .await;
    assert_eq!(cache.stats().near_hits, 1);
}

#[tokio::test]
async fn what_is_refused_is_not_kept() {
    #[tagged_cache(vary_on = [], cache_if = |value| *value > 1)]
    async fn refused_twice(source: &Source) -> u32 {
        source.runs.fetch_add(1, Ordering::SeqCst)
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let source = Source::default();
    with_cache(cache.clone(), async {
        for (value, entries) in [(0, 0), (1, 0), (2, 1), (2, 1)] {
            assert_eq!(refused_twice(&source).await, value);
            assert_eq!(stats(&cache).entries, entries);
        }
    })
    .await;
}

/// A transaction sees what others may not, and the other way round.
#[tokio::test]
async fn i1_a_transaction_neither_reads_nor_fills_it() {
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let source = Source::default();
    with_cache(cache.clone(), async {
        let inside = on_commit(async {
            let (value, outcome) = observe(row(&source, 1)).await;
            assert_eq!(outcome, Some(Outcome::NotStored));
            Ok::<_, Infallible>(value)
        });
        inside.await.unwrap();
        assert_eq!(stats(&cache).entries, 0);
        row(&source, 1).await;
        on_commit(async {
            cache.invalidate(["Row:1"]).await.unwrap();
            // Its own change, not yet committed.
            assert_eq!(*row(&source, 1).await, "row 1, run 2");
            Ok::<_, Infallible>(())
        })
        .await
        .unwrap();
        assert_eq!(*row(&source, 1).await, "row 1, run 3");
    })
    .await;
    assert_eq!(cache.stats().near_hits, 0);
}

/// Over both stores: in Redis, the entry that is dropped would be kept here for long.
#[tokio::test]
async fn orders_reach_it() {
    let server = RedisServer::start();
    let memory = Config::memory().near(Near::new()).build().await.unwrap();
    let near = Near::new().max_staleness(LONG);
    let redis = alone(server.url(), "near-orders").near(near).build().await.unwrap();
    for cache in [memory, redis] {
        let source = Source::default();
        settle(&cache, &source).await;
        with_cache(cache.clone(), async {
            let before = cache.stats().near_hits;
            assert_eq!(peek(row(&source, 1)).await.as_deref(), Some(&"row 1, run 0".to_owned()));
            assert_eq!(cache.stats().near_hits, before + 1);
            assert_eq!(*bypass(row(&source, 1)).await, "row 1, run 1");
            assert_eq!(*row(&source, 1).await, "row 1, run 0");
            assert_eq!(*refresh(row(&source, 1)).await, "row 1, run 2");
            assert_eq!(*row(&source, 1).await, "row 1, run 2");
            assert!(evict(row(&source, 1)).await);
            assert_eq!(peek(row(&source, 1)).await, None);
            assert!(!evict(row(&source, 1)).await);
            assert_eq!(*row(&source, 1).await, "row 1, run 3");
        })
        .await;
    }
}

/// Also of an entry that was stored long ago when it was read.
#[tokio::test]
async fn it_does_not_outlive_the_stored_entry() {
    const TIMEOUT: Duration = Duration::from_millis(500);
    /// Redis itself counts in milliseconds.
    const GRAIN: Duration = Duration::from_millis(2);
    #[tagged_cache(timeout = TIMEOUT, vary_on = [])]
    async fn brief(source: &Source) -> u32 {
        source.runs.fetch_add(1, Ordering::SeqCst)
    }
    let server = RedisServer::start();
    let near = Near::new().max_staleness(LONG);
    let (writer, reader) = (near_cache(&server, near).await, near_cache(&server, near).await);
    let source = Source::default();
    assert_eq!(with_cache(writer, brief(&source)).await, 0);
    let stored = Instant::now();
    tokio::time::sleep(TIMEOUT / 2).await;
    with_cache(reader.clone(), async {
        loop {
            let began = stored.elapsed();
            let is_old = brief(&source).await == 0;
            assert!(!is_old || began <= TIMEOUT + GRAIN, "read {began:?} after it was stored");
            if began > 2 * TIMEOUT {
                break;
            }
        }
    })
    .await;
    assert!(reader.stats().near_hits > 0);
}

#[tokio::test]
async fn i7_its_bytes_are_bounded() {
    #[tagged_cache(vary_on = [number])]
    async fn text(number: u32) -> String {
        "x".repeat(1_000 + number as usize % 7)
    }
    const MOST: u64 = 200 << 10;
    let near = Near::new().max_bytes(MOST);
    let cache = Config::memory().near(near).build().await.unwrap();
    with_cache(cache.clone(), async {
        for number in 0..500 {
            text(number).await;
            assert!(stats(&cache).bytes <= MOST);
        }
    })
    .await;
    let near = stats(&cache);
    assert!(near.evictions > 300 && near.entries > 20, "{near:?}");
}

/// Far more tags than a connection has cells for: what cannot be told of a change is not believed.
#[tokio::test(flavor = "multi_thread")]
async fn i7_what_stood_on_an_evicted_cell_is_asked_for_again() {
    let server = RedisServer::start();
    let cache = near_cache(&server, Near::new().max_staleness(LONG)).await;
    let source = Source::default();
    settle(&cache, &source).await;
    let old = call(&cache, &source).await.0;
    for page in 0..60 {
        let tags = (0..1_000).map(|number| Tag::new("Filler", page * 1_000 + number));
        cache.entry("filler").tags(tags).get::<u8>().await.unwrap();
    }
    server.cli(&["INCR", "fragkeys:t:Row:1"]);
    eventually("the bump is seen", async || call(&cache, &source).await.0 != old).await;
}

#[tokio::test]
async fn settings_that_cannot_be_are_errors() {
    let near = Near::new();
    for near in [
        near.max_staleness(Duration::ZERO),
        near.max_staleness(Duration::from_micros(999)),
        near.max_staleness(Duration::from_secs(3_601)),
        near.max_staleness(Duration::MAX),
        near.max_bytes(0),
    ] {
        let error = Config::memory().near(near).build().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("near tier"), "{error}");
    }
    let near = near.max_bytes(u64::MAX).max_staleness(Duration::from_millis(1));
    assert!(Config::memory().near(near).build().await.is_ok());
}

static IS_ARMED: AtomicBool = AtomicBool::new(false);
static MEETING: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(2));

/// A value that takes its time to be read, once.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Slow(u32);

impl<'de> Deserialize<'de> for Slow {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = u32::deserialize(deserializer)?;
        if IS_ARMED.swap(false, Ordering::SeqCst) {
            MEETING.wait();
            MEETING.wait();
        }
        Ok(Slow(value))
    }
}

/// What a look has found, and was still reading when it was evicted, is not kept behind that.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_evicted_while_it_is_read_is_not_kept() {
    #[tagged_cache(vary_on = [])]
    async fn slow() -> Slow {
        Slow(7)
    }
    let server = RedisServer::start();
    let near = Near::new().max_staleness(LONG);
    with_cache(near_cache(&server, near).await, slow()).await;
    // One that has it in Redis alone.
    let cache = near_cache(&server, near).await;
    // What is to be found is known by then: the versions, and the shape.
    assert!(!with_cache(cache.clone(), evict(strict(&Source::default()))).await);
    IS_ARMED.store(true, Ordering::SeqCst);
    let reads = tokio::spawn(with_cache(cache.clone(), observe(slow())));
    tokio::task::spawn_blocking(|| MEETING.wait()).await.unwrap();
    assert!(with_cache(cache.clone(), evict(slow())).await);
    MEETING.wait();
    assert_eq!(reads.await.unwrap(), (Slow(7), Some(Outcome::Hit)), "it began before");
    assert_eq!(with_cache(cache, peek(slow())).await, None);
}
