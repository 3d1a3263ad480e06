//! fragkeys with Diesel (diesel-async): what to copy. `steps.rs` runs all of it.
//!
//! A write is a transaction inside of [`on_commit`]. Diesel sends COMMIT itself, right after
//! its closure gave `Ok`, so the closure's last step says that it comes: [`commit_follows`].
//! From there on nobody knows whether it happened, until it answers. The bumps stand next to the statements that make them necessary; they are held until the
//! transaction is committed, and dropped with it if it is rolled back.
//!
//! Where whoever waits for a write may go away, run it in a task of its own, as `hang_up` in
//! `steps.rs` does: a future that is dropped during COMMIT cannot wait for it.

use std::path::Path;

use anyhow::{Context, Result, bail};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, deadpool};
use diesel_async::sync_connection_wrapper::SyncConnectionWrapper;
use diesel_async::{AsyncConnection, RunQueryDsl, SimpleAsyncConnection};
use fragkeys::{Change, Committed, TaggedModel, commit_follows, on_commit, tagged_cache};
use serde::{Deserialize, Serialize};

pub(crate) type Connection = SyncConnectionWrapper<SqliteConnection>;
pub(crate) type Pool = deadpool::Pool<Connection>;

diesel::table! {
    donations {
        id -> BigInt,
        organization_id -> BigInt,
        amount -> BigInt,
    }
}

/// A row. Its tags are `Donation:<id>` for itself, and `Donation:org:<organization_id>` for
/// what is made of all donations to one organization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Queryable, Selectable, TaggedModel)]
#[diesel(table_name = donations, check_for_backend(diesel::sqlite::Sqlite))]
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

pub(crate) async fn open(file: &Path) -> Result<Pool> {
    let mut config = ManagerConfig::default();
    config.custom_setup = Box::new(|url| Box::pin(connect(url.to_owned())));
    let url = file.to_str().context("the file's path is not UTF-8")?;
    let manager = AsyncDieselConnectionManager::new_with_config(url, config);
    let pool = Pool::builder(manager).max_size(4).build()?;
    pool.get().await?.batch_execute(MIGRATIONS).await?;
    Ok(pool)
}

async fn connect(url: String) -> diesel::ConnectionResult<Connection> {
    let mut connection = Connection::establish(&url).await?;
    let done = connection.batch_execute("PRAGMA busy_timeout = 10000").await;
    done.map_err(diesel::ConnectionError::CouldntSetupConfiguration)?;
    Ok(connection)
}

#[tagged_cache(timeout = 3600, tags = ["Donation:<id>"], vary_on = [id])]
pub(crate) async fn donation(pool: &Pool, id: i64) -> Result<Option<Donation>> {
    let row = donations::table.find(id).select(Donation::as_select());
    Ok(row.first(&mut pool.get().await?).await.optional()?)
}

#[tagged_cache(
    timeout = 3600,
    tags = ["Donation:org:<organization_id>"],
    vary_on = [organization_id],
)]
pub(crate) async fn total(pool: &Pool, organization_id: i64) -> Result<i64> {
    let of_organization = donations::organization_id.eq(organization_id);
    let sum =
        donations::table.filter(of_organization).select(sql::<BigInt>("COALESCE(SUM(amount), 0)"));
    Ok(sum.get_result(&mut pool.get().await?).await?)
}

/// The shape of every write. (`immediate_transaction` is SQLite's, where a writer waits for
/// another one at its beginning; elsewhere it is `transaction`.)
pub(crate) async fn create(pool: &Pool, organization_id: i64, amount: i64) -> Result<Donation> {
    let mut connection = pool.get().await?;
    on_commit(connection.immediate_transaction(async |tx| {
        let new = insert(tx, organization_id, amount).await?;
        commit_follows();
        Ok(new)
    }))
    .await
}

/// A part of several transactions: it leaves their end to them, and that of its bumps.
async fn insert(tx: &mut Connection, organization_id: i64, amount: i64) -> Result<Donation> {
    let values = (donations::organization_id.eq(organization_id), donations::amount.eq(amount));
    let row = diesel::insert_into(donations::table).values(values);
    let new: Donation = row.returning(Donation::as_returning()).get_result(tx).await?;
    new.created().await?;
    Ok(new)
}

/// Moves a row from one scope to another: both are bumped, so the old row has to be known.
/// It is read in the transaction, so that nobody changes it in between (elsewhere than in
/// SQLite: with `.for_update()`). `report` tells what was bumped.
pub(crate) async fn move_to(
    pool: &Pool,
    id: i64,
    organization_id: i64,
) -> Result<Committed<Donation>> {
    let mut connection = pool.get().await?;
    on_commit(connection.immediate_transaction(async |tx| {
        let row = donations::table.find(id);
        let old: Donation = row.select(Donation::as_select()).first(tx).await?;
        let row = diesel::update(row).set(donations::organization_id.eq(organization_id));
        let new: Donation = row.returning(Donation::as_returning()).get_result(tx).await?;
        new.updated(&Change::from_row(&old)).await?;
        commit_follows();
        Ok(new)
    }))
    .report()
    .await
}

pub(crate) async fn delete(pool: &Pool, id: i64) -> Result<()> {
    let mut connection = pool.get().await?;
    on_commit(connection.immediate_transaction(async |tx| {
        let row = diesel::delete(donations::table.find(id));
        let gone: Donation = row.returning(Donation::as_returning()).get_result(tx).await?;
        gone.deleted().await?;
        commit_follows();
        Ok(())
    }))
    .await
}

/// Changes many rows by one statement. Where it cannot say which (MySQL has no RETURNING), the
/// keys are read before, in the same transaction. Gives them.
pub(crate) async fn double_all(pool: &Pool, organization_id: i64) -> Result<Vec<i64>> {
    let mut connection = pool.get().await?;
    on_commit(connection.immediate_transaction(async |tx| {
        let rows = donations::table.filter(donations::organization_id.eq(organization_id));
        let ids: Vec<i64> = rows.select(donations::id).load(tx).await?;
        let doubled = donations::amount.eq(donations::amount * 2);
        diesel::update(rows).set(doubled).execute(tx).await?;
        Donation::invalidate_bulk(ids.iter().copied(), [("org", organization_id)]).await?;
        commit_follows();
        Ok(ids)
    }))
    .await
}

/// Changes its mind if the sum is too much: the `Err` rolls back, and drops the bump. Who has
/// the row and the total in the cache keeps them.
pub(crate) async fn raise(pool: &Pool, id: i64, by: i64) -> Result<Donation> {
    let mut connection = pool.get().await?;
    on_commit(connection.immediate_transaction(async |tx| {
        let raised = donations::amount.eq(donations::amount + by);
        let row = diesel::update(donations::table.find(id)).set(raised);
        let new: Donation = row.returning(Donation::as_returning()).get_result(tx).await?;
        new.updated(&Change::unknown().columns(&["amount"])).await?;
        if new.amount > 1_000 {
            bail!("{} is too much", new.amount);
        }
        commit_follows();
        Ok(new)
    }))
    .await
}

/// A transaction inside of one is a savepoint: an amount that the database refuses is rolled
/// back, the others stay. Releasing a savepoint commits nothing, so only the outer closure ends
/// with `committing`. A bump from a savepoint that was rolled back is sent with the others, and
/// costs a miss.
pub(crate) async fn import(
    pool: &Pool,
    organization_id: i64,
    amounts: &[i64],
) -> Result<Vec<Donation>> {
    let mut connection = pool.get().await?;
    on_commit(connection.immediate_transaction(async |tx| {
        let mut imported = Vec::new();
        for amount in amounts {
            let savepoint =
                tx.transaction(async |savepoint| insert(savepoint, organization_id, *amount).await);
            imported.extend(savepoint.await.ok());
        }
        commit_follows();
        Ok(imported)
    }))
    .await
}

/// Without a transaction the statement is its own commit, and the bump is sent at once. If it
/// fails, it is queued and retried, and the change is made all the same: no error for the
/// caller. Dropped between the two lines, there is no bump: a transaction is safer.
pub(crate) async fn set_amount(pool: &Pool, id: i64, amount: i64) -> Result<Donation> {
    let row = diesel::update(donations::table.find(id)).set(donations::amount.eq(amount));
    let row = row.returning(Donation::as_returning());
    let new: Donation = row.get_result(&mut pool.get().await?).await?;
    if let Err(error) = new.updated(&Change::unknown().columns(&["amount"])).await {
        eprintln!("donation {id}: {error}");
    }
    Ok(new)
}
