//! The time, for comparisons that a hit of the near tier can afford.
//!
//! To look at the clock takes a fifth of such a hit. Linux also keeps the time of its last tick,
//! which is there for a quarter of that, and some ms late. So that is looked at first, and the clock
//! only where an end is so near that it matters.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// When something ends: in units of which 2^32 are a second, since this was first asked.
pub(crate) type End = u64;

pub(crate) const FOR_EVER: End = u64::MAX;

const SECOND: u64 = 1 << 32;

/// A time at which ends are compared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Moment {
    Exact(u64),
    /// It may be later by now, but not by [`LATE`].
    #[cfg(target_os = "linux")]
    Rough(u64),
}

/// A tick comes every 1 to 10 ms. If the processor that sees to it is kept from it, another one
/// takes over after five of them.
#[cfg(target_os = "linux")]
const LATE: u64 = SECOND / 10;

impl Moment {
    #[inline]
    #[cfg(target_os = "linux")]
    pub(crate) fn now() -> Self {
        let tick = coarsetime::Instant::now_without_cache_update().as_ticks();
        Moment::Rough(tick.saturating_sub(ORIGIN.tick))
    }

    #[cfg(not(target_os = "linux"))]
    pub(crate) fn now() -> Self {
        Moment::at(Instant::now())
    }

    pub(crate) fn at(time: Instant) -> Self {
        Moment::Exact(end(time))
    }

    #[inline]
    pub(crate) fn is_before(self, other: End) -> bool {
        match self {
            Moment::Exact(now) => now < other,
            #[cfg(target_os = "linux")]
            Moment::Rough(now) => now.saturating_add(LATE) < other || end(Instant::now()) < other,
        }
    }
}

/// The end that comes at this time.
pub(crate) fn end(time: Instant) -> End {
    let since = time.saturating_duration_since(ORIGIN.time);
    let part = u64::from(since.subsec_nanos()) * SECOND / 1_000_000_000;
    // No machine runs for 136 years.
    since.as_secs().saturating_mul(SECOND).saturating_add(part)
}

/// The time of an end.
pub(crate) fn time_of(end: End) -> Option<Instant> {
    let nanos = (end % SECOND) * 1_000_000_000 / SECOND;
    ORIGIN.time.checked_add(Duration::from_secs(end / SECOND) + Duration::from_nanos(nanos))
}

struct Origin {
    #[cfg(target_os = "linux")]
    tick: u64,
    time: Instant,
}

static ORIGIN: LazyLock<Origin> = LazyLock::new(|| Origin {
    // First: so a time by ticks is not too early by what this one was late.
    #[cfg(target_os = "linux")]
    tick: coarsetime::Instant::now_without_cache_update().as_ticks(),
    time: Instant::now(),
});

#[cfg(test)]
mod tests {
    use super::*;

    /// It is the ticks that tell, where they can: the clock is the same.
    #[test]
    fn ticks_are_late_by_less_than_is_allowed_for() {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(300) {
            let rough = Moment::now();
            let (before, after) =
                (end(Instant::now()), end(Instant::now() + Duration::from_secs(1)));
            assert!(rough.is_before(after) && !rough.is_before(before));
            #[cfg(target_os = "linux")]
            assert!(matches!(rough, Moment::Rough(now) if now.abs_diff(before) < LATE));
        }
    }

    #[test]
    fn an_end_is_exact_however_near() {
        let time = Instant::now() + Duration::from_secs(1);
        let nanosecond = Duration::from_nanos(1);
        assert!(!Moment::at(time).is_before(end(time)));
        assert!(Moment::at(time - nanosecond).is_before(end(time)));
        let back = time_of(end(time)).unwrap();
        assert!(back <= time && time < back + 2 * nanosecond);
    }
}
