//! Diesel.

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../diesel.rs"]
mod recipe;

#[path = "race.rs"]
mod race;

use std::path::Path;

use diesel_async::SimpleAsyncConnection as _;
use diesel_async::pooled_connection::AsyncDieselConnectionManager;
use fragkeys::{Outcome, with_cache};

use self::race::total;
use self::recipe::Pool;
use crate::lock::{END, ORGANIZATION, Onlooker, READ, Setting, over_both_stores};

/// A pool of one connection: what was begun through it goes on in it.
async fn single(file: &Path) -> Pool {
    let manager = AsyncDieselConnectionManager::new(file.to_str().unwrap());
    Pool::builder(manager).max_size(1).build().unwrap()
}

async fn execute(pool: &Pool, sql: &'static str) {
    pool.get().await.unwrap().batch_execute(sql).await.unwrap();
}

over_both_stores! {
    dropped_during_the_commit_it_is_bumped_after_it,
}

/// Dropping the future blocks until SQLite is done with COMMIT, and only then is the scope
/// dropped and its bump sent. (Over a network, Diesel does not wait either.)
async fn dropped_during_the_commit_it_is_bumped_after_it(setting: Setting) {
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
    write.abort();
    assert_eq!(total(&setting, &reader).await, (0, Some(Outcome::Miss)), "the refill");
    assert_eq!(setting.version().await, before);
    execute(&reader, END).await;

    assert!(write.await.unwrap_err().is_cancelled());
    setting.bumped_since(before).await;
    assert_eq!(total(&setting, &pool).await, (10, Some(Outcome::Miss)));
}
