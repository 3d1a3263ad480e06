//! What the cache did for one call, for headers, logs and tests.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// How the outermost cached call of a future was answered.
///
/// A batch is a [`Hit`](Self::Hit) if all of its elements were; else it is the worst that befell
/// one of them, in the order of these variants.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// From the cache; the function did not run.
    Hit,
    /// The function ran and its value was stored.
    Miss,
    /// By the run of another call for the same, which was under way; this one did not run.
    Shared,
    /// With an old value, as grace has it: while another run is under way, or the function fails.
    Stale,
    /// The function ran; its result was an `Err`, or `cache_if` or the codec refused it, or it was
    /// refreshed or evicted meanwhile.
    NotStored,
    /// The function ran because the cache could not be used: the store is away, or a bump is
    /// waiting; or was not to be: [`bypass`](crate::bypass).
    Bypass,
}

impl Outcome {
    /// One lower-case word, for a header or a metric's label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Hit => "hit",
            Outcome::Miss => "miss",
            Outcome::Shared => "shared",
            Outcome::Stale => "stale",
            Outcome::NotStored => "not-stored",
            Outcome::Bypass => "bypass",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Default)]
struct Slot {
    is_claimed: bool,
    outcome: Option<Outcome>,
}

tokio::task_local! {
    static OBSERVER: Arc<Mutex<Slot>>;
}

/// Runs a future and tells how its outermost cached call was answered; `None` if there was none.
///
/// Of several, the first one counts. Tasks that the future spawns are not seen.
///
/// ```
/// # use fragkeys_runtime::{Outcome, observe};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let profile = |id: u64| async move { id };
/// let (profile, outcome) = observe(profile(42)).await;
/// let header = outcome.map_or("none", Outcome::as_str);
/// # let _ = (profile, header); });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn observe<F: Future>(future: F) -> (F::Output, Option<Outcome>) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    let output = OBSERVER.scope(slot.clone(), future).await;
    let outcome = slot.lock().unwrap_or_else(PoisonError::into_inner).outcome;
    (output, outcome)
}

/// Reports one call's outcome to the observer around it, if that is still free.
#[derive(Debug)]
pub(crate) struct Report(Option<Arc<Mutex<Slot>>>);

impl Report {
    /// Taken before the body runs, so that calls nested in it report nothing.
    pub(crate) fn claim() -> Self {
        let slot = OBSERVER.try_with(Arc::clone).ok();
        Report(slot.filter(|slot| {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            !std::mem::replace(&mut slot.is_claimed, true)
        }))
    }

    /// Of a call that nobody is told about.
    pub(crate) fn nobodys() -> Self {
        Report(None)
    }

    pub(crate) fn tell(&self, outcome: Outcome) {
        if let Some(slot) = &self.0 {
            slot.lock().unwrap_or_else(PoisonError::into_inner).outcome = Some(outcome);
        }
    }
}
