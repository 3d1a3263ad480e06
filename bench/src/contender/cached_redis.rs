//! `cached` on Redis: MessagePack, on a connection of its own making.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::time::Duration;

use cached::AsyncRedisCache;
use cached::macros::concurrent_cached;

use super::{Entrant, Place};
use crate::value::{Page, run};

static URL: OnceLock<String> = OnceLock::new();

#[concurrent_cached(
    map_error = |error| -> Infallible { panic!("{error:?}") },
    ty = "AsyncRedisCache<u64, Page>",
    create = r##" {
        let url = URL.get().expect("set before the first call");
        AsyncRedisCache::builder("cached_redis")
            .ttl(Duration::from_secs(3600))
            .connection_string(url)
            .build()
            .await
            .expect("our own server")
    } "##
)]
async fn page(id: u64) -> Result<Page, Infallible> {
    Ok(run(id))
}

pub async fn open(url: &str) -> Entrant {
    URL.set(url.to_owned()).expect("opened once");
    Entrant::new("cached on Redis", Place::Redis, |id| async move {
        let Ok(page) = page(id).await;
        page
    })
}
