//! What holds for both recipes.

use fragkeys::{Outcome, observe, with_cache};

use super::{execute, recipe, single};
use crate::lock::{END, ORGANIZATION, Onlooker, READ, Setting, over_both_stores};

over_both_stores! {
    a_refill_during_the_commit_is_unreachable,
    a_write_in_a_task_of_its_own_outlives_its_caller,
    a_write_that_is_refused_keeps_the_hits,
}

/// The held bump comes after COMMIT, however long that takes.
async fn a_refill_during_the_commit_is_unreachable(setting: Setting) {
    let pool = recipe::open(&setting.file()).await.unwrap();
    let reader = single(&setting.file()).await;
    let mut onlooker = Onlooker::new(&setting.file()).await;
    let before = setting.version().await;
    execute(&reader, READ).await;

    let write = {
        let pool = pool.clone();
        let create = async move { recipe::create(&pool, ORGANIZATION, 10).await };
        tokio::spawn(with_cache(setting.cache.clone(), create))
    };
    onlooker.sees_a_waiting_commit().await;
    assert_eq!(setting.version().await, before);
    assert_eq!(total(&setting, &reader).await, (0, Some(Outcome::Miss)));
    assert_eq!(total(&setting, &reader).await, (0, Some(Outcome::Hit)));
    execute(&reader, END).await;

    write.await.unwrap().unwrap();
    assert!(setting.version().await > before);
    assert_eq!(total(&setting, &pool).await, (10, Some(Outcome::Miss)));
    assert_eq!(total(&setting, &pool).await, (10, Some(Outcome::Hit)));
}

/// Whoever waits for it hangs up during COMMIT: it goes on, and the bump comes after it.
async fn a_write_in_a_task_of_its_own_outlives_its_caller(setting: Setting) {
    let pool = recipe::open(&setting.file()).await.unwrap();
    let reader = single(&setting.file()).await;
    let mut onlooker = Onlooker::new(&setting.file()).await;
    let before = setting.version().await;
    execute(&reader, READ).await;

    let caller = {
        let (pool, cache) = (pool.clone(), setting.cache.clone());
        let create = async move { recipe::create(&pool, ORGANIZATION, 10).await };
        tokio::spawn(async move { tokio::spawn(with_cache(cache, create)).await })
    };
    onlooker.sees_a_waiting_commit().await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(total(&setting, &reader).await, (0, Some(Outcome::Miss)));
    assert_eq!(setting.version().await, before);
    execute(&reader, END).await;

    setting.bumped_since(before).await;
    assert_eq!(total(&setting, &pool).await, (10, Some(Outcome::Miss)));
}

async fn a_write_that_is_refused_keeps_the_hits(setting: Setting) {
    let pool = recipe::open(&setting.file()).await.unwrap();
    let id = with_cache(setting.cache.clone(), recipe::create(&pool, ORGANIZATION, 10));
    let id = id.await.unwrap().id;
    assert_eq!(total(&setting, &pool).await, (10, Some(Outcome::Miss)));

    let before = setting.version().await;
    let refused = with_cache(setting.cache.clone(), recipe::raise(&pool, id, 1_000)).await;
    assert_eq!(refused.unwrap_err().to_string(), "1010 is too much");
    assert_eq!(setting.version().await, before);
    assert_eq!(total(&setting, &pool).await, (10, Some(Outcome::Hit)));
}

/// What a reader gets who is in no transaction of ours.
pub(super) async fn total(setting: &Setting, pool: &recipe::Pool) -> (i64, Option<Outcome>) {
    let read = observe(recipe::total(pool, ORGANIZATION));
    let (total, outcome) = with_cache(setting.cache.clone(), read).await;
    (total.unwrap(), outcome)
}
