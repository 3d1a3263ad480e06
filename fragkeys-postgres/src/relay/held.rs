//! Rows whose bump fails while others go through: left alone for a while, so that those come to pass.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;

/// With so many, something else is wrong: then it waits for these.
const MOST: usize = 20_000;
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Held {
    ids: Vec<i64>,
    /// When they are tried again; known at the end of the outbox.
    until: Option<Instant>,
    backoff: Backoff,
}

impl Default for Held {
    fn default() -> Self {
        Held { ids: Vec::new(), until: None, backoff: Backoff::up_to(LONGEST_PAUSE) }
    }
}

impl Held {
    pub(super) fn ids(&self) -> &[i64] {
        &self.ids
    }

    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= MOST
    }

    pub(super) fn hold(&mut self, ids: &[i64]) {
        self.ids.extend_from_slice(ids);
    }

    pub(super) fn let_go_in_time(&mut self) {
        if self.is_full() || self.until.is_some_and(|until| Instant::now() >= until) {
            self.ids.clear();
            self.until = None;
        }
    }

    /// How long to wait while nothing goes through.
    pub(super) fn pause(&mut self) -> Duration {
        self.backoff.next()
    }

    /// The end of the outbox: how long to wait, if that would be so long without any of them.
    pub(super) fn at_end(&mut self, pause: Duration) -> Duration {
        if self.ids.is_empty() {
            self.backoff = Backoff::up_to(LONGEST_PAUSE);
            return pause;
        }
        let next = &mut self.backoff;
        let until = *self.until.get_or_insert_with(|| Instant::now() + next.next());
        pause.min(until.saturating_duration_since(Instant::now()))
    }
}
