//! hitbox on moka, with its bincode format.

use std::time::Duration;

use hitbox::policy::PolicyConfig;
use hitbox_backend::format::BincodeFormat;
use hitbox_fn::{Cache, cached};
use hitbox_moka::MokaBackend;

use super::{Entrant, Place};
use crate::value::{Page, run};

#[cached(prefix = "moka")]
async fn page(id: u64) -> Page {
    run(id)
}

pub fn open() -> Entrant {
    let backend = MokaBackend::builder().max_entries(10_000).value_format(BincodeFormat);
    let cache = Cache::builder()
        .backend(backend.build())
        .policy(PolicyConfig::builder().ttl(Duration::from_secs(3600)).build())
        .build();
    Entrant::new("hitbox on moka", Place::Process, move |id| {
        let cache = cache.clone();
        async move { page(id).cache(&cache).await }
    })
}
