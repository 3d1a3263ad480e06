//! Who is asked by a herd: each with a function whose runs take a while and are counted.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cached::AsyncRedisCache;
use cached::macros::{cached, concurrent_cached};
use fragkeys::{Config, tagged_cache};
use hitbox::concurrency::BroadcastConcurrencyManager;
use hitbox::policy::{ConcurrencyLimit, PolicyConfig};
use hitbox_backend::format::BincodeFormat;
use hitbox_fn::Cache;
use hitbox_moka::MokaBackend;
use hitbox_redis::{ConnectionMode, RedisBackend};

use crate::contender::PATIENCE;
use crate::race::BoxFuture;
use crate::value::{self, Page};

/// How long a run takes.
pub const RUN: Duration = Duration::from_millis(200);

static RUNS: AtomicU64 = AtomicU64::new(0);
static URL: OnceLock<String> = OnceLock::new();

/// Those that can be opened, in the order of the table.
pub const NAMES: [&str; 9] = [
    "fragkeys on Redis",
    "fragkeys embedded",
    "cached on Redis",
    "cached in memory",
    "cached in memory, sync_writes",
    "hitbox on Redis",
    "hitbox on Redis, concurrency 1",
    "hitbox on moka, concurrency 1",
    "moka, get_with",
];

/// One of them, with nothing cached.
pub type Asked = Arc<dyn Fn(u64) -> BoxFuture<'static, ()> + Send + Sync>;

/// How many runs have begun.
pub fn runs() -> u64 {
    RUNS.load(Ordering::SeqCst)
}

async fn work(id: u64) -> Page {
    RUNS.fetch_add(1, Ordering::SeqCst);
    tokio::time::sleep(RUN).await;
    value::page(id)
}

#[tagged_cache(timeout = 3600, tags = ["A:<id>", "All"], vary_on = [id])]
async fn by_fragkeys(id: u64) -> Page {
    work(id).await
}

#[cached(max_size = 10_000, ttl_secs = 3600)]
async fn by_cached(id: u64) -> Page {
    work(id).await
}

#[cached(max_size = 10_000, ttl_secs = 3600, sync_writes = "by_key")]
async fn by_cached_in_turn(id: u64) -> Page {
    work(id).await
}

#[concurrent_cached(
    map_error = |error| -> Infallible { panic!("{error:?}") },
    ty = "AsyncRedisCache<u64, Page>",
    create = r##" {
        let url = URL.get().expect("set before the first call");
        AsyncRedisCache::builder("cached_redis_herd")
            .ttl(Duration::from_secs(3600))
            .connection_string(url)
            .build()
            .await
            .expect("our own server")
    } "##
)]
async fn by_cached_on_redis(id: u64) -> Result<Page, Infallible> {
    Ok(work(id).await)
}

#[hitbox_fn::cached(prefix = "herd")]
async fn by_hitbox(id: u64) -> Page {
    work(id).await
}

fn policy(is_shared: bool) -> PolicyConfig {
    let policy = PolicyConfig::builder().ttl(Duration::from_secs(3600));
    if is_shared {
        let limit = ConcurrencyLimit::new(1).expect("within its bounds");
        return policy.concurrency(limit).build();
    }
    policy.build()
}

/// Opens the one of this name.
pub async fn open(name: &str, url: &str) -> Asked {
    let redis = || {
        let backend = RedisBackend::builder().connection(ConnectionMode::single(url));
        backend.response_timeout(PATIENCE).build().expect("a URL of ours")
    };
    match name {
        "fragkeys on Redis" | "fragkeys embedded" => {
            let is_embedded = name == "fragkeys embedded";
            let config = if is_embedded { Config::memory() } else { Config::redis(url) };
            config.operation_timeout(PATIENCE).install().await.expect("the first one");
            Arc::new(|id| Box::pin(async move { drop(by_fragkeys(id).await) }))
        }
        "cached on Redis" => {
            URL.set(url.to_owned()).expect("opened once");
            Arc::new(|id| Box::pin(async move { drop(by_cached_on_redis(id).await) }))
        }
        "cached in memory" => Arc::new(|id| Box::pin(async move { drop(by_cached(id).await) })),
        "cached in memory, sync_writes" => {
            Arc::new(|id| Box::pin(async move { drop(by_cached_in_turn(id).await) }))
        }
        "hitbox on Redis" => {
            let cache = Cache::builder().backend(redis()).policy(policy(false)).build();
            Arc::new(move |id| {
                let cache = cache.clone();
                Box::pin(async move { drop(by_hitbox(id).cache(&cache).await) })
            })
        }
        "hitbox on Redis, concurrency 1" => {
            let cache = Cache::builder()
                .backend(redis())
                .policy(policy(true))
                .concurrency_manager(BroadcastConcurrencyManager::<Page>::new())
                .build();
            Arc::new(move |id| {
                let cache = cache.clone();
                Box::pin(async move { drop(by_hitbox(id).cache(&cache).await) })
            })
        }
        "hitbox on moka, concurrency 1" => {
            let backend = MokaBackend::builder().max_entries(10_000).value_format(BincodeFormat);
            let cache = Cache::builder()
                .backend(backend.build())
                .policy(policy(true))
                .concurrency_manager(BroadcastConcurrencyManager::<Page>::new())
                .build();
            Arc::new(move |id| {
                let cache = cache.clone();
                Box::pin(async move { drop(by_hitbox(id).cache(&cache).await) })
            })
        }
        "moka, get_with" => {
            let cache: moka::future::Cache<u64, Page> = moka::future::Cache::new(10_000);
            Arc::new(move |id| {
                let cache = cache.clone();
                Box::pin(async move { drop(cache.get_with(id, work(id)).await) })
            })
        }
        other => panic!("nobody is called {other:?}"),
    }
}
