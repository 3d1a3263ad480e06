//! Runs a recipe step by step on a new SQLite file, and says how each read was answered. It
//! fails if one was answered otherwise than it should be.

use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};
use fragkeys::{Config, Outcome, cache, observe};

use crate::recipe::{self, Donation, Pool};

const HIT: Outcome = Outcome::Hit;
const MISS: Outcome = Outcome::Miss;

/// Two organizations.
const ANTS: i64 = 1;
const BEES: i64 = 2;

/// All keys in Redis begin with the prefix.
pub(crate) async fn run(prefix: &str) -> Result<()> {
    // A demonstration may wait longer for a Redis far away than the default, which protects
    // a service.
    let patience = Duration::from_secs(2);
    Config::from_env()?.prefix(prefix).operation_timeout(patience).install().await?;
    // The file is new, and Redis may hold entries from one before it.
    cache().invalidate_all().await?;

    let folder = tempfile::tempdir()?;
    let pool = recipe::open(&folder.path().join("donations.sqlite")).await?;
    println!("database: a new SQLite file");
    let ids = create_and_move(&pool).await?;
    bulk_and_rollback(&pool, ids).await?;
    savepoint_and_single_statement(&pool, ids).await?;
    hang_up(&pool, ids).await?;
    println!("all as expected");
    Ok(())
}

/// The donations that these steps are about.
#[derive(Clone, Copy)]
struct Ids {
    moved: i64,
    stays: i64,
}

async fn create_and_move(pool: &Pool) -> Result<Ids> {
    step("two reads before anything was written");
    total(pool, ANTS, 0, MISS).await?;
    total(pool, ANTS, 0, HIT).await?;

    step("create: two donations to the ants");
    let moved = recipe::create(pool, ANTS, 10).await?.id;
    let stays = recipe::create(pool, ANTS, 20).await?.id;
    total(pool, ANTS, 30, MISS).await?;
    total(pool, ANTS, 30, HIT).await?;
    total(pool, BEES, 0, MISS).await?;
    amount(pool, moved, Some(10), MISS).await?;
    amount(pool, stays, Some(20), MISS).await?;

    step("update: the first one moves to the bees");
    let committed = recipe::move_to(pool, moved, BEES).await?;
    for (tag, _) in committed.bumped?.iter() {
        println!("  bumped {tag}");
    }
    total(pool, ANTS, 20, MISS).await?;
    total(pool, BEES, 10, MISS).await?;
    amount(pool, moved, Some(10), MISS).await?;
    amount(pool, stays, Some(20), HIT).await?;
    Ok(Ids { moved, stays })
}

async fn bulk_and_rollback(pool: &Pool, Ids { moved, stays }: Ids) -> Result<()> {
    step("bulk update: all of the bees' are doubled");
    let changed = recipe::double_all(pool, BEES).await?;
    same("changed", &changed, &vec![moved])?;
    total(pool, BEES, 20, MISS).await?;
    amount(pool, moved, Some(20), MISS).await?;
    total(pool, ANTS, 20, HIT).await?;
    amount(pool, stays, Some(20), HIT).await?;

    step("rollback: raised by too much");
    let refused = recipe::raise(pool, moved, 1_000).await.map_err(|error| error.to_string());
    same("raised", &refused, &Err("1020 is too much".to_owned()))?;
    total(pool, BEES, 20, HIT).await?;
    amount(pool, moved, Some(20), HIT).await?;

    step("and by less");
    recipe::raise(pool, moved, 5).await?;
    total(pool, BEES, 25, MISS).await?;
    amount(pool, moved, Some(25), MISS).await
}

async fn savepoint_and_single_statement(pool: &Pool, ids: Ids) -> Result<()> {
    step("savepoints: three are imported, of which one is refused");
    let imported = recipe::import(pool, ANTS, &[1, -1, 2]).await?;
    let amounts: Vec<i64> = imported.iter().map(|Donation { amount, .. }| *amount).collect();
    same("imported", &amounts, &vec![1, 2])?;
    total(pool, ANTS, 23, MISS).await?;
    total(pool, BEES, 25, HIT).await?;
    amount(pool, ids.stays, Some(20), HIT).await?;

    step("no transaction: one statement");
    recipe::set_amount(pool, ids.stays, 40).await?;
    total(pool, ANTS, 43, MISS).await?;
    amount(pool, ids.stays, Some(40), MISS).await?;
    total(pool, BEES, 25, HIT).await
}

/// Where whoever waits for a write may go away, such as a web client, the write runs in a
/// task of its own. So nobody can drop it between its COMMIT and its bumps.
async fn hang_up(pool: &Pool, ids: Ids) -> Result<()> {
    step("delete: in a task of its own, which nobody drops");
    let pool_of_task = pool.clone();
    tokio::spawn(async move { recipe::delete(&pool_of_task, ids.moved).await }).await??;
    total(pool, BEES, 0, MISS).await?;
    amount(pool, ids.moved, None, MISS).await?;
    amount(pool, ids.moved, None, HIT).await?;
    total(pool, ANTS, 43, HIT).await
}

fn step(what: &str) {
    println!("{what}");
}

async fn total(pool: &Pool, organization_id: i64, expected: i64, outcome: Outcome) -> Result<()> {
    let answer = observe(recipe::total(pool, organization_id)).await;
    let name = if organization_id == ANTS { "total of the ants" } else { "total of the bees" };
    answered(name, answer, expected, outcome)
}

async fn amount(pool: &Pool, id: i64, expected: Option<i64>, outcome: Outcome) -> Result<()> {
    let (row, actual) = observe(recipe::donation(pool, id)).await;
    let amount = row.map(|row| row.map(|row| row.amount));
    answered(&format!("donation {id}"), (amount, actual), expected, outcome)
}

fn answered<T: Debug + PartialEq>(
    what: &str,
    (value, outcome): (Result<T>, Option<Outcome>),
    expected: T,
    expected_outcome: Outcome,
) -> Result<()> {
    let value = value?;
    println!("  {what:<18} {:<9} {}", format!("{value:?}"), told(outcome));
    same(what, &value, &expected)?;
    same(what, &outcome, &Some(expected_outcome))
}

fn told(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Hit) => "hit: from the cache",
        Some(Outcome::Miss) => "miss: asked the database, stored",
        _ => "bypass: asked the database, the cache is away",
    }
}

fn same<T: Debug + PartialEq>(what: &str, actual: &T, expected: &T) -> Result<()> {
    if actual != expected {
        bail!("{what}: expected {expected:?}, got {actual:?}");
    }
    Ok(())
}
