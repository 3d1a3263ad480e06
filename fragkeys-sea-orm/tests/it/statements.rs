//! What SeaORM runs without hooks: many rows at a time, and upserts.

use fragkeys::Cache;
use sea_orm::prelude::Expr;
use sea_orm::sea_query::{Alias, OnConflict};
use sea_orm::{ActiveModelTrait, ColumnTrait, DbErr, EntityTrait, QueryFilter, Set, Unchanged};

use crate::entity::donation::{ActiveModel, Column, Entity};
use crate::entity::member;
use crate::support::{Database, Watch, new_donation, over_both_stores};
use crate::wrapped::Wrapped;

over_both_stores! {
    seaorms_own_bump_nothing,
    many_inserts,
    many_updates,
    rows_whose_key_changes,
    many_deletes,
    a_delete_by_id,
    upserts,
    all_of_it_without_returning,
    in_a_transaction_they_wait_for_the_commit,
}

const TAGS: [&str; 7] = [
    "Donations:1",
    "Donations:2",
    "Donations:3",
    "Donations:org:1",
    "Donations:org:2",
    "Donations:org:9",
    "Amounts",
];

/// Rows 1 and 2 of organization 1, row 3 of organization 2.
fn three() -> [ActiveModel; 3] {
    [new_donation(1, 10), new_donation(1, 20), new_donation(2, 30)]
}

/// So that these tests would not pass without what they test.
async fn seaorms_own_bump_nothing(cache: Cache) {
    let database = Database::new().await;
    let db = &database.db;
    let mut watch = Watch::new(&cache, &TAGS).await;
    Entity::insert_many(three()).exec(db).await.unwrap();
    Entity::insert(new_donation(1, 1)).exec(db).await.unwrap();
    Entity::update_many().col_expr(Column::Amount, Expr::value(7)).exec(db).await.unwrap();
    database.statements();
    let active = || ActiveModel { id: Unchanged(2), ..new_donation(2, 5) };
    active().update_without_returning(db).await.unwrap();
    assert_eq!(database.statements(), ["SELECT", "UPDATE"]);
    Entity::update(active()).exec(db).await.unwrap();
    Entity::delete(active()).exec(db).await.unwrap();
    Entity::delete_by_id(1).exec(db).await.unwrap();
    Entity::delete_many().exec(db).await.unwrap();
    assert!(watch.bumped().await.is_empty());
}

async fn many_inserts(cache: Cache) {
    let database = Database::new().await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    database.statements();
    let rows = fragkeys_sea_orm::insert_many(three(), &database.db).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(watch.bumped().await, TAGS[..5]);
    assert_eq!(database.statements(), ["INSERT"]);

    let none: [ActiveModel; 0] = [];
    assert!(fragkeys_sea_orm::insert_many(none, &database.db).await.unwrap().is_empty());
    assert!(watch.bumped().await.is_empty());
    assert!(database.statements().is_empty());
}

async fn many_updates(cache: Cache) {
    let database = Database::new().await;
    let db = &database.db;
    fragkeys_sea_orm::insert_many(three(), db).await.unwrap();
    let mut watch = Watch::new(&cache, &TAGS).await;
    database.statements();

    let to_9 = || Entity::update_many().col_expr(Column::OrganizationId, Expr::value(9));
    let rows = fragkeys_sea_orm::update_many(to_9(), Column::OrganizationId.eq(1), db).await;
    let rows = rows.unwrap();
    assert_eq!(rows.iter().map(|row| row.organization_id).collect::<Vec<_>>(), [9, 9]);
    let both_scopes = ["Donations:1", "Donations:2", "Donations:org:1", "Donations:org:9"];
    assert_eq!(watch.bumped().await, both_scopes);
    assert_eq!(database.statements(), ["SELECT", "UPDATE"]);

    // The model asks whether the amount changes.
    let amounts = Entity::update_many().col_expr(Column::Amount, Expr::value(7));
    fragkeys_sea_orm::update_many(amounts, Column::Id.eq(3), db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:3", "Donations:org:2", "Amounts"]);

    let nothing = Entity::update_many();
    assert!(fragkeys_sea_orm::update_many(nothing, Column::Id.gt(0), db).await.unwrap().is_empty());
    let nobody = fragkeys_sea_orm::update_many(to_9(), Column::Id.eq(99), db).await;
    assert!(nobody.unwrap().is_empty());
    assert!(watch.bumped().await.is_empty());

    // What the entity does not know of may be behind what it does.
    let raised = Entity::update_many().col_expr(Alias::new("pledged"), Expr::value(1));
    let rows = fragkeys_sea_orm::update_many(raised, Column::Id.eq(3), db).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(watch.bumped().await, ["Donations:3", "Donations:org:2", "Amounts"]);

    // A filter of the statement's own still holds.
    let narrow = to_9().filter(Column::Id.eq(99));
    assert!(fragkeys_sea_orm::update_many(narrow, Column::Id.eq(3), db).await.unwrap().is_empty());
    assert_eq!(Entity::find_by_id(3).one(db).await.unwrap().unwrap().organization_id, 2);
}

async fn rows_whose_key_changes(cache: Cache) {
    let Database { db, .. } = &Database::new().await;
    let member = member::ActiveModel {
        organization_id: Set(7),
        number: Set(1),
        city: Set("ROME".to_owned()),
    };
    member.insert(db).await.unwrap();
    let tags = ["Members:7:1", "Members:7:2", "Members:city:ROME"];
    let mut watch = Watch::new(&cache, &tags).await;
    let renumber = member::Entity::update_many().col_expr(member::Column::Number, Expr::value(2));
    fragkeys_sea_orm::update_many(renumber, member::Column::Number.eq(1), db).await.unwrap();
    assert_eq!(watch.bumped().await, tags);
}

async fn many_deletes(cache: Cache) {
    let database = Database::new().await;
    let db = &database.db;
    fragkeys_sea_orm::insert_many(three(), db).await.unwrap();
    let mut watch = Watch::new(&cache, &TAGS).await;
    database.statements();
    let rows = fragkeys_sea_orm::delete_many(Entity, Column::OrganizationId.eq(1), db).await;
    assert_eq!(rows.unwrap().len(), 2);
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:2", "Donations:org:1", "Amounts"]);
    assert_eq!(database.statements(), ["DELETE"]);
    assert_eq!(Entity::find().all(db).await.unwrap().len(), 1);
}

async fn a_delete_by_id(cache: Cache) {
    let Database { db, .. } = &Database::new().await;
    fragkeys_sea_orm::insert_many(three(), db).await.unwrap();
    let mut watch = Watch::new(&cache, &TAGS).await;
    let row = fragkeys_sea_orm::delete_by_id(Entity, 3, db).await.unwrap();
    assert_eq!(row.map(|row| row.amount), Some(30));
    assert_eq!(watch.bumped().await, ["Donations:3", "Donations:org:2", "Amounts"]);
    assert!(fragkeys_sea_orm::delete_by_id(Entity, 3, db).await.unwrap().is_none());
    assert!(watch.bumped().await.is_empty());

    let member = member::ActiveModel {
        organization_id: Set(7),
        number: Set(1),
        city: Set("ROME".to_owned()),
    };
    member.insert(db).await.unwrap();
    let mut watch = Watch::new(&cache, &["Members:7:1", "Members:city:ROME"]).await;
    let row = fragkeys_sea_orm::delete_by_id(member::Entity, (7, 1), db).await.unwrap();
    assert_eq!(row.map(|row| row.city).as_deref(), Some("ROME"));
    assert_eq!(watch.bumped().await, ["Members:7:1", "Members:city:ROME"]);
}

async fn upserts(cache: Cache) {
    let Database { db, .. } = &Database::new().await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    for amount in [10, 20] {
        let row = ActiveModel { id: Set(1), ..new_donation(1, amount) };
        let over = OnConflict::column(Column::Id).update_column(Column::Amount).to_owned();
        let statement = Entity::insert(row).on_conflict(over);
        let row = fragkeys_sea_orm::insert(statement, db).await.unwrap();
        assert_eq!((row.id, row.amount), (1, amount));
        assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Amounts"]);
    }
}

async fn in_a_transaction_they_wait_for_the_commit(cache: Cache) {
    let Database { db, .. } = &Database::new().await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let work = async |rolled_back: bool, watch: &mut Watch| {
        fragkeys_sea_orm::transaction(db, async |transaction| {
            fragkeys_sea_orm::insert_many(three(), transaction).await?;
            let to_9 = Entity::update_many().col_expr(Column::OrganizationId, Expr::value(9));
            fragkeys_sea_orm::update_many(to_9, Column::Id.eq(1), transaction).await?;
            fragkeys_sea_orm::delete_by_id(Entity, 2, transaction).await?;
            assert!(watch.bumped().await.is_empty());
            if rolled_back { Err(DbErr::RecordNotUpdated) } else { Ok(()) }
        })
        .await
    };
    work(true, &mut watch).await.unwrap_err();
    assert!(watch.bumped().await.is_empty());
    work(false, &mut watch).await.unwrap();
    assert_eq!(watch.bumped().await, TAGS);
}

async fn all_of_it_without_returning(cache: Cache) {
    let database = Database::new().await;
    let db = &Wrapped::without_returning(&database.db);
    let mut watch = Watch::new(&cache, &TAGS).await;
    database.statements();
    let rows = fragkeys_sea_orm::insert_many(three(), db).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(watch.bumped().await, TAGS[..5]);

    // What was inserted before the one that fails is there, and bumped.
    let second_fails = [new_donation(9, 1), new_donation(9, -1)];
    fragkeys_sea_orm::insert_many(second_fails, db).await.unwrap_err();
    assert_eq!(watch.bumped().await, ["Donations:org:9"]);
    fragkeys_sea_orm::delete_many(Entity, Column::OrganizationId.eq(9), db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:org:9", "Amounts"]);

    database.statements();
    let to_9 = Entity::update_many().col_expr(Column::OrganizationId, Expr::value(9));
    let rows = fragkeys_sea_orm::update_many(to_9, Column::OrganizationId.eq(1), db).await;
    let organizations: Vec<_> = rows.unwrap().iter().map(|row| row.organization_id).collect();
    assert_eq!(organizations, [9, 9]);
    let both_scopes = ["Donations:1", "Donations:2", "Donations:org:1", "Donations:org:9"];
    assert_eq!(watch.bumped().await, both_scopes);
    assert_eq!(database.statements(), ["SELECT", "UPDATE", "SELECT"]);

    let row = fragkeys_sea_orm::delete_by_id(Entity, 3, db).await.unwrap();
    assert_eq!(row.map(|row| row.amount), Some(30));
    assert_eq!(watch.bumped().await, ["Donations:3", "Donations:org:2", "Amounts"]);
    assert_eq!(database.statements(), ["SELECT", "DELETE"]);
    assert!(fragkeys_sea_orm::delete_by_id(Entity, 3, db).await.unwrap().is_none());
    assert!(watch.bumped().await.is_empty());
}
