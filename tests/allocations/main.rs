//! What a hit of the near tier allocates: nothing. In a binary of its own, as it counts with an
//! allocator of its own.
#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use fragkeys::{Cache, Config, Near, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

#[tagged_cache(tags = ["User:<id>", "Page:<page>", "Dashboard"], vary_on = [id, page])]
async fn user(id: u64, page: &str) -> Arc<String> {
    Arc::new(format!("user {id}, page {page}"))
}

async fn hits_allocate_nothing(cache: Cache) {
    with_cache(cache.clone(), async {
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while cache.stats().near_hits < 10 {
            assert!(std::time::Instant::now() < deadline, "the near tier does not answer");
            user(7, "a page").await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let before = cache.stats().near_hits;
        for _ in 0..100 {
            let mut call = std::pin::pin!(user(7, "a page"));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            let allocated = measure(|| {
                assert!(call.as_mut().poll(&mut context).is_ready());
            });
            assert_eq!(allocated.count_total, 0);
        }
        assert_eq!(cache.stats().near_hits, before + 100);
    })
    .await;
}

#[tokio::test]
async fn over_redis() {
    let server = RedisServer::start();
    let config = Config::redis(server.url()).operation_timeout(Duration::from_secs(10));
    let near = Near::new().max_staleness(Duration::from_secs(600));
    hits_allocate_nothing(config.near(near).build().await.unwrap()).await;
}

#[tokio::test]
async fn over_the_embedded_store() {
    hits_allocate_nothing(Config::memory().near(Near::new()).build().await.unwrap()).await;
}
