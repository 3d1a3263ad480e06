//! The time of day, for what other processes read.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Since 1970, by this machine's clock. Where a test has paused Tokio's time, it goes with that.
pub(crate) fn since_1970() -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (real, tokio) = (Instant::now(), tokio::time::Instant::now().into_std());
    match tokio.checked_duration_since(real) {
        Some(ahead) => now + ahead,
        None => now.saturating_sub(real.saturating_duration_since(tokio)),
    }
}
