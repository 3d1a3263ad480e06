//! How long what a connection has told is believed without asking.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::ledger::{Ledger, Loss};
use crate::broken::leaves_out;

/// The trust in one connection and its cells: it runs out by itself, and once it is over it
/// stays so.
///
/// A hung server and a path that swallows packets tell nothing, not even that they do not tell.
/// So trust ends a fixed time after the last proof that changes still come through, which is an
/// answer on the very connection that carries them. The time counts from when the question was
/// *sent*: the server answered after that, and had sent all changes from before its answer ahead
/// of it. When it was received says nothing: the answer may have been on its way for long.
#[derive(Debug)]
pub(crate) struct Trust {
    origin: Instant,
    /// In ns since `origin`; or `OVER`.
    until: AtomicU64,
    /// Since when it holds without a break, alike.
    since: AtomicU64,
    /// How often one of the cells has moved: counted up behind each move.
    moves: AtomicU64,
    /// Somebody would believe it, since this was asked last.
    is_wanted: AtomicBool,
    /// That it ran out is written down.
    is_noted: AtomicBool,
    wanted: Notify,
    over: Notify,
    ledger: OnceLock<Arc<Ledger>>,
}

const OVER: u64 = 0;
const NOT_YET: u64 = 1;
const FOR_EVER: u64 = u64::MAX;

impl Trust {
    /// None yet.
    pub(crate) fn new() -> Self {
        Trust {
            origin: Instant::now(),
            until: AtomicU64::new(NOT_YET),
            since: AtomicU64::new(0),
            moves: AtomicU64::new(0),
            is_wanted: AtomicBool::new(false),
            is_noted: AtomicBool::new(false),
            wanted: Notify::new(),
            over: Notify::new(),
            ledger: OnceLock::new(),
        }
    }

    /// In cells that this very process moves.
    pub(crate) fn for_ever() -> Self {
        Trust { until: AtomicU64::new(FOR_EVER), ..Trust::new() }
    }

    /// Where to write down what becomes of it.
    pub(crate) fn enter_in(self: &Arc<Self>, ledger: &Arc<Ledger>) {
        if self.ledger.set(ledger.clone()).is_ok() {
            ledger.enter(self);
        }
    }

    /// Is what the connection told last believed at this time? To be asked before the cells are
    /// looked at: then they hold all that came before the proof which this goes by.
    #[inline]
    pub(crate) fn holds_at(&self, now: Instant) -> bool {
        self.number(now) < self.until.load(Ordering::Acquire) || leaves_out("trust")
    }

    /// A proof that was asked for at this time has come. `false` if it is over.
    pub(crate) fn extend(&self, sent: Instant, max_staleness: Duration) -> bool {
        let now = self.number(Instant::now());
        let until = self.number(sent + max_staleness);
        let later = |held: u64| (held != OVER).then(|| held.max(until));
        let held = self.until.fetch_update(Ordering::AcqRel, Ordering::Relaxed, later);
        if held.is_ok_and(|held| held <= now) {
            self.since.store(now, Ordering::Relaxed);
            self.is_noted.store(false, Ordering::Relaxed);
        }
        held.is_ok()
    }

    /// Did it run out, of itself?
    pub(crate) fn has_run_out(&self) -> bool {
        let now = self.number(Instant::now());
        (NOT_YET + 1..=now).contains(&self.until.load(Ordering::Acquire))
    }

    /// No proof came, and this is why: written down if it ran out of that.
    pub(crate) fn note_lack(&self, loss: Loss) {
        if self.has_run_out() && !self.is_noted.swap(true, Ordering::Relaxed) {
            self.note_loss(loss);
        }
    }

    /// While this number is the same, every cell holds what it held when it was read before. Who
    /// sees to that reads it first and then the cells.
    #[inline]
    pub(crate) fn moves(&self) -> u64 {
        self.moves.load(Ordering::Acquire)
    }

    /// A cell has moved.
    pub(crate) fn note_move(&self) {
        self.moves.fetch_add(1, Ordering::Release);
    }

    /// The connection is lost, or tells nothing any more.
    pub(crate) fn end(&self, loss: Loss) {
        let now = self.number(Instant::now());
        let until = self.until.swap(OVER, Ordering::AcqRel);
        let is_news = until != OVER && loss == Loss::NotTracked;
        if now < until || is_news {
            self.note_loss(loss);
        }
        self.over.notify_one();
    }

    pub(crate) fn is_over(&self) -> bool {
        self.until.load(Ordering::Acquire) == OVER
    }

    /// Returns when it is over. For one task.
    pub(crate) async fn over(&self) {
        while !self.is_over() {
            self.over.notified().await;
        }
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.origin.checked_add(Duration::from_nanos(self.since.load(Ordering::Relaxed)))
    }

    /// The connection has told of a change.
    pub(crate) fn note_push(&self) {
        if let Some(ledger) = self.ledger.get() {
            ledger.note_push();
        }
    }

    /// Asks for proofs.
    #[inline]
    pub(crate) fn want(&self) {
        if !self.is_wanted.load(Ordering::Relaxed) {
            self.is_wanted.store(true, Ordering::Release);
            self.wanted.notify_one();
        }
    }

    /// Was it wanted since this was asked last?
    pub(crate) fn take_want(&self) -> bool {
        self.is_wanted.swap(false, Ordering::AcqRel)
    }

    /// Returns when it is wanted. For one task.
    pub(crate) async fn wanted(&self) {
        while !self.is_wanted.load(Ordering::Acquire) {
            self.wanted.notified().await;
        }
    }

    pub(crate) fn note_loss(&self, loss: Loss) {
        if let Some(ledger) = self.ledger.get() {
            ledger.note_loss(loss);
        }
    }

    #[inline]
    fn number(&self, time: Instant) -> u64 {
        let since = time.saturating_duration_since(self.origin);
        // No machine runs for 584 years.
        since
            .as_secs()
            .saturating_mul(1_000_000_000)
            .saturating_add(u64::from(since.subsec_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_lasts_from_when_the_proof_was_asked_for() {
        let trust = Trust::new();
        let sent = Instant::now();
        assert!(!trust.holds_at(sent), "not before the first proof");
        assert!(trust.extend(sent, SECOND));
        assert!(trust.holds_at(sent + SECOND - Duration::from_nanos(1)));
        assert!(!trust.holds_at(sent + SECOND));
    }

    /// Answers are handed out in order, but the tasks that wait for them may not run in it.
    #[test]
    fn an_older_proof_does_not_shorten_it() {
        let trust = Trust::new();
        let sent = Instant::now();
        assert!(trust.extend(sent + SECOND, SECOND) && trust.extend(sent, SECOND));
        assert!(trust.holds_at(sent + SECOND + SECOND / 2));
    }

    #[test]
    fn over_is_over_whatever_answers_then() {
        let trust = Arc::new(Trust::new());
        let ledger = Arc::new(Ledger::new(SECOND));
        trust.enter_in(&ledger);
        let sent = Instant::now();
        trust.extend(sent, SECOND);
        assert!(ledger.trusted(sent).1.is_some());
        trust.end(Loss::NotTracked);
        assert!(!trust.extend(sent, SECOND) && !trust.holds_at(sent) && trust.is_over());
        assert_eq!(ledger.trusted(sent), (0, None));
        trust.end(Loss::Disconnected);
        assert_eq!(ledger.losses(), [0, 0, 1, 0], "what is not trusted cannot be lost");
    }
}
