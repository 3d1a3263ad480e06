//! fragkeys with sqlx: what to copy. `steps.rs` runs all of it.
//!
//! A write is a transaction inside of [`on_commit`], and its COMMIT is inside of
//! [`committing`]. The bumps stand next to the statements that make them necessary; they are
//! held until the transaction is committed, and dropped with it if it is rolled back.
//!
//! Where whoever waits for a write may go away, run it in a task of its own, as `hang_up` in
//! `steps.rs` does: a future that is dropped during COMMIT cannot wait for it.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};
use fragkeys::{Change, Committed, TaggedModel, committing, on_commit, tagged_cache};
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use sqlx::{Acquire, FromRow, SqliteConnection};

pub(crate) type Pool = sqlx::SqlitePool;

/// A row. Its tags are `Donation:<id>` for itself, and `Donation:org:<organization_id>` for
/// what is made of all donations to one organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow, TaggedModel)]
#[tagged_model(scopes = ["Donation:org:<organization_id>"])]
pub(crate) struct Donation {
    pub(crate) id: i64,
    pub(crate) organization_id: i64,
    pub(crate) amount: i64,
}

const MIGRATIONS: &str = "
CREATE TABLE IF NOT EXISTS donations (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0)
);
CREATE INDEX IF NOT EXISTS donations_of_organization ON donations (organization_id);
";

/// A writer waits for another one at its beginning. With a plain BEGIN, one that has read
/// already would fail instead. Only SQLite needs this.
const BEGIN: &str = "BEGIN IMMEDIATE";

pub(crate) async fn open(file: &Path) -> Result<Pool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await?;
    sqlx::raw_sql(MIGRATIONS).execute(&pool).await?;
    Ok(pool)
}

#[tagged_cache(timeout = 3600, tags = ["Donation:<id>"], vary_on = [id])]
pub(crate) async fn donation(pool: &Pool, id: i64) -> Result<Option<Donation>> {
    let row = sqlx::query_as("SELECT * FROM donations WHERE id = ?");
    Ok(row.bind(id).fetch_optional(pool).await?)
}

#[tagged_cache(
    timeout = 3600,
    tags = ["Donation:org:<organization_id>"],
    vary_on = [organization_id],
)]
pub(crate) async fn total(pool: &Pool, organization_id: i64) -> Result<i64> {
    let sum = "SELECT COALESCE(SUM(amount), 0) FROM donations WHERE organization_id = ?";
    Ok(sqlx::query_scalar(sum).bind(organization_id).fetch_one(pool).await?)
}

/// The shape of every write.
pub(crate) async fn create(pool: &Pool, organization_id: i64, amount: i64) -> Result<Donation> {
    on_commit(async {
        let mut tx = pool.begin_with(BEGIN).await?;
        let new = insert(&mut tx, organization_id, amount).await?;
        // From the first poll of COMMIT on nobody knows whether it happened, until it answers.
        // If that answer never comes, `committing` bumps all the same.
        committing(tx.commit()).await?;
        Ok(new)
    })
    .await
}

/// A part of several transactions: it leaves their end to them, and that of its bumps.
async fn insert(tx: &mut SqliteConnection, organization_id: i64, amount: i64) -> Result<Donation> {
    let row = "INSERT INTO donations (organization_id, amount) VALUES (?, ?) RETURNING *";
    let new: Donation =
        sqlx::query_as(row).bind(organization_id).bind(amount).fetch_one(tx).await?;
    new.created().await?;
    Ok(new)
}

/// Moves a row from one scope to another: both are bumped, so the old row has to be known.
/// It is read in the transaction, so that nobody changes it in between (elsewhere than in
/// SQLite: `SELECT … FOR UPDATE`). `report` tells what was bumped.
pub(crate) async fn move_to(
    pool: &Pool,
    id: i64,
    organization_id: i64,
) -> Result<Committed<Donation>> {
    on_commit(async {
        let mut tx = pool.begin_with(BEGIN).await?;
        let row = sqlx::query_as("SELECT * FROM donations WHERE id = ?");
        let old: Donation = row.bind(id).fetch_one(&mut *tx).await?;
        let row =
            sqlx::query_as("UPDATE donations SET organization_id = ? WHERE id = ? RETURNING *");
        let new: Donation = row.bind(organization_id).bind(id).fetch_one(&mut *tx).await?;
        new.updated(&Change::from_row(&old)).await?;
        committing(tx.commit()).await?;
        Ok(new)
    })
    .report()
    .await
}

pub(crate) async fn delete(pool: &Pool, id: i64) -> Result<()> {
    on_commit(async {
        let mut tx = pool.begin_with(BEGIN).await?;
        let row = sqlx::query_as("DELETE FROM donations WHERE id = ? RETURNING *");
        let gone: Donation = row.bind(id).fetch_one(&mut *tx).await?;
        gone.deleted().await?;
        committing(tx.commit()).await?;
        Ok(())
    })
    .await
}

/// Changes many rows by one statement, which says which. Gives their keys.
pub(crate) async fn double_all(pool: &Pool, organization_id: i64) -> Result<Vec<i64>> {
    on_commit(async {
        let mut tx = pool.begin_with(BEGIN).await?;
        let ids = "UPDATE donations SET amount = amount * 2 WHERE organization_id = ? RETURNING id";
        let ids: Vec<i64> =
            sqlx::query_scalar(ids).bind(organization_id).fetch_all(&mut *tx).await?;
        Donation::invalidate_bulk(ids.iter().copied(), [("org", organization_id)]).await?;
        committing(tx.commit()).await?;
        Ok(ids)
    })
    .await
}

/// Changes its mind if the sum is too much: dropping `tx` rolls back, and the `Err` drops the
/// bump. Who has the row and the total in the cache keeps them.
pub(crate) async fn raise(pool: &Pool, id: i64, by: i64) -> Result<Donation> {
    on_commit(async {
        let mut tx = pool.begin_with(BEGIN).await?;
        let row =
            sqlx::query_as("UPDATE donations SET amount = amount + ? WHERE id = ? RETURNING *");
        let new: Donation = row.bind(by).bind(id).fetch_one(&mut *tx).await?;
        new.updated(&Change::unknown().columns(&["amount"])).await?;
        if new.amount > 1_000 {
            bail!("{} is too much", new.amount);
        }
        committing(tx.commit()).await?;
        Ok(new)
    })
    .await
}

/// Savepoints: an amount that the database refuses is rolled back, the others stay. Releasing
/// a savepoint commits nothing, so only the outer `commit` is in `committing`. A bump from a
/// savepoint that was rolled back is sent with the others, and costs a miss.
pub(crate) async fn import(
    pool: &Pool,
    organization_id: i64,
    amounts: &[i64],
) -> Result<Vec<Donation>> {
    on_commit(async {
        let mut tx = pool.begin_with(BEGIN).await?;
        let mut imported = Vec::new();
        for amount in amounts {
            let mut savepoint = tx.begin().await?;
            if let Ok(new) = insert(&mut savepoint, organization_id, *amount).await {
                savepoint.commit().await?;
                imported.push(new);
            } else {
                savepoint.rollback().await?;
            }
        }
        committing(tx.commit()).await?;
        Ok(imported)
    })
    .await
}

/// Without a transaction the statement is its own commit, and the bump is sent at once. If it
/// fails, it is queued and retried, and the change is made all the same: no error for the
/// caller. Dropped between the two lines, there is no bump: a transaction is safer.
pub(crate) async fn set_amount(pool: &Pool, id: i64, amount: i64) -> Result<Donation> {
    let row = sqlx::query_as("UPDATE donations SET amount = ? WHERE id = ? RETURNING *");
    let new: Donation = row.bind(amount).bind(id).fetch_one(pool).await?;
    if let Err(error) = new.updated(&Change::unknown().columns(&["amount"])).await {
        eprintln!("donation {id}: {error}");
    }
    Ok(new)
}
