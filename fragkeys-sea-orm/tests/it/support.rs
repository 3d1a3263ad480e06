//! A database in a file, and which tags a piece of code bumps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fragkeys::{Cache, Config, Tag, Version, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sea_orm::{
    ActiveModelTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, NotSet, Set,
    SqlxSqliteConnector,
};
use tempfile::TempDir;

use crate::entity::donation;

const SCHEMA: &str = "
CREATE TABLE donation (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    organization_id INTEGER NOT NULL,
    cents INTEGER NOT NULL CHECK (cents >= 0),
    pledged INTEGER
);
CREATE TABLE pledge (
    id INTEGER PRIMARY KEY AUTOINCREMENT, organization_id INTEGER, amount INTEGER NOT NULL
);
CREATE TABLE member (
    organization_id INTEGER NOT NULL, number INTEGER NOT NULL, city TEXT NOT NULL,
    PRIMARY KEY (organization_id, number)
);
CREATE TABLE team (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL);
CREATE TABLE player (
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL,
    team_id INTEGER NOT NULL REFERENCES team (id)
);
CREATE TABLE account (
    email TEXT NOT NULL COLLATE NOCASE PRIMARY KEY, team INTEGER NOT NULL
);
CREATE TABLE gift (id INTEGER PRIMARY KEY AUTOINCREMENT, amount INTEGER NOT NULL);
CREATE TABLE loan (id INTEGER PRIMARY KEY AUTOINCREMENT, amount INTEGER NOT NULL);
";

/// A database file, connections to it, and what they were asked.
pub(crate) struct Database {
    pub(crate) db: DatabaseConnection,
    statements: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
}

impl Database {
    pub(crate) async fn new() -> Self {
        Self::with_journal(SqliteJournalMode::Wal).await
    }

    pub(crate) async fn with_journal(mode: SqliteJournalMode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("test.sqlite"))
            .create_if_missing(true)
            .journal_mode(mode)
            .busy_timeout(Duration::from_secs(30));
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options).await;
        let mut db = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.unwrap());
        db.execute_unprepared(SCHEMA).await.unwrap();
        let statements = Arc::new(Mutex::new(Vec::new()));
        let told = statements.clone();
        db.set_metric_callback(move |info| told.lock().unwrap().push(info.statement.sql.clone()));
        Database { db, statements, _folder: folder }
    }

    /// The first words of the statements since the last time.
    pub(crate) fn statements(&self) -> Vec<String> {
        let statements = std::mem::take(&mut *self.statements.lock().unwrap());
        let first_word = |sql: &String| sql.split(' ').next().unwrap().to_owned();
        statements.iter().map(first_word).collect()
    }
}

/// A row that is there before a test begins: of organization 1, over 100.
pub(crate) async fn donation(db: &DatabaseConnection) -> donation::Model {
    new_donation(1, 100).insert(db).await.unwrap()
}

pub(crate) fn new_donation(organization_id: i64, amount: i64) -> donation::ActiveModel {
    donation::ActiveModel { id: NotSet, organization_id: Set(organization_id), amount: Set(amount) }
}

/// What a list of an organization shows.
#[tagged_cache(tags = ["Donations:org:<organization_id>"], vary_on = [organization_id])]
pub(crate) async fn amounts(
    db: &DatabaseConnection,
    organization_id: i64,
) -> Result<Vec<i64>, DbErr> {
    stored_amounts(db, organization_id).await
}

/// The same, past the cache.
pub(crate) async fn stored_amounts(
    db: &DatabaseConnection,
    organization_id: i64,
) -> Result<Vec<i64>, DbErr> {
    let rows = donation::Entity::find().all(db).await?;
    let of_organization = rows.iter().filter(|row| row.organization_id == organization_id);
    Ok(of_organization.map(|row| row.amount).collect())
}

/// Tags whose bumps are watched.
pub(crate) struct Watch {
    cache: Cache,
    seen: Vec<(Tag, Version)>,
}

impl Watch {
    pub(crate) async fn new(cache: &Cache, tags: &[&str]) -> Self {
        let mut seen = Vec::new();
        for tag in tags {
            let tag: Tag = tag.parse().unwrap();
            let version = cache.tag_version(&tag).await.unwrap();
            seen.push((tag, version));
        }
        Watch { cache: cache.clone(), seen }
    }

    /// Those that were bumped since the last time.
    pub(crate) async fn bumped(&mut self) -> Vec<String> {
        let mut bumped = Vec::new();
        for (tag, seen) in &mut self.seen {
            let version = self.cache.tag_version(tag).await.unwrap();
            if version != std::mem::replace(seen, version) {
                bumped.push(tag.to_string());
            }
        }
        bumped
    }
}

/// Runs a future in a task of its own, with the cache: somebody else, in no scope.
pub(crate) async fn elsewhere<T: Send + 'static>(
    cache: &Cache,
    future: impl Future<Output = T> + Send + 'static,
) -> T {
    tokio::spawn(with_cache(cache.clone(), future)).await.unwrap()
}

/// Waits until a condition holds, without blocking the runtime.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + fragkeys_tests::wait::DEADLINE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "still waiting: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(crate) async fn memory_cache() -> Cache {
    Config::memory().build().await.unwrap()
}

/// Patient, because these tests are not about time.
pub(crate) async fn redis_cache(server: &RedisServer) -> Cache {
    let config = Config::redis(server.url()).operation_timeout(Duration::from_secs(10));
    config.build().await.unwrap()
}

/// Makes each of these functions of a cache two tests, in which that cache is used: the
/// embedded store and Redis.
macro_rules! over_both_stores {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(
                #[tokio::test]
                async fn $name() {
                    let cache = crate::support::memory_cache().await;
                    fragkeys::with_cache(cache.clone(), super::$name(cache)).await;
                }
            )*
        }

        mod redis {
            $(
                #[tokio::test]
                async fn $name() {
                    let server = fragkeys_tests::RedisServer::start();
                    let cache = crate::support::redis_cache(&server).await;
                    fragkeys::with_cache(cache.clone(), super::$name(cache)).await;
                }
            )*
        }
    };
}
pub(crate) use over_both_stores;
