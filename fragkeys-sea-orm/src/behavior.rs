//! `ActiveModelBehavior` in one line.

/// Implements SeaORM's `ActiveModelBehavior`, so that each insert, update and delete of an
/// ActiveModel bumps what its model says. The model is a [`TaggedModel`](fragkeys::TaggedModel).
///
/// It takes the place of `impl ActiveModelBehavior for ActiveModel {}`. For hooks of your
/// own, write that `impl` and call [`before_save`](crate::before_save) and its siblings.
///
/// # What it costs
///
/// An update and a delete read the row first, through the same connection: one `SELECT` by
/// primary key, locking in a transaction where the database has that. Only so
/// a row that moves from one scope to another bumps both. An insert reads nothing.
///
/// With `scope_columns` an update reads the old row only if it sets one of them. Name all
/// columns that the scopes and `on_update` are made of; with none, `[]`, no update reads.
///
/// ```
/// # mod plain {
/// # use fragkeys::TaggedModel;
/// # use sea_orm::entity::prelude::*;
/// #[derive(Clone, Debug, PartialEq, DeriveEntityModel, TaggedModel)]
/// #[sea_orm(table_name = "donation")]
/// #[tagged_model(name = "Donations", scopes = ["Donations:org:<organization_id>"])]
/// pub struct Model {
///     #[sea_orm(primary_key)]
///     pub id: i64,
///     pub organization_id: i64,
///     pub amount: i64,
/// }
/// # #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
/// # pub enum Relation {}
///
/// fragkeys_sea_orm::tagged_behavior!(ActiveModel, scope_columns = [Column::OrganizationId]);
/// # }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! tagged_behavior {
    ($active:ty $(,)?) => {
        $crate::tagged_behavior!(@impl $active, (active, db, insert) {
            $crate::before_save(active, db, insert)
        });
    };
    ($active:ty, scope_columns = [$($column:expr),* $(,)?] $(,)?) => {
        $crate::tagged_behavior!(@impl $active, (active, db, insert) {
            $crate::before_save_of(active, db, insert, &[$($column),*])
        });
    };
    (@impl $active:ty, ($it:ident, $db:ident, $insert:ident) { $before_save:expr }) => {
        #[$crate::__private::async_trait::async_trait]
        impl $crate::__private::ActiveModelBehavior for $active {
            async fn before_save<C>(
                self,
                $db: &C,
                $insert: bool,
            ) -> ::core::result::Result<Self, $crate::__private::DbErr>
            where
                C: $crate::__private::ConnectionTrait,
            {
                let $it = &self;
                $before_save.await?;
                ::core::result::Result::Ok(self)
            }

            async fn after_save<C>(
                model: $crate::__private::ModelOf<Self>,
                db: &C,
                insert: bool,
            ) -> ::core::result::Result<
                $crate::__private::ModelOf<Self>,
                $crate::__private::DbErr,
            >
            where
                C: $crate::__private::ConnectionTrait,
            {
                $crate::after_save(&model, db, insert).await;
                ::core::result::Result::Ok(model)
            }

            async fn before_delete<C>(
                self,
                db: &C,
            ) -> ::core::result::Result<Self, $crate::__private::DbErr>
            where
                C: $crate::__private::ConnectionTrait,
            {
                $crate::before_delete(self, db).await
            }

            async fn after_delete<C>(
                self,
                db: &C,
            ) -> ::core::result::Result<Self, $crate::__private::DbErr>
            where
                C: $crate::__private::ConnectionTrait,
            {
                $crate::after_delete(&self, db).await;
                ::core::result::Result::Ok(self)
            }
        }
    };
}
