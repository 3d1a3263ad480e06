//! The other attributes of a function stay on it.
#![deny(warnings, missing_docs)]
#![expect(deprecated, unused_must_use)]

use fragkeys::tagged_cache;

/// Documented, so that `missing_docs` is content.
#[tagged_cache]
#[deprecated = "fires where it is called"]
pub async fn old(user_id: u64) -> u64 {
    user_id
}

#[must_use = "fires where the future is dropped"]
#[tagged_cache]
#[doc(hidden)]
#[inline(never)]
pub fn needed(user_id: u64) -> std::pin::Pin<Box<dyn Future<Output = u64>>> {
    Box::pin(async move { user_id })
}

#[cfg(not(all()))]
#[tagged_cache]
async fn absent(user: NoSuchType) -> u64 {
    user.id
}

#[tagged_cache]
#[cfg_attr(all(), allow(unused_variables))]
async fn unused_argument(user_id: u64, verbose: bool) -> u64 {
    user_id
}

#[tagged_cache]
#[expect(unused_variables, reason = "an expectation is fulfilled by the body as before")]
async fn unused_local(user_id: u64) -> u64 {
    let unused = user_id;
    user_id
}

#[tagged_cache]
async fn inner_attribute(user_id: u64, verbose: bool) -> u64 {
    #![allow(unused_variables)]
    user_id
}

#[allow(clippy::too_many_arguments)]
#[tagged_cache]
async fn a(b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8, i: u8) -> u8 {
    b + c + d + e + f + g + h + i
}

fn main() {
    drop(old(1));
    needed(1);
    drop(unused_argument(1, true));
    drop(unused_local(1));
    drop(inner_attribute(1, true));
    drop(a(1, 2, 3, 4, 5, 6, 7, 8));
}
