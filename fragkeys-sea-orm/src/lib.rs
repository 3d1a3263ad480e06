#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod behavior;
mod connection;
mod hook;
mod pending;
mod statement;
mod transaction;
mod warning;

pub use hook::{after_delete, after_save, before_delete, before_save, before_save_of};
pub use statement::{delete_by_id, delete_many, insert, insert_many, update_many};
pub use transaction::{transaction, transaction_with};

/// All that `tagged_behavior!` may name.
#[doc(hidden)]
pub mod __private {
    pub use sea_orm::prelude::async_trait;
    pub use sea_orm::{ActiveModelBehavior, ConnectionTrait, DbErr};

    pub type ModelOf<A> = <<A as sea_orm::ActiveModelTrait>::Entity as sea_orm::EntityTrait>::Model;
}
