//! Who bought. What was bought is in the lines.

use fragkeys::TaggedModel;
use sea_orm::entity::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, DeriveEntityModel, TaggedModel)]
#[sea_orm(table_name = "orders")]
#[tagged_model(name = "Orders", scopes = ["Orders:customer:<customer>"])]
pub(crate) struct Model {
    #[sea_orm(primary_key)]
    pub(crate) id: i64,
    pub(crate) customer: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub(crate) enum Relation {
    #[sea_orm(has_many = "super::line::Entity")]
    Line,
}

impl Related<super::line::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Line.def()
    }
}

fragkeys_sea_orm::tagged_behavior!(ActiveModel);
