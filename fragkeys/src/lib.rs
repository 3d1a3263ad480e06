//! Caching async functions in Redis, correct by construction.
//!
//! ```
//! use fragkeys::{invalidate, tagged_cache};
//!
//! #[tagged_cache(timeout = 3600, tags = ["User:<user_id>"], vary_on = [user_id])]
//! async fn greeting(user_id: u64) -> Result<String, std::io::Error> {
//!     Ok(format!("hello, user {user_id}")) // … from the database …
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let user_id = 42;
//! greeting(user_id).await?; // runs
//! greeting(user_id).await?; // does not
//! invalidate!("User:<user_id>").await?; // in every process
//! greeting(user_id).await?; // runs
//! # Ok(())
//! # }
//! ```
//!
//! Each tag has a version; the versions are part of each entry's key. A bump gives a tag a
//! new version, so that every entry which depends on it misses from then on. Nothing is
//! searched for or deleted: old entries go by their timeout.
//!
//! # Where to look
//!
//! - [`tagged_cache`]: the attribute and its options, batches among them; [`BatchMap`].
//! - [`invalidate!`], [`tag!`] and [`Tag`]: what entries depend on, and how to bump it.
//! - [`Config`]: Redis or the embedded store, timeouts and bounds, installed at startup.
//! - [`on_commit`] and [`committing`]: bumps that wait for a transaction; [`guard()`]: ones that no
//!   crash loses.
//! - [`TaggedModel`](trait@TaggedModel): rows that know their tags; [`models`] lists them, [`mute`]
//!   silences one.
//! - [`Cache`] and [`Entry`]: by hand, for what is not a function; [`KeyRing`]: their names and
//!   tags in one place.
//! - [`with_cache`]: another cache for one future, in tests and for tenants.
//! - [`peek`], [`refresh`], [`evict`], [`prime`], [`bypass`] and [`key_of`]: around one call.
//! - [`at_least`] and [`snapshot`]: what one request sees of the versions; [`bumps_in`]: what it bumps. As
//!   layers of a server: the feature `tower`, and [`guide::requests`].
//! - [`observe`] and [`Cache::stats`]: what the cache did.
//! - [`Codec`]: how values become bytes.
//! - [`Tag::foreign`] and [`FragmentedKeys`]: others on the same Redis.
//! - [`guide::grace`]: old values while a source is slow or down, and errors that are cached.
//! - [`guide`]: moving here from Redis by hand, from `cached`, and from Python.
//!
//! # What is cached
//!
//! Of a `Result<T, E>`, the `Ok` value; of anything else, all of it. Options choose more
//! finely:
//!
//! ```
//! # use std::time::Duration;
//! # use fragkeys::tagged_cache;
//! # struct Pool;
//! # struct Repository { tenant: u32, pool: Pool }
//! impl Repository {
//!     /// A tenant's name for a word, if it has one.
//!     #[tagged_cache(
//!         timeout = Duration::from_secs(60),
//!         jitter = 0.2,
//!         tags = ["Words:<self.tenant>"],
//!         vary_on = [self.tenant, word],
//!         cache_if = Option::is_some,
//!     )]
//!     async fn translate(&self, word: &str) -> Option<String> {
//!         // … ask self.pool …
//! #       let _ = &self.pool; Some(word.to_uppercase())
//!     }
//! }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! # let repository = Repository { tenant: 1, pool: Pool };
//! # assert_eq!(repository.translate("a").await.as_deref(), Some("A"));
//! # });
//! ```
//!
//! # After the commit
//!
//! Bump when the change is committed, not before: a reader in between would store the old
//! row under the new version, and there it would stay until its timeout. [`on_commit`] holds
//! every bump made inside of it until then:
//!
//! ```
//! # use fragkeys::{committing, invalidate, on_commit};
//! # struct Transaction; impl Transaction { async fn commit(self) -> Result<(), std::io::Error> { Ok(()) } }
//! # async fn update(transaction: Transaction, user_id: u64) -> Result<(), Box<dyn std::error::Error>> {
//! let update = on_commit(async {
//!     // … write …
//!     invalidate!("User:<user_id>").await?;
//!     committing(transaction.commit()).await?;
//!     Ok::<_, Box<dyn std::error::Error>>(())
//! });
//! let committed = update.report().await?; // or just `.await`
//! if let Err(error) = committed.bumped {
//!     // The bump is queued and retried; until it is through, this cache reads and
//!     // stores nothing that depends on the user. Others may until then.
//!     eprintln!("{error}");
//! }
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(update(Transaction, 1)).unwrap();
//! ```
//!
//! A bump is safe from the moment it is first polled: dropped after that, it is done all the
//! same. So is one that is held when [`committing`] begins. All about it, with sqlx and Diesel:
//! [`guide::transactions`].
#![forbid(unsafe_code)]

pub mod guide;

pub use fragkeys_macros::{TaggedModel, invalidate, tag, tagged_cache};
#[cfg(feature = "json")]
pub use fragkeys_runtime::Json;
#[cfg(feature = "msgpack")]
pub use fragkeys_runtime::MessagePack;
#[cfg(feature = "tls")]
pub use fragkeys_runtime::Tls;
#[cfg(feature = "metrics")]
pub use fragkeys_runtime::publish_metrics;
#[cfg(feature = "tower")]
pub use fragkeys_runtime::tower;
pub use fragkeys_runtime::{
    BatchMap, Bincode, Breaker, Bumped, Bumping, Cache, CacheCodec, Change, Codec, CodecError,
    ColumnInfo, CommitScope, Committed, Config, Entry, Error, ErrorKind, FragmentedKeys, Guard,
    Guarded, Health, KeyRing, KeyedBy, ModelInfo, Muted, Near, NearStats, OnCommit, Outcome,
    RingTag, RowTag, RowTagPart, Stats, TableInfo, Tag, TaggedModel, TimedOut, Version, at_least,
    attached, bumps_in, bypass, cache, cache_named, commit_follows, committing, evict, guard,
    is_muted, is_registered, key_of, models, mute, note_bumps, observe, on_commit, peek, prime,
    refresh, register, reset_for_tests, snapshot, with_cache,
};

#[doc(hidden)]
pub use fragkeys_runtime::private as __private;

/// The README's examples run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
