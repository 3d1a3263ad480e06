//! hitbox on Redis, with its bincode format, which is its default.

use std::time::Duration;

use hitbox::policy::PolicyConfig;
use hitbox_fn::{Cache, cached};
use hitbox_redis::{ConnectionMode, RedisBackend};

use super::{Entrant, PATIENCE, Place};
use crate::value::{Page, run};

#[cached(prefix = "redis")]
async fn page(id: u64) -> Page {
    run(id)
}

pub async fn open(url: &str) -> Entrant {
    let backend = RedisBackend::builder().connection(ConnectionMode::single(url));
    let backend = backend.response_timeout(PATIENCE);
    let cache = Cache::builder()
        .backend(backend.build().expect("a URL of ours"))
        .policy(PolicyConfig::builder().ttl(Duration::from_secs(3600)).build())
        .build();
    Entrant::new("hitbox on Redis", Place::Redis, move |id| {
        let cache = cache.clone();
        async move { page(id).cache(&cache).await }
    })
}
