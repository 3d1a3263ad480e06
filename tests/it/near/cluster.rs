//! The near tier in a cluster: an answer stands on versions of several masters, each with a connection
//! that must be believed.

use std::collections::HashSet;
use std::time::Duration;

use fragkeys::{Cache, Config, Near, Outcome, Tag, observe, with_cache};
use fragkeys_tests::{Child, Cluster, Proxy, wait_until};
use tokio::task::block_in_place;

use super::trust::{STALENESS, nothing_old_is_believed_for_long};
use super::{LONG, Source, row, stats};
use crate::support::{ask, eventually};

const MASTERS: usize = 3;
/// See [`alone`](crate::support::alone).
const PREFIX: &str = "near-cluster";

async fn near_cache(urls: Vec<String>, patience: Duration, max_staleness: Duration) -> Cache {
    let config = Config::redis_cluster(urls).operation_timeout(patience).prefix(PREFIX);
    config.near(Near::new().max_staleness(max_staleness)).build().await.unwrap()
}

fn worker(cluster: &Cluster) -> Child {
    let urls = cluster.urls().join(",");
    let envs = [("CLUSTER_URLS", &*urls), ("FRAGKEYS_PREFIX", PREFIX)];
    Child::start(env!("CARGO_BIN_EXE_worker"), &[], &envs)
}

async fn call(cache: &Cache, source: &Source, id: u64) -> (String, Outcome) {
    let (value, outcome) = with_cache(cache.clone(), observe(row(source, id))).await;
    (value.to_string(), outcome.unwrap())
}

/// Did the near tier answer?
async fn is_near(cache: &Cache, source: &Source, id: u64) -> bool {
    let before = cache.stats().near_hits;
    call(cache, source, id).await;
    cache.stats().near_hits > before
}

/// Calls until the near tier answers.
async fn settle(cache: &Cache, source: &Source, id: u64) {
    eventually("the near tier answers", async || is_near(cache, source, id).await).await;
}

/// As [`settle`], and it goes on doing so: a master tells of a write behind its answers to what it
/// read in the same moment, but an answer to what is asked afterwards comes behind all of that.
async fn settle_all(cache: &Cache, source: &Source, ids: &[u64]) {
    for &id in ids {
        settle(cache, source, id).await;
    }
    for &id in ids {
        cache.tag_version(&Tag::new("Row", id)).await.unwrap();
    }
    for &id in ids {
        settle(cache, source, id).await;
    }
}

fn key(id: u64) -> String {
    format!("{PREFIX}:t:Row:{id}")
}

/// Rows whose own tag stands with this master.
fn rows_of(cluster: &Cluster, master: usize, seen_by: usize) -> impl Iterator<Item = u64> {
    (0..).filter(move |id| cluster.owner(cluster.slot(&key(*id)), seen_by) == master)
}

/// Until it is through: a master may be on its way to being replaced.
async fn bump(worker: &mut Child, id: u64) {
    eventually("the bump is through", async || {
        !block_in_place(|| ask(worker, &format!("invalidate {id}"))).starts_with("error")
    })
    .await;
}

/// Trust would last for as long as the test: what is seen was told.
#[tokio::test(flavor = "multi_thread")]
async fn hits_ask_no_master_and_bumps_and_moves_are_told() {
    let cluster = Cluster::start();
    let cache = near_cache(cluster.urls(), Duration::from_secs(10), LONG).await;
    let (source, mut other) = (Source::default(), worker(&cluster));
    let ids: Vec<u64> = (0..30).collect();
    let keys: Vec<String> = ids.iter().map(|id| key(*id)).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    assert_eq!(cluster.owners(&keys, 0).len(), MASTERS, "each has a part of it");
    settle_all(&cache, &source, &ids).await;
    assert_eq!(stats(&cache).trusted, MASTERS);
    let masters = &cluster.nodes[..MASTERS];
    masters.iter().for_each(|master| master.reset_stats());
    for &id in &ids {
        assert!(is_near(&cache, &source, id).await, "row {id}");
    }
    for command in ["get", "mget", "client|caching", "client|trackinginfo", "cluster|slots"] {
        assert!(masters.iter().all(|master| master.command_calls(command) == 0), "{command}");
    }

    // Of this process: at once. Of another one: as soon as it is told. All others stay.
    for &id in &ids {
        let old = call(&cache, &source, id).await.0;
        cache.invalidate([format!("Row:{id}")]).await.unwrap();
        assert_eq!(call(&cache, &source, id).await.1, Outcome::Miss, "row {id}");
        settle(&cache, &source, id).await;
        assert_ne!(call(&cache, &source, id).await.0, old);
        let old = call(&cache, &source, id).await.0;
        bump(&mut other, id).await;
        eventually("the bump is seen", async || call(&cache, &source, id).await.0 != old).await;
        settle(&cache, &source, id).await;
    }
    assert!(stats(&cache).pushes >= ids.len() as u64);
    settle_all(&cache, &source, &ids).await;
    for &id in &ids {
        assert!(is_near(&cache, &source, id).await, "row {id}");
    }

    // What is bumped at the new owner was known from the old one.
    let slot = cluster.slot(&key(1));
    for _ in 0..4 {
        let to = (cluster.owner(slot, 0) + 1) % MASTERS;
        settle(&cache, &source, 1).await;
        let old = call(&cache, &source, 1).await.0;
        block_in_place(|| {
            cluster.move_slot(slot, to, || {});
        });
        bump(&mut other, 1).await;
        eventually("the bump is seen", async || call(&cache, &source, 1).await.0 != old).await;
    }

    // A connection that is lost takes what it told with it, and nothing else.
    settle(&cache, &source, 1).await;
    let owner = cluster.owner(slot, 0);
    let foreign: HashSet<usize> = cluster.owners(&["near-cluster:t:*", "near-cluster:t:Rows"], 0);
    let spared = rows_of(&cluster, (owner + 1) % MASTERS, 0).next().unwrap();
    settle(&cache, &source, spared).await;
    let lost = stats(&cache).lost_to_disconnect;
    cluster.nodes[owner].cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    eventually("it is noticed", async || stats(&cache).lost_to_disconnect == lost + 1).await;
    assert!(!is_near(&cache, &source, 1).await);
    assert!(foreign.contains(&owner) || is_near(&cache, &source, spared).await);
    settle(&cache, &source, 1).await;
    assert_eq!(cache.stats().faults, 0);
}

/// A master that nobody hears any more, and one that could have been replaced.
#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_it_and_nothing_comes_back_with_the_voice() {
    let cluster = Cluster::start();
    let victim = cluster.owner(cluster.slot(&key(1)), 0);
    let twin = rows_of(&cluster, victim, 0).find(|id| *id != 1).unwrap();
    let first_of = |master| rows_of(&cluster, master, 0).next().unwrap();
    let of_all: Vec<u64> = (0..MASTERS).map(first_of).collect();
    // Packets to that master vanish: clients are told to reach it through the proxy.
    let proxy = Proxy::to(cluster.nodes[victim].port());
    let port = proxy.port().to_string();
    cluster.nodes[victim].cli(&["CONFIG", "SET", "cluster-announce-port", &port]);
    for node in &cluster.nodes {
        wait_until("all to know", || node.cli(&["CLUSTER", "SLOTS"]).contains(&port));
    }
    let urls = cluster.urls();
    let near = near_cache(urls, Duration::from_millis(100), STALENESS).await;
    let source = Source::default();
    for id in [1, twin] {
        settle(&near, &source, id).await;
    }
    assert!(proxy.accepted() > 0, "or it would show nothing");
    let old = call(&near, &source, 1).await.0;
    proxy.black_hole();
    cluster.nodes[victim].cli(&["INCR", &key(1)]);
    nothing_old_is_believed_for_long(&old, async || call(&near, &source, 1).await.0).await;
    let told = stats(&near);
    assert!(told.lost_to_silence + told.lost_to_disconnect > 0 && told.trusted < MASTERS);
    proxy.pass();
    proxy.cut();
    settle(&near, &source, 1).await;
    assert_ne!(call(&near, &source, 1).await.0, old);

    // The same connection speaks again. Meanwhile another one could have been master.
    settle(&near, &source, twin).await;
    let old = call(&near, &source, 1).await.0;
    eventually("all are believed", async || {
        for &id in &of_all {
            call(&near, &source, id).await;
        }
        stats(&near).trusted == MASTERS
    })
    .await;
    proxy.hold();
    eventually("one is not believed any more", async || stats(&near).trusted < MASTERS).await;
    proxy.pass();
    eventually("all are believed again", async || {
        call(&near, &source, twin).await;
        for &id in of_all.iter().filter(|id| **id != 1) {
            call(&near, &source, id).await;
        }
        stats(&near).trusted == MASTERS
    })
    .await;
    let before = near.stats();
    assert_eq!(call(&near, &source, 1).await.0, old, "nothing was bumped");
    let after = near.stats();
    assert_eq!((after.near_hits - before.near_hits, after.hits - before.hits), (0, 1));
}

/// A master goes on answering while another one has taken its place, one hangs until then, and one
/// dies. What is bumped at their heirs is told by nobody.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_master_that_was_replaced_is_not_believed() {
    let mut cluster = Cluster::start_with(&["--cluster-require-full-coverage", "no"]);
    let cache = near_cache(cluster.urls(), Duration::from_millis(100), STALENESS).await;
    let (source, mut other) = (Source::default(), worker(&cluster));

    // In good order; and the old master, now a replica, gets no data from the new one.
    let id = rows_of(&cluster, 0, 0).next().unwrap();
    settle(&cache, &source, id).await;
    let old = call(&cache, &source, id).await.0;
    cluster.nodes[MASTERS].cli(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
    block_in_place(|| cluster.hand_over(0, MASTERS));
    bump(&mut other, id).await;
    nothing_old_is_believed_for_long(&old, async || call(&cache, &source, id).await.0).await;
    assert!(stats(&cache).lost_to_cluster > 0);
    settle(&cache, &source, id).await;
    cluster.nodes[MASTERS].cli(&["ACL", "SETUSER", "default", "+psync", "+sync"]);
    block_in_place(|| cluster.wait_until_whole());

    // It hangs until it was replaced, and speaks before it knows. Nobody calls meanwhile.
    let id = rows_of(&cluster, 1, 2).next().unwrap();
    settle(&cache, &source, id).await;
    let old = call(&cache, &source, id).await.0;
    cluster.replaces_soon();
    cluster.nodes[1].pause();
    let slot = cluster.slot(&key(id));
    block_in_place(|| wait_until("it is replaced", || cluster.owner(slot, 2) == MASTERS + 1));
    bump(&mut other, id).await;
    cluster.nodes[1].resume();
    nothing_old_is_believed_for_long(&old, async || call(&cache, &source, id).await.0).await;
    settle(&cache, &source, id).await;
    block_in_place(|| cluster.wait_until_whole());

    let id = rows_of(&cluster, 2, 1).next().unwrap();
    settle(&cache, &source, id).await;
    let old = call(&cache, &source, id).await.0;
    cluster.nodes[2].kill();
    let slot = cluster.slot(&key(id));
    block_in_place(|| wait_until("it is replaced", || cluster.owner(slot, 1) == MASTERS + 2));
    bump(&mut other, id).await;
    nothing_old_is_believed_for_long(&old, async || call(&cache, &source, id).await.0).await;
    settle(&cache, &source, id).await;
    let new = call(&cache, &source, id).await.0;
    bump(&mut other, id).await;
    eventually("the bump is seen", async || call(&cache, &source, id).await.0 != new).await;
}
