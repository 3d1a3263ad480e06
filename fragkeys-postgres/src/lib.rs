#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod kind;
mod outbox;
mod quote;
mod relay;
mod triggers;

pub use error::{Error, ErrorKind};
pub use outbox::Outbox;
pub use relay::{Relay, RelayHealth};
pub use triggers::{Triggers, drop_sql, trigger_sql};
