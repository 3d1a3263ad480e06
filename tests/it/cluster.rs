//! A real cluster of six nodes: keys that are spread over its masters, and what becomes of calls
//! and bumps when masters and slots move.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use fragkeys::{Cache, Config, Outcome, Tag, observe, tagged_cache, with_cache};
use fragkeys_tests::Cluster;

use crate::support::{Source, eventually, row};

mod failover;
mod login;
mod resharding;

const ROOT: &str = "fragkeys:t:*";

/// Settings of a test that is not about time.
fn patient(cluster: &Cluster) -> Config {
    Config::redis_cluster(cluster.urls()).operation_timeout(Duration::from_secs(10))
}

/// Where the tag and the entry of a row stand.
async fn owners(cluster: &Cluster, cache: &Cache, id: u64, seen_by: usize) -> HashSet<usize> {
    let key = entry(cache, id).key().await.unwrap();
    cluster.owners(&[&format!("fragkeys:t:Row:{id}"), &key], seen_by)
}

fn entry(cache: &Cache, id: u64) -> fragkeys::Entry {
    cache.entry("row").tag(Tag::new("Row", id))
}

/// What is there, or was just made: always an answer. Was it there?
async fn read(cache: &Cache, id: u64) -> bool {
    let mut was_there = true;
    let entry = entry(cache, id);
    let value = entry.get_or_set_with(|| async {
        was_there = false;
        id
    });
    assert_eq!(value.await, id);
    was_there
}

#[tokio::test(flavor = "multi_thread")]
async fn hits_misses_and_bumps() {
    let cluster = Cluster::start();
    let cache = patient(&cluster).build().await.unwrap();
    let other = patient(&cluster).build().await.unwrap();
    let source = Source::default();
    for id in 0..200 {
        for expected in [Outcome::Miss, Outcome::Hit] {
            let (_, outcome) = with_cache(cache.clone(), observe(row(&source, id))).await;
            assert_eq!(outcome, Some(expected), "row {id}");
        }
        other.invalidate([Tag::new("Row", id)]).await.unwrap();
        let (_, outcome) = with_cache(cache.clone(), observe(row(&source, id))).await;
        assert_eq!(outcome, Some(Outcome::Miss), "row {id}");
    }
    for node in &cluster.nodes[..3] {
        assert!(node.keys("fragkeys:t:*").len() > 20, "tags are with each master");
        assert!(node.keys("fragkeys:v:*").len() > 20, "and so are entries");
    }
    other.invalidate_all().await.unwrap();
    for id in 0..200 {
        let (_, outcome) = with_cache(cache.clone(), observe(row(&source, id))).await;
        assert_eq!(outcome, Some(Outcome::Miss), "row {id}");
    }
    let deleted = entry(&cache, 1);
    deleted.set(&1).await.unwrap();
    assert!(deleted.delete().await.unwrap() && !deleted.delete().await.unwrap());
}

/// Each of the masters that have a part of it is asked once, and not one after the other.
#[tokio::test]
async fn a_hit_asks_each_master_once_at_most() {
    let cluster = Cluster::start();
    let cache = patient(&cluster).build().await.unwrap();
    let tags = (0..10).map(|id| Tag::new("User", id));
    let entry = cache.entry("page").tags(tags);
    entry.set(&1).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    let masters = &cluster.nodes[..3];
    masters.iter().for_each(|master| master.reset_stats());
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    let ran = |name| masters.iter().map(|master| master.command_calls(name)).sum::<u64>();
    // Ten tags and the root, in as many slots but for chance; and the entry.
    assert!((9..=11).contains(&ran("mget")), "{}", ran("mget"));
    assert_eq!((ran("get"), ran("evalsha"), ran("cluster|slots")), (1, 0, 0));
}

/// Braces decide about the slot, wherever they come from.
#[tokio::test]
async fn i4_braces_in_tags_and_names_do_no_harm() {
    let cluster = Cluster::start();
    let cache = Config::redis_cluster(cluster.urls())
        .operation_timeout(Duration::from_secs(10))
        .prefix("{x")
        .build()
        .await
        .unwrap();
    let values = ["{a}", "{", "}", "{}", "}{", "{{a}}", "a}b{c", "{a}{b}"];
    for value in values {
        let entry = cache.entry(format!("name {value}")).tag(Tag::new("User", value)).tag("{x}");
        entry.set(&value.to_owned()).await.unwrap();
        assert_eq!(entry.get::<String>().await.unwrap().as_deref(), Some(value));
        cache.invalidate([Tag::new("User", value)]).await.unwrap();
        assert_eq!(entry.get::<String>().await.unwrap(), None);
    }
    // Several tags of one slot in one command, beside others.
    let tags = || (0..5).map(|number| Tag::new("{same}", number)).chain([Tag::global("Other")]);
    let before = cache.invalidate(tags()).await.unwrap();
    for (tag, version) in before.iter() {
        assert_eq!(cache.tag_version(tag).await.unwrap(), *version);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_bumps_over_all_slots() {
    let cluster = Cluster::start();
    let cache = patient(&cluster).build().await.unwrap();
    let tags = || (0..5_000).map(|id| Tag::new("Row", id));
    let first = cache.invalidate(tags()).await.unwrap();
    let second = cache.invalidate(tags()).await.unwrap();
    assert_eq!((first.len(), second.len()), (5_000, 5_000));
    for id in 0..5_000 {
        let tag = Tag::new("Row", id);
        assert!(second.version(&tag) > first.version(&tag), "{tag}");
    }
    for id in (0..5_000).step_by(100) {
        let tag = Tag::new("Row", id);
        assert_eq!(Some(cache.tag_version(&tag).await.unwrap()), second.version(&tag));
    }
}

#[tagged_cache(batch, tags = ["Item:<id>"], vary_on = [])]
async fn items(runs: &AtomicU32, ids: &[u64]) -> HashMap<u64, u64> {
    runs.fetch_add(1, Ordering::SeqCst);
    ids.iter().map(|id| (*id, id * 2)).collect()
}

/// Elements whose tags and entries are all over the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_calls_over_all_slots() {
    let cluster = Cluster::start();
    let cache = patient(&cluster).build().await.unwrap();
    let other = patient(&cluster).build().await.unwrap();
    let runs = AtomicU32::new(0);
    let ids: Vec<u64> = (0..500).collect();
    for (expected, outcome) in [(1, Outcome::Miss), (1, Outcome::Hit), (1, Outcome::Hit)] {
        let (found, told) = with_cache(cache.clone(), observe(items(&runs, &ids))).await;
        assert!(ids.iter().all(|id| found[id] == id * 2));
        assert_eq!((runs.load(Ordering::SeqCst), told), (expected, Some(outcome)));
    }
    other.invalidate([Tag::new("Item", 7), Tag::new("Item", 77)]).await.unwrap();
    let masters = &cluster.nodes[..3];
    with_cache(cache.clone(), items(&runs, &ids)).await;
    masters.iter().for_each(|master| master.reset_stats());
    with_cache(cache.clone(), items(&runs, &ids)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    let sets: u64 = masters.iter().map(|master| master.command_calls("set")).sum();
    assert_eq!(sets, 0, "two were stored anew, and are found now");
}

/// A master that knows the scripts no more, or never did.
#[tokio::test]
async fn i6_scripts_that_a_master_has_forgotten() {
    let cluster = Cluster::start();
    let cache = patient(&cluster).build().await.unwrap();
    let tags = || (0..100).map(|id| Tag::new("Row", id));
    cache.invalidate(tags()).await.unwrap();
    cluster.nodes[1].cli(&["SCRIPT", "FLUSH"]);
    assert_eq!(cache.invalidate(tags()).await.unwrap().len(), 100);
}

/// Each runtime has connections of its own, also here.
#[test]
fn runtimes_that_come_and_go() {
    let cluster = Cluster::start();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    let cache = first.block_on(async { patient(&cluster).build().await.unwrap() });
    first.block_on(async { eventually("a hit", async || read(&cache, 1).await).await });
    drop(first);
    for _ in 0..3 {
        runtime().block_on(async {
            eventually("a hit", async || read(&cache, 1).await).await;
            cache.invalidate([Tag::new("Row", 1)]).await.unwrap();
        });
    }
}
