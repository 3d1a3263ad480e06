//! What is sold. Each edit counts `revision` up.

use fragkeys::TaggedModel;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DeriveEntityModel, TaggedModel)]
#[sea_orm(table_name = "book")]
#[tagged_model(
    name = "Books",
    scopes = ["Books", "Books:author:<author_id>", "Books:publisher:<publisher_id>"]
)]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) title: String,
    pub(crate) author_id: i64,
    pub(crate) publisher_id: i64,
    pub(crate) revision: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(
        belongs_to = "super::author::Entity",
        from = "Column::AuthorId",
        to = "super::author::Column::Id"
    )]
    Author,
}

impl Related<super::author::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Author.def()
    }
}

// A book that moves leaves two lists and enters two others: all four change.
fragkeys_sea_orm::tagged_behavior!(
    ActiveModel,
    scope_columns = [Column::AuthorId, Column::PublisherId]
);
