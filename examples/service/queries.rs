//! The cached reads, and the writes that make them miss.
//!
//! Three tags say what depends on what:
//!
//! | tag | on | bumped when |
//! |---|---|---|
//! | `Catalogue` | every read | the tables are filled anew |
//! | `Package:<name>` | the package with its notes | a note or the description changes |
//! | `Descriptions` | searches | any description changes |
//!
//! The pool is an argument like any other, but no part of an answer: it is not in `vary_on`.

use fragkeys::{Bumped, invalidate, tagged_cache};
use serde::{Deserialize, Serialize};
use sqlx::SqlitePool;

use crate::database::BEGIN;

/// A package, its newest version where there are several.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Package {
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    repository: Option<String>,
    dependencies: Vec<Related>,
    notes: Vec<Note>,
}

/// The other end of a dependency.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Related {
    name: String,
    version: String,
    kind: String,
}

/// What somebody wrote about a package.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Note {
    id: i64,
    author: String,
    text: String,
    created_at: String,
}

/// What a search finds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Found {
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
}

/// What became of the bump that follows a committed change.
pub(crate) type Bump = Result<Bumped, fragkeys::Error>;

/// `None` is not cached: an entry for each name that somebody made up is of no use.
#[tagged_cache(
    timeout = 600,
    tags = ["Catalogue", "Package:<name>"],
    vary_on = [name],
    cache_if = Option::is_some
)]
pub(crate) async fn package(pool: &SqlitePool, name: &str) -> Result<Option<Package>, sqlx::Error> {
    type Row = (i64, String, String, Option<String>, Option<String>, Option<String>);
    // Cargo lists the versions of one package in ascending order.
    let row: Option<Row> = sqlx::query_as(
        "SELECT id, name, version, license, description, repository
         FROM packages WHERE name = ? ORDER BY id DESC LIMIT 1",
    )
    .bind(name)
    .fetch_optional(pool)
    .await?;
    let Some((id, name, version, license, description, repository)) = row else {
        return Ok(None);
    };
    let dependencies = sqlx::query_as(
        "SELECT name, version, kind FROM dependencies
         JOIN packages ON packages.id = depends_on_id
         WHERE package_id = ? ORDER BY name, version, kind",
    )
    .bind(id)
    .fetch_all(pool)
    .await?;
    let notes: Vec<(i64, String, String, String)> = sqlx::query_as(
        "SELECT id, author, text, created_at FROM notes WHERE package_id = ? ORDER BY id",
    )
    .bind(id)
    .fetch_all(pool)
    .await?;
    let note = |(id, author, text, created_at)| Note { id, author, text, created_at };
    Ok(Some(Package {
        name,
        version,
        license,
        description,
        repository,
        dependencies: related(dependencies),
        notes: notes.into_iter().map(note).collect(),
    }))
}

/// The packages that use this one, in any of its versions. No note and no description is
/// part of it, so a change of those leaves it cached.
#[tagged_cache(timeout = 600, tags = ["Catalogue"], vary_on = [name], cache_if = Option::is_some)]
pub(crate) async fn dependents(
    pool: &SqlitePool,
    name: &str,
) -> Result<Option<Vec<Related>>, sqlx::Error> {
    let is_known: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM packages WHERE name = ?)")
            .bind(name)
            .fetch_one(pool)
            .await?;
    if !is_known {
        return Ok(None);
    }
    let rows = sqlx::query_as(
        "SELECT DISTINCT user.name, user.version, kind FROM dependencies
         JOIN packages AS used ON used.id = depends_on_id
         JOIN packages AS user ON user.id = package_id
         WHERE used.name = ? ORDER BY 1, 2, 3",
    )
    .bind(name)
    .fetch_all(pool)
    .await?;
    Ok(Some(related(rows)))
}

/// Looks in names, descriptions and licences. There are as many answers as there are
/// questions, so they do not stay long.
#[tagged_cache(timeout = 60, tags = ["Catalogue", "Descriptions"], vary_on = [words, limit])]
pub(crate) async fn search(
    pool: &SqlitePool,
    words: &str,
    limit: u32,
) -> Result<Vec<Found>, sqlx::Error> {
    type Row = (String, String, Option<String>, Option<String>);
    let rows: Vec<Row> = sqlx::query_as(
        "SELECT name, version, license, description FROM packages
         WHERE instr(lower(concat_ws(' ', name, description, license)), lower(?1)) > 0
         ORDER BY name, id LIMIT ?2",
    )
    .bind(words)
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let found =
        |(name, version, license, description)| Found { name, version, license, description };
    Ok(rows.into_iter().map(found).collect())
}

fn related(rows: Vec<(String, String, String)>) -> Vec<Related> {
    rows.into_iter().map(|(name, version, kind)| Related { name, version, kind }).collect()
}

/// Adds a note; `None` if there is no such package.
///
/// The bump comes after the commit. Before it, a reader in between would store the old
/// notes under the new version.
pub(crate) async fn add_note(
    pool: SqlitePool,
    name: String,
    author: String,
    text: String,
) -> Result<Option<(Note, Bump)>, sqlx::Error> {
    let mut transaction = pool.begin_with(BEGIN).await?;
    let row: Option<(i64, String)> = sqlx::query_as(
        "INSERT INTO notes (package_id, author, text)
         SELECT max(id), ?2, ?3 FROM packages WHERE name = ?1 HAVING max(id) IS NOT NULL
         RETURNING id, created_at",
    )
    .bind(&name)
    .bind(&author)
    .bind(&text)
    .fetch_optional(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let Some((id, created_at)) = row else { return Ok(None) };
    let bumped = invalidate!("Package:<name>").await;
    Ok(Some((Note { id, author, text, created_at }, bumped)))
}

/// Removes a note; `None` if the package has no such note.
pub(crate) async fn remove_note(
    pool: SqlitePool,
    name: String,
    id: i64,
) -> Result<Option<Bump>, sqlx::Error> {
    let removed = sqlx::query(
        "DELETE FROM notes
         WHERE id = ? AND package_id IN (SELECT id FROM packages WHERE name = ?)",
    )
    .bind(id)
    .bind(&name)
    .execute(&pool)
    .await?;
    if removed.rows_affected() == 0 {
        return Ok(None);
    }
    Ok(Some(invalidate!("Package:<name>").await))
}

/// Replaces a description; `None` if there is no such package. Two tags, one round trip.
pub(crate) async fn describe(
    pool: SqlitePool,
    name: String,
    description: String,
) -> Result<Option<Bump>, sqlx::Error> {
    let changed = sqlx::query("UPDATE packages SET description = ? WHERE name = ?")
        .bind(&description)
        .bind(&name)
        .execute(&pool)
        .await?;
    if changed.rows_affected() == 0 {
        return Ok(None);
    }
    Ok(Some(invalidate!("Package:<name>", "Descriptions").await))
}
