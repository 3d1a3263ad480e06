//! No lint fires on generated code.
#![deny(warnings, missing_docs, unreachable_pub, unsafe_code)]
#![deny(unused, unused_qualifications, single_use_lifetimes, unreachable_code)]
#![deny(rust_2018_idioms, future_incompatible, nonstandard_style, let_underscore)]
#![deny(trivial_casts, trivial_numeric_casts, variant_size_differences, unused_results)]
#![deny(elided_lifetimes_in_paths, explicit_outlives_requirements, unit_bindings)]
#![deny(missing_copy_implementations, missing_debug_implementations, redundant_lifetimes)]
#![deny(unused_lifetimes, unused_import_braces, unused_macro_rules, meta_variable_misuse)]

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;

use fragkeys::{Tag, tagged_cache};

/// A method's owner.
#[derive(Clone, Copy, Debug)]
pub struct Users(u64);

impl Users {
    /// A documented method.
    #[tagged_cache(tags = ["Tenant:<self.0>"], vary_on = [self.0, user_id], timeout = 60 * 60)]
    #[inline]
    pub async fn profile(&self, user_id: u64) -> Result<u64, std::io::Error> {
        let total = user_id + self.0;
        if total == 0 {
            return Ok(1);
        }
        Ok(total)
    }

    /// One that changes something.
    #[tagged_cache(vary_on = [])]
    pub async fn count(&mut self) -> u64 {
        self.0 += 1;
        self.0
    }
}

/// Borrowed arguments.
#[tagged_cache(tags = [Tag::new("Name", name)])]
pub async fn borrowed(name: &str, ids: &[u64], more: Option<&u64>) -> HashMap<String, u64> {
    ids.iter().chain(more).map(|id| (name.to_owned(), *id)).collect()
}

/// Patterns, and an argument that the body changes.
#[tagged_cache]
pub async fn patterns((a, b): (u64, u64), mut c: u64) -> u64 {
    c += a;
    c + b
}

/// A boxed future.
#[tagged_cache]
pub fn boxed(user_id: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move { user_id })
}

/// An opaque future.
#[tagged_cache]
pub fn opaque(user_id: u64) -> impl Future<Output = u64> + Send {
    async move { user_id }
}

/// Nothing to say.
#[tagged_cache]
pub async fn unit() {}

/// A body in one line.
#[tagged_cache]
#[rustfmt::skip]
pub async fn short(user_id: u64) -> Option<u64> { Some(user_id) }

/// A body in one line.
#[tagged_cache]
#[rustfmt::skip]
pub fn short_boxed(user_id: u64) -> Pin<Box<dyn Future<Output = u64>>> { Box::pin(std::future::ready(user_id)) }

/// A body in one line.
#[tagged_cache]
#[rustfmt::skip]
pub fn short_opaque(user_id: u64) -> impl Future<Output = u64> { std::future::ready(user_id) }

/// Does not come back.
#[tagged_cache]
pub async fn never(user_id: u64) -> u64 {
    unreachable!("{user_id}")
}

fn main() {
    let mut users = Users(1);
    drop(users.profile(42));
    drop(users.count());
    drop(borrowed("Ada", &[], None));
    drop(patterns((1, 2), 3));
    drop(boxed(1));
    drop(opaque(1));
    drop(unit());
    drop(short(1));
    drop(short_boxed(1));
    drop(short_opaque(1));
    drop(never(1));
}
