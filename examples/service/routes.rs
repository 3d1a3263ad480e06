//! HTTP: the requests, their limits, and the headers that show what the cache did.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use fragkeys::observe;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::SqlitePool;

use crate::error::Error;
use crate::queries::{self, Bump};

const MAX_BODY: usize = 16 << 10;
const MAX_NAME: usize = 64;
const MAX_WORDS: usize = 100;
const MAX_AUTHOR: usize = 80;
const MAX_TEXT: usize = 2_000;
const MAX_RESULTS: u32 = 100;

type FromPath<T> = Result<Path<T>, PathRejection>;
type FromBody<T> = Result<Json<T>, JsonRejection>;

/// All routes.
pub(crate) fn router(pool: SqlitePool) -> Router {
    Router::new()
        .route("/packages/{name}", get(package).patch(describe))
        .route("/packages/{name}/dependents", get(dependents))
        .route("/packages/{name}/notes", post(add_note))
        .route("/packages/{name}/notes/{id}", delete(remove_note))
        .route("/search", get(search))
        .route("/health", get(health))
        .fallback(async || Error::not_found("there is nothing here"))
        .method_not_allowed_fallback(async || {
            let message = "this path has other methods".to_owned();
            Error::Refused(StatusCode::METHOD_NOT_ALLOWED, message)
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(pool)
}

async fn package(State(pool): State<SqlitePool>, path: FromPath<String>) -> Response {
    show(async {
        let name = package_name(path?.0)?;
        let package = queries::package(&pool, &name).await?;
        package.ok_or_else(|| no_package(&name))
    })
    .await
}

async fn dependents(State(pool): State<SqlitePool>, path: FromPath<String>) -> Response {
    show(async {
        let name = package_name(path?.0)?;
        let dependents = queries::dependents(&pool, &name).await?;
        dependents.ok_or_else(|| no_package(&name))
    })
    .await
}

#[derive(Deserialize)]
struct Search {
    q: String,
    limit: Option<u32>,
}

async fn search(
    State(pool): State<SqlitePool>,
    query: Result<Query<Search>, QueryRejection>,
) -> Response {
    show(async {
        let Query(Search { q, limit }) = query?;
        // One spelling, so that `Serde` and `serde` share an entry.
        let words = text("q", &q, MAX_WORDS)?.to_lowercase();
        let limit = limit.unwrap_or(20);
        if !(1..=MAX_RESULTS).contains(&limit) {
            return Err(Error::bad_request(format!("limit must be 1 to {MAX_RESULTS}")));
        }
        Ok(queries::search(&pool, &words, limit).await?)
    })
    .await
}

#[derive(Deserialize)]
struct NewNote {
    author: String,
    text: String,
}

async fn add_note(
    State(pool): State<SqlitePool>,
    path: FromPath<String>,
    body: FromBody<NewNote>,
) -> Result<Response, Error> {
    let name = package_name(path?.0)?;
    let Json(note) = body?;
    let author = text("author", &note.author, MAX_AUTHOR)?;
    let text = text("text", &note.text, MAX_TEXT)?;
    let write = queries::add_note(pool, name.clone(), author, text);
    let (note, bump) = to_the_end(write).await?.ok_or_else(|| no_package(&name))?;
    Ok((StatusCode::CREATED, invalidation(bump), Json(note)).into_response())
}

async fn remove_note(
    State(pool): State<SqlitePool>,
    path: FromPath<(String, i64)>,
) -> Result<Response, Error> {
    let Path((name, id)) = path?;
    let name = package_name(name)?;
    let missing = Error::not_found(format!("package {name} has no note {id}"));
    let bump = to_the_end(queries::remove_note(pool, name, id)).await?.ok_or(missing)?;
    Ok((StatusCode::NO_CONTENT, invalidation(bump)).into_response())
}

#[derive(Deserialize)]
struct NewDescription {
    description: String,
}

async fn describe(
    State(pool): State<SqlitePool>,
    path: FromPath<String>,
    body: FromBody<NewDescription>,
) -> Result<Response, Error> {
    let name = package_name(path?.0)?;
    let description = text("description", &body?.0.description, MAX_TEXT)?;
    let missing = no_package(&name);
    let bump = to_the_end(queries::describe(pool, name, description)).await?.ok_or(missing)?;
    Ok((StatusCode::NO_CONTENT, invalidation(bump)).into_response())
}

async fn health(State(pool): State<SqlitePool>) -> Result<Response, Error> {
    sqlx::query("SELECT 1").execute(&pool).await?;
    let cache = fragkeys::cache();
    let stats = cache.stats();
    let body = json!({
        "status": "ok",
        "cache": {
            "hits": stats.hits,
            "misses": stats.misses,
            "bypassed": stats.bypassed,
            "queued_bumps": cache.queued_bumps(),
        },
    });
    Ok(Json(body).into_response())
}

/// Answers a read, with what the cache did in `x-cache`.
async fn show<T: Serialize>(read: impl Future<Output = Result<T, Error>>) -> Response {
    let (answer, outcome) = observe(read).await;
    let outcome = outcome.map_or_else(|| "none".to_owned(), |outcome| outcome.to_string());
    ([("x-cache", outcome)], answer.map(Json)).into_response()
}

/// Tells what became of a bump. Its change is committed: that the bump must wait for Redis
/// does not make the request fail.
fn invalidation(bump: Bump) -> [(&'static str, &'static str); 1] {
    let state = match bump {
        Ok(_) => "done",
        Err(error) => {
            tracing::warn!("the change is saved, but {error}");
            "queued"
        }
    };
    [("x-cache-invalidation", state)]
}

/// Runs a write in a task of its own. When a client hangs up, its request's future is
/// dropped; between a commit and its bump that would leave old entries to be served.
async fn to_the_end<T: Send + 'static>(
    write: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
) -> Result<T, Error> {
    Ok(tokio::spawn(write).await.map_err(Error::Interrupted)??)
}

fn package_name(name: String) -> Result<String, Error> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.len() > MAX_NAME || !name.chars().all(is_allowed) {
        return Err(Error::bad_request(format!(
            "a package name has up to {MAX_NAME} letters, digits, `-` and `_`"
        )));
    }
    Ok(name)
}

/// A text of a client, without the space around it.
fn text(field: &str, text: &str, max: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max {
        return Err(Error::bad_request(format!("{field} must have 1 to {max} characters")));
    }
    Ok(text.to_owned())
}

fn no_package(name: &str) -> Error {
    Error::not_found(format!("there is no package {name}"))
}
