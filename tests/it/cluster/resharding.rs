//! Slots that move from one master to another while they are used.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use fragkeys::{Tag, Version};
use fragkeys_tests::Cluster;

use super::{ROOT, entry, patient, read};

/// The slot is half way: some of its keys are here, some there, and new ones go there.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_slot_that_is_on_its_way() {
    let cluster = Cluster::start();
    let cache = patient(&cluster).build().await.unwrap();
    let (other, runtime) =
        (patient(&cluster).build().await.unwrap(), tokio::runtime::Handle::current());
    // All of one slot: some are moved before, and some after.
    let tags: Vec<Tag> = (0..8).map(|number| Tag::new("{slot}", number)).collect();
    let page = cache.entry("page").tags(tags.clone());
    page.set(&1).await.unwrap();
    let slot = cluster.slot("fragkeys:t:{slot}:0");
    let before = cluster.owner(slot, 0);
    let between = || {
        runtime.block_on(async {
            // Keys of both masters in one command cannot be answered now: no hit, and no fault.
            let _ = page.get::<i32>().await;
            for tag in &tags {
                let bumped = other.invalidate([tag]).await.unwrap();
                assert_eq!(Some(cache.tag_version(tag).await.unwrap()), bumped.version(tag));
            }
            let fresh = Tag::new("{slot}", "fresh");
            let bumped = other.invalidate([&fresh]).await.unwrap();
            assert_eq!(Some(cache.tag_version(&fresh).await.unwrap()), bumped.version(&fresh));
        });
    };
    tokio::task::block_in_place(|| cluster.move_slot(slot, (before + 1) % 3, between));
    assert_eq!(page.get::<i32>().await.unwrap(), None, "all of its tags were bumped");
    page.set(&2).await.unwrap();
    assert_eq!(page.get::<i32>().await.unwrap(), Some(2));
    other.invalidate(tags).await.unwrap();
    assert_eq!(page.get::<i32>().await.unwrap(), None);
}

/// The first slot of a master that nobody knew before, half way and there; and back again.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_new_master_is_given_its_first_slot() {
    let mut cluster = Cluster::start();
    let cache = patient(&cluster).build().await.unwrap();
    let other = patient(&cluster).build().await.unwrap();
    assert!(read_twice(&cache).await);
    let new = cluster.add_master();
    let slot = cluster.slot("fragkeys:t:Row:2");
    let old = cluster.owner(slot, 0);
    let runtime = tokio::runtime::Handle::current();
    let tag = Tag::new("Row", 2);
    let bump_and_read = || {
        runtime.block_on(async {
            for _ in 0..20 {
                other.invalidate([&tag]).await.unwrap();
                assert!(!read(&cache, 2).await, "it was bumped");
                assert!(read(&cache, 2).await);
            }
        });
    };
    tokio::task::block_in_place(|| {
        cluster.move_slot(slot, new, bump_and_read);
        bump_and_read();
    });
    let connections = cluster.nodes[new].cli(&["INFO", "stats"]);
    let connections = connections.lines().find(|line| line.contains("total_connections_received"));
    println!("new master: {}", connections.unwrap());
    tokio::task::block_in_place(|| {
        cluster.move_slot(slot, old, bump_and_read);
        bump_and_read();
    });
    assert_eq!(cache.stats().faults, 0);
}

/// Readers and bumps go on while the slots of the tag, of the entry and of the whole cache move
/// back and forth: every call is answered, every bump goes through, none is lost, and nobody
/// reads what was bumped before it asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn i2_slots_move_back_and_forth_under_load() {
    let cluster = Arc::new(Cluster::start());
    let (cache, bumping) =
        (patient(&cluster).build().await.unwrap(), patient(&cluster).build().await.unwrap());
    entry(&cache, 1).set(&0u32).await.unwrap();
    let key = entry(&cache, 1).key().await.unwrap();
    let slots = ["fragkeys:t:Row:1", ROOT, &key].map(|key| cluster.slot(key));
    let is_over = Arc::new(AtomicBool::new(false));
    // A row, and the value of it whose bump was acknowledged last.
    let row = Arc::new((AtomicU32::new(0), AtomicU32::new(0)));
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (cache, row, is_over) = (cache.clone(), row.clone(), is_over.clone());
            tokio::spawn(async move {
                let (mut hits, mut reads) = (0u32, 0u32);
                while !is_over.load(Ordering::SeqCst) {
                    let floor = row.1.load(Ordering::SeqCst);
                    let mut has_run = false;
                    let entry = entry(&cache, 1);
                    let read = entry.get_or_set_with(|| async {
                        has_run = true;
                        row.0.load(Ordering::SeqCst)
                    });
                    let read = read.await;
                    assert!(read >= floor, "{read} was read after {floor} was bumped");
                    reads += 1;
                    hits += u32::from(!has_run);
                }
                (hits, reads)
            })
        })
        .collect();
    let bumps = tokio::spawn({
        let (row, is_over) = (row.clone(), is_over.clone());
        async move {
            let tag = Tag::new("Row", 1);
            let mut newest: Option<Version> = None;
            let mut next = 0;
            while !is_over.load(Ordering::SeqCst) {
                next += 1;
                row.0.store(next, Ordering::SeqCst);
                let bumped = bumping.invalidate([&tag]).await.unwrap();
                row.1.store(next, Ordering::SeqCst);
                assert!(bumped.version(&tag) > newest, "versions grow");
                newest = bumped.version(&tag);
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
            (next, newest)
        }
    });
    tokio::task::spawn_blocking({
        let cluster = cluster.clone();
        move || {
            for round in 0..30 {
                let slot = slots[round % 3];
                let to = (cluster.owner(slot, 0) + 1) % 3;
                cluster.move_slot(slot, to, || {});
            }
        }
    })
    .await
    .unwrap();
    is_over.store(true, Ordering::SeqCst);
    let (number, newest) = bumps.await.unwrap();
    let (mut hits, mut reads) = (0, 0);
    for reader in readers {
        let (of_one, all) = reader.await.unwrap();
        (hits, reads) = (hits + of_one, reads + all);
    }
    println!("30 moves: {number} bumps, {hits} hits in {reads} reads");
    assert!(hits > 0 && number > 0, "or it would show nothing");
    assert_eq!(Some(cache.tag_version(&Tag::new("Row", 1)).await.unwrap()), newest);
    let stats = cache.stats();
    assert_eq!(stats.faults, 0, "{stats:?}");
    assert!(read_twice(&cache).await);
}

async fn read_twice(cache: &fragkeys::Cache) -> bool {
    read(cache, 2).await;
    read(cache, 2).await
}
