//! Tags that only the value tells.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use fragkeys::{
    Cache, Outcome, Tag, evict, guard, key_of, observe, peek, prime, refresh, tagged_cache,
    with_cache,
};
use fragkeys_tests::RedisServer;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::support::{Log, over_both_stores, redis_cache};

mod elsewhere;

over_both_stores! {
    a_change_of_an_item_invalidates_the_pages_that_it_is_on,
    a_page_without_items_is_stored_at_once,
    an_item_that_is_new_costs_a_run_and_one_that_leaves_none,
    an_item_bumped_in_any_window_of_a_run_leaves_nothing_old,
    orders_are_about_the_page,
    what_is_given_to_it_is_stored_with_its_tags,
    only_what_may_be_stored_tells_tags,
    past_the_bound_nothing_is_stored,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Item {
    id: u64,
    value: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    items: Vec<Item>,
}

/// A table of items.
#[derive(Default)]
struct Table {
    items: Mutex<Vec<Item>>,
    runs: AtomicU32,
}

impl Table {
    fn with(ids: impl IntoIterator<Item = u64>) -> Arc<Self> {
        let items = ids.into_iter().map(|id| Item { id, value: 0 }).collect();
        Arc::new(Table { items: Mutex::new(items), runs: AtomicU32::new(0) })
    }

    fn page(&self) -> Page {
        Page { items: self.items.lock().unwrap().clone() }
    }

    fn change(&self, id: u64) {
        self.items.lock().unwrap().iter_mut().find(|item| item.id == id).unwrap().value += 1;
    }
}

#[tagged_cache(
    tags = ["Items"],
    vary_on = [text],
    tags_from = |page: &Page| page.items.iter().map(|item| Tag::new("Item", item.id)),
)]
async fn search(table: &Table, text: &str) -> Result<Page, std::io::Error> {
    table.runs.fetch_add(1, Ordering::SeqCst);
    Ok(table.page())
}

async fn call(cache: &Cache, table: &Table) -> (Page, Outcome) {
    let (page, outcome) = with_cache(cache.clone(), observe(search(table, "x"))).await;
    (page.unwrap(), outcome.unwrap())
}

/// Calls until the page is found.
async fn fill(cache: &Cache, table: &Table) {
    for _ in 0..2 {
        call(cache, table).await;
    }
    assert_eq!(call(cache, table).await, (table.page(), Outcome::Hit));
}

async fn a_change_of_an_item_invalidates_the_pages_that_it_is_on(cache: Cache) {
    let (table, other) = (Table::with([1, 2, 3]), Table::with([4]));
    assert_eq!(call(&cache, &table).await.1, Outcome::NotStored);
    assert_eq!(call(&cache, &table).await.1, Outcome::Miss);
    assert_eq!(call(&cache, &table).await.1, Outcome::Hit);
    for _ in 0..2 {
        with_cache(cache.clone(), search(&other, "y")).await.unwrap();
    }
    for id in [2, 3, 1] {
        table.change(id);
        cache.invalidate([Tag::new("Item", id)]).await.unwrap();
        assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Miss));
        assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Hit));
    }
    let elsewhere = with_cache(cache.clone(), observe(search(&other, "y"))).await.1;
    assert_eq!(elsewhere, Some(Outcome::Hit));
    cache.invalidate([Tag::new("Item", 4)]).await.unwrap();
    assert_eq!(call(&cache, &table).await.1, Outcome::Hit, "not on this page");
    cache.invalidate(["Items"]).await.unwrap();
    assert_eq!(call(&cache, &table).await.1, Outcome::Miss);
    cache.invalidate_all().await.unwrap();
    assert_eq!(call(&cache, &table).await.1, Outcome::Miss);
    assert_eq!(call(&cache, &table).await.1, Outcome::Hit);
}

async fn a_page_without_items_is_stored_at_once(cache: Cache) {
    let table = Table::with([]);
    assert_eq!(call(&cache, &table).await.1, Outcome::Miss);
    assert_eq!(call(&cache, &table).await.1, Outcome::Hit);
}

async fn an_item_that_is_new_costs_a_run_and_one_that_leaves_none(cache: Cache) {
    let table = Table::with([1, 2]);
    fill(&cache, &table).await;
    table.items.lock().unwrap().push(Item { id: 3, value: 0 });
    cache.invalidate(["Items"]).await.unwrap();
    assert_eq!(call(&cache, &table).await, (table.page(), Outcome::NotStored));
    assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Miss));
    assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Hit));
    table.items.lock().unwrap().retain(|item| item.id != 1);
    cache.invalidate(["Items"]).await.unwrap();
    assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Miss));
    assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Hit));
    // It depends on that item no longer.
    cache.invalidate([Tag::new("Item", 1)]).await.unwrap();
    assert_eq!(call(&cache, &table).await.1, Outcome::Hit);
}

/// Where a run waits for the test: before it reads, and after it has.
#[tagged_cache(
    tags = ["Items"],
    vary_on = [text],
    tags_from = |page: &Page| page.items.iter().map(|item| Tag::new("Item", item.id)),
)]
async fn slow_search(table: &Table, text: &str, mut gate: Option<Gate>) -> Page {
    if let Some(gate) = &mut gate {
        gate.wait().await;
    }
    let page = table.page();
    if let Some(gate) = &mut gate {
        gate.wait().await;
    }
    page
}

struct Gate(mpsc::Sender<()>, mpsc::Receiver<()>);

impl Gate {
    async fn wait(&mut self) {
        self.0.send(()).await.unwrap();
        self.1.recv().await.unwrap();
    }
}

/// How an item is changed.
async fn change(cache: &Cache, table: &Table, how: usize) {
    match how {
        0 => {
            table.change(1);
            cache.invalidate([Tag::new("Item", 1)]).await.unwrap();
        }
        // As above, and another way of it that has a mark in between.
        _ => {
            let write = async { table.change(1) };
            with_cache(cache.clone(), guard([Tag::new("Item", 1)], write)).await;
        }
    }
}

/// Before the look, before the body reads, after it has, and after it is stored; by a process that
/// knows the tags of last time, and one for which they are new.
async fn an_item_bumped_in_any_window_of_a_run_leaves_nothing_old(cache: Cache) {
    for case in 0..32_usize {
        let (window, how) = (case % 4, case / 4 % 2);
        let (is_known, is_new) = (case & 8 != 0, case & 16 != 0);
        let table = Table::with([1, 2]);
        let text = format!("case {case}");
        let read =
            async || with_cache(cache.clone(), observe(slow_search(&table, &text, None))).await;
        if is_known {
            for _ in 0..3 {
                read().await;
            }
            cache.invalidate(["Items"]).await.unwrap();
        }
        if is_new {
            table.items.lock().unwrap().push(Item { id: 1_000 + case as u64, value: 0 });
        }
        if window == 0 {
            change(&cache, &table, how).await;
        }
        let ((send, mut is_there), (go, may_go)) = (mpsc::channel(1), mpsc::channel(1));
        let gate = Some(Gate(send, may_go));
        let run = {
            let (cache, table, text) = (cache.clone(), table.clone(), text.clone());
            tokio::spawn(async move { with_cache(cache, slow_search(&table, &text, gate)).await })
        };
        for step in 1..=2 {
            is_there.recv().await.unwrap();
            if window == step {
                change(&cache, &table, how).await;
            }
            go.send(()).await.unwrap();
        }
        run.await.unwrap();
        if window == 3 {
            change(&cache, &table, how).await;
        }
        for _ in 0..3 {
            assert_eq!(read().await.0, table.page(), "case {case}: window {window}");
        }
        assert_eq!(read().await.1, Some(Outcome::Hit), "case {case}: window {window}");
    }
}

async fn orders_are_about_the_page(cache: Cache) {
    let table = Table::with([1]);
    let found = || with_cache(cache.clone(), peek(search(&table, "x")));
    assert!(found().await.is_none());
    assert!(!with_cache(cache.clone(), evict(search(&table, "x"))).await);
    assert_eq!(table.runs.load(Ordering::SeqCst), 0);
    for _ in 0..2 {
        with_cache(cache.clone(), refresh(search(&table, "x"))).await.unwrap();
    }
    assert_eq!(found().await.unwrap().unwrap(), table.page());
    let key = with_cache(cache.clone(), key_of(search(&table, "x"))).await;
    assert!(key.contains("search:") && !key.ends_with('?'), "{key}");
    table.change(1);
    with_cache(cache.clone(), refresh(search(&table, "x"))).await.unwrap();
    assert_eq!(found().await.unwrap().unwrap(), table.page());
    let runs = table.runs.load(Ordering::SeqCst);
    with_cache(cache.clone(), fragkeys::bypass(search(&table, "x"))).await.unwrap();
    assert_eq!(table.runs.load(Ordering::SeqCst), runs + 1);
    assert!(with_cache(cache.clone(), evict(search(&table, "x"))).await);
    assert!(found().await.is_none());
    assert_eq!(call(&cache, &table).await.1, Outcome::Miss, "its tags are known");
}

/// Also with tags that nobody knew of: their versions are read when all that a run would make is there.
async fn what_is_given_to_it_is_stored_with_its_tags(cache: Cache) {
    let table = Table::with([1, 2]);
    let primed = || with_cache(cache.clone(), prime(search(&table, "x"), Ok(table.page())));
    assert!(primed().await);
    assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Hit));
    for id in [1, 2] {
        let before = table.page();
        table.change(id);
        assert_eq!(call(&cache, &table).await, (before, Outcome::Hit), "or it would show nothing");
        cache.invalidate([Tag::new("Item", id)]).await.unwrap();
        assert!(with_cache(cache.clone(), peek(search(&table, "x"))).await.is_none());
        assert!(primed().await);
        assert_eq!(call(&cache, &table).await, (table.page(), Outcome::Hit));
    }
    let failed = Err(std::io::Error::other("no page"));
    assert!(!with_cache(cache.clone(), prime(search(&table, "x"), failed)).await);
    let inside = fragkeys::on_commit(async { Ok::<_, ()>(primed().await) });
    assert_eq!(inside.await, Ok(false));
    assert_eq!(table.runs.load(Ordering::SeqCst), 0);
}

async fn only_what_may_be_stored_tells_tags(cache: Cache) {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    fn tags(value: &u64) -> [Tag; 1] {
        ASKED.fetch_add(1, Ordering::SeqCst);
        [Tag::new("Number", value)]
    }
    #[tagged_cache(cache_if = |value| *value > 1, tags_from = tags)]
    async fn number(number: u64) -> Result<u64, ()> {
        if number == 0 { Err(()) } else { Ok(number) }
    }
    let before = ASKED.load(Ordering::SeqCst);
    for refused in [0, 1] {
        let _ = with_cache(cache.clone(), number(refused)).await;
    }
    let inside = fragkeys::on_commit(async { number(7).await });
    with_cache(cache.clone(), inside).await.unwrap();
    assert_eq!(ASKED.load(Ordering::SeqCst), before);
    with_cache(cache, number(2)).await.unwrap();
    assert!(ASKED.load(Ordering::SeqCst) > before);
}

async fn past_the_bound_nothing_is_stored(cache: Cache) {
    let (table, log) = (Table::with(0..1_001), Log::default());
    {
        let _listening = log.listen();
        for _ in 0..3 {
            assert_eq!(call(&cache, &table).await.1, Outcome::NotStored);
        }
    }
    table.items.lock().unwrap().pop();
    fill(&cache, &table).await;
}

/// What stands at others' keys has no version that could be read before.
#[tokio::test]
async fn tags_of_others_are_refused() {
    #[tagged_cache(tags_from = |_: &u64| [Tag::foreign("theirs")])]
    async fn foreign() -> u64 {
        7
    }
    let server = RedisServer::start();
    server.set_raw("theirs", b"1");
    let (cache, log) = (redis_cache(&server).await, Log::default());
    let _listening = log.listen();
    for _ in 0..3 {
        let outcome = with_cache(cache.clone(), observe(foreign())).await.1;
        assert_eq!(outcome, Some(Outcome::NotStored));
    }
    assert_eq!(log.text().matches("gave `@theirs`").count(), 1, "{}", log.text());
}
