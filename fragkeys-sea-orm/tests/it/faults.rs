//! Redis is away: what is saved is saved, and bumped when it is back.

use std::time::Duration;

use fragkeys::{Config, Tag, with_cache};
use fragkeys_tests::RedisServer;
use sea_orm::{ActiveModelTrait, DbErr, IntoActiveModel, Set};

use crate::support::{Database, amounts, donation, eventually, new_donation, stored_amounts};

#[tokio::test]
async fn a_bump_that_fails_does_not_fail_the_save_and_is_made_up_for() {
    let mut server = RedisServer::start();
    let config = Config::redis(server.url()).operation_timeout(Duration::from_secs(2));
    let cache = config.build().await.unwrap();
    let Database { db, .. } = &Database::new().await;
    with_cache(cache.clone(), async {
        let row = donation(db).await;
        let before = cache.tag_version(&Tag::scoped("Donations", "org", 1)).await.unwrap();
        assert_eq!(amounts(db, 1).await.unwrap(), [100]);

        server.kill();
        let mut active = row.into_active_model();
        active.amount = Set(5);
        active.update(db).await.unwrap();
        fragkeys_sea_orm::insert_many([new_donation(1, 6)], db).await.unwrap();
        fragkeys_sea_orm::transaction(db, async |transaction| {
            new_donation(1, 7).insert(transaction).await.map(drop)
        })
        .await
        .unwrap();
        assert_eq!(stored_amounts(db, 1).await.unwrap(), [5, 6, 7]);
        assert_eq!(amounts(db, 1).await.unwrap(), [5, 6, 7]);
        assert!(cache.queued_bumps() > 0);

        server.restart();
        eventually("the queue is sent", async || cache.queued_bumps() == 0).await;
        let after = cache.tag_version(&Tag::scoped("Donations", "org", 1)).await.unwrap();
        assert!(after > before);
        assert_eq!(amounts(db, 1).await.unwrap(), [5, 6, 7]);
        Ok::<_, DbErr>(())
    })
    .await
    .unwrap();
}
