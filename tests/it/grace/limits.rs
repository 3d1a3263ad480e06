//! `soft_timeout` and `hard_timeout`: what happens to a run that takes long.

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Outcome, Tag, TimedOut, bypass, observe, refresh, tagged_cache, with_cache};
use fragkeys_tests::{Action, Proxy, RedisServer};

use super::{Source, ask, impatient, impatient_by_reference};
use crate::support::{eventually, over_both_stores, patient};

/// The old value is given, and the run goes on without its caller and is stored.
async fn past_the_soft_timeout_the_run_goes_on(cache: Cache) {
    let source = Source::gated();
    source.release(1);
    ask(&cache, impatient(source.clone(), 1)).await.unwrap().0.unwrap();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    // Who loses its patience before it comes to run leaves that to the next one.
    eventually("a run begins", async || {
        let answer = ask(&cache, impatient(source.clone(), 1)).await.unwrap();
        assert_eq!(answer, (Ok(0), Some(Outcome::Stale)));
        source.runs() == 2
    })
    .await;
    let calls: Vec<_> = (0..10).map(|_| ask(&cache, impatient(source.clone(), 1))).collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    }
    assert_eq!((source.runs(), cache.stats().stored), (2, 1));
    source.release(1);
    eventually("the run is stored", async || cache.stats().stored == 2).await;
    assert_eq!(
        ask(&cache, impatient(source.clone(), 1)).await.unwrap(),
        (Ok(1), Some(Outcome::Hit))
    );
    assert_eq!(source.runs(), 2);
}

/// Where the arguments are borrowed, who runs waits for it, and the others are given the old value.
async fn who_runs_waits_where_arguments_are_borrowed(cache: Cache) {
    let source = Source::gated();
    let call = || {
        let source = source.clone();
        ask(&cache, async move { impatient_by_reference(&source, 1).await })
    };
    source.release(1);
    call().await.unwrap().0.unwrap();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    // One that loses its patience before it comes to run is given the old value, as the others are.
    let mut elected = call();
    eventually("one runs", async || {
        if elected.is_finished() {
            elected = call();
        }
        source.runs() == 2
    })
    .await;
    for other in [call(), call()] {
        assert_eq!(other.await.unwrap(), (Ok(0), Some(Outcome::Stale)));
    }
    assert!(!elected.is_finished());
    source.release(1);
    assert_eq!(elected.await.unwrap(), (Ok(1), Some(Outcome::Miss)));
    assert_eq!(source.runs(), 2);
}

/// With nothing to give instead, all wait, and one run answers them.
async fn without_an_old_value_all_wait(cache: Cache) {
    let source = Source::gated();
    let calls: Vec<_> = (0..5).map(|_| ask(&cache, impatient(source.clone(), 1))).collect();
    source.wait_for_runs(1).await;
    tokio::time::sleep(Duration::from_millis(60)).await;
    assert!(calls.iter().all(|call| !call.is_finished()));
    source.release(1);
    for call in calls {
        assert_eq!(call.await.unwrap().0, Ok(0));
    }
    assert_eq!(source.runs(), 1);
}

#[derive(Debug, PartialEq, Eq)]
enum Problem {
    TooSlow,
}

impl From<TimedOut> for Problem {
    fn from(_: TimedOut) -> Self {
        Problem::TooSlow
    }
}

struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tagged_cache(vary_on = [], hard_timeout = Duration::from_millis(20))]
async fn hanging(dropped: Arc<AtomicUsize>) -> Result<u8, Problem> {
    let _dropped = Dropped(dropped);
    pending().await
}

#[tagged_cache(vary_on = [hangs], hard_timeout = Duration::from_millis(20), stale_if_error = 60)]
async fn hanging_at_times(hangs: &str, now: bool) -> Result<u8, Box<dyn Error + Send + Sync>> {
    if now { pending().await } else { Ok(hangs.len() as u8) }
}

async fn past_the_hard_timeout_the_run_is_dropped(cache: Cache) {
    let dropped = Arc::new(AtomicUsize::new(0));
    with_cache(cache.clone(), async {
        let (error, outcome) = observe(hanging(dropped.clone())).await;
        assert_eq!((error, outcome), (Err(Problem::TooSlow), Some(Outcome::NotStored)));
        assert_eq!(dropped.load(Ordering::SeqCst), 1);
        assert_eq!(refresh(hanging(dropped.clone())).await, Err(Problem::TooSlow));
        assert_eq!(dropped.load(Ordering::SeqCst), 2);
        // As if it were not annotated: it has no limit.
        let alone =
            tokio::time::timeout(Duration::from_millis(60), bypass(hanging(dropped.clone())));
        assert!(alone.await.is_err());

        // It counts as an error, which the last good value stands in for.
        let error = hanging_at_times("never", true).await.unwrap_err();
        assert!(error.is::<TimedOut>(), "{error}");
        cache.invalidate_all().await.unwrap();
        hanging_at_times("never", false).await.unwrap();
        cache.invalidate_all().await.unwrap();
        let (value, outcome) = observe(hanging_at_times("never", true)).await;
        assert_eq!((value.unwrap(), outcome), (5, Some(Outcome::Stale)));
    })
    .await;
}

over_both_stores!(
    past_the_soft_timeout_the_run_goes_on,
    who_runs_waits_where_arguments_are_borrowed,
    without_an_old_value_all_wait,
    past_the_hard_timeout_the_run_is_dropped,
);

/// The run fails while its caller, who has lost patience, looks for the last good value.
#[tokio::test]
async fn what_is_being_looked_for_is_not_lost() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    // Nobody else's requests wait behind what is held.
    let cache = patient(proxy.url()).lease_wait(Duration::ZERO).build().await.unwrap();
    let source = Source::gated();
    source.release(1);
    ask(&cache, impatient(source.clone(), 1)).await.unwrap().0.unwrap();
    cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
    proxy.on_request(Box::new(|request| {
        let is_pointer = request.windows(3).any(|bytes| bytes == b":p:");
        if is_pointer { Action::Hold } else { Action::Forward }
    }));
    let call = ask(&cache, impatient(source.clone(), 1));
    source.wait_for_runs(2).await;
    let held = tokio::task::spawn_blocking({
        let proxy = Arc::new(proxy);
        move || {
            assert!(proxy.wait_held(Duration::from_secs(60)));
            proxy
        }
    });
    let proxy = held.await.unwrap();
    source.goes_down(true);
    source.release(1);
    // Its task is the only other one.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    proxy.clear_hook();
    proxy.release();
    assert_eq!(call.await.unwrap(), (Ok(0), Some(Outcome::Stale)));
}

#[test]
fn io_errors_say_it_too() {
    let error = std::io::Error::from(hard());
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

/// One as a function would get it.
fn hard() -> TimedOut {
    #[tagged_cache(vary_on = [], hard_timeout = Duration::from_millis(1))]
    async fn hanging() -> Result<u8, Box<TimedOut>> {
        pending().await
    }
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    *runtime.block_on(hanging()).unwrap_err()
}
