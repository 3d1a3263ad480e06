//! The recipes where it gets tight: readers and hang-ups in the middle of a COMMIT, forced with
//! SQLite's own locks.
#![allow(
    clippy::duplicate_mod,
    reason = "the same tests of both recipes, which have functions of the same names"
)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "also outside of test functions, this is all tests"
)]

mod lock;
mod with_diesel;
mod with_sqlx;
