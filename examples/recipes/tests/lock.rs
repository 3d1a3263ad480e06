//! A COMMIT that waits: SQLite (without a WAL) cannot finish one while somebody reads.

use std::path::{Path, PathBuf};
use std::time::Duration;

use fragkeys::{Cache, Config, Tag, Version};
use fragkeys_tests::RedisServer;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

/// Begins to read, and does not end.
pub(crate) const READ: &str = "BEGIN; SELECT count(*) FROM donations";
pub(crate) const END: &str = "ROLLBACK";

/// The organization that all of these tests are about.
pub(crate) const ORGANIZATION: i64 = 1;

/// A file for a database, a cache of its own, and the server that the cache is in.
pub(crate) struct Setting {
    folder: TempDir,
    pub(crate) cache: Cache,
    _server: Option<RedisServer>,
}

impl Setting {
    pub(crate) async fn memory() -> Setting {
        Setting::new(Config::memory(), None).await
    }

    pub(crate) async fn redis() -> Setting {
        let server = RedisServer::start();
        // These tests are not about time, and the machine may be busy.
        let patient = Config::redis(server.url()).operation_timeout(Duration::from_secs(10));
        Setting::new(patient, Some(server)).await
    }

    async fn new(config: Config, server: Option<RedisServer>) -> Setting {
        let cache = config.build().await.unwrap();
        Setting { folder: tempfile::tempdir().unwrap(), cache, _server: server }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("donations.sqlite")
    }

    pub(crate) async fn version(&self) -> Version {
        self.cache.tag_version(&Tag::scoped("Donation", "org", ORGANIZATION)).await.unwrap()
    }

    /// Waits for a bump, until the cache knows of it too: what depends on a queued one is
    /// neither read nor stored.
    pub(crate) async fn bumped_since(&self, before: Version) {
        let is_bumped = async || self.version().await > before && self.cache.queued_bumps() == 0;
        eventually("a bump", is_bumped).await;
    }
}

/// Somebody who never waits for a lock.
pub(crate) struct Onlooker(SqliteConnection);

impl Onlooker {
    pub(crate) async fn new(file: &Path) -> Onlooker {
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::ZERO);
        Onlooker(options.connect().await.unwrap())
    }

    /// Waits until a COMMIT is under way that waits for a reader: nobody may begin to read.
    pub(crate) async fn sees_a_waiting_commit(&mut self) {
        eventually("a waiting COMMIT", async || match self.rows().await {
            Ok(_) => false,
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("5") => true,
            Err(error) => panic!("{error}"),
        })
        .await;
    }

    /// Waits until the COMMIT is done, and what it committed can be seen.
    pub(crate) async fn sees_rows(&mut self, expected: i64) {
        eventually("the rows", async || matches!(self.rows().await, Ok(rows) if rows == expected))
            .await;
    }

    async fn rows(&mut self) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar("SELECT count(*) FROM donations").fetch_one(&mut self.0).await
    }
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + fragkeys_tests::wait::DEADLINE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Makes each of these functions of a [`Setting`] two tests: over the embedded store and over
/// Redis. Several threads, because Diesel's SQLite blocks one when it is dropped at work.
macro_rules! over_both_stores {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::lock::Setting::memory().await).await;
                }
            )*
        }

        mod redis {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name(crate::lock::Setting::redis().await).await;
                }
            )*
        }
    };
}
pub(crate) use over_both_stores;
