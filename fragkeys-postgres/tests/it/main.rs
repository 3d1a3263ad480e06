//! Real PostgreSQL servers, real Redis servers, and the program as a process that is killed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking"
)]

mod command;
mod fault;
mod model;
mod outbox;
mod relay;
mod support;
mod text;
#[cfg(feature = "tls")]
mod tls;
mod trigger;
