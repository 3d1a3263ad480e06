//! Batches: no lint fires on them, nothing is taken from the prelude or from names around them,
//! and they work where `macro_rules!` writes them.
#![no_implicit_prelude]
#![deny(warnings, missing_docs, unreachable_pub, unsafe_code)]
#![deny(unused, unused_qualifications, single_use_lifetimes, unreachable_code)]
#![deny(rust_2018_idioms, future_incompatible, nonstandard_style, let_underscore)]
#![deny(trivial_casts, trivial_numeric_casts, variant_size_differences, unused_results)]
#![deny(elided_lifetimes_in_paths, explicit_outlives_requirements, unit_bindings)]
#![deny(unused_lifetimes, unused_import_braces, unused_macro_rules, meta_variable_misuse)]

use ::std::iter::{IntoIterator as _, Iterator as _};

/// Names that generated code might have used.
#[allow(dead_code, missing_copy_implementations)]
mod shadows {
    pub(crate) struct Vec;
    pub(crate) struct HashMap;
    pub(crate) struct Result;
    pub(crate) struct Elements;
}
#[allow(unused_imports)]
use shadows::{Elements, HashMap, Result, Vec};

/// What is found.
pub type Found = ::std::collections::HashMap<u64, u64>;

/// One that a body leaves as it is.
#[::fragkeys::tagged_cache(batch, tags = ["User:<id>", ::fragkeys::Tag::new("Id", id)], timeout = 60)]
pub async fn users(ids: &[u64]) -> Found {
    ids.iter().map(|id| (*id, *id)).collect()
}

/// By value, and changed.
#[::fragkeys::tagged_cache(batch = row, vary_on = [call], cache_if = |value| *value > 0)]
pub async fn by_value(mut missing: ::std::vec::Vec<u64>, call: u64) -> Found {
    missing.retain(|id| *id != call);
    missing.into_iter().map(|id| (id, id)).collect()
}

/// A method's owner.
#[derive(Clone, Copy, Debug)]
pub struct Users(u64);

impl Users {
    /// A documented method.
    #[::fragkeys::tagged_cache(batch = batch in batches, tags = ["Batch:<batch>"], vary_on = [self.0])]
    #[inline]
    pub async fn all(
        &self,
        batches: &[u64],
        plan: &[u64],
    ) -> ::std::result::Result<Found, ::std::io::Error> {
        if plan.is_empty() {
            return ::std::result::Result::Ok(Found::new());
        }
        ::std::result::Result::Ok(batches.iter().map(|id| (*id, self.0)).collect())
    }

    /// A boxed future.
    #[::fragkeys::tagged_cache(batch, vary_on = [])]
    pub fn boxed<'a>(
        &'a self,
        ids: &'a [u64],
    ) -> ::std::pin::Pin<
        ::std::boxed::Box<dyn ::std::future::Future<Output = Found> + ::std::marker::Send + 'a>,
    > {
        ::std::boxed::Box::pin(async move { ids.iter().map(|id| (*id, self.0)).collect() })
    }
}

macro_rules! cached {
    ($name:ident($argument:ident: $type:ty), $tag:literal, $element:ident) => {
        /// Written by a macro, with a name for the element from outside.
        #[::fragkeys::tagged_cache(batch = $element, tags = [$tag])]
        pub async fn $name($argument: $type) -> Found {
            $argument.iter().map(|id| (*id, *id)).collect()
        }
    };
    ($name:ident) => {
        /// Written by a macro, with all of its names.
        #[::fragkeys::tagged_cache(batch, tags = ["User:<user_id>"])]
        pub async fn $name(user_ids: &[u64]) -> Found {
            user_ids.iter().map(|id| (*id, *id)).collect()
        }
    };
}

cached!(by_macro(list: &[u64]), "User:<id>", id);
cached!(all_by_macro);

fn main() {
    let found = Users(1);
    ::std::mem::drop(users(&[1]));
    ::std::mem::drop(by_value(::std::vec![1], 2));
    ::std::mem::drop(found.all(&[1], &[]));
    ::std::mem::drop(found.boxed(&[1]));
    ::std::mem::drop(by_macro(&[1]));
    ::std::mem::drop(all_by_macro(&[1]));
}
