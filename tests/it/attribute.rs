//! The attribute on everything that it works on, with a cache of its own for each test.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU32, Ordering};

use fragkeys::with_cache;

use crate::support::memory_cache;

mod arguments;
mod async_traits;
mod futures;
mod identity;
mod identity_values;
mod options;
mod receivers;
mod returns;
mod shapes;
mod tags;
mod timeouts;

/// How often bodies ran. They get it as an argument that is in no key.
#[derive(Debug, Default)]
struct Runs(AtomicU32);

impl Runs {
    fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

async fn in_new_cache<F: Future>(test: F) -> F::Output {
    with_cache(memory_cache().await, test).await
}

/// The call runs a body, once.
#[track_caller]
fn assert_runs<'a, F: Future + 'a>(
    runs: &'a Runs,
    call: F,
) -> impl Future<Output = F::Output> + 'a {
    assert_runs_by(1, runs, call)
}

/// The cache answers the call.
#[track_caller]
fn assert_hits<'a, F: Future + 'a>(
    runs: &'a Runs,
    call: F,
) -> impl Future<Output = F::Output> + 'a {
    assert_runs_by(0, runs, call)
}

#[track_caller]
fn assert_runs_by<'a, F: Future + 'a>(
    more: u32,
    runs: &'a Runs,
    call: F,
) -> impl Future<Output = F::Output> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let before = runs.count();
        let output = call.await;
        assert_eq!(runs.count() - before, more, "runs of the body, called at {caller}");
        output
    }
}

/// The first call runs the body; the second one is answered by the cache, and alike.
async fn assert_caches<T, F>(runs: &Runs, call: impl Fn() -> F) -> T
where
    T: PartialEq + Debug,
    F: Future<Output = T>,
{
    let first = assert_runs(runs, call()).await;
    let second = assert_hits(runs, call()).await;
    assert_eq!(first, second);
    first
}
