//! How long a call waits for the store.

use std::time::{Duration, Instant};

/// When a call began to wait, and until when it does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) since: Instant,
    pub(crate) until: Instant,
}

impl Deadline {
    /// A call that waits looks at the clock so many times in an `operation_timeout`.
    pub(crate) const LOOKS: u32 = 8;

    /// From now on, for so long.
    pub(crate) fn after(patience: Duration) -> Self {
        let since = Instant::now();
        Deadline { since, until: since + patience }
    }
}
