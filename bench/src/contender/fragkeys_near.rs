//! fragkeys on Redis with a near tier: the value by reference, and as a clone like everybody's.

use std::sync::Arc;
use std::time::Duration;

use fragkeys::{Config, Near, tagged_cache};

use super::{Entrant, PATIENCE, Place};
use crate::value::{Page, run};

#[tagged_cache(timeout = 3600, tags = ["A:<id>", "All"], vary_on = [id])]
async fn two_tags(id: u64) -> Arc<Page> {
    Arc::new(run(id))
}

#[tagged_cache(timeout = 3600, tags = ["A:<id>", "All"], vary_on = [id])]
async fn two_tags_clone(id: u64) -> Page {
    run(id)
}

#[tagged_cache(
    timeout = 3600,
    tags = [
        "A:<id>", "B:<id>", "C:<id>", "D:<id>", "E:<id>", "F:<id>", "G:<id>", "H:<id>",
        "I:<id>", "J:<id>", "K:<id>", "L:<id>", "M:<id>", "N:<id>", "O:<id>", "All",
    ],
    vary_on = [id],
)]
async fn sixteen_tags(id: u64) -> Arc<Page> {
    Arc::new(run(id))
}

pub async fn open(url: &str) -> [Entrant; 3] {
    // On a machine that measures, a heartbeat may have to wait for its turn.
    let near = Near::new().max_staleness(Duration::from_secs(60));
    let config = Config::redis(url).operation_timeout(PATIENCE).prefix("near").near(near);
    config.install().await.expect("the first one");
    [
        Entrant::new("fragkeys near, 2 tags, Arc", Place::Process, two_tags),
        Entrant::new("fragkeys near, 2 tags, clone", Place::Process, two_tags_clone),
        Entrant::new("fragkeys near, 16 tags, Arc", Place::Process, sixteen_tags),
    ]
}
