//! sqlx.

#[allow(dead_code, reason = "the program uses all of it")]
#[path = "../sqlx.rs"]
mod recipe;

#[path = "race.rs"]
mod race;

use std::path::Path;

use fragkeys::{Outcome, TaggedModel as _, with_cache};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

use self::race::total;
use self::recipe::{Donation, Pool};
use crate::lock::{END, ORGANIZATION, Onlooker, READ, Setting, over_both_stores};

/// A pool of one connection: what was begun through it goes on in it.
async fn single(file: &Path) -> Pool {
    let options = SqliteConnectOptions::new().filename(file);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap()
}

async fn execute(pool: &Pool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.unwrap();
}

over_both_stores! {
    without_a_scope_a_refill_before_the_commit_stays_stale,
    dropped_during_the_commit_it_is_bumped_again,
}

/// The hole that the recipe closes.
async fn without_a_scope_a_refill_before_the_commit_stays_stale(setting: Setting) {
    let pool = recipe::open(&setting.file()).await.unwrap();
    let mut tx = pool.begin().await.unwrap();
    let row = "INSERT INTO donations (organization_id, amount) VALUES (?, 10) RETURNING *";
    let row = sqlx::query_as(row).bind(ORGANIZATION);
    let new: Donation = row.fetch_one(&mut *tx).await.unwrap();
    let bumped = with_cache(setting.cache.clone(), async { new.created().await.unwrap() }).await;
    assert!(bumped.held().is_empty(), "sent at once");

    assert_eq!(total(&setting, &pool).await, (0, Some(Outcome::Miss)), "the refill");
    tx.commit().await.unwrap();
    assert_eq!(total(&setting, &pool).await, (0, Some(Outcome::Hit)), "from now on for everybody");
}

/// `committing` sees to it that there is a bump, but a dropped future waits for nothing, and here
/// COMMIT goes on without it: whoever reads after the bump and before the end of COMMIT stores
/// what was. So the bump is repeated; or the write runs in a task of its own.
async fn dropped_during_the_commit_it_is_bumped_again(setting: Setting) {
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
    assert!(write.await.unwrap_err().is_cancelled());
    setting.bumped_since(before).await;
    assert_eq!(total(&setting, &reader).await.0, 0, "the refill");
    execute(&reader, END).await;

    onlooker.sees_rows(1).await;
    let healed = async {
        while total(&setting, &pool).await.0 != 10 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let deadline = std::time::Duration::from_secs(60);
    tokio::time::timeout(deadline, healed).await.expect("it is bumped again");
}
