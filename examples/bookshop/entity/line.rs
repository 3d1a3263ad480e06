//! What was bought: so many copies of a book in an order. A key of two columns.

use fragkeys::TaggedModel;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DeriveEntityModel, TaggedModel)]
#[sea_orm(table_name = "line")]
#[tagged_model(name = "Lines", key = (order_id, book_id), scopes = ["Lines:book:<book_id>"])]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) order_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) book_id: i64,
    pub(crate) copies: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(
        belongs_to = "super::order::Entity",
        from = "Column::OrderId",
        to = "super::order::Column::Id"
    )]
    Order,
}

impl Related<super::order::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Order.def()
    }
}

fragkeys_sea_orm::tagged_behavior!(ActiveModel);
