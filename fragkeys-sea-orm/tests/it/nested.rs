//! SeaORM's nested ActiveModels: a row and those that belong to it, saved at once.

use fragkeys::Cache;
use sea_orm::DbErr;

use crate::support::{Database, Watch, over_both_stores};

over_both_stores! {
    a_nested_save_bumps_all_rows_after_the_commit,
}

mod team {
    use fragkeys::TaggedModel;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "team")]
    #[tagged_model(name = "Teams")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) name: String,
        #[sea_orm(has_many)]
        pub(crate) players: HasMany<super::player::Entity>,
    }

    fragkeys_sea_orm::tagged_behavior!(ActiveModel);
}

mod player {
    use fragkeys::TaggedModel;
    use sea_orm::entity::prelude::*;

    #[sea_orm::model]
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "player")]
    #[tagged_model(name = "Players", scopes = ["Players:team:<team_id>"])]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) name: String,
        pub(crate) team_id: i64,
        #[sea_orm(belongs_to, from = "team_id", to = "id")]
        pub(crate) team: HasOne<super::team::Entity>,
    }

    fragkeys_sea_orm::tagged_behavior!(ActiveModel);
}

/// SeaORM opens a transaction of its own for these, which in ours is a savepoint.
async fn a_nested_save_bumps_all_rows_after_the_commit(cache: Cache) {
    let database = Database::new().await;
    let tags = ["Teams:1", "Players:1", "Players:2", "Players:team:1"];
    let mut watch = Watch::new(&cache, &tags).await;
    let new = team::ActiveModel::builder()
        .set_name("Blues")
        .add_player(player::ActiveModel::builder().set_name("Ada"))
        .add_player(player::ActiveModel::builder().set_name("Grace"));
    let saved = fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        let saved = new.save(transaction).await?;
        assert!(watch.bumped().await.is_empty());
        Ok::<_, DbErr>(saved)
    })
    .await
    .unwrap();
    assert_eq!(watch.bumped().await, tags);

    fragkeys_sea_orm::transaction(&database.db, async |transaction| {
        let deleted = saved.delete(transaction).await?;
        assert_eq!(deleted.rows_affected, 3, "the team and its players");
        assert!(watch.bumped().await.is_empty());
        Ok::<_, DbErr>(())
    })
    .await
    .unwrap();
    assert_eq!(watch.bumped().await, tags);
}
