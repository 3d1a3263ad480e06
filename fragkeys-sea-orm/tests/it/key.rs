//! A row whose key the database compares in its own way.

use fragkeys::Cache;
use sea_orm::{ActiveModelTrait, Set, Unchanged};

use crate::support::{Database, Watch, over_both_stores};

over_both_stores! {
    a_key_that_ignores_case_finds_the_old_row,
}

mod account {
    use fragkeys::TaggedModel;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "account")]
    #[tagged_model(name = "Accounts", key = email, scopes = ["Accounts:team:<team>"])]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) email: String,
        pub(crate) team: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    fragkeys_sea_orm::tagged_behavior!(ActiveModel);
}

async fn a_key_that_ignores_case_finds_the_old_row(cache: Cache) {
    let database = Database::new().await;
    let row = account::ActiveModel { email: Set("ada@example.org".to_owned()), team: Set(1) };
    row.insert(&database.db).await.unwrap();
    let tags = ["Accounts:ada@example.org", "Accounts:team:1", "Accounts:team:2"];
    let mut watch = Watch::new(&cache, &tags).await;
    let moved =
        account::ActiveModel { email: Unchanged("Ada@Example.org".to_owned()), team: Set(2) };
    let moved = moved.update(&database.db).await.unwrap();
    assert_eq!(moved.email, "ada@example.org", "as it is stored");
    assert_eq!(watch.bumped().await, tags);
}
