//! Both sides bump in turn, and neither ever gives a version that was there before.

use std::collections::BTreeSet;

use super::{Both, over_both_originals};

over_both_originals! {
    fifty_bumps_in_turn_are_one_miss_each_on_both_sides,
    bumps_in_turn_ahead_of_the_clock,
    bumps_of_both_at_once_end_in_a_version_that_both_see,
}

async fn fifty_bumps_in_turn_are_one_miss_each_on_both_sides(mut both: Both) {
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    let mut seen = Versions::of(&mut both);
    for step in 0..50 {
        if step % 2 == 0 {
            both.python.increment("User", "42");
        } else {
            both.bump("User:42").await;
        }
        seen.one_more(&mut both, step);
        both.python.misses_once("profile(42)");
        both.ours_misses_once("User", "42").await;
    }
}

/// Many increments in a short time, or a clock that went back, leave a version that the clock
/// has yet to reach: a bump has to go on from there.
async fn bumps_in_turn_ahead_of_the_clock(mut both: Both) {
    both.python.session.exec(
        "
import time
StandardTag('User', '42').set_tag_version((time.time() + 3600) * 1000, update=True)",
    );
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    let mut seen = Versions::of(&mut both);
    for step in 0..10 {
        if step % 2 == 0 {
            both.bump("User:42").await;
        } else {
            both.python.increment("User", "42");
        }
        seen.one_more(&mut both, step);
        both.python.misses_once("profile(42)");
        both.ours_misses_once("User", "42").await;
    }
}

/// Theirs reads, adds and writes, so it may undo a bump that comes in between; the version is
/// new to both sides all the same.
async fn bumps_of_both_at_once_end_in_a_version_that_both_see(mut both: Both) {
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    for _ in 0..10 {
        let cache = both.cache.clone();
        let bumps = tokio::spawn(async move {
            for _ in 0..20 {
                cache.invalidate(["User:42"]).await.unwrap();
            }
        });
        for _ in 0..20 {
            both.python.increment("User", "42");
            tokio::task::yield_now().await;
        }
        bumps.await.unwrap();
        both.python.misses_once("profile(42)");
        both.ours_misses_once("User", "42").await;
    }
}

/// Each version as Python reads it.
struct Versions {
    seen: BTreeSet<u64>,
    last: f64,
}

impl Versions {
    fn of(both: &mut Both) -> Self {
        let last = both.python.version("User", "42");
        Versions { seen: BTreeSet::from([last.to_bits()]), last }
    }

    fn one_more(&mut self, both: &mut Both, step: usize) {
        let version = both.python.version("User", "42");
        assert!(version > self.last, "step {step}: {version} after {}", self.last);
        assert!(self.seen.insert(version.to_bits()), "step {step}: {version} again");
        self.last = version;
    }
}
