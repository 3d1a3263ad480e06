//! Bounds of waiting (I7): how many wait, and for how long.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use fragkeys::{Config, ErrorKind, Outcome, with_cache};

use super::{Source, Value, call, read, wait_for_misses};
use crate::support::memory_cache;

#[tokio::test]
async fn who_has_waited_long_enough_runs() {
    let wait = Duration::from_millis(50);
    let cache = Config::memory().flight_wait(wait).build().await.unwrap();
    let source = Source::new();
    let hangs = call(&cache, &source, 1);
    source.wait_for_runs(1).await;
    let began = Instant::now();
    let waits = call(&cache, &source, 1);
    source.wait_for_runs(2).await;
    assert!(began.elapsed() >= wait);
    // Whoever of the two has a value first gives it to all.
    let third = call(&cache, &source, 1);
    wait_for_misses(&cache, 3).await;
    source.release(3);
    for call in [hangs, waits, third] {
        call.await.unwrap();
    }
}

#[tokio::test]
async fn who_finds_too_many_waiting_runs() {
    let cache = Config::memory().max_flight_waiters(3).build().await.unwrap();
    let source = Source::new();
    let calls: Vec<_> = (0..6).map(|_| call(&cache, &source, 1)).collect();
    // One for the flight, three wait, two run for themselves.
    wait_for_misses(&cache, 6).await;
    source.wait_for_runs(3).await;
    source.release(3);
    let mut shared = 0;
    for call in calls {
        shared += usize::from(call.await.unwrap().1 == Some(Outcome::Shared));
    }
    assert_eq!((shared, source.runs()), (3, 3));
}

#[tokio::test]
async fn a_wait_without_an_end_is_refused() {
    let error = Config::memory().flight_wait(Duration::MAX).build().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("flight_wait"), "{error}");
}

/// One task holds a run that it does not poll, and waits for it.
#[tokio::test]
async fn a_run_that_is_not_polled_is_waited_for_no_longer_than_that() {
    let cache = Config::memory().flight_wait(Duration::from_millis(50)).build().await.unwrap();
    let source = Source::new();
    let mut held = pin!(with_cache(cache.clone(), read(&source, 1)));
    poll_fn(|context| Poll::Ready(held.as_mut().poll(context).is_pending())).await;
    source.wait_for_runs(1).await;
    source.release(2);
    assert_eq!(with_cache(cache, read(&source, 1)).await, Value { id: 1, run: 1 });
}

/// Without any runtime, and so without its timer.
#[test]
fn waiting_needs_no_runtime() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    fn block_on<F: Future>(future: F) -> F::Output {
        let mut future = pin!(future);
        let waker = Waker::from(std::sync::Arc::new(Unpark(std::thread::current())));
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return output;
            }
            std::thread::park();
        }
    }
    let cache = block_on(Config::memory().flight_wait(Duration::from_millis(50)).build()).unwrap();
    let source = Source::new();
    let hangs = {
        let (cache, source) = (cache.clone(), source.clone());
        std::thread::spawn(move || block_on(with_cache(cache, async { read(&source, 1).await })))
    };
    fragkeys_tests::wait_until("it runs", || source.runs() == 1);
    let open = Source::open();
    assert_eq!(block_on(with_cache(cache, read(&open, 1))), Value { id: 1, run: 0 });
    source.release(1);
    assert_eq!(hangs.join().unwrap(), Value { id: 1, run: 0 });
}

/// A call takes no longer for the sharing of runs than it must: a lone miss waits for nobody.
#[tokio::test]
async fn a_lone_call_waits_for_nobody() {
    let cache = memory_cache().await;
    let source = Source::open();
    let mut lone = pin!(with_cache(cache, read(&source, 1)));
    let polled = poll_fn(|context| Poll::Ready(lone.as_mut().poll(context))).await;
    assert_eq!(polled, Poll::Ready(Value { id: 1, run: 0 }));
}
