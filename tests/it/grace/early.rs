//! `refresh_ahead`: the next value is made before the last one has expired.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Config, Near, Outcome, observe, tagged_cache, with_cache};

use crate::support::{eventually, memory_cache};

/// A source whose runs take half a second.
#[derive(Default)]
struct Slow(AtomicUsize);

impl Slow {
    async fn run(&self) -> usize {
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

#[tagged_cache(vary_on = [], timeout = 60, refresh_ahead = 0.1)]
async fn by_share(source: Arc<Slow>) -> usize {
    source.run().await
}

#[tagged_cache(vary_on = [], timeout = 60, refresh_ahead = xfetch)]
async fn at_random(source: Arc<Slow>) -> usize {
    source.run().await
}

/// An hour of forty calls a second.
async fn runs_of<F: Future<Output = usize>>(cache: &Cache, source: &Slow, call: impl Fn() -> F) {
    const MINUTES: usize = 60;
    with_cache(cache.clone(), async {
        call().await;
        for _ in 0..MINUTES * 60 * 40 {
            tokio::time::advance(Duration::from_millis(25)).await;
            // Runs that nobody waits for go on.
            tokio::task::yield_now().await;
            let (_, outcome) = observe(call()).await;
            assert_eq!(outcome, Some(Outcome::Hit));
        }
    })
    .await;
    let runs = source.0.load(Ordering::SeqCst);
    assert!((MINUTES..=MINUTES * 6 / 5).contains(&runs), "{runs} runs in {MINUTES} timeouts");
}

#[tokio::test(start_paused = true)]
async fn by_a_share_nobody_misses() {
    let (cache, source) = (memory_cache().await, Arc::new(Slow::default()));
    runs_of(&cache, &source, || by_share(source.clone())).await;
}

#[tokio::test(start_paused = true)]
async fn at_random_nobody_misses() {
    let (cache, source) = (memory_cache().await, Arc::new(Slow::default()));
    runs_of(&cache, &source, || at_random(source.clone())).await;
}

/// The near tier gives no value past the moment at which somebody should run.
#[tokio::test]
async fn the_near_tier_lets_it_begin() {
    #[tagged_cache(vary_on = [], timeout = Duration::from_secs(1), refresh_ahead = 0.9, near = true)]
    async fn early(runs: Arc<AtomicUsize>) -> usize {
        runs.fetch_add(1, Ordering::SeqCst)
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let runs = Arc::new(AtomicUsize::new(0));
    with_cache(cache, async {
        early(runs.clone()).await;
        eventually("it runs ahead", async || {
            early(runs.clone()).await;
            runs.load(Ordering::SeqCst) >= 2
        })
        .await;
    })
    .await;
}

/// And what has expired is not in it, however long the store keeps it.
#[tokio::test]
async fn the_near_tier_gives_nothing_that_has_expired() {
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let source = super::Source::open();
    let ask = || super::ask(&cache, super::revalidated(source.clone(), 1));
    ask().await.unwrap().0.unwrap();
    super::expire().await;
    assert_eq!((ask().await.unwrap(), cache.stats().near_hits), ((Ok(0), Some(Outcome::Stale)), 0));
    eventually("the next value is there", async || cache.stats().stored == 2).await;
    assert_eq!((ask().await.unwrap(), cache.stats().near_hits), ((Ok(1), Some(Outcome::Hit)), 1));
}
