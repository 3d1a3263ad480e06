//! `cached` in memory.

use cached::macros::cached;

use super::{Entrant, Place};
use crate::value::{Page, run};

#[cached(max_size = 10_000, ttl_secs = 3600)]
async fn page(id: u64) -> Page {
    run(id)
}

pub fn open() -> Entrant {
    Entrant::new("cached in memory", Place::Process, page)
}
