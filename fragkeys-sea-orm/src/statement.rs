//! The statements that SeaORM runs without hooks, with their bumps.

use std::collections::HashMap;
use std::convert::Infallible;

use fragkeys::{Change, TaggedModel, on_commit};
use sea_orm::sea_query::{IntoCondition, LockType, ValueTuple};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IdenStatic,
    Insert, IntoActiveModel, Iterable, ModelTrait, PrimaryKeyToColumn, PrimaryKeyTrait,
    QueryFilter, QueryTrait, UpdateMany,
};

use crate::connection::Connection;
use crate::hook::{self, change, column_names, locked, update_lock};
use crate::warning::{self, Event};

type Model<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;

/// Rows that are read by key in one statement: databases bound the number of parameters.
const ROWS_A_READ: usize = 200;

/// Runs an `INSERT` of one row and bumps as for a created row: for `Entity::insert`, which
/// knows no hooks.
///
/// With `on_conflict` it may be an update; so it bumps as for an updated row as well. What the
/// row was before is not known then: an upsert that moves a row to another scope leaves the
/// old one, bump that by hand.
///
/// # Errors
///
/// The database's.
///
/// # Examples
///
/// See [the crate's documentation](crate#without-hooks).
pub async fn insert<A, C>(statement: Insert<A>, db: &C) -> Result<Model<A>, DbErr>
where
    A: ActiveModelTrait,
    Model<A>: IntoActiveModel<A> + TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    let row = statement.exec_with_returning(db).await?;
    let connection = Connection::of::<C>();
    warning::unless_in_scope::<Model<A>>(Event::Insert, connection);
    at_once(async {
        hook::created(connection, &row).await;
        hook::updated(connection, &row, &Change::unknown()).await;
    })
    .await;
    Ok(row)
}

/// Inserts many rows and bumps as for created ones: for `Entity::insert_many`, which knows no
/// hooks.
///
/// One statement, or one for each row where the database has no `RETURNING` (MySQL); then,
/// outside of a transaction, those before one that fails stay. All rows come back, so they are
/// all in memory; databases bound the parameters of a statement, rows times columns (SQLite
/// 32,766, PostgreSQL 65,535): insert more than some thousand rows in parts.
///
/// # Errors
///
/// The database's.
///
/// # Examples
///
/// See [the crate's documentation](crate#without-hooks).
pub async fn insert_many<A, C>(
    models: impl IntoIterator<Item = A> + Send,
    db: &C,
) -> Result<Vec<Model<A>>, DbErr>
where
    A: ActiveModelTrait,
    Model<A>: IntoActiveModel<A> + TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    let mut rows = Vec::new();
    let mut outcome = Ok(());
    if db.support_returning() {
        rows = A::Entity::insert_many(models).exec_with_returning(db).await?;
    } else {
        let models: Vec<A> = models.into_iter().collect();
        for model in models {
            match A::Entity::insert(model).exec_with_returning(db).await {
                Ok(row) => rows.push(row),
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
    }
    let connection = Connection::of::<C>();
    warning::unless_in_scope::<Model<A>>(Event::Insert, connection);
    at_once(async {
        for row in &rows {
            hook::created(connection, row).await;
        }
    })
    .await;
    outcome.map(|()| rows)
}

/// Runs an `UPDATE` of many rows and bumps as for updated ones: for `Entity::update_many`,
/// which knows no hooks.
///
/// The filter is added to the statement; another one that the statement has already narrows
/// it further, but not what is read and bumped. Gives the rows as they are now.
///
/// # What it costs
///
/// One `SELECT` with the same filter before, so that rows which move bump their old scopes,
/// too; and one after, where the database has no `RETURNING`. The rows are in memory twice,
/// and each gives its tags to one bump: meant for thousands. For more, run the statement
/// itself and bump scopes that hold them all, or the whole cache.
///
/// In a transaction, the first `SELECT` locks the rows (`FOR UPDATE`). Outside of one, a row
/// that somebody else moves between the two statements leaves the scope it was in unbumped:
/// use [`transaction`](crate::transaction) where rows move.
///
/// # Errors
///
/// The database's.
///
/// # Examples
///
/// See [the crate's documentation](crate#without-hooks).
pub async fn update_many<E, C>(
    statement: UpdateMany<E>,
    filter: impl IntoCondition + Send,
    db: &C,
) -> Result<Vec<E::Model>, DbErr>
where
    E: EntityTrait,
    E::Model: TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    let filter = filter.into_condition();
    let is_set = |column: &E::Column| {
        let mut values = statement.as_query().get_values().iter();
        values.any(|(name, _)| name.to_string() == column.as_str())
    };
    let columns: Vec<String> = E::Column::iter().filter(is_set).flat_map(column_names).collect();
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let connection = Connection::of::<C>();
    let old = locked(E::find().filter(filter.clone()), connection, update_lock(db)).all(db).await?;
    let statement = statement.filter(filter);
    let new = if db.support_returning() {
        statement.exec_with_returning(db).await?
    } else {
        statement.exec(db).await?;
        same_rows::<E, C>(&old, db).await?
    };
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut old: HashMap<ValueTuple, E::Model> =
        old.into_iter().map(|row| (row.get_primary_key_value(), row)).collect();
    warning::unless_in_scope::<E::Model>(Event::Update, connection);
    at_once(async {
        for row in &new {
            let old = old.remove(&row.get_primary_key_value());
            hook::updated(connection, row, &change(old.as_ref(), &columns)).await;
        }
        // Their keys were changed, or somebody else was faster.
        for row in old.values() {
            hook::updated(connection, row, &Change::unknown()).await;
        }
    })
    .await;
    Ok(new)
}

/// Deletes all rows that match and bumps as for deleted ones: for `Entity::delete_many`,
/// which knows no hooks. Gives the rows as they were.
///
/// One statement; where the database has no `RETURNING`, a `SELECT` with the same filter
/// before it, which in a transaction locks the rows. The rows are in memory, and each gives
/// its tags to one bump: meant for thousands.
///
/// # Errors
///
/// The database's.
///
/// # Examples
///
/// See [the crate's documentation](crate#without-hooks).
pub async fn delete_many<E, C>(
    _entity: E,
    filter: impl IntoCondition + Send,
    db: &C,
) -> Result<Vec<E::Model>, DbErr>
where
    E: EntityTrait,
    E::Model: TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    let filter = filter.into_condition();
    let connection = Connection::of::<C>();
    let statement = E::delete_many().filter(filter.clone());
    let rows = if db.support_returning() {
        statement.exec_with_returning(db).await?
    } else {
        let rows = locked(E::find().filter(filter), connection, LockType::Update).all(db).await?;
        statement.exec(db).await?;
        rows
    };
    warning::unless_in_scope::<E::Model>(Event::Delete, connection);
    at_once(async {
        for row in &rows {
            hook::deleted(connection, row).await;
        }
    })
    .await;
    Ok(rows)
}

/// Deletes the row with a primary key and bumps as for a deleted one: for
/// `Entity::delete_by_id`, which knows no hooks. Gives the row as it was; `None` if there was
/// none.
///
/// # Errors
///
/// The database's.
///
/// # Examples
///
/// See [the crate's documentation](crate#without-hooks).
pub async fn delete_by_id<E, K, C>(entity: E, key: K, db: &C) -> Result<Option<E::Model>, DbErr>
where
    E: EntityTrait,
    E::Model: TaggedModel + Send + Sync + 'static,
    K: Into<<E::PrimaryKey as PrimaryKeyTrait>::ValueType> + Send,
    C: ConnectionTrait,
{
    let values = sea_orm::sea_query::IntoValueTuple::into_value_tuple(key.into());
    let rows = delete_many(entity, key_is::<E>(values), db).await?;
    Ok(rows.into_iter().next())
}

/// Makes the bumps of a future one, sent when it ends; in a scope they are held anyway. Ask for
/// the warning before: inside there is a scope.
async fn at_once(bumps: impl Future<Output = ()>) {
    let Ok(()) = on_commit(async {
        bumps.await;
        Ok::<_, Infallible>(())
    })
    .await;
}

/// The rows with the keys of these, as the database has them now.
async fn same_rows<E, C>(rows: &[E::Model], db: &C) -> Result<Vec<E::Model>, DbErr>
where
    E: EntityTrait,
    C: ConnectionTrait,
{
    let mut found = Vec::with_capacity(rows.len());
    for rows in rows.chunks(ROWS_A_READ) {
        let keys = rows.iter().map(|row| key_is::<E>(row.get_primary_key_value()));
        let filter = keys.fold(Condition::any(), Condition::add);
        found.extend(E::find().filter(filter).all(db).await?);
    }
    Ok(found)
}

fn key_is<E: EntityTrait>(key: ValueTuple) -> Condition {
    let columns = E::PrimaryKey::iter().map(|column| column.into_column());
    columns.zip(key).fold(Condition::all(), |filter, (column, value)| filter.add(column.eq(value)))
}
