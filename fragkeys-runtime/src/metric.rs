//! Numbers for the recorder of the `metrics` crate, taken from the counters that are there anyway:
//! a call pays nothing for them.

use metrics::{Label, counter, gauge};

use crate::cache::Cache;
use crate::global;
use crate::health::Breaker;

/// Gives what all caches did and how they are to the program's recorder of the `metrics` crate: all
/// that are installed, or, inside of [`with_cache`](crate::with_cache), that one. Call it before each
/// scrape, or every few seconds; without a recorder it does nothing. The guide `faults` lists the names.
///
/// ```
/// fragkeys_runtime::publish_metrics();
/// ```
pub fn publish_metrics() {
    global::caches().iter().for_each(publish);
}

fn publish(cache: &Cache) {
    let label = || vec![Label::new("cache", cache.name().to_owned())];
    let stats = cache.stats();
    for (name, number) in [
        ("fragkeys_hits_total", stats.hits),
        ("fragkeys_misses_total", stats.misses),
        ("fragkeys_shared_total", stats.shared),
        ("fragkeys_bypassed_total", stats.bypassed),
        ("fragkeys_rejected_total", stats.rejected),
        ("fragkeys_stored_total", stats.stored),
        ("fragkeys_unstorable_total", stats.unstorable),
        ("fragkeys_faults_total", stats.faults),
        ("fragkeys_bumped_total", stats.bumped),
        ("fragkeys_stale_total", stats.stale),
        ("fragkeys_refreshes_total", stats.refreshes),
        ("fragkeys_failed_refreshes_total", stats.failed_refreshes),
        ("fragkeys_refused_refreshes_total", stats.refused_refreshes),
    ] {
        counter!(name, label()).absolute(number);
    }
    let health = cache.health();
    let breaker = match health.breaker {
        Breaker::Closed => 0.0,
        Breaker::HalfOpen => 1.0,
        Breaker::Open => 2.0,
    };
    for (name, number) in [
        (
            "fragkeys_queued_bumps",
            f64::from(u32::try_from(health.queued_bumps).unwrap_or(u32::MAX)),
        ),
        ("fragkeys_reachable", f64::from(u8::from(health.is_reachable))),
        ("fragkeys_tracking", f64::from(u8::from(health.is_tracking))),
        ("fragkeys_breaker", breaker),
    ] {
        gauge!(name, label()).set(number);
    }
}
