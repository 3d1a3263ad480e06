//! Single-flight, as callers see it: concurrent calls for one missing key in one process share
//! one run, and none of them hangs, whatever becomes of it. The state machine behind it is
//! model-checked in fragkeys-runtime's `tests/flight.rs`.

mod bound;
mod ending;
mod recursion;
mod sharing;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fragkeys::{Cache, Outcome, observe, tagged_cache, with_cache};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::support::eventually;

/// A value that cannot be cloned: each caller decodes one of its own.
#[derive(Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Value {
    pub(crate) id: u64,
    pub(crate) run: usize,
}

/// A source whose runs wait until they are let go.
pub(crate) struct Source {
    runs: AtomicUsize,
    may_return: Semaphore,
}

impl Source {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Source { runs: AtomicUsize::new(0), may_return: Semaphore::new(0) })
    }

    pub(crate) fn open() -> Arc<Self> {
        let source = Source::new();
        source.release(Semaphore::MAX_PERMITS / 2);
        source
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn release(&self, runs: usize) {
        self.may_return.add_permits(runs);
    }

    pub(crate) async fn run(&self, id: u64) -> Value {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        self.may_return.acquire().await.unwrap().forget();
        Value { id, run }
    }

    pub(crate) async fn wait_for_runs(&self, runs: usize) {
        eventually("runs begin", async || self.runs() >= runs).await;
    }
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id])]
pub(crate) async fn read(source: &Source, id: u64) -> Value {
    source.run(id).await
}

/// A call in a task of its own.
pub(crate) fn call(
    cache: &Cache,
    source: &Arc<Source>,
    id: u64,
) -> JoinHandle<(Value, Option<Outcome>)> {
    let source = source.clone();
    tokio::spawn(with_cache(cache.clone(), async move { observe(read(&source, id)).await }))
}

/// Until so many calls have found nothing, which they do just before they join.
pub(crate) async fn wait_for_misses(cache: &Cache, misses: u64) {
    eventually("calls miss", async || cache.stats().misses >= misses).await;
}
