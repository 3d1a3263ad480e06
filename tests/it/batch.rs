//! Batches: each element with an entry and tags of its own, and one run for all that are missing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fragkeys::{Cache, Outcome, Tag, observe, tagged_cache, with_cache};

use crate::support::over_both_stores;

mod around;
mod faults;
mod identity;
mod invariants;
mod round_trips;
mod shapes;
mod sharing;

/// Where users come from, and what was asked of it, run by run.
#[derive(Debug, Default)]
struct Table {
    runs: AtomicU64,
    asked: Mutex<Vec<Vec<u64>>>,
}

/// Not in the table.
const NOBODY: u64 = 404;

impl Table {
    /// The users of these ids that there are.
    fn read(&self, ids: &[u64]) -> HashMap<u64, String> {
        self.log().push(ids.to_vec());
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let there = ids.iter().filter(|id| **id != NOBODY);
        there.map(|id| (*id, format!("user {id}, run {run}"))).collect()
    }

    /// What was asked since this was asked last.
    fn asked(&self) -> Vec<Vec<u64>> {
        std::mem::take(&mut self.log())
    }

    fn log(&self) -> MutexGuard<'_, Vec<Vec<u64>>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tagged_cache(batch, tags = ["User:<id>", "Users"], vary_on = [])]
async fn users(table: &Table, ids: &[u64]) -> HashMap<u64, String> {
    table.read(ids)
}

async fn call(cache: &Cache, table: &Table, ids: &[u64]) -> (HashMap<u64, String>, Outcome) {
    let (found, outcome) = with_cache(cache.clone(), observe(users(table, ids))).await;
    (found, outcome.expect("a cached call"))
}

over_both_stores! {
    each_element_has_an_entry_of_its_own,
    each_element_has_tags_of_its_own,
    an_element_that_is_left_out_is_asked_for_again,
    what_was_not_asked_for_is_given_and_not_stored,
    duplicates_are_asked_for_once_and_in_order,
    an_empty_batch_runs_nothing,
    an_error_is_the_answer_and_nothing_is_stored,
    each_value_is_asked_whether_it_is_cached,
    outcomes_and_numbers,
    a_batch_inside_of_a_transaction,
    many_elements,
}

async fn each_element_has_an_entry_of_its_own(cache: Cache) {
    let table = Table::default();
    let (first, outcome) = call(&cache, &table, &[1, 2]).await;
    assert_eq!((first.len(), outcome), (2, Outcome::Miss));
    assert_eq!(table.asked(), [[1, 2]]);

    let (all, outcome) = call(&cache, &table, &[3, 2, 1, 4]).await;
    assert_eq!((all.len(), outcome), (4, Outcome::Miss));
    assert_eq!(table.asked(), [[3, 4]], "only what is missing");
    assert_eq!((&all[&1], &all[&2]), (&first[&1], &first[&2]));

    assert_eq!(call(&cache, &table, &[1, 2, 3, 4]).await, (all.clone(), Outcome::Hit));
    let (one, outcome) = call(&cache, &table, &[3]).await;
    assert_eq!((one, outcome), (HashMap::from([(3, all[&3].clone())]), Outcome::Hit));
    assert!(table.asked().is_empty());
}

async fn each_element_has_tags_of_its_own(cache: Cache) {
    let table = Table::default();
    call(&cache, &table, &[1, 2, 3]).await;
    table.asked();
    cache.invalidate([Tag::new("User", 2)]).await.unwrap();
    call(&cache, &table, &[1, 2, 3]).await;
    assert_eq!(table.asked(), [[2]]);
    cache.invalidate([Tag::global("Users")]).await.unwrap();
    call(&cache, &table, &[1, 2, 3]).await;
    assert_eq!(table.asked(), [[1, 2, 3]]);
    cache.invalidate_all().await.unwrap();
    call(&cache, &table, &[3]).await;
    assert_eq!(table.asked(), [[3]]);
}

async fn an_element_that_is_left_out_is_asked_for_again(cache: Cache) {
    let table = Table::default();
    for _ in 0..2 {
        let (found, outcome) = call(&cache, &table, &[1, NOBODY]).await;
        assert_eq!(found.into_keys().collect::<Vec<_>>(), [1]);
        assert_eq!(outcome, Outcome::NotStored);
    }
    assert_eq!(table.asked(), [vec![1, NOBODY], vec![NOBODY]]);

    /// Absence is cached as a value.
    #[tagged_cache(batch, tags = ["User:<id>"], vary_on = [])]
    async fn maybe_users(table: &Table, ids: Vec<u64>) -> HashMap<u64, Option<String>> {
        let mut there = table.read(&ids);
        ids.into_iter().map(|id| (id, there.remove(&id))).collect()
    }
    for _ in 0..2 {
        let found = with_cache(cache.clone(), maybe_users(&table, vec![1, NOBODY])).await;
        assert_eq!((found[&1].is_some(), found[&NOBODY].is_some()), (true, false));
    }
    assert_eq!(table.asked(), [[1, NOBODY]]);
}

/// I1: its versions were not read before the run, so nobody knows what it is from.
async fn what_was_not_asked_for_is_given_and_not_stored(cache: Cache) {
    #[tagged_cache(batch, key_name = "neighbours", tags = ["User:<id>"], vary_on = [])]
    async fn neighbours(table: &Table, ids: &[u64]) -> HashMap<u64, String> {
        let more: Vec<u64> = ids.iter().flat_map(|id| [*id, id + 1]).collect();
        table.read(&more)
    }
    let table = Table::default();
    let call = |ids: &'static [u64]| with_cache(cache.clone(), neighbours(&table, ids));
    assert_eq!(call(&[1]).await.len(), 2);
    assert_eq!(call(&[1]).await.len(), 1);
    // What the body gives is newer than what was stored, and has the last word.
    assert_eq!(call(&[0, 1]).await[&1], "user 1, run 2");
    assert_eq!(call(&[1]).await[&1], "user 1, run 1");
    assert_eq!(call(&[2]).await[&2], "user 2, run 3");
    assert_eq!(table.asked(), [[1, 2], [0, 1], [2, 3]]);
    assert_eq!(cache.stats().stored, 3);
}

async fn duplicates_are_asked_for_once_and_in_order(cache: Cache) {
    let table = Table::default();
    let (found, _) = call(&cache, &table, &[9, 3, 9, 5, 3, 9, 1]).await;
    assert_eq!(found.len(), 4);
    assert_eq!(table.asked(), [[9, 3, 5, 1]]);
    assert_eq!(cache.stats().stored, 4);
    assert_eq!(call(&cache, &table, &[3, 3, 3]).await.1, Outcome::Hit);
    assert_eq!(cache.stats().hits, 1);
}

#[tagged_cache(batch, tags = ["User:<id>"], vary_on = [])]
async fn fallible(table: &Table, ids: &[u64]) -> Result<HashMap<u64, String>, String> {
    let users = table.read(ids);
    if users.len() < ids.len() {
        return Err("not all are there".to_owned());
    }
    Ok(users)
}

async fn an_empty_batch_runs_nothing(cache: Cache) {
    let table = Table::default();
    assert_eq!(call(&cache, &table, &[]).await, (HashMap::new(), Outcome::Hit));
    assert_eq!(with_cache(cache.clone(), fallible(&table, &[])).await, Ok(HashMap::new()));
    assert!(table.asked().is_empty());
    assert_eq!(cache.stats(), fragkeys::Stats::default());
}

async fn an_error_is_the_answer_and_nothing_is_stored(cache: Cache) {
    let table = Table::default();
    with_cache(cache.clone(), fallible(&table, &[1])).await.unwrap();
    let failed = with_cache(cache.clone(), observe(fallible(&table, &[1, 2, NOBODY]))).await;
    assert_eq!(failed, (Err("not all are there".to_owned()), Some(Outcome::NotStored)));
    assert_eq!(with_cache(cache.clone(), fallible(&table, &[1, 2])).await.unwrap().len(), 2);
    assert_eq!(table.asked(), [vec![1], vec![2, NOBODY], vec![2]]);
}

async fn each_value_is_asked_whether_it_is_cached(cache: Cache) {
    #[tagged_cache(batch, vary_on = [], cache_if = |name| !name.starts_with("user 2,"))]
    async fn picked(table: &Table, ids: &[u64]) -> HashMap<u64, String> {
        table.read(ids)
    }
    let table = Table::default();
    for _ in 0..2 {
        let call = with_cache(cache.clone(), observe(picked(&table, &[1, 2, 3]))).await;
        assert_eq!((call.0.len(), call.1), (3, Some(Outcome::NotStored)));
    }
    assert_eq!(table.asked(), [vec![1, 2, 3], vec![2]]);
}

async fn outcomes_and_numbers(cache: Cache) {
    let table = Table::default();
    call(&cache, &table, &[1, 2, 3]).await;
    assert_eq!(call(&cache, &table, &[1, 2, 3, 4]).await.1, Outcome::Miss);
    assert_eq!(call(&cache, &table, &[4, NOBODY, 5]).await.1, Outcome::NotStored);
    assert_eq!(call(&cache, &table, &[4, 5]).await.1, Outcome::Hit);
    let stats = cache.stats();
    assert_eq!((stats.hits, stats.misses, stats.stored), (6, 6, 5));
    assert_eq!((stats.bypassed, stats.rejected, stats.faults), (0, 0, 0));
}

/// What depends on a held bump is not read, others are; nothing is stored.
async fn a_batch_inside_of_a_transaction(cache: Cache) {
    let table = Table::default();
    call(&cache, &table, &[1, 2]).await;
    table.asked();
    fragkeys::on_commit(async {
        cache.invalidate([Tag::new("User", 2)]).await.unwrap();
        let (found, outcome) = call(&cache, &table, &[1, 2, 3]).await;
        assert_eq!((found.len(), outcome), (3, Outcome::Bypass));
        assert_eq!(table.asked(), [[2, 3]]);
        Ok::<_, ()>(())
    })
    .await
    .unwrap();
    assert_eq!(call(&cache, &table, &[1, 2, 3]).await.1, Outcome::Miss);
    assert_eq!(table.asked(), [[2, 3]]);
    assert_eq!(cache.stats().stored, 4);
}

async fn many_elements(cache: Cache) {
    let table = Table::default();
    let ids: Vec<u64> = (10_000..15_000).collect();
    let (first, outcome) = call(&cache, &table, &ids).await;
    assert_eq!((first.len(), outcome), (5_000, Outcome::Miss));
    assert_eq!(table.asked(), vec![ids.clone()]);
    assert_eq!(call(&cache, &table, &ids).await, (first, Outcome::Hit));
    cache.invalidate([Tag::new("User", 12_345)]).await.unwrap();
    assert_eq!(call(&cache, &table, &ids).await.1, Outcome::Miss);
    assert_eq!(table.asked(), [[12_345]]);
}
