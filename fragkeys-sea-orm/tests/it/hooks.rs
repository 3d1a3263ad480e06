//! Saves and deletes of one row: which tags they bump, and what they ask the database.

use fragkeys::{Cache, TaggedModel};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait, NotSet, Set, Unchanged};

use crate::entity::{donation, member, pledge};
use crate::support::{Database, Watch, donation, elsewhere, new_donation, over_both_stores};

over_both_stores! {
    an_insert_bumps_key_and_scope,
    an_update_tells_which_columns,
    a_row_that_moves_bumps_both_scopes,
    a_row_that_moved_meanwhile_bumps_where_it_was,
    a_delete_bumps_what_the_row_was,
    what_fails_bumps_nothing,
    an_update_of_no_row_leaves_nothing_behind,
    an_update_that_sets_nothing_bumps_nothing,
    named_scope_columns_save_the_read,
    hooks_of_ones_own_do_the_same,
    a_muted_model_bumps_nothing_and_reads_nothing,
    saves_of_one_row_at_a_time_bump_all_scopes,
}

const TAGS: [&str; 5] =
    ["Donations:1", "Donations:org:1", "Donations:org:2", "Donations:org:3", "Amounts"];

async fn an_insert_bumps_key_and_scope(cache: Cache) {
    let database = Database::new().await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let row = donation(&database.db).await;
    assert_eq!(row.id, 1);
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1"]);
    // Without a key it is an insert, with one an update.
    database.statements();
    new_donation(2, 5).save(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:org:2"]);
    assert_eq!(database.statements(), ["INSERT"]);
}

async fn an_update_tells_which_columns(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    database.statements();

    let mut active = row.clone().into_active_model();
    active.amount = Set(5);
    active.update(&database.db).await.unwrap();
    // The model asks for `cents`, which is what the database calls it.
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Amounts"]);
    assert_eq!(database.statements(), ["SELECT", "UPDATE"]);

    let mut active = row.into_active_model();
    active.organization_id = Set(1);
    active.save(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1"]);
}

async fn a_row_that_moves_bumps_both_scopes(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;

    let mut active = row.into_active_model();
    active.organization_id = Set(2);
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Donations:org:2"]);

    // Nothing is known here but the key and where the row is to go.
    let active =
        donation::ActiveModel { id: Unchanged(1), organization_id: Set(3), amount: NotSet };
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:2", "Donations:org:3"]);
}

/// What the ActiveModel was made of is old: somebody moved the row since.
async fn a_row_that_moved_meanwhile_bumps_where_it_was(cache: Cache) {
    let database = Database::new().await;
    let stale = donation(&database.db).await;
    let mut active = stale.clone().into_active_model();
    active.organization_id = Set(2);
    active.update(&database.db).await.unwrap();

    let mut watch = Watch::new(&cache, &TAGS).await;
    let mut active = stale.clone().into_active_model();
    active.organization_id = Set(3);
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:2", "Donations:org:3"]);

    stale.delete(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:3", "Amounts"]);
}

async fn a_delete_bumps_what_the_row_was(cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    database.statements();

    // Nothing is known here but the key.
    let key = donation::ActiveModel { id: Set(1), ..Default::default() };
    assert_eq!(key.clone().delete(&database.db).await.unwrap().rows_affected, 1);
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Amounts"]);
    assert_eq!(database.statements(), ["SELECT", "DELETE"]);

    assert_eq!(key.delete(&database.db).await.unwrap().rows_affected, 0);
    assert!(watch.bumped().await.is_empty(), "there was no such row");
}

async fn what_fails_bumps_nothing(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;

    new_donation(2, -1).insert(&database.db).await.unwrap_err();
    let mut active = row.clone().into_active_model();
    (active.organization_id, active.amount) = (Set(2), Set(-1));
    active.update(&database.db).await.unwrap_err();
    let missing = donation::ActiveModel { id: Unchanged(99), ..new_donation(2, 1) };
    missing.update(&database.db).await.unwrap_err();
    let keyless = donation::ActiveModel { id: NotSet, ..new_donation(2, 1) };
    keyless.update(&database.db).await.unwrap_err();
    assert!(watch.bumped().await.is_empty());

    // And what failed does not stand in the way of what follows.
    let mut active = row.into_active_model();
    active.organization_id = Set(3);
    active.update(&database.db).await.unwrap();
    let bumped = watch.bumped().await;
    assert!(bumped.contains(&"Donations:org:1".to_owned()), "{bumped:?}");
    assert!(bumped.contains(&"Donations:org:3".to_owned()), "{bumped:?}");
}

/// Else the next save of that row would bump what this one was about to set.
async fn an_update_of_no_row_leaves_nothing_behind(cache: Cache) {
    let database = Database::new().await;
    let missing = donation::ActiveModel { id: Unchanged(1), ..new_donation(1, 5) };
    missing.update(&database.db).await.unwrap_err();
    let mut active = donation(&database.db).await.into_active_model();
    let mut watch = Watch::new(&cache, &TAGS).await;
    active.organization_id = Set(2);
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Donations:1", "Donations:org:1", "Donations:org:2"]);
}

async fn an_update_that_sets_nothing_bumps_nothing(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    row.into_active_model().update(&database.db).await.unwrap();
    assert!(watch.bumped().await.is_empty());
}

async fn named_scope_columns_save_the_read(cache: Cache) {
    let database = Database::new().await;
    let tags = ["Pledges:1", "Pledges:org:1", "Pledges:org:2"];
    let mut watch = Watch::new(&cache, &tags).await;
    let row = pledge::ActiveModel { id: NotSet, organization_id: Set(Some(1)), amount: Set(1) };
    let row = row.insert(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Pledges:1", "Pledges:org:1"]);
    database.statements();

    let mut active = row.clone().into_active_model();
    active.amount = Set(2);
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Pledges:1", "Pledges:org:1"]);
    assert_eq!(database.statements(), ["UPDATE"]);

    let mut active = row.clone().into_active_model();
    active.organization_id = Set(Some(2));
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, tags);
    assert_eq!(database.statements(), ["SELECT", "UPDATE"]);

    // It leaves organization 2, for none.
    let mut active = row.into_active_model();
    active.organization_id = Set(None);
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Pledges:1", "Pledges:org:2"]);
}

async fn hooks_of_ones_own_do_the_same(cache: Cache) {
    let database = Database::new().await;
    let tags = ["Members:7:1", "Members:7:2", "Members:city:BERN", "Members:city:ROME"];
    let mut watch = Watch::new(&cache, &tags).await;
    let row = member::ActiveModel {
        organization_id: Set(7),
        number: Set(1),
        city: Set("Bern".to_owned()),
    };
    let row = row.insert(&database.db).await.unwrap();
    assert_eq!(row.city, "BERN", "the entity's own hook");
    assert_eq!(watch.bumped().await, ["Members:7:1", "Members:city:BERN"]);

    let mut active = row.clone().into_active_model();
    active.city = Set("Rome".to_owned());
    active.update(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Members:7:1", "Members:city:BERN", "Members:city:ROME"]);

    row.delete(&database.db).await.unwrap();
    assert_eq!(watch.bumped().await, ["Members:7:1", "Members:city:ROME"]);
}

async fn a_muted_model_bumps_nothing_and_reads_nothing(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &[&TAGS[..], &["Pledges:1"]].concat()).await;
    database.statements();
    donation::Model::mute(async {
        let mut active = row.into_active_model();
        active.organization_id = Set(2);
        let row = active.update(&database.db).await.unwrap();
        fragkeys_sea_orm::insert_many([new_donation(3, 1)], &database.db).await.unwrap();
        row.delete(&database.db).await.unwrap();
        assert_eq!(database.statements(), ["UPDATE", "INSERT", "DELETE"]);
        assert!(watch.bumped().await.is_empty());
        let other = pledge::ActiveModel { id: NotSet, organization_id: Set(None), amount: Set(1) };
        other.insert(&database.db).await.unwrap();
        assert_eq!(watch.bumped().await, ["Pledges:1"], "other models bump as ever");
    })
    .await;
    assert_eq!(donation::Entity::find().all(&database.db).await.unwrap().len(), 1);
}

/// Two futures of one task, then two tasks, move one row through one connection. Whoever comes
/// last, both leave where it was.
async fn saves_of_one_row_at_a_time_bump_all_scopes(cache: Cache) {
    let database = Database::new().await;
    let row = donation(&database.db).await;
    let mut watch = Watch::new(&cache, &TAGS).await;
    let to = |organization_id| {
        let (mut active, db) = (row.clone().into_active_model(), database.db.clone());
        active.organization_id = Set(organization_id);
        async move { active.update(&db).await.unwrap() }
    };
    tokio::join!(to(2), to(3));
    assert_eq!(watch.bumped().await, TAGS[..4]);

    to(1).await;
    watch.bumped().await;
    let (first, second) = tokio::join!(elsewhere(&cache, to(2)), elsewhere(&cache, to(3)));
    assert_eq!((first.organization_id, second.organization_id), (2, 3));
    assert_eq!(watch.bumped().await, TAGS[..4]);
}
