//! Side by side with the Python packages, on one Redis: who bumps on one side makes the other
//! one miss.

mod alternation;
mod foreign;
mod from_python;
mod from_rust;
mod original;

use std::sync::atomic::{AtomicU32, Ordering};

use fragkeys::{Cache, FragmentedKeys, Tag, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;

use crate::support::patient;
use original::Original;

/// Both ways in which the Python packages keep their versions.
macro_rules! over_both_originals {
    ($($name:ident),* $(,)?) => {
        /// Django's own Redis cache, which pickles: `:1:User_42NOZ`.
        mod django {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::interop::Both::start(crate::interop::original::DJANGO).await).await;
                }
            )*
        }

        /// The handler of the package without Django: `User_42NOZ`.
        mod plain {
            $(
                #[tokio::test]
                async fn $name() {
                    super::$name(crate::interop::Both::start(crate::interop::original::PLAIN).await).await;
                }
            )*
        }
    };
}
pub(crate) use over_both_originals;

/// One Redis, with a Python process and a cache of ours that bumps the original's tags as well.
struct Both {
    server: RedisServer,
    cache: Cache,
    python: Original,
    keys: FragmentedKeys,
    runs: AtomicU32,
}

impl Both {
    async fn start(kind: original::Kind) -> Self {
        let server = RedisServer::start();
        let keys = (kind.keys)();
        let config = patient(server.url()).also_bump(keys.clone());
        let cache = config.build().await.unwrap();
        let python = Original::start(kind, &server);
        Both { server, cache, python, keys, runs: AtomicU32::new(0) }
    }

    /// Runs a call in our cache; tells whether the function ran.
    async fn runs<F: Future>(&self, call: F) -> bool {
        let before = self.runs.load(Ordering::SeqCst);
        with_cache(self.cache.clone(), call).await;
        self.runs.load(Ordering::SeqCst) > before
    }

    /// Our function that depends on a tag of the original: does it run?
    async fn ours_runs(&self, name: &str, instance: &str) -> bool {
        self.runs(depends_on(&self.runs, self.keys.tag(name, instance))).await
    }

    /// The same, a miss that is stored.
    async fn ours_misses_once(&self, name: &str, instance: &str) {
        assert!(self.ours_runs(name, instance).await, "a hit after a bump of {name} {instance}");
        assert!(!self.ours_runs(name, instance).await, "a second miss of {name} {instance}");
    }

    async fn bump(&self, tag: impl Into<Tag>) {
        self.cache.invalidate([tag]).await.unwrap();
    }

    /// Where the original keeps the version of `User`, 42.
    fn user_key(&self) -> String {
        self.python.key("User", "42")
    }
}

/// A function of ours with one tag.
#[tagged_cache(timeout = 3600, tags = [tag], vary_on = [])]
async fn depends_on(runs: &AtomicU32, tag: Tag) -> u32 {
    runs.fetch_add(1, Ordering::SeqCst)
}
