//! `inherit_tags`: values that are made of what other cached functions gave.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use fragkeys::{Cache, Outcome, Tag, guard, observe, tagged_cache, with_cache};
use tokio::sync::{Mutex, mpsc};

use crate::support::over_both_stores;

mod answers;
mod cutoff;
mod elsewhere;

over_both_stores! {
    a_change_of_any_fragment_invalidates_the_page,
    a_fragment_bumped_in_any_window_of_a_run_leaves_nothing_old,
    a_page_of_pages_has_the_tags_of_all,
    a_function_that_takes_over_nothing_stands_for_itself,
    what_goes_on_in_one_task_is_seen,
    tags_of_the_value_go_with_it,
}

/// Numbered parts, and how often pages were made of them.
#[derive(Default)]
struct World {
    parts: [AtomicU64; 4],
    runs: AtomicU32,
    gate: Mutex<Option<Gate>>,
}

/// Where a run waits for the test.
struct Gate(mpsc::Sender<()>, mpsc::Receiver<()>);

impl World {
    fn part(&self, id: usize) -> u64 {
        self.parts[id].load(Ordering::SeqCst)
    }

    fn change(&self, id: usize) {
        self.parts[id].fetch_add(1, Ordering::SeqCst);
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    async fn step(&self) {
        if let Some(Gate(send, may_go)) = &mut *self.gate.lock().await {
            send.send(()).await.unwrap();
            may_go.recv().await.unwrap();
        }
    }
}

#[tagged_cache(tags = ["Part:<id>"], vary_on = [case, id])]
async fn part(world: &World, case: u64, id: usize) -> u64 {
    world.step().await;
    let part = world.part(id);
    world.step().await;
    part
}

#[tagged_cache(inherit_tags, vary_on = [case])]
async fn page(world: &World, case: u64) -> Vec<u64> {
    world.runs.fetch_add(1, Ordering::SeqCst);
    world.step().await;
    let first = part(world, case, 1).await;
    world.step().await;
    let second = part(world, case, 2).await;
    world.step().await;
    vec![first, second]
}

async fn bump(cache: &Cache, id: usize) {
    cache.invalidate([Tag::new("Part", id)]).await.unwrap();
}

/// Makes a call whose run waits at each step, and a change in this window: before it, at a step, or
/// after it.
async fn in_window<F>(world: &Arc<World>, window: u64, call: F, change: impl AsyncFn())
where
    F: Future<Output = ()> + Send + 'static,
{
    if window == 0 {
        change().await;
    }
    let ((send, mut is_there), (go, may_go)) = (mpsc::channel(1), mpsc::channel(1));
    *world.gate.lock().await = Some(Gate(send, may_go));
    let run = tokio::spawn({
        let world = world.clone();
        async move {
            call.await;
            *world.gate.lock().await = None;
        }
    });
    let mut step = 0;
    while is_there.recv().await.is_some() {
        step += 1;
        if window == step {
            change().await;
        }
        go.send(()).await.unwrap();
    }
    run.await.unwrap();
    if window > step {
        change().await;
    }
}

/// One call in this cache, and how it was answered.
async fn ask<F: Future>(cache: &Cache, call: F) -> (F::Output, Outcome) {
    let (output, outcome) = with_cache(cache.clone(), observe(call)).await;
    (output, outcome.unwrap())
}

async fn a_change_of_any_fragment_invalidates_the_page(cache: Cache) {
    let world = World::default();
    // Of what is known when the body has run, nothing has to be known before: it is stored at once.
    assert_eq!(ask(&cache, page(&world, 0)).await, (vec![0, 0], Outcome::Miss));
    assert_eq!(ask(&cache, page(&world, 0)).await, (vec![0, 0], Outcome::Hit));
    for id in [1, 2, 2, 1] {
        world.change(id);
        bump(&cache, id).await;
        let now = vec![world.part(1), world.part(2)];
        assert_eq!(ask(&cache, page(&world, 0)).await, (now.clone(), Outcome::Miss));
        assert_eq!(ask(&cache, page(&world, 0)).await, (now, Outcome::Hit));
    }
    bump(&cache, 3).await;
    assert_eq!(ask(&cache, page(&world, 0)).await.1, Outcome::Hit, "no part of it");
    cache.invalidate_all().await.unwrap();
    assert_eq!(ask(&cache, page(&world, 0)).await.1, Outcome::Miss);
}

/// In each step of a run, and before and after it; of fragments that are cached and that are not, and
/// where the page was there before; by a bump, and by one with a mark in between.
async fn a_fragment_bumped_in_any_window_of_a_run_leaves_nothing_old(cache: Cache) {
    /// With two fragments that run.
    const STEPS: u64 = 7;
    for case in 0..(STEPS + 2) * 16 {
        let (window, rest) = (case % (STEPS + 2), case / (STEPS + 2));
        let (id, is_guarded) = (if rest & 1 == 0 { 1 } else { 2 }, rest & 2 != 0);
        let (are_warm, was_there) = (rest & 4 != 0, rest & 8 != 0);
        let world = Arc::new(World::default());
        let change = async || match is_guarded {
            true => {
                let write = async { world.change(id) };
                with_cache(cache.clone(), guard([Tag::new("Part", id)], write)).await;
            }
            false => {
                world.change(id);
                bump(&cache, id).await;
            }
        };
        if was_there {
            ask(&cache, page(&world, case)).await;
            bump(&cache, 1).await;
            bump(&cache, 2).await;
        }
        if are_warm {
            ask(&cache, part(&world, case, 1)).await;
            ask(&cache, part(&world, case, 2)).await;
        }
        let call = {
            let (cache, world) = (cache.clone(), world.clone());
            async move { drop(ask(&cache, page(&world, case)).await) }
        };
        in_window(&world, window, call, change).await;
        let now = vec![world.part(1), world.part(2)];
        for _ in 0..3 {
            assert_eq!(ask(&cache, page(&world, case)).await.0, now, "case {case}, {window}");
        }
        assert_eq!(ask(&cache, page(&world, case)).await.1, Outcome::Hit, "case {case}, {window}");
    }
}

#[tagged_cache(inherit_tags, tags = ["Site"], vary_on = [])]
async fn site(world: &World) -> Vec<u64> {
    let mut all = page(world, 7).await;
    all.push(numbered(world).await.0);
    all
}

/// It tells its tag itself.
#[tagged_cache(vary_on = [], tags_from = |number: &(u64, usize)| [Tag::new("Part", number.1)])]
async fn numbered(world: &World) -> (u64, usize) {
    (world.part(3), 3)
}

async fn a_page_of_pages_has_the_tags_of_all(cache: Cache) {
    let world = World::default();
    // The first value that tells a tag is not stored, so nothing that is made of it is.
    assert_eq!(ask(&cache, site(&world)).await.1, Outcome::NotStored);
    assert_eq!(ask(&cache, site(&world)).await.1, Outcome::Miss);
    assert_eq!(ask(&cache, site(&world)).await.1, Outcome::Hit);
    for id in [1, 2, 3, 3, 2, 1] {
        world.change(id);
        bump(&cache, id).await;
        let now: Vec<u64> = (1..=3).map(|id| world.part(id)).collect();
        assert_eq!(ask(&cache, site(&world)).await, (now.clone(), Outcome::Miss), "{id}");
        assert_eq!(ask(&cache, site(&world)).await, (now, Outcome::Hit), "{id}");
    }
    // The same where the calls in it are hits.
    for _ in 0..2 {
        cache.invalidate(["Site"]).await.unwrap();
        assert_eq!(ask(&cache, site(&world)).await.1, Outcome::Miss);
        assert_eq!(ask(&cache, site(&world)).await.1, Outcome::Hit);
    }
    for id in 1..=3 {
        world.change(id);
        bump(&cache, id).await;
        assert_eq!(ask(&cache, site(&world)).await.0[id - 1], world.part(id));
    }
}

#[tagged_cache(tags = ["Box"], vary_on = [])]
async fn closed(world: &World) -> u64 {
    part(world, 8, 1).await
}

#[tagged_cache(inherit_tags, vary_on = [name])]
async fn around_closed(world: &World, name: &str) -> u64 {
    closed(world).await
}

/// What is around it depends on its tags, whether it has run or not.
async fn a_function_that_takes_over_nothing_stands_for_itself(cache: Cache) {
    let world = World::default();
    for name in ["it runs", "it is a hit"] {
        assert_eq!(ask(&cache, around_closed(&world, name)).await.1, Outcome::Miss);
    }
    bump(&cache, 1).await;
    for name in ["it runs", "it is a hit"] {
        assert_eq!(ask(&cache, around_closed(&world, name)).await.1, Outcome::Hit);
    }
    // Nor does it matter what a call in it gave that nobody can date.
    #[tagged_cache(tags = ["Box"], vary_on = [])]
    async fn undated(world: &World) -> u64 {
        fragkeys::bypass(part(world, 8, 1)).await
    }
    #[tagged_cache(inherit_tags, vary_on = [])]
    async fn around_undated(world: &World) -> u64 {
        undated(world).await
    }
    assert_eq!(ask(&cache, around_undated(&world)).await.1, Outcome::Miss);
    world.change(1);
    cache.invalidate(["Box"]).await.unwrap();
    assert_eq!(ask(&cache, around_undated(&world)).await, (1, Outcome::Miss));
}

async fn what_goes_on_in_one_task_is_seen(cache: Cache) {
    #[tagged_cache(inherit_tags, vary_on = [])]
    async fn joined(world: &World) -> (u64, u64) {
        tokio::join!(part(world, 9, 1), async { part(world, 9, 2).await })
    }
    #[tagged_cache(inherit_tags, vary_on = [])]
    async fn selected(world: &World) -> u64 {
        tokio::select! {
            biased;
            () = std::future::pending() => unreachable!(),
            part = part(world, 9, 1) => part,
        }
    }
    #[tagged_cache(inherit_tags, vary_on = [])]
    async fn spawned(world: Arc<World>) -> u64 {
        tokio::spawn(async move { part(&world, 9, 1).await }).await.unwrap()
    }
    let world = Arc::new(World::default());
    for _ in 0..2 {
        ask(&cache, joined(&world)).await;
        ask(&cache, selected(&world)).await;
        ask(&cache, spawned(world.clone())).await;
    }
    assert_eq!(ask(&cache, joined(&world)).await.1, Outcome::Hit);
    assert_eq!(ask(&cache, selected(&world)).await.1, Outcome::Hit);
    world.change(1);
    bump(&cache, 1).await;
    assert_eq!(ask(&cache, joined(&world)).await, ((1, 0), Outcome::Miss));
    assert_eq!(ask(&cache, selected(&world)).await, (1, Outcome::Miss));
    world.change(2);
    bump(&cache, 2).await;
    assert_eq!(ask(&cache, joined(&world)).await, ((1, 1), Outcome::Miss));
    // As its documentation says: what runs in another task has nobody around it.
    assert_eq!(ask(&cache, spawned(world)).await, (0, Outcome::Hit));
}

/// The value tells a tag, and calls in it have others; one is both.
async fn tags_of_the_value_go_with_it(cache: Cache) {
    #[tagged_cache(
        inherit_tags,
        vary_on = [],
        tags_from = |parts: &HashMap<usize, u64>| parts.keys().map(|id| Tag::new("Part", id)),
    )]
    async fn both(world: &World) -> HashMap<usize, u64> {
        HashMap::from([(1, part(world, 10, 1).await), (3, world.part(3))])
    }
    let world = World::default();
    assert_eq!(ask(&cache, both(&world)).await.1, Outcome::NotStored, "a tag is new to it");
    assert_eq!(ask(&cache, both(&world)).await.1, Outcome::Miss);
    for id in [1, 3] {
        world.change(id);
        bump(&cache, id).await;
        let (parts, outcome) = ask(&cache, both(&world)).await;
        assert_eq!((parts[&id], outcome), (1, Outcome::Miss));
        assert_eq!(ask(&cache, both(&world)).await.1, Outcome::Hit);
    }
    assert_eq!(world.runs(), 0);
}
