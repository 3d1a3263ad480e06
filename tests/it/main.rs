//! The tests of fragkeys as its users see it, by behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod attribute;
mod batch;
mod codecs;
mod commit;
mod config;
mod contract;
mod examples;
mod faults;
mod foreign;
mod interop;
mod invariants;
mod key_ring;
mod model;
mod parity;
mod round_trips;
mod runtimes;
mod strangers;
mod support;
mod template;
mod tidy;
mod tracking;
mod ui;
