//! fragkeys on its embedded store, which keeps encoded entries.

use fragkeys::{Config, tagged_cache};

use super::{Entrant, Place};
use crate::value::{Page, run};

#[tagged_cache(timeout = 3600, tags = ["A:<id>", "All"], vary_on = [id], cache_name = "memory")]
async fn two_tags(id: u64) -> Page {
    run(id)
}

pub async fn open() -> Entrant {
    Config::memory().install_as("memory").await.expect("the first one of this name");
    Entrant::new("fragkeys embedded, 2 tags", Place::Process, two_tags)
}
