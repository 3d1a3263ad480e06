//! What readers say about a book.

use fragkeys::TaggedModel;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DeriveEntityModel, TaggedModel)]
#[sea_orm(table_name = "review")]
#[tagged_model(name = "Reviews", scopes = ["Reviews:book:<book_id>"])]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) book_id: i64,
    pub(crate) reader: String,
    pub(crate) stars: i32,
    pub(crate) text: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {}

fragkeys_sea_orm::tagged_behavior!(ActiveModel);
