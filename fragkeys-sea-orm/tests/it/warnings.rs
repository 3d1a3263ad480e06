//! What is said about a transaction outside of a scope: once, and with a remedy.

use sea_orm::{
    ActiveModelTrait, ColumnTrait, DbErr, IntoActiveModel, ModelTrait, NotSet, Set,
    TransactionTrait,
};

use crate::entity::loan::{ActiveModel, Column, Entity};
use crate::log::Log;
use crate::support::{Database, Watch, memory_cache};

fn new_loan() -> ActiveModel {
    ActiveModel { id: NotSet, amount: Set(1) }
}

/// In one test, because each is said once in a program.
#[tokio::test]
async fn a_transaction_outside_of_a_scope_is_warned_of_once() {
    let (log, _guard) = Log::of_this_thread();
    let cache = memory_cache().await;
    let Database { db, .. } = &Database::new().await;
    fragkeys::with_cache(cache.clone(), async {
        // All as it should be: no transaction, or one in a scope.
        let mut row = new_loan().insert(db).await.unwrap().into_active_model();
        row.amount = Set(2);
        row.update(db).await.unwrap().delete(db).await.unwrap();
        fragkeys_sea_orm::transaction(db, async |transaction| {
            let mut row = new_loan().insert(transaction).await?.into_active_model();
            row.amount = Set(2);
            row.update(transaction).await?.delete(transaction).await?;
            fragkeys_sea_orm::insert_many([new_loan()], transaction).await?;
            fragkeys_sea_orm::delete_many(Entity, Column::Amount.gt(0), transaction).await
        })
        .await
        .unwrap();
        assert_eq!(log.lines(), [""; 0]);

        let mut watch = Watch::new(&cache, &["Loans:10"]).await;
        let transaction = db.begin().await.unwrap();
        let row = ActiveModel { id: Set(10), ..new_loan() }.insert(&transaction).await.unwrap();
        let said = log.lines();
        assert_eq!(said.len(), 1, "{said:?}");
        for part in [
            "WARN",
            "`Loans` was inserted",
            "`fragkeys_sea_orm::transaction`",
            "`fragkeys::committing`",
        ] {
            assert!(said[0].contains(part), "no {part} in {said:?}");
        }
        assert_eq!(watch.bumped().await, ["Loans:10"], "too early, but done");

        let mut row = row.into_active_model();
        row.amount = Set(2);
        let row = row.update(&transaction).await.unwrap();
        assert!(log.lines().concat().contains("`Loans` was updated"));
        row.delete(&transaction).await.unwrap();
        assert!(log.lines().concat().contains("`Loans` was deleted"));

        // Each once.
        let mut row = new_loan().insert(&transaction).await.unwrap().into_active_model();
        row.amount = Set(2);
        row.update(&transaction).await.unwrap().delete(&transaction).await.unwrap();
        fragkeys_sea_orm::insert_many([new_loan()], &transaction).await.unwrap();
        assert_eq!(log.lines(), [""; 0]);

        // A savepoint of it is no commit either; and then those in it are held, for what it
        // is worth.
        let savepoint = async || {
            fragkeys_sea_orm::transaction(&transaction, async |savepoint| {
                new_loan().insert(savepoint).await.map(drop)
            })
            .await
        };
        savepoint().await.unwrap();
        let said = log.lines();
        assert!(said.len() == 1 && said[0].contains("was given a transaction"), "{said:?}");
        savepoint().await.unwrap();
        assert_eq!(log.lines(), [""; 0]);
        transaction.commit().await.unwrap();
        Ok::<_, DbErr>(())
    })
    .await
    .unwrap();
}
