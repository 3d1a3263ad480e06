//! A reader between a bump and its commit: what goes wrong without a scope, and why it does
//! not with one.

use fragkeys::{Cache, Outcome, observe};
use sea_orm::{ActiveModelTrait, DbErr, TransactionTrait};

use crate::support::{Database, amounts, donation, elsewhere, new_donation, over_both_stores};

over_both_stores! {
    i2_without_a_scope_a_reader_caches_what_was_before,
    i2_with_a_scope_nobody_reads_what_was_before,
    i2_a_reader_that_began_before_the_commit_leaves_nothing_behind,
    nothing_that_is_not_committed_is_ever_stored,
}

/// The hole that all this is about. It is there when a transaction is begun by hand, and no
/// `on_commit` is around it; a warning says so.
async fn i2_without_a_scope_a_reader_caches_what_was_before(cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    let transaction = database.db.begin().await.unwrap();
    new_donation(1, 50).insert(&transaction).await.unwrap();
    let db = database.db.clone();
    let refill = elsewhere(&cache, async move { observe(amounts(&db, 1)).await }).await;
    assert_eq!((refill.0.unwrap(), refill.1), (vec![100], Some(Outcome::Miss)));
    transaction.commit().await.unwrap();
    let (found, outcome) = observe(amounts(&database.db, 1)).await;
    assert_eq!((found.unwrap(), outcome), (vec![100], Some(Outcome::Hit)), "stale, to its timeout");
}

async fn i2_with_a_scope_nobody_reads_what_was_before(cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        new_donation(1, 50).insert(transaction).await?;
        let db = database.db.clone();
        let refill = elsewhere(&cache, async move { observe(amounts(&db, 1)).await }).await;
        assert_eq!((refill.0?, refill.1), (vec![100], Some(Outcome::Miss)));
        Ok::<_, DbErr>(())
    })
    .await
    .unwrap();
    let (found, outcome) = observe(amounts(&database.db, 1)).await;
    assert_eq!((found.unwrap(), outcome), (vec![100, 50], Some(Outcome::Miss)));
}

/// Its run saw the old rows, and ends after the bump.
async fn i2_a_reader_that_began_before_the_commit_leaves_nothing_behind(cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    let db = &database.db;
    let (has_read, may_end) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let entry = cache.entry("amounts").tag(fragkeys::tag!("Donations:org:1"));
    let run = async || {
        let seen = crate::support::stored_amounts(db, 1).await.unwrap();
        has_read.notify_one();
        may_end.notified().await;
        seen
    };
    let slow_reader = entry.get_or_set_with(run);
    let writer = async {
        has_read.notified().await;
        fragkeys_sea_orm::transaction(db, async |transaction| {
            new_donation(1, 50).insert(transaction).await
        })
        .await
        .unwrap();
        may_end.notify_one();
    };
    let (seen, ()) = tokio::join!(slow_reader, writer);
    assert_eq!(seen, [100]);
    assert_eq!(entry.get::<Vec<i64>>().await.unwrap(), None);
}

/// The transaction reads its own rows through a cached function, and is then rolled back.
async fn nothing_that_is_not_committed_is_ever_stored(_cache: Cache) {
    let database = Database::new().await;
    donation(&database.db).await;
    let rolled_back = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        new_donation(1, 50).insert(transaction).await?;
        let own = observe(amounts_in(transaction, 1)).await;
        assert_eq!((own.0?, own.1), (vec![100, 50], Some(Outcome::Bypass)));
        let own = observe(amounts_in(transaction, 2)).await;
        assert_eq!((own.0?, own.1), (vec![], Some(Outcome::NotStored)));
        Err::<(), _>(DbErr::Custom("no".to_owned()))
    });
    rolled_back.await.unwrap_err();
    let (found, outcome) = observe(amounts(&database.db, 1)).await;
    assert_eq!((found.unwrap(), outcome), (vec![100], Some(Outcome::Miss)));
}

/// Like `amounts`, through any connection.
#[fragkeys::tagged_cache(tags = ["Donations:org:<organization_id>"], vary_on = [organization_id])]
async fn amounts_in<C: sea_orm::ConnectionTrait>(
    db: &C,
    organization_id: i64,
) -> Result<Vec<i64>, DbErr> {
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
    let of_organization = crate::entity::donation::Column::OrganizationId.eq(organization_id);
    let rows = crate::entity::donation::Entity::find().filter(of_organization).all(db).await?;
    Ok(rows.iter().map(|row| row.amount).collect())
}
