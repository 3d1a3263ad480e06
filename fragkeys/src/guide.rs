//! Longer than an item's documentation: one subject a page.
//!
//! - [`transactions`]: bumps and commits, with recipes for sqlx and Diesel.
//! - [`postgres`]: changes that any writer makes in PostgreSQL, `psql` included.
//! - [`requests`]: one view for each request of a server, and its own writes read back.
//! - [`faults`]: what happens on each fault of the store, and how to watch it.
//! - [`checker`]: a program that looks for broken promises under faults, and what it found.
//! - [`herds`]: many callers of one missing entry, in one process and in several.
//! - [`grace`]: old values, early and slow runs, and errors that are cached.
//! - [`limits`]: what it does not do, and what stands in Redis under which key.
//! - [`redis`]: one server, TLS, sentinels, a cluster; what happens while a part of it is away.
//! - [`from_redis`]: from keys and `DEL`s written by hand, in phases that ship one by one.
//! - [`from_cached`]: from the attributes of the `cached` crate.
//! - [`from_python`]: from `fragmented_keys` and `fragmented_keys_django`, or beside them.
//! - [`parity`]: each public name of those two, and what there is for it.

#[doc = include_str!("../docs/transactions.md")]
pub mod transactions {}

#[doc = include_str!("../docs/postgres.md")]
pub mod postgres {}
#[cfg(feature = "tower")]
#[doc = include_str!("../docs/requests.md")]
pub mod requests {}

#[doc = include_str!("../docs/faults.md")]
#[doc = ""]
#[doc = "## Over time"]
#[doc = ""]
#[doc = include_str!("../docs/soak.svg")]
pub mod faults {}

#[doc = include_str!("../docs/checker.md")]
pub mod checker {}

#[doc = include_str!("../docs/herds.md")]
pub mod herds {}

#[doc = include_str!("../docs/grace.md")]
pub mod grace {}

#[doc = include_str!("../docs/limits.md")]
pub mod limits {}

#[doc = include_str!("../docs/redis.md")]
pub mod redis {}

#[doc = include_str!("../docs/from_redis.md")]
pub mod from_redis {}

#[doc = include_str!("../docs/from_cached.md")]
pub mod from_cached {}

#[doc = include_str!("../docs/from_python.md")]
pub mod from_python {}

#[doc = include_str!("../docs/parity.md")]
pub mod parity {}
