//! Numbers for the recorder of the `metrics` crate, taken from the counters that are there anyway:
//! a call pays nothing for them.

use metrics::{Label, counter, gauge};

use crate::cache::Cache;
use crate::global;
use crate::health::Breaker;
use crate::near::NearStats;

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
        ("fragkeys_cut_off_total", stats.cut_off),
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
    if let Some(near) = cache.near_stats() {
        publish_near(cache.name(), &near);
    }
}

fn publish_near(cache: &str, near: &NearStats) {
    let label = || vec![Label::new("cache", cache.to_owned())];
    for (name, number) in [
        ("fragkeys_near_hits_total", near.hits),
        ("fragkeys_near_evictions_total", near.evictions),
        ("fragkeys_near_pushes_total", near.pushes),
    ] {
        counter!(name, label()).absolute(number);
    }
    for (reason, number) in [
        ("silence", near.lost_to_silence),
        ("disconnect", near.lost_to_disconnect),
        ("tracking", near.lost_to_tracking),
        ("cluster", near.lost_to_cluster),
    ] {
        let mut labels = label();
        labels.push(Label::new("reason", reason));
        counter!("fragkeys_near_lost_total", labels).absolute(number);
    }
    let seconds = near.trusted_since.map_or(0.0, |since| since.elapsed().as_secs_f64());
    for (name, number) in [
        ("fragkeys_near_entries", near.entries as f64),
        ("fragkeys_near_bytes", near.bytes as f64),
        ("fragkeys_near_trusted", near.trusted as f64),
        ("fragkeys_near_trusted_seconds", seconds),
    ] {
        gauge!(name, label()).set(number);
    }
}
