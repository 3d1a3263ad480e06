//! The harness of the fragkeys tests: real Redis servers, alone, with TLS, under sentinels
//! and as a cluster, a proxy that breaks
//! connections on demand, servers that talk nonsense, real PostgreSQL servers, child processes, and a
//! Python with the packages that fragkeys is compared with.
//!
//! Everything here is synchronous and runs on threads of its own, so that it
//! works the same whatever runtime a test uses and still works while that
//! runtime is blocked. Inside async code the calls block the thread; they are
//! meant for tests, where that is fine. Unix only.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a harness panics wherever a test has no way to go on"
)]

mod acceptor;
pub mod certificates;
pub mod checker;
pub mod child;
pub mod cluster;
pub mod garbage;
pub mod postgres;
pub mod proxy;
pub mod python;
pub mod redis_server;
pub mod resp;
mod rng;
pub mod sentinel;
pub mod soak;
mod temporary;
pub mod wait;
mod watchdog;

pub use certificates::Certificates;
pub use child::Child;
pub use cluster::Cluster;
pub use garbage::GarbageServer;
pub use postgres::PostgresServer;
pub use proxy::{Action, Proxy};
pub use python::{Python, PythonSession};
pub use redis_server::RedisServer;
pub use resp::{Reply, RespClient};
pub use sentinel::Sentinels;
pub use wait::wait_until;
