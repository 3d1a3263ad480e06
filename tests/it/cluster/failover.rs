//! Masters that are killed, stopped, or replaced on purpose.

use std::time::{Duration, Instant};

use fragkeys::{Cache, Config, Tag};
use fragkeys_tests::{Cluster, wait_until};
use tokio::task::block_in_place;

use super::{ROOT, entry, owners, read};
use crate::support::eventually;

const PATIENCE: Duration = Duration::from_millis(250);
/// What a call may take beyond that: scheduling, not waiting.
const SLACK: Duration = Duration::from_secs(1);
const ROWS: u64 = 60;

/// Rows that a master has a part of, and rows that it has none of.
struct Rows {
    with: Vec<u64>,
    without: Vec<u64>,
}

async fn sort(cluster: &Cluster, cache: &Cache, victim: usize, seen_by: usize) -> Rows {
    let mut rows = Rows { with: Vec::new(), without: Vec::new() };
    for id in 0..ROWS {
        read(cache, id).await;
        assert!(read(cache, id).await, "row {id} is a hit");
        let is_with = owners(cluster, cache, id, seen_by).await.contains(&victim);
        if is_with { rows.with.push(id) } else { rows.without.push(id) }
    }
    assert!(!rows.with.is_empty() && !rows.without.is_empty());
    rows
}

/// A cluster of which a master is away still serves the slots of the others.
async fn start() -> (Cluster, Cache, usize) {
    let cluster = Cluster::start_with(&["--cluster-require-full-coverage", "no"]);
    let cache = Config::redis_cluster(cluster.urls()).operation_timeout(PATIENCE);
    let cache = cache.build().await.unwrap();
    cluster.replaces_soon();
    let root = cluster.owner(cluster.slot(ROOT), 0);
    (cluster, cache, root)
}

async fn timed(cache: &Cache, id: u64) -> (bool, Duration) {
    let began = Instant::now();
    (read(cache, id).await, began.elapsed())
}

/// All rows hit again, and all bumps go through. How long that took.
async fn recovers(cluster: &Cluster, cache: &Cache, victim: usize, witness: usize) -> Duration {
    let began = Instant::now();
    eventually("all bumps go through", async || {
        cache.invalidate((0..ROWS).map(|id| Tag::new("Row", id))).await.is_ok()
    })
    .await;
    for id in 0..ROWS {
        eventually("hits are back", async || read(cache, id).await).await;
    }
    let took = began.elapsed();
    eventually("no bump is queued", async || cache.queued_bumps() == 0).await;
    assert_ne!(cluster.owner(cluster.slot(ROOT), witness), victim);
    took
}

/// The master is away. What does not stand there is as before, at no cost; what does costs a
/// deadline for as long as nobody knows, and then nothing.
async fn is_away(cache: &Cache, rows: &Rows) {
    let most = PATIENCE + SLACK;
    for id in &rows.with {
        let (_, took) = timed(cache, *id).await;
        assert!(took < most, "row {id} took {took:?}");
    }
    for id in &rows.without {
        let (was_there, took) = timed(cache, *id).await;
        assert!(was_there, "row {id} stands elsewhere");
        assert!(took < PATIENCE, "row {id} took {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_a_killed_master_costs_only_what_stands_there() {
    let (mut cluster, cache, root) = start().await;
    let (victim, witness) = ((root + 1) % 3, root);
    let rows = sort(&cluster, &cache, victim, witness).await;
    cluster.nodes[victim].kill();
    is_away(&cache, &rows).await;
    println!("killed: back after {:?}", recovers(&cluster, &cache, victim, witness).await);
    // It comes back as a replica of who took its place.
    cluster.nodes[victim].restart();
    cluster.wait_until_whole();
    assert!(read(&cache, rows.with[0]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn i5_a_stopped_master_costs_only_what_stands_there() {
    let (cluster, cache, root) = start().await;
    let (victim, witness) = ((root + 1) % 3, root);
    let rows = sort(&cluster, &cache, victim, witness).await;
    cluster.nodes[victim].pause();
    is_away(&cache, &rows).await;
    // By now it is known: no call waits for it.
    for id in rows.with.iter().take(5) {
        let (_, took) = timed(&cache, *id).await;
        assert!(took < PATIENCE / 2, "row {id} took {took:?}");
    }
    println!("stopped: back after {:?}", recovers(&cluster, &cache, victim, witness).await);
    cluster.nodes[victim].resume();
    wait_until("it to be a replica", || cluster.nodes[victim].cli(&["ROLE"]).starts_with("slave"));
    block_in_place(|| cluster.wait_until_whole());
    for id in rows.with {
        assert!(read(&cache, id).await, "row {id}");
    }
}

/// The one on which each call depends.
#[tokio::test(flavor = "multi_thread")]
async fn i5_the_master_of_the_whole_cache_is_killed() {
    let (mut cluster, cache, victim) = start().await;
    let witness = (victim + 1) % 3;
    sort(&cluster, &cache, victim, witness).await;
    let mut newest = Vec::new();
    for id in 0..ROWS {
        let tag = Tag::new("Row", id);
        newest.push(cache.invalidate([&tag]).await.unwrap().version(&tag));
    }
    cluster.nodes[victim].kill();
    for id in 0..ROWS {
        let (_, took) = timed(&cache, id).await;
        assert!(took < PATIENCE + SLACK, "row {id} took {took:?}");
    }
    println!("root killed: back after {:?}", recovers(&cluster, &cache, victim, witness).await);
    // I3: what a replica did not hear of, it does not give again.
    for (id, before) in (0..ROWS).zip(newest) {
        let tag = Tag::new("Row", id);
        let bumped = cache.invalidate([&tag]).await.unwrap();
        assert!(bumped.version(&tag) > before, "{tag}");
    }
}

/// Replication is asynchronous, so who takes over may not have heard of the last bumps. The process
/// that made them has them made up for before it reads there.
#[tokio::test(flavor = "multi_thread")]
async fn i2_no_acknowledged_bump_is_forgotten_when_a_master_is_killed() {
    let (mut cluster, cache, root) = start().await;
    let victim = (root + 1) % 3;
    sort(&cluster, &cache, victim, root).await;
    let tags: Vec<Tag> = (0..ROWS).map(|id| Tag::new("Row", id)).collect();
    let bumped = cache.invalidate(&tags).await.unwrap();
    cluster.nodes[victim].kill();
    for tag in &tags {
        let mut version = None;
        eventually("each tag to be read", async || {
            version = cache.tag_version(tag).await.ok();
            version.is_some()
        })
        .await;
        assert!(version >= bumped.version(tag), "{tag} is older than what was acknowledged");
    }
}

/// The same, and it is made sure that the replica has not heard of the bumps: it stands still, and is not
/// connected to the master that acknowledges them.
#[tokio::test(flavor = "multi_thread")]
async fn i2_acknowledged_bumps_that_the_new_master_never_heard_of() {
    let (mut cluster, cache, root) = start().await;
    let (victim, witness) = ((root + 1) % 3, root);
    let heir = victim + 3;
    let rows: Vec<u64> = (0..ROWS)
        .filter(|id| {
            cluster.owner(cluster.slot(&format!("fragkeys:t:Row:{id}")), witness) == victim
        })
        .collect();
    assert!(rows.len() > 5);
    for &id in &rows {
        read(&cache, id).await;
        assert!(read(&cache, id).await, "row {id} is a hit");
    }
    let offset = |node: usize, name: &str| {
        let info = cluster.nodes[node].cli(&["INFO", "replication"]);
        info.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned))
    };
    wait_until("the replica to have all of this", || {
        offset(heir, "slave_repl_offset:") == offset(victim, "master_repl_offset:")
    });
    cluster.nodes[heir].pause();
    cluster.nodes[victim].cli(&["CLIENT", "KILL", "TYPE", "replica"]);
    let tags: Vec<Tag> = rows.iter().map(|id| Tag::new("Row", id)).collect();
    let bumped = cache.invalidate(&tags).await.unwrap();
    cluster.nodes[victim].kill();
    cluster.nodes[heir].resume();
    let slot = cluster.slot(&format!("fragkeys:t:{}", tags[0]));
    wait_until("the replica to take over", || {
        [witness, heir].iter().all(|seen_by| cluster.owner(slot, *seen_by) == heir)
            && cluster.nodes[heir].cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    });
    // Nobody has called since.
    for tag in &tags {
        let version = cluster.nodes[heir].get_raw(&format!("fragkeys:t:{tag}")).unwrap();
        let acknowledged = bumped.version(tag).unwrap().to_string();
        assert!(version.as_slice() < acknowledged.as_bytes(), "{tag} is not lost");
    }
    for &id in &rows {
        eventually("the row to be read", async || match entry(&cache, id).get::<u64>().await {
            Ok(found) => {
                assert_eq!(found, None, "row {id} is from before the bump");
                true
            }
            Err(_) => false,
        })
        .await;
    }
    for tag in &tags {
        assert!(Some(cache.tag_version(tag).await.unwrap()) >= bumped.version(tag), "{tag}");
    }
    assert_eq!(cache.queued_bumps(), 0);
}

/// A cluster that serves nothing while a part of it is away, as it comes by default.
#[tokio::test(flavor = "multi_thread")]
async fn i5_a_cluster_that_wants_to_be_whole() {
    let mut cluster = Cluster::start();
    let cache = Config::redis_cluster(cluster.urls()).operation_timeout(PATIENCE);
    let cache = cache.build().await.unwrap();
    eventually("a hit", async || read(&cache, 1).await).await;
    cluster.replaces_soon();
    cluster.nodes[2].kill();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        let (_, took) = timed(&cache, 1).await;
        assert!(took < PATIENCE + SLACK, "{took:?}");
    }
    println!("whole: back after {:?}", recovers(&cluster, &cache, 2, 0).await);
}

/// An operator has a replica take over: nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_replica_that_takes_over_in_good_order() {
    let cluster = Cluster::start();
    let cache = super::patient(&cluster).build().await.unwrap();
    for id in 0..ROWS {
        read(&cache, id).await;
    }
    for master in 0..3 {
        block_in_place(|| cluster.hand_over(master, master + 3));
        for id in 0..ROWS {
            let (was_there, outcome) = fragkeys::observe(read(&cache, id)).await;
            assert!(was_there, "row {id}: {outcome:?}, {:?}, {}", cache.stats(), cache.health());
        }
        cache.invalidate((0..ROWS).map(|id| Tag::new("Row", id))).await.unwrap();
        for id in 0..ROWS {
            assert_eq!(entry(&cache, id).get::<u64>().await.unwrap(), None);
            assert!(!read(&cache, id).await, "row {id} was bumped");
        }
    }
}
