//! Old values in a cluster, where an entry, what leads to it and its tags stand with different masters.

use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Cache, Config, Outcome, Tag};
use fragkeys_tests::Cluster;

use super::{Answer, Source, ask, covered, expire, revalidated};
use crate::flight;
use crate::support::eventually;

const IDS: std::ops::Range<u64> = 0..30;

#[tokio::test(flavor = "multi_thread")]
async fn old_values_and_leases_in_a_cluster() {
    let cluster = Cluster::start();
    let config =
        || Config::redis_cluster(cluster.urls()).operation_timeout(Duration::from_secs(10));
    // However long a busy machine keeps them waiting, they keep their leases.
    let cache = || config().lease_timeout(Duration::from_secs(60)).build();
    let (first, second) = (cache().await.unwrap(), cache().await.unwrap());
    what_has_expired_is_given_while_one_runs(&first, &second).await;
    the_last_good_value_is_found_wherever_it_is(&cluster, &first, &second).await;
    who_is_dropped_is_replaced(&first, &second).await;
}

/// One run for each, of both processes.
async fn what_has_expired_is_given_while_one_runs(first: &Cache, second: &Cache) {
    for id in IDS {
        let source = Source::gated();
        source.release(1);
        ask(first, revalidated(source.clone(), id)).await.unwrap().0.unwrap();
        expire().await;
        let old = (Ok(0), Some(Outcome::Stale));
        assert_eq!(ask(first, revalidated(source.clone(), id)).await.unwrap(), old);
        source.wait_for_runs(2).await;
        assert_eq!(ask(second, revalidated(source.clone(), id)).await.unwrap(), old);
        source.release(2);
        eventually("the next value is there", async || {
            ask(second, revalidated(source.clone(), id)).await.unwrap()
                == (Ok(1), Some(Outcome::Hit))
        })
        .await;
        assert_eq!(source.runs(), 2, "id {id}");
    }
    assert_eq!(second.stats().refreshes, 0);
}

async fn the_last_good_value_is_found_wherever_it_is(
    cluster: &Cluster,
    first: &Cache,
    second: &Cache,
) {
    async fn call(cache: &Cache, source: &Arc<Source>, id: u64) -> Answer {
        let source = source.clone();
        ask(cache, async move { covered(&source, id).await }).await.unwrap()
    }
    let source = Source::open();
    let mut values = Vec::new();
    for id in IDS {
        values.push(call(first, &source, id).await.0.unwrap());
    }
    for master in &cluster.nodes[..3] {
        assert!(!master.keys("fragkeys:p:*").is_empty(), "each leads to some");
        assert!(!master.keys("fragkeys:v:it::grace::covered:*").is_empty(), "and has some");
    }
    second.invalidate(IDS.map(|id| Tag::new("Row", id))).await.unwrap();
    source.goes_down(true);
    for (id, value) in IDS.zip(values) {
        for cache in [first, second] {
            assert_eq!(call(cache, &source, id).await, (Ok(value), Some(Outcome::Stale)));
        }
    }
    source.goes_down(false);
    first.invalidate(IDS.map(|id| Tag::new("Row", id))).await.unwrap();
    for id in IDS {
        assert_eq!(call(second, &source, id).await.1, Some(Outcome::Miss));
    }
}

async fn who_is_dropped_is_replaced(first: &Cache, second: &Cache) {
    for id in IDS {
        let source = flight::Source::new();
        let runs = flight::call(first, &source, id);
        source.wait_for_runs(1).await;
        let misses = second.stats().misses;
        let waits = flight::call(second, &source, id);
        flight::wait_for_misses(second, misses + 1).await;
        runs.abort();
        source.wait_for_runs(2).await;
        source.release(1);
        assert_eq!(waits.await.unwrap().0.run, 1);
    }
}
