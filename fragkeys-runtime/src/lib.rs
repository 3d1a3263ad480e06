//! The runtime of [`fragkeys`](https://docs.rs/fragkeys). Depend on that crate, not on this one.
//!
//! In reading order: `call` is one cached call from top to bottom; `site` and `value` are
//! what is known of the function, `tag`, `encode` and `key` make its identity, `store` keeps
//! versions and entries, `envelope` and `codec` turn values into bytes and back.
#![warn(missing_docs)]

mod around;
#[allow(missing_docs)] // public for generated code, but for the map
mod batch;
mod broken;
mod bumps;
mod cache;
#[allow(missing_docs)] // public for generated code only
mod call;
mod clock;
mod codec;
mod commit;
mod condition;
mod config;
mod encode;
mod entry;
mod envelope;
mod error;
mod flight;
mod fragmented_keys;
mod global;
#[allow(missing_docs)] // public for generated code only
mod grace;
mod guard;
mod health;
mod inherit;
mod key;
mod key_ring;
mod lease;
mod log;
#[cfg(feature = "metrics")]
mod metric;
mod model;
mod near;
mod outcome;
mod queue;
mod seeded;
mod shape;
#[allow(missing_docs)] // public for generated code only
mod site;
mod stats;
mod store;
mod tag;
#[cfg_attr(not(feature = "tls"), allow(dead_code, unreachable_pub))]
mod tls;
mod together;
#[cfg(feature = "tower")]
pub mod tower;
#[allow(missing_docs)] // public for generated code only
mod value;
mod version;
mod view;

#[doc(hidden)]
pub mod private;

pub use around::{bypass, evict, key_of, peek, prime, refresh};
pub use batch::BatchMap;
pub use bumps::{attached, bumps_in, note_bumps};
pub use cache::Cache;
pub use call::grace::TimedOut;
#[cfg(feature = "json")]
pub use codec::Json;
#[cfg(feature = "msgpack")]
pub use codec::MessagePack;
pub use codec::{Bincode, CacheCodec, Codec, CodecError};
pub use commit::{CommitScope, Committed, OnCommit, commit_follows, committing, on_commit};
pub use config::Config;
pub use entry::Entry;
pub use error::{Error, ErrorKind};
pub use fragmented_keys::FragmentedKeys;
pub use global::{cache, cache_named, reset_for_tests, with_cache};
pub use guard::{Guard, Guarded, guard};
pub use health::{Breaker, Health};
pub use key_ring::{KeyRing, RingTag};
#[cfg(feature = "metrics")]
pub use metric::publish_metrics;
pub use model::{
    Bumping, Change, ColumnInfo, KeyedBy, ModelInfo, Muted, RowTag, RowTagPart, TableInfo,
    TaggedModel, is_muted, is_registered, models, mute, register,
};
pub use near::{Near, NearStats};
pub use outcome::{Outcome, observe};
pub use stats::Stats;
pub use tag::Tag;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use version::{Bumped, Version};
pub use view::{at_least, snapshot};
