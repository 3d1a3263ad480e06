//! fragkeys on Redis, with the tags that an entry may depend on.

use fragkeys::{Config, tagged_cache};

use super::{Entrant, PATIENCE, Place};
use crate::value::{Page, run};

pub const TWO_TAGS: &str = "fragkeys, 2 tags";

#[tagged_cache(timeout = 3600, tags = ["A:<id>"], vary_on = [id], cache_name = "strict")]
async fn one_tag(id: u64) -> Page {
    run(id)
}

#[tagged_cache(timeout = 3600, tags = ["A:<id>", "All"], vary_on = [id], cache_name = "strict")]
async fn two_tags(id: u64) -> Page {
    run(id)
}

#[tagged_cache(timeout = 3600, tags = ["A:<id>", "B:<id>", "C:<id>", "All"], vary_on = [id], cache_name = "strict")]
async fn four_tags(id: u64) -> Page {
    run(id)
}

#[tagged_cache(
    timeout = 3600,
    tags = [
        "A:<id>", "B:<id>", "C:<id>", "D:<id>", "E:<id>", "F:<id>", "G:<id>", "H:<id>",
        "I:<id>", "J:<id>", "K:<id>", "L:<id>", "M:<id>", "N:<id>", "O:<id>", "All",
    ],
    vary_on = [id],
    cache_name = "strict",
)]
async fn sixteen_tags(id: u64) -> Page {
    run(id)
}

pub async fn open(url: &str) -> [Entrant; 4] {
    let config = Config::redis(url).operation_timeout(PATIENCE);
    config.install_as("strict").await.expect("the first one of this name");
    [
        Entrant::new("fragkeys, 1 tag", Place::Redis, one_tag),
        Entrant::new(TWO_TAGS, Place::Redis, two_tags),
        Entrant::new("fragkeys, 4 tags", Place::Redis, four_tags),
        Entrant::new("fragkeys, 16 tags", Place::Redis, sixteen_tags),
    ]
}
