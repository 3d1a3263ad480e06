//! Grace: when an old value may be given, and when a run begins before it has to.
//!
//! Pure decisions here, from times that entries hold; `background` keeps the runs that nobody
//! waits for within bounds, `failures` those against a source that fails.

use std::time::Duration;

use crate::config::LONGEST_TIMEOUT;

mod background;
mod failures;

pub(crate) use background::{Background, Enlisted, Refused};
pub(crate) use failures::Failures;

/// What a function wants of old values, and of runs that are early.
#[derive(Clone, Copy, Debug, Default)]
pub struct Grace {
    while_revalidate: Duration,
    if_error: Duration,
    soft_timeout: Option<Duration>,
    ahead: Option<Ahead>,
}

/// How a run is begun before its value has expired.
#[derive(Clone, Copy, Debug)]
enum Ahead {
    /// In the last share of the timeout.
    Share(f64),
    /// At random (XFetch): the more probable the nearer the end, and the longer a run takes; surely
    /// where it would not be over by the end.
    XFetch(f64),
}

impl Grace {
    #[must_use]
    pub fn new() -> Self {
        Grace::default()
    }

    #[must_use]
    pub fn while_revalidate(mut self, time: Duration) -> Self {
        self.while_revalidate = time.min(LONGEST_TIMEOUT);
        self
    }

    #[must_use]
    pub fn if_error(mut self, time: Duration) -> Self {
        self.if_error = time.min(LONGEST_TIMEOUT);
        self
    }

    #[must_use]
    pub fn soft_timeout(mut self, time: Duration) -> Self {
        self.soft_timeout = Some(time);
        self
    }

    #[must_use]
    pub fn ahead_by_share(mut self, share: f64) -> Self {
        self.ahead = Some(Ahead::Share(share));
        self
    }

    #[must_use]
    pub fn ahead_at_random(mut self, eagerness: f64) -> Self {
        self.ahead = Some(Ahead::XFetch(eagerness));
        self
    }

    /// How long a store keeps an entry, and what points to it.
    pub(crate) fn kept_for(&self, timeout: Duration) -> Duration {
        timeout.saturating_add(self.while_revalidate.max(self.if_error)).min(LONGEST_TIMEOUT)
    }

    /// May an old value stand in for an error?
    pub(crate) fn stands_in(&self) -> bool {
        !self.if_error.is_zero()
    }

    /// How long a call waits where an old value could be given.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.soft_timeout.filter(|_| self.stands_in())
    }

    /// How old an entry is for a call now.
    pub(crate) fn judge(&self, age: &Age, now: Duration) -> Freshness {
        let early = self.early(age);
        if now.saturating_add(early) < age.expires {
            Freshness::Fresh
        } else if now < age.expires {
            Freshness::Due
        } else if now < age.expires.saturating_add(self.while_revalidate) {
            Freshness::Expired
        } else {
            Freshness::Old
        }
    }

    /// May it stand in for an error now?
    pub(crate) fn may_stand_in(&self, age: &Age, now: Duration) -> bool {
        now < age.expires.saturating_add(self.if_error)
    }

    /// How long a value needs no look, from now on.
    pub(crate) fn fresh_for(&self, age: &Age, now: Duration) -> Duration {
        age.expires.saturating_sub(now).saturating_sub(self.early(age))
    }

    /// How long before its end a value is due; each time another one, where that is at random.
    fn early(&self, age: &Age) -> Duration {
        match self.ahead {
            None => Duration::ZERO,
            // However eager: nothing times infinity is no number.
            Some(Ahead::XFetch(_)) if age.ran_for.is_zero() => Duration::ZERO,
            Some(Ahead::Share(share)) => age.expires.saturating_sub(age.created).mul_f64(share),
            Some(Ahead::XFetch(eagerness)) => {
                // Above 0, so that the logarithm is finite; at most 36.7.
                let chance = -(1.0 - fastrand::f64()).ln();
                // Once for the run itself, so that it is over by the end.
                let early = age.ran_for.as_secs_f64() * (1.0 + eagerness * chance);
                Duration::try_from_secs_f64(early).unwrap_or(LONGEST_TIMEOUT)
            }
        }
    }
}

/// The times of an entry, by the clock of who wrote it, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Age {
    pub(crate) created: Duration,
    pub(crate) expires: Duration,
    /// How long the run took that made it.
    pub(crate) ran_for: Duration,
}

/// What an entry is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// A hit.
    Fresh,
    /// A hit, and somebody may run for the next value already.
    Due,
    /// To be given while somebody runs.
    Expired,
    /// A miss, though it may stand in for an error.
    Old,
}

#[cfg(test)]
mod tests;
