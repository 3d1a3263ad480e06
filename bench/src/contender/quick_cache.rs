//! quick_cache, asked for a value that is there: what the embedded store stands on.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{Entrant, Place};
use crate::value::{Page, Size, page};

pub const NAME: &str = "quick_cache, clone";

pub fn open() -> Entrant {
    let cache: Arc<Cache<u64, Page>> = Arc::new(Cache::new(10_000));
    for id in Size::Small.ids().chain(Size::Large.ids()) {
        cache.insert(id, page(id));
    }
    Entrant::new(NAME, Place::Process, move |id| {
        let cache = cache.clone();
        async move { cache.get(&id).expect("filled in") }
    })
}

pub fn open_shared() -> Entrant {
    let cache: Arc<Cache<u64, Arc<Page>>> = Arc::new(Cache::new(10_000));
    for id in Size::Small.ids().chain(Size::Large.ids()) {
        cache.insert(id, Arc::new(page(id)));
    }
    Entrant::new("quick_cache, Arc", Place::Process, move |id| {
        let cache = cache.clone();
        async move { cache.get(&id).expect("filled in") }
    })
}
