//! What the hooks of an entity do, one function for each hook of SeaORM.

use std::future::ready;

use fragkeys::{Change, CommitScope, TaggedModel, committing, is_muted};
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
/// of change. A bump that fails is queued and retried by the cache, and never fails the save.
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
        created(connection, model).await;
        return;
    }
    let notes = pending::take(&Row::new::<M, C>(db, model.get_primary_key_value()));
    if notes.is_empty() {
        updated(connection, model, &Change::unknown()).await;
    }
    for note in notes {
        let columns = note.columns();
        // An update that sets nothing is not sent.
        if !columns.is_empty() {
            updated(connection, model, &change(note.old(), &columns)).await;
        }
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
        deleted(Connection::of::<C>(), &model).await;
    }
}

/// The old row may be unknown, the columns are known.
pub(crate) fn change<'a, M>(old: Option<&'a M>, columns: &'a [&'a str]) -> Change<'a, M> {
    old.map_or_else(Change::unknown, Change::from_row).columns(columns)
}

pub(crate) async fn created<M: TaggedModel + 'static>(connection: Connection, model: &M) {
    warning::unless_in_scope::<M>(Event::Insert, connection);
    // An error is in the log, and its bump in the queue; the row is saved.
    let _ = model.created().await;
    make_certain(connection).await;
}

pub(crate) async fn updated<M: TaggedModel + 'static>(
    connection: Connection,
    model: &M,
    change: &Change<'_, M>,
) {
    warning::unless_in_scope::<M>(Event::Update, connection);
    let _ = model.updated(change).await;
    make_certain(connection).await;
}

pub(crate) async fn deleted<M: TaggedModel + 'static>(connection: Connection, model: &M) {
    warning::unless_in_scope::<M>(Event::Delete, connection);
    let _ = model.deleted().await;
    make_certain(connection).await;
}

/// What was written past the transaction stays, also if the scope around it fails: so its
/// bumps must not be dropped with it.
async fn make_certain(connection: Connection) {
    if connection.may_have_committed() && CommitScope::current().is_some() {
        committing(ready(())).await;
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

/// What an update writes: the columns that are set, but for the key, which finds the row.
fn columns_set<A: ActiveModelTrait>(active: &A) -> Vec<String> {
    let columns = Column::<A>::iter()
        .filter(|&column| PrimaryKey::<A>::from_column(column).is_none() && is_set(active, column));
    columns.flat_map(column_names).collect()
}

/// The name that the database knows, and that of the model's field where it is another.
pub(crate) fn column_names<C: IdenStatic>(column: C) -> Vec<String> {
    let mut names = vec![column.as_str().to_owned()];
    let field = field_name(column);
    if field != names[0] {
        names.push(field);
    }
    names
}

/// `OrganizationId` is made of `organization_id`.
fn field_name(column: impl IdenStatic) -> String {
    let mut name = String::new();
    for character in format!("{column:?}").chars() {
        if character.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.extend(character.to_lowercase());
    }
    name
}
