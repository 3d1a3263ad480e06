//! HTTP: the requests, their limits, and the header that shows what the cache did.

use std::collections::BTreeMap;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post};
use axum::{Json, Router};
use fragkeys::{Outcome, observe};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::Error;
use crate::reads::{self, Listed};
use crate::writes::{self, BookEdit, NewReview};

const MAX_BODY: usize = 16 << 10;
const MAX_NAME: usize = 100;
const MAX_TEXT: usize = 2_000;
const MAX_PAGE: u64 = 10_000;
const MAX_LINES: usize = 50;
const MAX_COPIES: i64 = 1_000_000;

type Db = State<DatabaseConnection>;
type FromPath<T> = Result<Path<T>, PathRejection>;
type FromBody<T> = Result<Json<T>, JsonRejection>;
type FromQuery<T> = Result<Query<T>, QueryRejection>;

/// All routes.
pub(crate) fn router(db: DatabaseConnection) -> Router {
    Router::new()
        .route("/books", get(books))
        .route("/books/{id}", get(book).patch(edit_book))
        .route("/books/{id}/sold", get(sold))
        .route("/books/{id}/stock", post(restock))
        .route("/books/{id}/reviews", post(add_review))
        .route("/books/{id}/reviews/{review}", delete(remove_review))
        .route("/authors/{id}", patch(rename_author))
        .route("/authors/{id}/books", get(books_by_author))
        .route("/publishers/{id}/books", get(books_by_publisher))
        .route("/publishers/{id}/books/move", post(move_books))
        .route("/search", get(search))
        .route("/orders", post(place_order))
        .route("/customers/{name}/orders", get(orders))
        .route("/health", get(health))
        .fallback(async || Error::not_found("there is nothing here"))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(db)
}

#[derive(Deserialize)]
struct Page {
    page: Option<u64>,
}

impl Page {
    fn number(self) -> Result<u64, Error> {
        match self.page.unwrap_or(0) {
            page if page <= MAX_PAGE => Ok(page),
            _ => Err(Error::bad_request(format!("page must be 0 to {MAX_PAGE}"))),
        }
    }
}

async fn books(State(db): Db, page: FromQuery<Page>) -> Result<Response, Error> {
    let page = page?.0.number()?;
    list(observe(reads::books(&db, page)).await)
}

async fn books_by_author(
    State(db): Db,
    id: FromPath<i64>,
    page: FromQuery<Page>,
) -> Result<Response, Error> {
    let (id, page) = (id?.0, page?.0.number()?);
    list(observe(reads::books_by_author(&db, id, page)).await)
}

async fn books_by_publisher(
    State(db): Db,
    id: FromPath<i64>,
    page: FromQuery<Page>,
) -> Result<Response, Error> {
    let (id, page) = (id?.0, page?.0.number()?);
    list(observe(reads::books_by_publisher(&db, id, page)).await)
}

#[derive(Deserialize)]
struct Search {
    q: String,
    page: Option<u64>,
}

async fn search(State(db): Db, query: FromQuery<Search>) -> Result<Response, Error> {
    let Query(Search { q, page }) = query?;
    // One spelling, so that `Winter` and `winter` share an entry. SQLite folds no more than these.
    let words = text("q", &q, MAX_NAME)?.to_ascii_lowercase();
    let page = Page { page }.number()?;
    list(observe(reads::search(&db, &words, page)).await)
}

/// Two entries: the book's row, and what there is to say about it.
async fn book(State(db): Db, id: FromPath<i64>) -> Result<Response, Error> {
    let Path(id) = id?;
    let (book, first) = observe(reads::book(&db, id)).await;
    let book = book?.ok_or_else(|| Error::missing("book", id))?;
    let (details, second) = observe(reads::details(&db, &book)).await;
    let body = json!({ "book": book, "details": details? });
    Ok(answer(&[first, second], body))
}

async fn sold(State(db): Db, id: FromPath<i64>) -> Result<Response, Error> {
    let (copies, outcome) = observe(reads::sold(&db, id?.0)).await;
    Ok(answer(&[outcome], json!({ "copies": copies? })))
}

async fn orders(State(db): Db, name: FromPath<String>) -> Result<Response, Error> {
    let customer = text("the customer", &name?.0, MAX_NAME)?;
    let (orders, outcome) = observe(reads::orders(&db, &customer)).await;
    Ok(answer(&[outcome], orders?))
}

async fn edit_book(
    State(db): Db,
    id: FromPath<i64>,
    edit: FromBody<BookEdit>,
) -> Result<Response, Error> {
    let (Path(id), Json(mut edit)) = (id?, edit?);
    edit.title = edit.title.map(|title| text("title", &title, MAX_NAME)).transpose()?;
    Ok(Json(writes::edit_book(&db, id, edit).await?).into_response())
}

#[derive(Deserialize)]
struct NewName {
    name: String,
}

async fn rename_author(
    State(db): Db,
    id: FromPath<i64>,
    body: FromBody<NewName>,
) -> Result<Response, Error> {
    let (Path(id), Json(NewName { name })) = (id?, body?);
    let name = text("name", &name, MAX_NAME)?;
    Ok(Json(writes::rename_author(&db, id, name).await?).into_response())
}

#[derive(Deserialize)]
struct Destination {
    to: i64,
}

async fn move_books(
    State(db): Db,
    id: FromPath<i64>,
    body: FromBody<Destination>,
) -> Result<Response, Error> {
    let (Path(from), Json(Destination { to })) = (id?, body?);
    let moved = writes::move_books(&db, from, to).await?;
    Ok(Json(json!({ "moved": moved })).into_response())
}

async fn add_review(
    State(db): Db,
    id: FromPath<i64>,
    body: FromBody<NewReview>,
) -> Result<Response, Error> {
    let (Path(id), Json(NewReview { reader, stars, text: words })) = (id?, body?);
    if !(1..=5).contains(&stars) {
        return Err(Error::bad_request("stars must be 1 to 5"));
    }
    let reader = text("reader", &reader, MAX_NAME)?;
    let review = NewReview { reader, stars, text: text("text", &words, MAX_TEXT)? };
    let review = writes::add_review(&db, id, review).await?;
    Ok((StatusCode::CREATED, Json(review)).into_response())
}

async fn remove_review(State(db): Db, path: FromPath<(i64, i64)>) -> Result<Response, Error> {
    let Path((book, review)) = path?;
    writes::remove_review(&db, book, review).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Deserialize)]
struct Copies {
    copies: i64,
}

async fn restock(
    State(db): Db,
    id: FromPath<i64>,
    body: FromBody<Copies>,
) -> Result<Response, Error> {
    let (Path(id), Json(Copies { copies })) = (id?, body?);
    if copies.checked_abs().is_none_or(|copies| copies > MAX_COPIES) {
        return Err(Error::bad_request(format!("copies must be up to {MAX_COPIES}")));
    }
    Ok(Json(writes::restock(&db, id, copies).await?).into_response())
}

#[derive(Deserialize)]
struct NewOrder {
    customer: String,
    /// How many of which book.
    books: BTreeMap<i64, i64>,
}

async fn place_order(State(db): Db, body: FromBody<NewOrder>) -> Result<Response, Error> {
    let Json(NewOrder { customer, books }) = body?;
    let customer = text("customer", &customer, MAX_NAME)?;
    if books.is_empty() || books.len() > MAX_LINES {
        return Err(Error::bad_request(format!("an order has 1 to {MAX_LINES} books")));
    }
    if !books.values().all(|copies| (1..=MAX_COPIES).contains(copies)) {
        return Err(Error::bad_request(format!("copies must be 1 to {MAX_COPIES}")));
    }
    let order = writes::place_order(&db, customer, books).await?;
    Ok((StatusCode::CREATED, Json(order)).into_response())
}

async fn health(State(db): Db) -> Result<Response, Error> {
    db.execute_unprepared("SELECT 1").await?;
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

fn list(
    (books, outcome): (Result<Vec<Listed>, sea_orm::DbErr>, Option<Outcome>),
) -> Result<Response, Error> {
    Ok(answer(&[outcome], books?))
}

/// An answer, and in `x-cache` what the cache did for each of its parts.
fn answer(outcomes: &[Option<Outcome>], body: impl Serialize) -> Response {
    let words = outcomes.iter().map(|outcome| outcome.map_or("none", Outcome::as_str));
    let header = words.collect::<Vec<_>>().join(", ");
    ([("x-cache", header)], Json(body)).into_response()
}

/// A text of a client, without the space around it.
fn text(field: &str, text: &str, max: usize) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > max {
        return Err(Error::bad_request(format!("{field} must have 1 to {max} characters")));
    }
    Ok(text.to_owned())
}
