//! moka's async cache, asked for a value that is there.

use std::sync::Arc;

use moka::future::Cache;

use super::{Entrant, Place};
use crate::value::{Page, Size, page};

pub async fn open() -> Entrant {
    let cache: Cache<u64, Page> = Cache::new(10_000);
    for id in Size::Small.ids().chain(Size::Large.ids()) {
        cache.insert(id, page(id)).await;
    }
    cache.run_pending_tasks().await;
    Entrant::new("moka, clone", Place::Process, move |id| {
        let cache = cache.clone();
        async move { cache.get(&id).await.expect("filled in") }
    })
}

pub async fn open_shared() -> Entrant {
    let cache: Cache<u64, Arc<Page>> = Cache::new(10_000);
    for id in Size::Small.ids().chain(Size::Large.ids()) {
        cache.insert(id, Arc::new(page(id))).await;
    }
    cache.run_pending_tasks().await;
    Entrant::new("moka, Arc", Place::Process, move |id| {
        let cache = cache.clone();
        async move { cache.get(&id).await.expect("filled in") }
    })
}
