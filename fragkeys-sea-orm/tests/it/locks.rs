//! Which locks the reads before a change ask for. SQLite has none: the text is what counts.

use sea_orm::prelude::Expr;
use sea_orm::{ColumnTrait, DbBackend, DbErr, EntityTrait, IntoActiveModel};

use crate::entity::donation::{self, Column, Entity};
use crate::support::{Database, donation};
use crate::wrapped::Wrapped;

/// Runs something that fails at its first statement, which SQLite does not understand.
async fn first_statement(
    database: &Database,
    backend: DbBackend,
    work: impl AsyncFnOnce(&Wrapped) -> Result<(), DbErr>,
) -> String {
    let db = Wrapped::speaking(&database.db, backend);
    work(&db).await.unwrap_err();
    assert_eq!(db.sent().len(), 1);
    db.sent().remove(0)
}

/// `FOR UPDATE` would wait for those that insert rows which refer to this one, and they for it.
#[tokio::test]
async fn a_read_locks_as_what_follows_does() {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    for (backend, of_update) in
        [(DbBackend::Postgres, " FOR NO KEY UPDATE"), (DbBackend::MySql, " FOR UPDATE")]
    {
        let mut active: donation::ActiveModel = row.clone().into_active_model();
        active.amount = sea_orm::Set(5);
        let update = first_statement(&database, backend, async |db| {
            fragkeys_sea_orm::before_save(&active, db, false).await
        });
        let many = first_statement(&database, backend, async |db| {
            let seven = Entity::update_many().col_expr(Column::Amount, Expr::value(7));
            fragkeys_sea_orm::update_many(seven, Column::Id.eq(1), db).await.map(drop)
        });
        let delete = first_statement(&database, backend, async |db| {
            fragkeys_sea_orm::before_delete(active.clone(), db).await.map(drop)
        });
        for (sql, lock) in
            [(update.await, of_update), (many.await, of_update), (delete.await, " FOR UPDATE")]
        {
            assert!(sql.starts_with("SELECT") && sql.ends_with(lock), "{backend:?}: {sql}");
        }
    }
}
