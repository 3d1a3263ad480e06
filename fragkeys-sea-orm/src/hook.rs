//! What the hooks of an entity do, one function for each hook of SeaORM.

use fragkeys::{Change, TaggedModel, commit_follows, is_muted};
use sea_orm::sea_query::LockType;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, ConnectionTrait, DbBackend, DbErr, EntityTrait,
    IdenStatic, IntoActiveModel, Iterable, ModelTrait, PrimaryKeyToColumn, QueryFilter,
    QuerySelect, Select, TryIntoModel,
};

use crate::connection::Connection;
use crate::pending::{self, Note, Row};
use crate::warning::{self, Event};

type Model<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Model;
type Column<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::Column;
type PrimaryKey<A> = <<A as ActiveModelTrait>::Entity as EntityTrait>::PrimaryKey;

/// For `before_save`: before an update, reads the row as it is, through the same connection,
/// for the bumps of [`after_save`].
///
/// A row that moves from one scope to another must bump both, and only the old row knows the
/// first. Costs one `SELECT` by primary key for an update that sets any column, none for an
/// insert. In a transaction it locks the row as the update is about to (`FOR NO KEY UPDATE` on
/// PostgreSQL, `FOR UPDATE` on MySQL). To save it where a model has no scopes, leave this call away;
/// where few columns are in scopes, see [`before_save_of`].
///
/// # Errors
///
/// The database's.
///
/// # Examples
///
/// See [the crate's documentation](crate#behavior-of-your-own).
pub async fn before_save<A, C>(active: &A, db: &C, insert: bool) -> Result<(), DbErr>
where
    A: ActiveModelTrait,
    Model<A>: TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    note(active, db, insert, None).await
}

/// Like [`before_save`], but reads the old row only if one of these columns is set: those
/// that the model's scopes, and its `on_update`, are made of.
///
/// # Errors
///
/// The database's.
pub async fn before_save_of<A, C>(
    active: &A,
    db: &C,
    insert: bool,
    scope_columns: &[Column<A>],
) -> Result<(), DbErr>
where
    A: ActiveModelTrait,
    Model<A>: TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    note(active, db, insert, Some(scope_columns)).await
}

async fn note<A, C>(
    active: &A,
    db: &C,
    insert: bool,
    scope_columns: Option<&[Column<A>]>,
) -> Result<(), DbErr>
where
    A: ActiveModelTrait,
    Model<A>: TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    if insert || is_muted::<Model<A>>() {
        return Ok(());
    }
    // Without a key the update is going to fail.
    let Some(key) = active.get_primary_key_value() else { return Ok(()) };
    let columns = columns_set(active);
    let can_move = match scope_columns {
        Some(scope_columns) => scope_columns.iter().any(|&column| is_set(active, column)),
        None => !columns.is_empty(),
    };
    let old = if can_move { stored_row(active, db, update_lock(db)).await? } else { None };
    if can_move && old.is_none() {
        // There is no such row: the update is going to fail, and nobody comes for a note.
        return Ok(());
    }
    // As the database writes it, which is how the saved row comes back: a key that ignores case
    // finds a row whose key is written otherwise.
    let key = old.as_ref().map_or(key, ModelTrait::get_primary_key_value);
    pending::add(Row::new::<Model<A>, C>(db, key), Note::new(old, columns));
    Ok(())
}

/// For `after_save`: bumps what the model says for a created or an updated row.
///
/// Inside [`on_commit`](fragkeys::on_commit) the bumps wait for the commit; on a connection
/// without a transaction they are done at once. In a transaction outside of `on_commit` they
/// are done at once, too, which is too early: a warning says so, once for each model and kind
/// of change, as a hook cannot see who called it. A bump that fails is queued and retried by the cache, and never fails the save.
///
/// # Examples
///
/// See [the crate's documentation](crate#behavior-of-your-own).
pub async fn after_save<M, C>(model: &M, db: &C, insert: bool)
where
    M: ModelTrait + TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    let connection = Connection::of::<C>();
    if insert {
        warning::unless_in_scope::<M>(Event::Insert, connection);
        make_certain(connection);
        created(model).await;
        return;
    }
    let notes = pending::take(&Row::new::<M, C>(db, model.get_primary_key_value()));
    let changes: Vec<_> = notes.iter().map(|note| (note.old(), note.columns())).collect();
    // An update that sets nothing is not sent.
    if !changes.is_empty() && changes.iter().all(|(_, columns)| columns.is_empty()) {
        return;
    }
    warning::unless_in_scope::<M>(Event::Update, connection);
    make_certain(connection);
    if changes.is_empty() {
        updated(model, &Change::unknown()).await;
    }
    for (old, columns) in changes.iter().filter(|(_, columns)| !columns.is_empty()) {
        updated(model, &change(*old, Some(columns))).await;
    }
}

/// For `before_delete`: reads the row that is about to be deleted, through the same
/// connection, and gives it to [`after_delete`] in place of what the caller knew of it.
///
/// Whoever deletes a row may know no more than its key, or what it was a while ago; its
/// scopes are those of the row as it is. Costs one `SELECT` by primary key, which in a
/// transaction locks the row.
///
/// # Errors
///
/// The database's.
///
/// # Examples
///
/// See [the crate's documentation](crate#behavior-of-your-own).
pub async fn before_delete<A, C>(active: A, db: &C) -> Result<A, DbErr>
where
    A: ActiveModelTrait,
    Model<A>: IntoActiveModel<A> + TaggedModel,
    C: ConnectionTrait,
{
    if is_muted::<Model<A>>() {
        return Ok(active);
    }
    Ok(match stored_row(&active, db, LockType::Update).await? {
        Some(row) => row.into_active_model(),
        None => active,
    })
}

/// For `after_delete`: bumps what the model says for a deleted row.
///
/// The ActiveModel must know all columns, as it does after [`before_delete`]. If it does not,
/// there was no such row, and nothing is bumped.
///
/// # Examples
///
/// See [the crate's documentation](crate#behavior-of-your-own).
pub async fn after_delete<A, C>(active: &A, _db: &C)
where
    A: ActiveModelTrait + TryIntoModel<Model<A>>,
    Model<A>: TaggedModel + Send + Sync + 'static,
    C: ConnectionTrait,
{
    if let Ok(model) = active.clone().try_into_model() {
        let connection = Connection::of::<C>();
        warning::unless_in_scope::<Model<A>>(Event::Delete, connection);
        make_certain(connection);
        deleted(&model).await;
    }
}

/// Of what is known; `None` is what is not.
pub(crate) fn change<'a, M>(old: Option<&'a M>, columns: Option<&'a [&'a str]>) -> Change<'a, M> {
    let change = old.map_or_else(Change::unknown, Change::from_row);
    match columns {
        Some(columns) => change.columns(columns),
        None => change,
    }
}

pub(crate) async fn created<M: TaggedModel>(model: &M) {
    // An error is in the log, and its bump in the queue; the row is saved.
    let _ = model.created().await;
}

pub(crate) async fn updated<M: TaggedModel>(model: &M, change: &Change<'_, M>) {
    let _ = model.updated(change).await;
}

pub(crate) async fn deleted<M: TaggedModel>(model: &M) {
    let _ = model.deleted().await;
}

/// What was written past the transaction stays, also if the scope around it fails: so its
/// bumps, those before and those to come, must not be dropped with it. Goes through all that are
/// held: call it once, not for each row.
pub(crate) fn make_certain(connection: Connection) {
    if connection.may_have_committed() {
        commit_follows();
    }
}

/// The row with this ActiveModel's key, as the database has it.
async fn stored_row<A, C>(active: &A, db: &C, lock: LockType) -> Result<Option<Model<A>>, DbErr>
where
    A: ActiveModelTrait,
    C: ConnectionTrait,
{
    let Some(select) = select_row(active) else { return Ok(None) };
    locked(select, Connection::of::<C>(), lock).one(db).await
}

fn select_row<A: ActiveModelTrait>(active: &A) -> Option<Select<A::Entity>> {
    let mut select = A::Entity::find();
    for key in PrimaryKey::<A>::iter() {
        let column = key.into_column();
        select = select.filter(column.eq(active.get(column).into_value()?));
    }
    Some(select)
}

/// Locks the rows until the end of the transaction, so that they are what the next
/// statement changes.
pub(crate) fn locked<E: EntityTrait>(
    select: Select<E>,
    connection: Connection,
    lock: LockType,
) -> Select<E> {
    if connection.keeps_locks() { select.lock(lock) } else { select }
}

/// The lock that an update takes itself. In PostgreSQL it is the weaker one, which lets others
/// insert rows that refer to this one: with the stronger, two that do both would wait for each
/// other.
pub(crate) fn update_lock(db: &impl ConnectionTrait) -> LockType {
    if db.get_database_backend() == DbBackend::Postgres {
        LockType::NoKeyUpdate
    } else {
        LockType::Update
    }
}

fn is_set<A: ActiveModelTrait>(active: &A, column: Column<A>) -> bool {
    matches!(active.get(column), ActiveValue::Set(_))
}

/// What an update writes, by the database's names: the columns that are set, but for the key, which finds the row.
fn columns_set<A: ActiveModelTrait>(active: &A) -> Vec<String> {
    let columns = Column::<A>::iter()
        .filter(|&column| PrimaryKey::<A>::from_column(column).is_none() && is_set(active, column));
    columns.map(|column| column.as_str().to_owned()).collect()
}
