//! Longer than an item's documentation: one subject a page.

#[doc = include_str!("../docs/transactions.md")]
pub mod transactions {}
