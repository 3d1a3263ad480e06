//! Old values: no lint fires, nothing is taken from the names around, and what cannot leave its
//! caller stays there.
#![no_implicit_prelude]
#![deny(warnings, missing_docs, unreachable_pub, unsafe_code)]
#![deny(unused, unused_qualifications, single_use_lifetimes, unreachable_code)]
#![deny(rust_2018_idioms, future_incompatible, nonstandard_style, let_underscore)]
#![deny(trivial_casts, trivial_numeric_casts, variant_size_differences, unused_results)]
#![deny(elided_lifetimes_in_paths, explicit_outlives_requirements, unit_bindings)]

use ::fragkeys::tagged_cache;

/// Names that generated code might have used.
#[allow(dead_code, missing_copy_implementations)]
mod shadows {
    pub(crate) struct Result;
    pub(crate) struct Option;
    pub(crate) struct Duration;
    pub(crate) struct Grace;
}
#[allow(unused_imports)]
use shadows::{Duration, Grace, Option, Result};

type Outcome<T> = ::std::result::Result<T, ::std::io::Error>;

/// All of it.
#[tagged_cache(
    tags = ["User:<id>"],
    timeout = 60,
    stale_while_revalidate = 30,
    stale_if_error = id * 10,
    soft_timeout = ::std::time::Duration::from_millis(5),
    hard_timeout = 1,
    refresh_ahead = 0.1,
    cache_if = |value| *value < id + 10,
)]
pub async fn owned(id: u64) -> Outcome<u64> {
    ::std::result::Result::Ok(id)
}

/// One that is chosen at random, and values with times of their own.
#[tagged_cache(refresh_ahead = xfetch(1.5), timeout = |value| value.unwrap_or(id), timeout_none = 5)]
pub async fn by_value(id: u64) -> ::std::option::Option<u64> {
    ::std::option::Option::Some(id)
}

/// Errors that are kept.
#[tagged_cache(
    stale_if_error = 60,
    cache_err = |error| (*error == id).then_some(::std::time::Duration::from_secs(1)),
)]
pub async fn with_errors(id: u64) -> ::std::result::Result<u64, u64> {
    ::std::result::Result::Err(id)
}

/// One that nobody can take along.
#[tagged_cache(vary_on = [text], stale_while_revalidate = 30, refresh_ahead = xfetch)]
pub async fn borrowed(text: &str) -> ::std::string::String {
    ::std::string::ToString::to_string(text)
}

/// What is not `Send` runs where it is asked for.
#[tagged_cache(stale_while_revalidate = 30, background = false)]
pub async fn not_send(id: u64) -> u64 {
    let shared = ::std::rc::Rc::new(id);
    ::std::future::ready(()).await;
    *shared
}

/// A type that may be anything.
#[tagged_cache(vary_on = [value], stale_while_revalidate = 30)]
pub async fn generic<T: ::serde::Serialize + ::std::marker::Copy>(value: T, id: u64) -> u64 {
    let _value = value;
    id
}

/// Methods.
#[derive(Debug)]
pub struct Repository {
    tenant: u64,
}

impl Repository {
    /// With a receiver of its own.
    #[tagged_cache(vary_on = [self.tenant], stale_while_revalidate = 30, background = true)]
    pub async fn shared(self: ::std::sync::Arc<Self>) -> u64 {
        self.tenant
    }

    /// With a borrowed one.
    #[tagged_cache(vary_on = [self.tenant], stale_while_revalidate = 30)]
    pub async fn named(&self) -> u64 {
        self.tenant
    }
}

fn is_send<T: ::std::marker::Send>(_: T) {}

fn main() {
    is_send(owned(1));
    is_send(by_value(1));
    is_send(with_errors(1));
    is_send(borrowed("a"));
    is_send(generic(1_u8, 1));
    is_send(Repository { tenant: 1 }.named());
    is_send(::std::sync::Arc::new(Repository { tenant: 1 }).shared());
    ::std::mem::drop(not_send(1));
}
