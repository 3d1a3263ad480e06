//! The SQLite database: its tables, and what they are filled with at the first start.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use fragkeys::invalidate;
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};

use crate::metadata::{self, Metadata};
use crate::settings::BoxError;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS packages (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    license TEXT,
    description TEXT,
    repository TEXT,
    UNIQUE (name, version)
);
CREATE TABLE IF NOT EXISTS dependencies (
    package_id INTEGER NOT NULL REFERENCES packages (id),
    depends_on_id INTEGER NOT NULL REFERENCES packages (id),
    kind TEXT NOT NULL,
    PRIMARY KEY (package_id, depends_on_id, kind)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS dependents ON dependencies (depends_on_id);
CREATE TABLE IF NOT EXISTS notes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    package_id INTEGER NOT NULL REFERENCES packages (id),
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
CREATE INDEX IF NOT EXISTS notes_of_package ON notes (package_id);
";

/// SQLite takes one writer at a time. Asking for that at the beginning lets a second one
/// wait; a transaction that turns into a writer midway fails at once instead.
pub(crate) const BEGIN: &str = "BEGIN IMMEDIATE";

/// Opens the file, made and filled if there is none. Several processes may share it.
pub(crate) async fn open(path: &Path) -> Result<SqlitePool, BoxError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(Duration::from_secs(10));
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await
        .map_err(|error| format!("cannot open the database {}: {error}", path.display()))?;
    sqlx::raw_sql(SCHEMA).execute(&pool).await?;
    if count(&pool).await? == 0 {
        fill(&pool, &metadata::read().await?).await?;
        // Redis may hold entries from a database that was here before this one.
        if let Err(error) = invalidate!("Catalogue").await {
            tracing::warn!("the database is filled, but {error}");
        }
    }
    tracing::info!("{} packages in {}", count(&pool).await?, path.display());
    Ok(pool)
}

async fn count(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("SELECT count(*) FROM packages").fetch_one(pool).await
}

async fn fill(pool: &SqlitePool, metadata: &Metadata) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let mut ids = HashMap::new();
    for package in &metadata.packages {
        // Another process may be filling the same file: then its rows stay as they are.
        let id: i64 = sqlx::query_scalar(
            "INSERT INTO packages (name, version, license, description, repository)
             VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (name, version) DO UPDATE SET name = name
             RETURNING id",
        )
        .bind(&package.name)
        .bind(&package.version)
        .bind(&package.license)
        // Authors break their lines where it suits their editors.
        .bind(package.description.as_deref().map(one_line))
        .bind(&package.repository)
        .fetch_one(&mut *transaction)
        .await?;
        ids.insert(package.id.as_str(), id);
    }
    for node in &metadata.resolve.nodes {
        for dependency in &node.deps {
            for kind in &dependency.dep_kinds {
                sqlx::query("INSERT OR IGNORE INTO dependencies VALUES (?, ?, ?)")
                    .bind(ids.get(node.id.as_str()))
                    .bind(ids.get(dependency.pkg.as_str()))
                    .bind(kind.kind.as_deref().unwrap_or("normal"))
                    .execute(&mut *transaction)
                    .await?;
            }
        }
    }
    transaction.commit().await
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
