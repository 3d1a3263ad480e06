//! How many copies of a book there are. A row of its own: an order changes this and not the book.

use fragkeys::TaggedModel;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DeriveEntityModel, TaggedModel)]
#[sea_orm(table_name = "stock")]
#[tagged_model(name = "Stock", key = book_id)]
pub(crate) struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub(crate) book_id: i64,
    pub(crate) copies: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

fragkeys_sea_orm::tagged_behavior!(ActiveModel, scope_columns = []);
