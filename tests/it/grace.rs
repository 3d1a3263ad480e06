//! Old values, runs that are early, and runs that nobody waits for.

mod background;
mod cluster;
mod early;
mod failing;
mod fleet;
mod limits;
mod revalidating;
mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Outcome, observe, tagged_cache, with_cache};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

use crate::support::eventually;

/// A source whose runs wait until they are let go, and that can be down.
pub(crate) struct Source {
    runs: AtomicUsize,
    may_return: Semaphore,
    is_down: AtomicBool,
}

impl Source {
    pub(crate) fn gated() -> Arc<Self> {
        Arc::new(Source {
            runs: AtomicUsize::new(0),
            may_return: Semaphore::new(0),
            is_down: AtomicBool::new(false),
        })
    }

    pub(crate) fn open() -> Arc<Self> {
        let source = Source::gated();
        source.release(Semaphore::MAX_PERMITS / 2);
        source
    }

    pub(crate) fn runs(&self) -> usize {
        self.runs.load(Ordering::SeqCst)
    }

    pub(crate) fn release(&self, runs: usize) {
        self.may_return.add_permits(runs);
    }

    pub(crate) fn goes_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(crate) async fn run(&self) -> Result<usize, String> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst);
        self.may_return.acquire().await.unwrap().forget();
        if self.is_down.load(Ordering::SeqCst) { Err(format!("down, run {run}")) } else { Ok(run) }
    }

    pub(crate) async fn wait_for_runs(&self, runs: usize) {
        eventually("runs begin", async || self.runs() >= runs).await;
    }
}

/// No test counts on reading what lives for so long before it has expired.
pub(crate) const SOON: Duration = Duration::from_millis(20);
pub(crate) const HOUR: Duration = Duration::from_secs(3_600);

/// Until what was stored just now has expired.
pub(crate) async fn expire() {
    tokio::time::sleep(SOON * 2).await;
}

/// The first value of a source has expired soon, the others have not.
pub(crate) fn life(run: usize) -> Duration {
    if run == 0 { SOON } else { HOUR }
}

pub(crate) type Answer = (Result<usize, String>, Option<Outcome>);

/// A call in a task of its own.
pub(crate) fn ask<F>(cache: &Cache, call: F) -> JoinHandle<Answer>
where
    F: Future<Output = Result<usize, String>> + Send + 'static,
{
    tokio::spawn(with_cache(cache.clone(), observe(call)))
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id], timeout = |run| life(*run), stale_while_revalidate = HOUR)]
pub(crate) async fn revalidated(source: Arc<Source>, id: u64) -> Result<usize, String> {
    source.run().await
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id], timeout = |run| life(*run), stale_while_revalidate = HOUR)]
pub(crate) async fn revalidated_by_a_caller(source: &Source, id: u64) -> Result<usize, String> {
    source.run().await
}

#[tagged_cache(tags = ["Row:<id>"], vary_on = [id], timeout = 60, stale_if_error = HOUR)]
pub(crate) async fn covered(source: &Source, id: u64) -> Result<usize, String> {
    source.run().await
}

#[tagged_cache(
    tags = ["Row:<id>"],
    vary_on = [id],
    timeout = 60,
    stale_if_error = HOUR,
    soft_timeout = Duration::from_millis(20)
)]
pub(crate) async fn impatient(source: Arc<Source>, id: u64) -> Result<usize, String> {
    source.run().await
}

#[tagged_cache(
    tags = ["Row:<id>"],
    vary_on = [id],
    timeout = 60,
    stale_if_error = HOUR,
    soft_timeout = Duration::from_millis(20)
)]
pub(crate) async fn impatient_by_reference(source: &Source, id: u64) -> Result<usize, String> {
    source.run().await
}
