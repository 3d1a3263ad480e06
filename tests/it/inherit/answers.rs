//! However a call in a body is answered: what is made of it depends on its tags, or is not stored.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fragkeys::{
    Cache, Config, Near, Outcome, Tag, bypass, on_commit, peek, prime, refresh, tagged_cache,
    with_cache,
};
use serde::{Serialize, Serializer};
use tokio::sync::mpsc;

use super::{Gate, World, ask, bump, page, part};
use crate::support::{Log, eventually, memory_cache, over_both_stores};

over_both_stores! {
    each_answer_hands_its_tags_over,
    who_waits_for_anothers_run_hands_them_over_too,
    what_nobody_can_date_is_not_stored,
    a_number_of_tags_is_the_most,
    a_value_given_by_hand_has_nobodys_tags,
}

#[tagged_cache(batch, tags = ["Part:<id>"], vary_on = [])]
async fn parts(world: &World, ids: &[usize]) -> HashMap<usize, u64> {
    ids.iter()
        .map(|id| (*id, world.parts.get(*id).map_or(0, |it| it.load(Ordering::SeqCst))))
        .collect()
}

#[tagged_cache(tags = ["Part:1"], vary_on = [], stale_if_error = 3_600)]
async fn shaky(world: &World, fails: bool) -> Result<u64, ()> {
    if fails { Err(()) } else { Ok(world.part(1)) }
}

#[tagged_cache(tags = ["Part:1"], vary_on = [], cache_if = |_| false)]
async fn never_kept(world: &World) -> u64 {
    world.part(1)
}

#[tagged_cache(tags = ["Part:1"], vary_on = [])]
async fn failing(world: &World) -> Result<u64, u64> {
    Err(world.part(1))
}

struct Unencodable;

impl Serialize for Unencodable {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

#[tagged_cache(vary_on = [argument])]
async fn uncachable(world: &World, argument: Unencodable) -> u64 {
    world.part(1)
}

/// A value that is made in one of many ways.
#[tagged_cache(inherit_tags, vary_on = [way])]
async fn made(world: &World, way: &str) -> u64 {
    // Boxed, as one future for all ways would be too much for a test's stack.
    match Box::pin(dated(world, way)).await {
        Some(value) => value,
        None => Box::pin(undated(world, way)).await,
    }
}

async fn dated(world: &World, way: &str) -> Option<u64> {
    Some(match way {
        "run" | "hit" => part(world, 1, 1).await,
        "refreshed" => Box::pin(refresh(part(world, 2, 1))).await,
        "peeked" => {
            part(world, 3, 1).await;
            Box::pin(peek(part(world, 3, 1))).await.unwrap()
        }
        "batch" => Box::pin(parts(world, &[1, 2])).await[&1],
        "partly cached batch" => {
            Box::pin(parts(world, &[2])).await;
            Box::pin(parts(world, &[1, 2])).await[&1]
        }
        "not kept" => Box::pin(never_kept(world)).await,
        "error" => Box::pin(failing(world)).await.unwrap_err(),
        "by hand" => {
            let entry = fragkeys::cache().entry("by hand").tag(Tag::new("Part", 1));
            Box::pin(entry.get_or_set_with(|| async { world.part(1) })).await
        }
        "got and set" => {
            let entry = fragkeys::cache().entry("got").tag(Tag::new("Part", 1));
            match Box::pin(entry.get()).await.unwrap() {
                Some(part) => part,
                None => {
                    Box::pin(entry.set(&world.part(1))).await.unwrap();
                    world.part(1)
                }
            }
        }
        _ => return None,
    })
}

async fn undated(world: &World, way: &str) -> u64 {
    match way {
        "bypassed" => bypass(part(world, 4, 1)).await,
        "bypassed batch" => Box::pin(bypass(parts(world, &[1]))).await[&1],
        "bypassed page" => Box::pin(bypass(page(world, 4))).await[0],
        "peeked in vain" => Box::pin(peek(part(world, 5, 1))).await.unwrap_or(99),
        "batch peeked in vain" => {
            Box::pin(peek(parts(world, &[3]))).await.map_or(99, |parts| parts[&3])
        }
        "page peeked in vain" => Box::pin(peek(page(world, 5))).await.map_or(99, |page| page[0]),
        "old" => {
            let _ = Box::pin(shaky(world, false)).await;
            fragkeys::cache().invalidate(["Part:1"]).await.unwrap();
            Box::pin(shaky(world, true)).await.unwrap()
        }
        "in a transaction" => {
            let inside = async { Ok::<_, ()>(part(world, 6, 1).await) };
            Box::pin(on_commit(inside)).await.unwrap()
        }
        "elsewhere" => {
            let other = memory_cache().await;
            Box::pin(with_cache(other, part(world, 7, 1))).await
        }
        "uncachable" => Box::pin(uncachable(world, Unencodable)).await,
        other => panic!("no such way: {other}"),
    }
}

async fn each_answer_hands_its_tags_over(cache: Cache) {
    let ways = [
        "run",
        "hit",
        "refreshed",
        "peeked",
        "batch",
        "partly cached batch",
        "not kept",
        "error",
        "by hand",
        "got and set",
    ];
    for way in ways {
        let world = World::default();
        cache.invalidate_all().await.unwrap();
        for round in 0..3 {
            assert_eq!(ask(&cache, made(&world, way)).await, (round, Outcome::Miss), "{way}");
            assert_eq!(ask(&cache, made(&world, way)).await, (round, Outcome::Hit), "{way}");
            if round == 1 {
                // The calls in it are hits where they can be.
                with_cache(cache.clone(), fragkeys::evict(made(&world, way))).await;
                assert_eq!(ask(&cache, made(&world, way)).await, (round, Outcome::Miss), "{way}");
            }
            world.change(1);
            bump(&cache, 1).await;
        }
    }
}

async fn who_waits_for_anothers_run_hands_them_over_too(cache: Cache) {
    let world = Arc::new(World::default());
    let ((send, mut is_there), (go, may_go)) = (mpsc::channel(1), mpsc::channel(1));
    *world.gate.lock().await = Some(Gate(send, may_go));
    let spawn = |way: Option<&'static str>| {
        let (cache, world) = (cache.clone(), world.clone());
        tokio::spawn(async move {
            match way {
                None => ask(&cache, part(&world, 1, 1)).await,
                Some(way) => ask(&cache, made(&world, way)).await,
            }
        })
    };
    let first = spawn(None);
    is_there.recv().await.unwrap();
    let made_of_it = spawn(Some("hit"));
    // Its own, and that of the part.
    eventually("it waits", async || cache.stats().misses == 3).await;
    go.send(()).await.unwrap();
    is_there.recv().await.unwrap();
    go.send(()).await.unwrap();
    first.await.unwrap();
    assert_eq!(made_of_it.await.unwrap(), (0, Outcome::Miss));
    assert_eq!(cache.stats().shared, 1, "or it would show nothing");
    *world.gate.lock().await = None;
    assert_eq!(ask(&cache, made(&world, "hit")).await, (0, Outcome::Hit));
    world.change(1);
    bump(&cache, 1).await;
    assert_eq!(ask(&cache, made(&world, "hit")).await, (1, Outcome::Miss));
}

async fn what_nobody_can_date_is_not_stored(cache: Cache) {
    let ways = [
        "bypassed",
        "bypassed batch",
        "bypassed page",
        "peeked in vain",
        "batch peeked in vain",
        "page peeked in vain",
        "old",
        "in a transaction",
        "elsewhere",
        "uncachable",
    ];
    let log = Log::default();
    let _listening = log.listen();
    for way in ways {
        let world = World::default();
        for _ in 0..3 {
            let outcome = ask(&cache, made(&world, way)).await.1;
            assert_eq!(outcome, Outcome::NotStored, "{way}");
        }
    }
}

/// What will be the same the next time is worth a word.
#[tokio::test]
async fn what_never_can_be_stored_is_said_once() {
    #[tagged_cache(inherit_tags, vary_on = [])]
    async fn of_another_cache(world: &World, other: &Cache) -> u64 {
        with_cache(other.clone(), part(world, 1, 1)).await
    }
    #[tagged_cache(inherit_tags, vary_on = [])]
    async fn of_none(world: &World) -> u64 {
        uncachable(world, Unencodable).await
    }
    let (world, cache, other) = (World::default(), memory_cache().await, memory_cache().await);
    let log = Log::default();
    let _listening = log.listen();
    for _ in 0..3 {
        ask(&cache, of_another_cache(&world, &other)).await;
        ask(&cache, of_none(&world)).await;
    }
    let text = log.text();
    let said = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    assert_eq!(said("of_another_cache`: it calls `"), 1, "{text}");
    assert_eq!(
        said("their versions in another cache; give both functions the same `cache_name`"),
        1,
        "{text}"
    );
    assert_eq!(said("of_none`: it calls `"), 1, "{text}");
    assert_eq!(said("uncachable`, which cannot be cached"), 1, "{text}");
    assert_eq!(said("With `inherit_tags`, its value is not stored"), 2, "{text}");
}

async fn a_number_of_tags_is_the_most(cache: Cache) {
    #[tagged_cache(inherit_tags, vary_on = [many])]
    async fn of_many(world: &World, many: usize) -> usize {
        let ids: Vec<usize> = (0..many).collect();
        parts(world, &ids).await.len()
    }
    let world = World::default();
    for many in [1_001, 5_000] {
        for _ in 0..2 {
            assert_eq!(ask(&cache, of_many(&world, many)).await, (many, Outcome::NotStored));
        }
    }
    assert_eq!(ask(&cache, of_many(&world, 1_000)).await, (1_000, Outcome::Miss));
    assert_eq!(ask(&cache, of_many(&world, 1_000)).await, (1_000, Outcome::Hit));
    cache.invalidate([Tag::new("Part", 999)]).await.unwrap();
    assert_eq!(ask(&cache, of_many(&world, 1_000)).await, (1_000, Outcome::Miss));
}

/// A near hit in a body, of a function and of one that has late tags itself.
#[tokio::test]
async fn near_hits_hand_their_tags_over() {
    #[tagged_cache(inherit_tags, vary_on = [])]
    async fn sites(world: &World) -> u64 {
        page(world, 1).await[0]
    }
    let cache = Config::memory().near(Near::new()).build().await.unwrap();
    let world = World::default();
    for round in 0..3 {
        assert_eq!(ask(&cache, part(&world, 1, 1)).await.0, round);
        ask(&cache, page(&world, 1)).await;
        ask(&cache, page(&world, 1)).await;
        let before = cache.stats().near_hits;
        ask(&cache, part(&world, 1, 1)).await;
        ask(&cache, page(&world, 1)).await;
        assert_eq!(cache.stats().near_hits, before + 2, "or it would show nothing");
        assert_eq!(ask(&cache, made(&world, "hit")).await, (round, Outcome::Miss));
        assert!(cache.stats().near_hits > before + 2, "or it would show nothing");
        assert_eq!(ask(&cache, sites(&world)).await, (round, Outcome::Miss));
        assert_eq!(ask(&cache, made(&world, "hit")).await, (round, Outcome::Hit));
        assert_eq!(ask(&cache, sites(&world)).await, (round, Outcome::Hit));
        world.change(1);
        bump(&cache, 1).await;
    }
}

async fn a_value_given_by_hand_has_nobodys_tags(cache: Cache) {
    let world = World::default();
    for _ in 0..2 {
        let primed = with_cache(cache.clone(), prime(page(&world, 50), vec![7, 7])).await;
        assert!(!primed, "it would stay when a fragment is bumped");
        assert_eq!(ask(&cache, page(&world, 50)).await.0, vec![0, 0]);
    }
}
