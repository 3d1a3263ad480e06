//! The statements that SeaORM runs without hooks, with their bumps.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use fragkeys::{Change, TaggedModel, on_commit};
use sea_orm::sea_query::{IntoCondition, LockType, ValueTuple};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IdenStatic,
    Insert, IntoActiveModel, Iterable, ModelTrait, PrimaryKeyToColumn, PrimaryKeyTrait,
    QueryFilter, QueryTrait, UpdateMany,
};

use crate::connection::Connection;
use crate::hook::{self, change, locked, update_lock};
use crate::warning::{self, Event};

type Model<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;

/// Rows that are named by key in one statement: databases bound the number of parameters.
const ROWS_A_STATEMENT: usize = 200;

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
    at_once(connection, async {
        hook::created(&row).await;
        hook::updated(&row, &Change::unknown()).await;
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
    at_once(connection, async {
        for row in &rows {
            hook::created(row).await;
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
/// Rows that match are read, and those alone are changed, if they still match: so what they were
/// is known. A row that comes to match in between is not changed. That takes a statement for
/// each 200 rows, and outside of a transaction those before one that fails stay; a filter or a
/// value that looks at other rows sees what the statements before have changed.
///
/// # What it costs
///
/// One `SELECT` with the same filter before, so that rows which move bump their old scopes,
/// too; and one after each statement, where the database has no `RETURNING`. The rows are in
/// memory twice, and each gives its tags to one bump: meant for thousands. For more, run the
/// statement itself and bump scopes that hold them all, or the whole cache.
///
/// In a transaction, the first `SELECT` locks the rows, where the database has that. Outside of
/// one, a row that somebody else moves between the two statements leaves the scope it was in
/// unbumped: use [`transaction`](crate::transaction) where rows move.
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
    if statement.as_query().get_values().is_empty() {
        return Ok(Vec::new());
    }
    let columns = columns_set(&statement);
    let filter = filter.into_condition();
    let connection = Connection::of::<C>();
    let select = locked(E::find().filter(filter.clone()), connection, update_lock(db));
    let mut old = select.all(db).await?;
    let mut new = Vec::with_capacity(old.len());
    let mut ran_for = 0;
    let outcome = async {
        for rows in old.chunks(ROWS_A_STATEMENT) {
            let part = statement.clone().filter(filter.clone()).filter(keys_of::<E>(rows));
            if db.support_returning() {
                new.extend(part.exec_with_returning(db).await?);
                ran_for += rows.len();
            } else {
                part.exec(db).await?;
                ran_for += rows.len();
                new.extend(E::find().filter(keys_of::<E>(rows)).all(db).await?);
            }
        }
        Ok(())
    }
    .await;
    old.truncate(ran_for);
    let names: Option<Vec<&str>> =
        columns.as_ref().map(|columns| columns.iter().map(String::as_str).collect());
    warning::unless_in_scope::<E::Model>(Event::Update, connection);
    at_once(connection, bump_updated(&new, old, names.as_deref())).await;
    outcome.map(|()| new)
}

/// The columns that a statement sets, by the database's names; `None` if there are some that the
/// entity does not have: others may be made of them.
fn columns_set<E: EntityTrait>(statement: &UpdateMany<E>) -> Option<Vec<String>> {
    let known: HashSet<&str> = E::Column::iter().map(|column| column.as_str()).collect();
    let names = statement.as_query().get_values().iter().map(|(name, _)| name.to_string());
    names.map(|name| known.contains(name.as_str()).then_some(name)).collect()
}

async fn bump_updated<M>(new: &[M], old: Vec<M>, columns: Option<&[&str]>)
where
    M: ModelTrait + TaggedModel + Send + Sync + 'static,
{
    let mut old: HashMap<ValueTuple, M> =
        old.into_iter().map(|row| (row.get_primary_key_value(), row)).collect();
    for row in new {
        let old = old.remove(&row.get_primary_key_value());
        hook::updated(row, &change(old.as_ref(), columns)).await;
    }
    // Their keys were changed, they could not be read again, or somebody else was faster.
    for row in old.values() {
        hook::updated(row, &Change::unknown()).await;
    }
}

/// Deletes all rows that match and bumps as for deleted ones: for `Entity::delete_many`,
/// which knows no hooks. Gives the rows as they were.
///
/// One statement; where the database has no `RETURNING`, a `SELECT` with the same filter, which
/// in a transaction locks the rows, and then a statement for each 200 of those that were read, as
/// in [`update_many`]. The rows are in memory, and each gives
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
    let (rows, outcome) = if db.support_returning() {
        (E::delete_many().filter(filter).exec_with_returning(db).await?, Ok(()))
    } else {
        delete_what_was_read::<E, C>(filter, db).await?
    };
    warning::unless_in_scope::<E::Model>(Event::Delete, connection);
    at_once(connection, async {
        for row in &rows {
            hook::deleted(row).await;
        }
    })
    .await;
    outcome.map(|()| rows)
}

/// The rows that were deleted, and how it ended.
async fn delete_what_was_read<E, C>(
    filter: Condition,
    db: &C,
) -> Result<(Vec<E::Model>, Result<(), DbErr>), DbErr>
where
    E: EntityTrait,
    C: ConnectionTrait,
{
    let select = E::find().filter(filter.clone());
    let mut rows = locked(select, Connection::of::<C>(), LockType::Update).all(db).await?;
    let mut ran_for = 0;
    let outcome = async {
        for rows in rows.chunks(ROWS_A_STATEMENT) {
            let part = E::delete_many().filter(filter.clone()).filter(keys_of::<E>(rows));
            part.exec(db).await?;
            ran_for += rows.len();
        }
        Ok(())
    }
    .await;
    rows.truncate(ran_for);
    Ok((rows, outcome))
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
async fn at_once(connection: Connection, bumps: impl Future<Output = ()>) {
    let Ok(()) = on_commit(async {
        hook::make_certain(connection);
        bumps.await;
        Ok::<_, Infallible>(())
    })
    .await;
}

fn keys_of<E: EntityTrait>(rows: &[E::Model]) -> Condition {
    let keys = rows.iter().map(ModelTrait::get_primary_key_value);
    let mut columns = E::PrimaryKey::iter().map(|column| column.into_column());
    if let (Some(column), None) = (columns.next(), columns.next()) {
        return Condition::all().add(column.is_in(keys.flatten()));
    }
    keys.map(key_is::<E>).fold(Condition::any(), Condition::add)
}

fn key_is<E: EntityTrait>(key: ValueTuple) -> Condition {
    let columns = E::PrimaryKey::iter().map(|column| column.into_column());
    columns.zip(key).fold(Condition::all(), |filter, (column, value)| filter.add(column.eq(value)))
}
