//! Statements of many rows while somebody else writes, in parts, and cut short.

use fragkeys::Cache;
use sea_orm::prelude::Expr;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait, DatabaseConnection, DbErr, EntityTrait, UpdateMany};

use crate::entity::donation::{Column, Entity, Model};
use crate::support::{Database, Watch, new_donation, over_both_stores};
use crate::wrapped::Wrapped;

over_both_stores! {
    an_update_changes_no_row_that_it_has_not_read,
    a_delete_takes_no_row_that_it_has_not_read,
    many_rows_are_changed_in_parts,
    parts_before_one_that_fails_are_bumped,
    an_update_whose_rows_cannot_be_read_again_bumps,
}

const TAGS: [&str; 6] = [
    "Donations:1",
    "Donations:2",
    "Donations:org:1",
    "Donations:org:2",
    "Donations:org:9",
    "Amounts",
];

fn to_9() -> UpdateMany<Entity> {
    Entity::update_many().col_expr(Column::OrganizationId, Expr::value(9))
}

/// Row 1 of organization 1, row 2 of organization 2.
async fn two(db: &DatabaseConnection) {
    fragkeys_sea_orm::insert_many([new_donation(1, 10), new_donation(2, 20)], db).await.unwrap();
}

async fn organization_of(db: &DatabaseConnection, id: i64) -> Option<i64> {
    Entity::find_by_id(id).one(db).await.unwrap().map(|row: Model| row.organization_id)
}

const SECOND_JOINS_FIRST: &str = "UPDATE donation SET organization_id = 1 WHERE id = 2";

async fn an_update_changes_no_row_that_it_has_not_read(cache: Cache) {
    for wrap in [Wrapped::new, Wrapped::without_returning] {
        let Database { db, .. } = &Database::new().await;
        two(db).await;
        let mut watch = Watch::new(&cache, &TAGS).await;
        let wrapped = wrap(db).meanwhile(1, SECOND_JOINS_FIRST);
        let filter = Column::OrganizationId.eq(1);
        let rows = fragkeys_sea_orm::update_many(to_9(), filter, &wrapped).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1]);
        assert_eq!(organization_of(db, 2).await, Some(1), "its old scope would not be known");
        assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Donations:org:9"]);
    }
}

async fn a_delete_takes_no_row_that_it_has_not_read(cache: Cache) {
    let Database { db, .. } = &Database::new().await;
    two(db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let wrapped = Wrapped::without_returning(db).meanwhile(1, SECOND_JOINS_FIRST);
    let filter = Column::OrganizationId.eq(1);
    let rows = fragkeys_sea_orm::delete_many(Entity, filter, &wrapped).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1]);
    assert_eq!(organization_of(db, 2).await, Some(1));
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Amounts"]);
}

async fn many_rows_are_changed_in_parts(cache: Cache) {
    let database = Database::new().await;
    let db = &database.db;
    let rows = (1..=450).map(|amount| new_donation(1, amount));
    fragkeys_sea_orm::insert_many(rows, db).await.unwrap();
    let tags = ["Donations:1", "Donations:200", "Donations:201", "Donations:450"];
    let mut watch = Watch::new(&cache, &tags).await;
    database.statements();
    let filter = || Column::Id.gt(0);
    let rows = fragkeys_sea_orm::update_many(to_9(), filter(), db).await.unwrap();
    assert_eq!(rows.len(), 450);
    assert!(rows.iter().all(|row| row.organization_id == 9));
    assert_eq!(watch.bumped().await, tags);
    assert_eq!(database.statements(), ["SELECT", "UPDATE", "UPDATE", "UPDATE"]);

    let wrapped = Wrapped::without_returning(db);
    let rows = fragkeys_sea_orm::delete_many(Entity, filter(), &wrapped).await.unwrap();
    assert_eq!(rows.len(), 450);
    assert_eq!(watch.bumped().await, tags);
    assert_eq!(database.statements(), ["SELECT", "DELETE", "DELETE", "DELETE"]);
    assert!(Entity::find().one(db).await.unwrap().is_none());
}

/// There is no transaction: what the first part did stays.
async fn parts_before_one_that_fails_are_bumped(cache: Cache) {
    let Database { db, .. } = &Database::new().await;
    let rows = (1..=201).map(|amount| new_donation(1, amount));
    fragkeys_sea_orm::insert_many(rows, db).await.unwrap();
    let tags = ["Donations:1", "Donations:200", "Donations:201", "Donations:org:1"];
    let mut watch = Watch::new(&cache, &tags).await;
    // 200 - 201 is less than a donation may be.
    let less =
        Entity::update_many().col_expr(Column::Amount, Expr::col(Column::Amount).mul(-1).add(200));
    let filter = Column::Id.gt(0);
    fragkeys_sea_orm::update_many(less, filter, db).await.unwrap_err();
    assert_eq!(Entity::find_by_id(1).one(db).await.unwrap().unwrap().amount, 199);
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:200", "Donations:org:1"]);

    let none: Result<Vec<Model>, DbErr> = fragkeys_sea_orm::update_many(
        Entity::update_many().col_expr(Column::Amount, Expr::value(-1)),
        Column::Id.gt(0),
        db,
    )
    .await;
    none.unwrap_err();
    assert!(watch.bumped().await.is_empty());
}

async fn an_update_whose_rows_cannot_be_read_again_bumps(cache: Cache) {
    let Database { db, .. } = &Database::new().await;
    two(db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let wrapped =
        Wrapped::without_returning(db).meanwhile(2, "ALTER TABLE donation RENAME TO gone");
    let filter = Column::OrganizationId.eq(1);
    fragkeys_sea_orm::update_many(to_9(), filter, &wrapped).await.unwrap_err();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Amounts"]);
}
