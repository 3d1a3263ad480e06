//! Over the embedded store: what the near tier keeps is nowhere else.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Config, Near, Outcome, Tag, observe, tagged_cache, with_cache};

use super::{Source, call, stats};

#[tokio::test]
async fn it_is_the_store() {
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let source = Source::default();
    assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
    // At once: there is nobody to wait for.
    assert_eq!(call(&cache, &source).await, ("row 1, run 0".to_owned(), Outcome::Hit));
    assert_eq!((cache.stats().near_hits, cache.stats().hits), (1, 0));
    assert_eq!(stats(&cache).entries, 1);
    let description = format!("{cache:?}");
    assert!(description.contains("MemoryStore { entries: 0,"), "kept twice: {description}");
    for (round, tag) in [Tag::new("Row", 1), Tag::global("Rows")].into_iter().enumerate() {
        cache.invalidate([tag]).await.unwrap();
        assert_eq!(call(&cache, &source).await.0, format!("row 1, run {}", round + 1));
        assert_eq!(call(&cache, &source).await.1, Outcome::Hit);
    }
    cache.invalidate_all().await.unwrap();
    assert_eq!(call(&cache, &source).await.1, Outcome::Miss);
}

/// What has no room in the near tier, or may not be there, is kept in the store.
#[tokio::test]
async fn what_stays_out_is_stored_as_ever() {
    #[tagged_cache(vary_on = [])]
    async fn large(source: &Source) -> Vec<u8> {
        source.runs.fetch_add(1, Ordering::SeqCst);
        vec![7; 20_000]
    }
    #[tagged_cache(vary_on = [], near = false)]
    async fn strict(source: &Source) -> u32 {
        source.runs.fetch_add(1, Ordering::SeqCst)
    }
    let near = Near::new().max_bytes(16 << 10);
    let cache = Config::memory().near(near).build().await.unwrap();
    let source = Source::default();
    with_cache(cache.clone(), async {
        for outcome in [Outcome::Miss, Outcome::Hit] {
            assert_eq!(observe(large(&source)).await.1, Some(outcome));
            assert_eq!(observe(strict(&source)).await.1, Some(outcome));
        }
    })
    .await;
    assert_eq!((cache.stats().near_hits, cache.stats().hits), (0, 2));
}

/// A tag's cell is evicted: nobody would tell it of a bump, so nothing that knew it is believed.
#[tokio::test]
async fn i7_versions_are_bounded_and_what_is_evicted_is_not_believed() {
    let config = Config::memory().max_bytes(64 << 10).near(Near::new());
    let cache = config.build().await.unwrap();
    let source = Source::default();
    call(&cache, &source).await;
    call(&cache, &source).await;
    for number in 0..1_000 {
        cache.tag_version(&Tag::new("Filler", number)).await.unwrap();
    }
    cache.invalidate(["Row:1"]).await.unwrap();
    assert_eq!(call(&cache, &source).await.0, "row 1, run 1");
}

#[tokio::test]
async fn it_ends_with_the_timeout() {
    #[tagged_cache(timeout = Duration::from_millis(60), vary_on = [])]
    async fn brief(source: &Source) -> u32 {
        source.runs.fetch_add(1, Ordering::SeqCst)
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let source = Source::default();
    let began = std::time::Instant::now();
    with_cache(cache.clone(), async {
        assert_eq!(brief(&source).await, 0);
        while brief(&source).await == 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "it never ends");
        }
    })
    .await;
    assert!(began.elapsed() >= Duration::from_millis(60));
    assert!(cache.stats().near_hits > 0);
}

/// A call misses the near tier just before a run is kept there, and looks just after: it does not
/// run again for what is nowhere but there.
#[tokio::test]
async fn one_key_is_one_run() {
    struct Meeting {
        cache: Cache,
        runs: AtomicU32,
        is_armed: AtomicBool,
    }
    #[tagged_cache(vary_on = [], cache_if = kept_meanwhile(meeting))]
    async fn number(meeting: &Meeting) -> u32 {
        meeting.runs.fetch_add(1, Ordering::SeqCst)
    }
    /// Is made between the two.
    fn kept_meanwhile(meeting: &Meeting) -> impl Fn(&u32) -> bool + use<> {
        if meeting.is_armed.swap(false, Ordering::SeqCst) {
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    runtime.block_on(with_cache(meeting.cache.clone(), number(meeting)))
                });
            });
        }
        |_| true
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let meeting = Meeting { cache, runs: AtomicU32::new(0), is_armed: AtomicBool::new(true) };
    let (value, outcome) = with_cache(meeting.cache.clone(), observe(number(&meeting))).await;
    assert_eq!((value, outcome), (0, Some(Outcome::Hit)));
    assert_eq!(meeting.runs.load(Ordering::SeqCst), 1);
}
