//! `DatabaseExecutor`: a connection or a transaction, and its type does not tell.

use fragkeys::with_cache;
use sea_orm::{
    ActiveModelTrait, DatabaseExecutor, DbErr, IntoActiveModel, ModelTrait, NotSet, Set,
    TransactionTrait,
};

use crate::entity::gift::ActiveModel;
use crate::log::Log;
use crate::support::{Database, Watch, memory_cache};

fn new_gift() -> ActiveModel {
    ActiveModel { id: NotSet, amount: Set(1) }
}

/// In one test, because each is said once in a program.
#[tokio::test]
async fn what_may_be_a_transaction_is_warned_of_once_in_softer_words() {
    let (log, _guard) = Log::of_this_thread();
    let cache = memory_cache().await;
    let Database { db, .. } = &Database::new().await;
    with_cache(cache.clone(), async {
        let mut watch = Watch::new(&cache, &["Gifts:1", "Gifts:2"]).await;
        fragkeys_sea_orm::transaction(db, async |transaction| {
            let executor = DatabaseExecutor::from(transaction);
            fragkeys_sea_orm::transaction(&executor, async |savepoint| {
                new_gift().insert(&DatabaseExecutor::from(savepoint)).await
            })
            .await?;
            assert!(watch.bumped().await.is_empty(), "the savepoint is no commit");
            Ok::<_, DbErr>(())
        })
        .await
        .unwrap();
        assert_eq!(watch.bumped().await, ["Gifts:1"]);
        assert_eq!(log.lines(), [""; 0]);

        let transaction = db.begin().await.unwrap();
        let executor = DatabaseExecutor::from(&transaction);
        for how_often in [1, 0] {
            let mut row = new_gift().insert(&executor).await.unwrap().into_active_model();
            row.amount = Set(2);
            row.update(&executor).await.unwrap().delete(&executor).await.unwrap();
            let said = log.lines();
            assert_eq!(said.len(), 3 * how_often, "{said:?}");
            assert!(said.iter().all(|line| line.contains("may be in a transaction")), "{said:?}");
        }
        for how_often in [1, 0] {
            let savepoint = fragkeys_sea_orm::transaction(&executor, async |savepoint| {
                new_gift().insert(savepoint).await
            });
            savepoint.await.unwrap();
            let said = log.lines();
            assert_eq!(said.len(), how_often, "{said:?}");
            assert!(said.iter().all(|line| line.contains("may be in a transaction")), "{said:?}");
        }
        transaction.commit().await.unwrap();
    })
    .await;
}
