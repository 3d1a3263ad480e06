//! On whatever is annotated: methods, traits, generics, boxed futures, borrowed arguments.

use std::fmt::Display;
use std::sync::Arc;

use async_trait::async_trait;
use fragkeys::{bypass, evict, key_of, peek, prime, refresh, tagged_cache, with_cache};

use super::Source;
use crate::support::memory_cache;

struct Repository {
    tenant: u32,
    source: Source,
}

impl Repository {
    #[tagged_cache(vary_on = [self.tenant, word])]
    async fn translate(&self, word: &str) -> Option<String> {
        Some(format!("{word} {}", self.source.run()))
    }

    #[tagged_cache(vary_on = [self.tenant])]
    async fn shared(self: Arc<Self>) -> usize {
        self.source.run()
    }
}

trait Count {
    fn count(&self) -> impl Future<Output = usize> + Send;
}

impl Count for Repository {
    #[tagged_cache(vary_on = [self.tenant])]
    async fn count(&self) -> usize {
        self.source.run()
    }
}

#[async_trait]
trait Name: Sync {
    async fn name(&self) -> Result<String, std::fmt::Error>;
}

#[async_trait]
impl Name for Repository {
    #[tagged_cache(vary_on = [self.tenant])]
    async fn name(&self) -> Result<String, std::fmt::Error> {
        Ok(format!("name {}", self.source.run()))
    }
}

#[tagged_cache(vary_on = [value])]
async fn generic<T: Display + serde::Serialize>(source: &Source, value: T) -> String {
    format!("{value} {}", source.run())
}

#[tagged_cache(vary_on = [])]
fn boxed(source: &Source) -> std::pin::Pin<Box<dyn Future<Output = usize> + Send + '_>> {
    Box::pin(async move { source.run() })
}

/// Each of the six around one call: it is the same for all shapes.
macro_rules! each_is_ordered {
    ($source:expr, $call:expr) => {{
        let before = $source.runs();
        assert!(peek($call).await.is_none());
        assert!(!evict($call).await);
        let key = key_of($call).await;
        assert_eq!(key.len() - key.rfind(':').unwrap(), 33, "{key}");
        assert_eq!($source.runs(), before);
        let first = $call.await;
        assert_eq!(peek($call).await, Some(first.clone()));
        assert_ne!(bypass($call).await, first);
        let second = refresh($call).await;
        assert_ne!(second, first);
        assert_eq!($call.await, second);
        assert!(evict($call).await);
        assert!(peek($call).await.is_none());
        assert!(prime($call, first.clone()).await);
        assert_eq!($call.await, first);
        assert!(evict($call).await);
        assert_eq!($source.runs(), before + 3);
    }};
}

#[tokio::test]
async fn each_shape_takes_each_order() {
    let repository = Arc::new(Repository { tenant: 1, source: Source::default() });
    let source = &repository.source;
    with_cache(memory_cache().await, async {
        each_is_ordered!(source, repository.translate("word"));
        each_is_ordered!(source, repository.clone().shared());
        each_is_ordered!(source, repository.count());
        each_is_ordered!(source, repository.name());
        let named: &dyn Name = &*repository;
        each_is_ordered!(source, named.name());
        each_is_ordered!(source, generic(source, 1_u8));
        each_is_ordered!(source, generic(source, "1"));
        each_is_ordered!(source, boxed(source));
    })
    .await;
}

/// The futures go where the function's own future may go.
#[tokio::test]
async fn they_can_be_spawned() {
    let cache = memory_cache().await;
    let spawned = |cache| {
        let call = async {
            let source = Source::default();
            let refreshed = refresh(generic(&source, 1)).await;
            prime(generic(&source, 1), refreshed.clone()).await;
            (refreshed, peek(generic(&source, 1)).await)
        };
        tokio::spawn(with_cache(cache, call))
    };
    let (refreshed, peeked) = spawned(cache).await.unwrap();
    assert_eq!(Some(refreshed), peeked);
}
