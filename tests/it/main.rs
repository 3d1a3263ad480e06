//! The tests of fragkeys as its users see it, by behaviour.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "tests fail by panicking"
)]

mod around;
mod attribute;
mod batch;
mod checker;
mod cluster;
mod codecs;
mod commit;
mod config;
mod contract;
mod crowd;
mod examples;
mod faults;
mod flight;
mod foreign;
mod grace;
mod guard;
mod inherit;
mod interop;
mod invariants;
mod key_ring;
mod lease;
mod many_tags;
mod model;
mod near;
mod negative;
mod parity;
mod round_trips;
mod runtimes;
mod sentinel;
mod strangers;
mod support;
mod tags_from;
mod template;
mod tidy;
#[cfg(feature = "tls")]
mod tls;
mod tower;
mod tracking;
mod ui;
mod view;
