//! The tables of the tests: one for each way to connect a model to SeaORM's hooks.

/// In the scope of its organization, which may change.
pub(crate) mod donation {
    use fragkeys::{Tag, TaggedModel};
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "donation")]
    #[tagged_model(
        name = "Donations",
        scopes = ["Donations:org:<organization_id>"],
        on_update = |donation, change| {
            let mut tags = donation.tags();
            tags.extend(change.old().map(TaggedModel::tags).unwrap_or_default());
            tags.extend(change.touches("cents").then(|| Tag::global("Amounts")));
            tags
        },
        on_delete = |donation| [donation.tags(), vec![Tag::global("Amounts")]].concat()
    )]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) organization_id: i64,
        #[sea_orm(column_name = "cents")]
        pub(crate) amount: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    fragkeys_sea_orm::tagged_behavior!(ActiveModel);
}

/// The same with the columns of its scopes named.
pub(crate) mod pledge {
    use fragkeys::TaggedModel;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "pledge")]
    #[tagged_model(name = "Pledges", scopes = ["Pledges:org:<organization_id>"])]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        /// Of nobody, if there is none.
        pub(crate) organization_id: Option<i64>,
        pub(crate) amount: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    fragkeys_sea_orm::tagged_behavior!(ActiveModel, scope_columns = [Column::OrganizationId]);
}

/// With a key of two columns and hooks of its own.
pub(crate) mod member {
    use fragkeys::TaggedModel;
    use sea_orm::ActiveValue::Set;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "member")]
    #[tagged_model(name = "Members", key = (organization_id, number), scopes = ["Members:city:<city>"])]
    pub(crate) struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) organization_id: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        pub(crate) number: i64,
        pub(crate) city: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    #[async_trait::async_trait]
    impl ActiveModelBehavior for ActiveModel {
        async fn before_save<C: ConnectionTrait>(
            mut self,
            db: &C,
            insert: bool,
        ) -> Result<Self, DbErr> {
            if let Set(city) = &mut self.city {
                *city = city.to_uppercase();
            }
            fragkeys_sea_orm::before_save(&self, db, insert).await?;
            Ok(self)
        }

        async fn after_save<C: ConnectionTrait>(
            model: Model,
            db: &C,
            insert: bool,
        ) -> Result<Model, DbErr> {
            fragkeys_sea_orm::after_save(&model, db, insert).await;
            Ok(model)
        }

        async fn before_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            fragkeys_sea_orm::before_delete(self, db).await
        }

        async fn after_delete<C: ConnectionTrait>(self, db: &C) -> Result<Self, DbErr> {
            fragkeys_sea_orm::after_delete(&self, db).await;
            Ok(self)
        }
    }
}

/// For the test of warnings alone: each is said once in a program.
pub(crate) mod loan {
    use fragkeys::TaggedModel;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "loan")]
    #[tagged_model(name = "Loans")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) amount: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    fragkeys_sea_orm::tagged_behavior!(ActiveModel);
}

/// For the test of executors alone, as above.
pub(crate) mod gift {
    use fragkeys::TaggedModel;
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
    #[sea_orm(table_name = "gift")]
    #[tagged_model(name = "Gifts")]
    pub(crate) struct Model {
        #[sea_orm(primary_key)]
        pub(crate) id: i64,
        pub(crate) amount: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub(crate) enum Relation {}

    fragkeys_sea_orm::tagged_behavior!(ActiveModel);
}
