//! `early_cutoff`: a page whose fragments come out the same is not made anew, and nothing old comes of it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fragkeys::{Cache, Near, Outcome, refresh, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use super::{World, ask, bump, in_window, part};
use crate::support::{eventually, over_both_stores, patient};

over_both_stores! {
    what_comes_out_the_same_is_not_made_anew,
    what_comes_out_otherwise_is,
    a_change_in_any_window_of_a_run_leaves_nothing_old,
    pages_of_pages_are_cut_off_each,
    what_is_made_of_calls_that_cannot_tell_is_made_anew,
    a_recipe_is_about_one_value,
    it_can_be_spawned_and_joined,
    whatever_else_goes_on_in_the_body_nobody_hangs,
    what_was_evicted_does_not_come_back,
}

/// Reads what a fragment reads, and gives only whether it is odd.
#[tagged_cache(tags = ["Part:<id>"], vary_on = [case, id])]
async fn parity(world: &World, case: u64, id: usize) -> u64 {
    world.step().await;
    let part = world.part(id);
    world.step().await;
    part % 2
}

#[tagged_cache(inherit_tags, early_cutoff, tags = ["Site"], vary_on = [case])]
async fn page(world: &World, case: u64) -> Vec<u64> {
    world.step().await;
    let first = parity(world, case, 1).await;
    let second = parity(world, case, 2).await;
    // What is behind the last fragment is what is saved.
    world.runs.fetch_add(1, Ordering::SeqCst);
    world.step().await;
    vec![first, second]
}

fn now(world: &World) -> Vec<u64> {
    vec![world.part(1) % 2, world.part(2) % 2]
}

async fn change(cache: &Cache, world: &World, id: usize, times: usize) {
    (0..times).for_each(|_| world.change(id));
    bump(cache, id).await;
}

async fn what_comes_out_the_same_is_not_made_anew(cache: Cache) {
    let world = World::default();
    assert_eq!(ask(&cache, page(&world, 0)).await, (vec![0, 0], Outcome::Miss));
    for (round, id) in [1, 2, 1, 1].into_iter().enumerate() {
        change(&cache, &world, id, 2).await;
        assert_eq!(ask(&cache, page(&world, 0)).await, (vec![0, 0], Outcome::Miss), "{round}");
        assert_eq!(ask(&cache, page(&world, 0)).await, (vec![0, 0], Outcome::Hit), "{round}");
        assert_eq!((world.runs(), cache.stats().cut_off), (1, round as u64 + 1));
    }
    // The same if somebody else has made the fragment anew.
    change(&cache, &world, 1, 2).await;
    ask(&cache, parity(&world, 0, 1)).await;
    assert_eq!(ask(&cache, page(&world, 0)).await.0, vec![0, 0]);
    assert_eq!((world.runs(), cache.stats().cut_off), (1, 5));
}

async fn what_comes_out_otherwise_is(cache: Cache) {
    let world = World::default();
    ask(&cache, page(&world, 0)).await;
    for (round, id) in [1, 2, 2, 1].into_iter().enumerate() {
        change(&cache, &world, id, 1).await;
        assert_eq!(ask(&cache, page(&world, 0)).await, (now(&world), Outcome::Miss));
        assert_eq!(ask(&cache, page(&world, 0)).await, (now(&world), Outcome::Hit));
        assert_eq!(world.runs() as usize, round + 2);
    }
    // A tag of its own says that something else has changed.
    cache.invalidate(["Site"]).await.unwrap();
    assert_eq!(ask(&cache, page(&world, 0)).await.1, Outcome::Miss);
    cache.invalidate_all().await.unwrap();
    assert_eq!(ask(&cache, page(&world, 0)).await.1, Outcome::Miss);
    bump(&cache, 1).await;
    with_cache(cache.clone(), refresh(page(&world, 0))).await;
    assert_eq!((world.runs(), cache.stats().cut_off), (8, 0));
}

/// Of either fragment, from the same to the same, to another or back, in each step of a run that is cut off
/// or is not.
async fn a_change_in_any_window_of_a_run_leaves_nothing_old(cache: Cache) {
    const STEPS: u64 = 6;
    for case in 0..(STEPS + 2) * 8 {
        let (window, rest) = (case % (STEPS + 2), case / (STEPS + 2));
        let (id, times) = (1 + rest as usize % 2, 1 + rest as usize / 2 % 2);
        let starts_changed = rest & 4 != 0;
        let world = Arc::new(World::default());
        ask(&cache, page(&world, case)).await;
        change(&cache, &world, 1, if starts_changed { 1 } else { 2 }).await;
        bump(&cache, 2).await;
        let call = {
            let (cache, world) = (cache.clone(), world.clone());
            async move { drop(ask(&cache, page(&world, case)).await) }
        };
        in_window(&world, window, call, async || change(&cache, &world, id, times).await).await;
        for _ in 0..3 {
            assert_eq!(ask(&cache, page(&world, case)).await.0, now(&world), "{case}, {window}");
        }
        assert_eq!(ask(&cache, page(&world, case)).await.1, Outcome::Hit, "{case}, {window}");
    }
    assert!(cache.stats().cut_off > 0, "or it would show nothing");
}

#[tagged_cache(inherit_tags, early_cutoff, vary_on = [])]
async fn site(world: &World) -> u64 {
    let pages = [page(world, 1).await, page(world, 2).await];
    world.runs.fetch_add(100, Ordering::SeqCst);
    pages.iter().flatten().sum()
}

async fn pages_of_pages_are_cut_off_each(cache: Cache) {
    let world = World::default();
    assert_eq!(ask(&cache, site(&world)).await, (0, Outcome::Miss));
    assert_eq!(world.runs(), 102);
    change(&cache, &world, 1, 2).await;
    assert_eq!(ask(&cache, site(&world)).await, (0, Outcome::Miss));
    assert_eq!((world.runs(), cache.stats().cut_off), (102, 3));
    assert_eq!(ask(&cache, site(&world)).await, (0, Outcome::Hit));
    // A page that is made anew and comes out otherwise.
    change(&cache, &world, 2, 1).await;
    assert_eq!(ask(&cache, site(&world)).await, (2, Outcome::Miss));
    assert_eq!((world.runs(), cache.stats().cut_off), (204, 3));
}

#[tagged_cache(batch, tags = ["Part:<id>"], vary_on = [])]
async fn parts(world: &World, ids: &[usize]) -> HashMap<usize, u64> {
    ids.iter().map(|id| (*id, world.part(*id))).collect()
}

#[tagged_cache(tags = ["Part:1"], vary_on = [])]
async fn failing(world: &World) -> Result<u64, u64> {
    Err(world.part(1))
}

#[tagged_cache(tags = ["Part:1"], vary_on = [], stale_if_error = 3_600)]
async fn graced(world: &World) -> Result<u64, ()> {
    Ok(world.part(1))
}

#[tagged_cache(inherit_tags, early_cutoff, vary_on = [way])]
async fn made(world: &World, way: &str) -> u64 {
    let same = parity(world, 20, 2).await;
    same + match way {
        "a batch" => parts(world, &[1]).await[&1],
        "an error" => failing(world).await.unwrap_err(),
        "grace" => graced(world).await.unwrap(),
        "two answers" => {
            let before = part(world, 21, 1).await;
            refresh(part(world, 21, 1)).await.max(before)
        }
        // One that was not waited for has given nothing.
        _ => {
            let left = tokio::time::timeout(Duration::ZERO, part(world, 22, 1)).await;
            left.unwrap_or(world.part(1))
        }
    }
}

async fn what_is_made_of_calls_that_cannot_tell_is_made_anew(cache: Cache) {
    for way in ["a batch", "an error", "grace", "two answers", "left"] {
        let world = World::default();
        cache.invalidate_all().await.unwrap();
        for round in 0..3 {
            let (value, outcome) = ask(&cache, made(&world, way)).await;
            assert_eq!((value, outcome), (round, Outcome::Miss), "{way}");
            world.change(1);
            bump(&cache, 1).await;
            world.change(2);
            world.change(2);
            bump(&cache, 2).await;
        }
    }
    assert_eq!(cache.stats().cut_off, 0);
}

/// What two gave who ran at once, or what came without a bump, may stand beside another's recipe.
async fn a_recipe_is_about_one_value(cache: Cache) {
    let world = World::default();
    ask(&cache, page(&world, 30)).await;
    world.change(1);
    // Nobody has said so, but this is what the page is made of from now on.
    with_cache(cache.clone(), refresh(parity(&world, 30, 1))).await;
    assert_eq!(with_cache(cache.clone(), refresh(page(&world, 30))).await, vec![1, 0]);
    world.change(1);
    bump(&cache, 1).await;
    assert_eq!(ask(&cache, page(&world, 30)).await.0, vec![0, 0]);
}

#[tagged_cache(inherit_tags, early_cutoff, vary_on = [])]
async fn joined(world: Arc<World>) -> Vec<u64> {
    let (first, second) = tokio::join!(parity(&world, 40, 1), parity(&world, 40, 2));
    world.runs.fetch_add(1, Ordering::SeqCst);
    vec![first, second]
}

async fn it_can_be_spawned_and_joined(cache: Cache) {
    let world = Arc::new(World::default());
    for _ in 0..3 {
        change(&cache, &world, 1, 2).await;
        let call = with_cache(cache.clone(), joined(world.clone()));
        assert_eq!(tokio::spawn(call).await.unwrap(), [0, 0]);
    }
    assert_eq!((world.runs(), cache.stats().cut_off), (1, 2));
}

/// In ways that the macro's documentation advises against, or a new release has changed it to.
#[tagged_cache(inherit_tags, early_cutoff, vary_on = [case, way])]
async fn tangled(world: &World, case: u64, way: &str) -> u64 {
    let has_more = world.part(3) % 2 == 1;
    let more = async || if has_more { parity(world, case, 3).await } else { 0 };
    match way {
        "more calls beside it" => {
            let (first, second, third) =
                tokio::join!(biased; parity(world, case, 1), parity(world, case, 2), more());
            first + second + third
        }
        "the same call again" => {
            let (first, second, third) = tokio::join!(
                biased;
                parity(world, case, 1),
                parity(world, case, 2),
                async { if has_more { refresh(parity(world, case, 1)).await } else { 0 } },
            );
            first + second + third
        }
        "a call that is dropped beside it" => {
            let (first, ()) = tokio::join!(biased; parity(world, case, 1), async {
                if has_more {
                    let _ = tokio::time::timeout(Duration::ZERO, parity(world, case, 3)).await;
                }
            });
            first
        }
        "one that blocks" => tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(parity(world, case, 1))
        }),
        // Where the answer comes with the other branch, that is taken.
        _ => {
            tokio::select! {
                biased;
                first = parity(world, case, 1) => 10 + first,
                () = std::future::ready(()) => 20,
            }
        }
    }
}

async fn whatever_else_goes_on_in_the_body_nobody_hangs(cache: Cache) {
    // Where blocking is allowed.
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let run = move || {
        for (case, way) in (100..).zip([
            "more calls beside it",
            "the same call again",
            "a call that is dropped beside it",
            "one that blocks",
            "another branch",
        ]) {
            let world = World::default();
            let call = |world: &World| {
                let call = ask(&cache, tangled(world, case, way));
                let in_time = tokio::time::timeout(Duration::from_secs(60), call);
                runtime().block_on(in_time).expect(way).0
            };
            let first = call(&world);
            for round in 0..4 {
                if round % 2 == 1 {
                    world.change(3);
                }
                (0..2).for_each(|_| world.change(1));
                runtime().block_on(bump(&cache, 1));
                let again = call(&world);
                assert!(way == "another branch" || again == first, "{way}, {again}, {first}");
            }
        }
    };
    tokio::task::spawn_blocking(run).await.unwrap();
}

async fn what_was_evicted_does_not_come_back(cache: Cache) {
    let world = World::default();
    ask(&cache, page(&world, 60)).await;
    bump(&cache, 1).await;
    with_cache(cache.clone(), fragkeys::evict(page(&world, 60))).await;
    ask(&cache, page(&world, 60)).await;
    assert_eq!((world.runs(), cache.stats().cut_off), (2, 0));
}

/// It would last for ever, from one bump to the next.
#[tokio::test]
async fn a_value_gets_no_more_time() {
    let server = RedisServer::start();
    let cache = patient(server.url()).build().await.unwrap();
    let ends = || -> Vec<u64> {
        let keys = server.cli(&["KEYS", "fragkeys:v:*cutoff::page:*"]);
        let end = |key| server.cli(&["PEXPIRETIME", key]).trim().parse().unwrap();
        let mut ends: Vec<u64> = keys.lines().map(end).collect();
        ends.sort_unstable();
        ends
    };
    let world = World::default();
    ask(&cache, page(&world, 0)).await;
    let before = *ends().last().unwrap();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        change(&cache, &world, 1, 2).await;
        ask(&cache, page(&world, 0)).await;
    }
    let ends = ends();
    assert!(ends.len() >= 4, "{ends:?}");
    // Times are rounded, and what is stored is on its way for a moment.
    assert!(*ends.last().unwrap() <= before + 15, "{before}, {ends:?}");
}

/// Where fragments are hits of the near tier, too.
#[tokio::test]
async fn with_a_near_tier() {
    let server = RedisServer::start();
    let near = Near::new().max_staleness(Duration::from_secs(600));
    let cache = patient(server.url()).near(near).build().await.unwrap();
    let world = World::default();
    ask(&cache, page(&world, 0)).await;
    for round in 0..5 {
        eventually("all are near", async || {
            let before = cache.stats().near_hits;
            ask(&cache, parity(&world, 0, 1)).await;
            ask(&cache, parity(&world, 0, 2)).await;
            ask(&cache, page(&world, 0)).await;
            cache.stats().near_hits == before + 3
        })
        .await;
        let is_same = round % 2 == 0;
        let before = cache.stats().cut_off;
        change(&cache, &world, 1 + round % 2, if is_same { 2 } else { 1 }).await;
        assert_eq!(ask(&cache, page(&world, 0)).await.0, now(&world), "{round}");
        assert_eq!(cache.stats().cut_off, before + u64::from(is_same), "{round}");
    }
}
