//! SeaORM's writes and fragkeys' bumps, on SQLite files, over the embedded store and Redis.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod entity;
mod executor;
mod faults;
mod hooks;
mod interleaving;
mod key;
mod locks;
mod log;
mod nested;
mod part;
mod shutdown;
mod statements;
mod support;
mod transactions;
mod warnings;
mod wrapped;
