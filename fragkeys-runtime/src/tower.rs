//! Layers for servers that are made of `tower` services, such as axum's.
//!
//! [`SnapshotLayer`] gives each request one view of all versions. [`ReadYourWritesLayer`] has who wrote
//! something read it back, whichever process answers next.
//!
//! Both are about one request and the task that answers it: what a handler spawns is apart from it, and
//! so is a body that is streamed after the response has begun.

use std::future::Future;
use std::pin::Pin;

mod carrier;
mod read_your_writes;
mod snapshot;

pub use read_your_writes::{ReadYourWrites, ReadYourWritesLayer};
pub use snapshot::{Snapshot, SnapshotLayer};

/// The answer of a service in a layer of these.
pub type Answer<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;
