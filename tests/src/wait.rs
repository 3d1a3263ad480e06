//! Waiting for a condition instead of sleeping and hoping.

use std::thread;
use std::time::{Duration, Instant};

/// How long the harness waits for something that should happen soon, on the slowest of machines.
pub const DEADLINE: Duration = Duration::from_secs(60);

const POLL_EVERY: Duration = Duration::from_millis(2);

/// Blocks until `condition` holds.
///
/// # Panics
///
/// When it still doesn't hold after [`DEADLINE`]; `what` names it in the
/// message.
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(DEADLINE, condition), "still waiting after {DEADLINE:?}: {what}");
}

/// Blocks until `condition` holds or `timeout` has passed; tells which.
pub fn holds_within(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(POLL_EVERY);
    }
}
