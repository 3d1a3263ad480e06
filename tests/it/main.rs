//! x
#![allow(missing_docs)]
mod attribute;
mod ui;

use fragkeys::*;
use fragkeys_tests::RedisServer;
use std::sync::atomic::{AtomicU32, Ordering};

mod codecs;
mod config;
mod contract;
mod examples;
mod faults;
mod invariants;
mod round_trips;
mod strangers;
mod support;
