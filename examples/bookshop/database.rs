//! The SQLite database: opened, made and filled at the first start.

use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, EntityTrait, PaginatorTrait, SqlxSqliteConnector,
};

use crate::entity::book;
use crate::seed;
use crate::settings::BoxError;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS author (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS publisher (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS book (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    title TEXT NOT NULL,
    author_id INTEGER NOT NULL REFERENCES author (id),
    publisher_id INTEGER NOT NULL REFERENCES publisher (id),
    revision INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS books_by_author ON book (author_id);
CREATE INDEX IF NOT EXISTS books_by_publisher ON book (publisher_id);
CREATE TABLE IF NOT EXISTS stock (
    book_id INTEGER PRIMARY KEY REFERENCES book (id),
    copies INTEGER NOT NULL CHECK (copies >= 0)
);
CREATE TABLE IF NOT EXISTS review (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    book_id INTEGER NOT NULL REFERENCES book (id),
    reader TEXT NOT NULL,
    stars INTEGER NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS reviews_of_book ON review (book_id);
CREATE TABLE IF NOT EXISTS orders (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    customer TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS orders_of_customer ON orders (customer);
CREATE TABLE IF NOT EXISTS line (
    order_id INTEGER NOT NULL REFERENCES orders (id),
    book_id INTEGER NOT NULL REFERENCES book (id),
    copies INTEGER NOT NULL,
    PRIMARY KEY (order_id, book_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sales_of_book ON line (book_id);
";

/// Opens the file, made and filled if there is none. Several processes may share it.
pub(crate) async fn open(path: &Path) -> Result<DatabaseConnection, BoxError> {
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
    let db = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
    db.execute_unprepared(SCHEMA).await?;
    seed::fill(&db).await.map_err(|error| format!("cannot fill the database: {error:?}"))?;
    let books = book::Entity::find().count(&db).await?;
    tracing::info!("{books} books in {}", path.display());
    Ok(db)
}
