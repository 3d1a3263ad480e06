//! The edits. None of them says what becomes stale: the models do, and the transactions know
//! when.
//!
//! A client who hangs up meanwhile is no danger: before the commit all is rolled back, and
//! from its beginning on the bumps are certain.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use fragkeys_sea_orm::transaction;
use sea_orm::sea_query::ExprTrait;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, DatabaseConnection, DatabaseTransaction, EntityTrait,
    IntoActiveModel, NotSet, Set, prelude::Expr,
};
use serde::Deserialize;

use crate::entity::{author, book, line, order, publisher, review, stock};
use crate::error::Error;

/// What an edit of a book changes; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BookEdit {
    pub(crate) title: Option<String>,
    author_id: Option<i64>,
    publisher_id: Option<i64>,
}

/// What a reader says.
#[derive(Deserialize)]
pub(crate) struct NewReview {
    pub(crate) reader: String,
    pub(crate) stars: i32,
    pub(crate) text: String,
}

/// A new title, another author, another publisher.
pub(crate) async fn edit_book(
    db: &DatabaseConnection,
    id: i64,
    edit: BookEdit,
) -> Result<book::Model, Error> {
    transaction(db, async |transaction| {
        let book = book::Entity::find_by_id(id).one(transaction).await?;
        let book = book.ok_or_else(|| Error::missing("book", id))?;
        let revision = Set(book.revision + 1);
        let mut book = book::ActiveModel { revision, ..book.into_active_model() };
        if let Some(title) = edit.title {
            book.title = Set(title);
        }
        if let Some(author_id) = edit.author_id {
            book.author_id = Set(author_id);
        }
        if let Some(publisher_id) = edit.publisher_id {
            book.publisher_id = Set(publisher_id);
        }
        Ok(book.update(transaction).await?)
    })
    .await
}

/// A new name. All pages and lists that show it change with it.
pub(crate) async fn rename_author(
    db: &DatabaseConnection,
    id: i64,
    name: String,
) -> Result<author::Model, Error> {
    transaction(db, async |transaction| {
        let author = author::Entity::find_by_id(id).one(transaction).await?;
        let author = author.ok_or_else(|| Error::missing("author", id))?;
        let revision = Set(author.revision + 1);
        let author =
            author::ActiveModel { name: Set(name), revision, ..author.into_active_model() };
        Ok(author.update(transaction).await?)
    })
    .await
}

/// Moves all books of a publisher to another one, in one statement; gives how many.
pub(crate) async fn move_books(
    db: &DatabaseConnection,
    from: i64,
    to: i64,
) -> Result<usize, Error> {
    transaction(db, async |transaction| {
        for id in [from, to] {
            let found = publisher::Entity::find_by_id(id).one(transaction).await?;
            found.ok_or_else(|| Error::missing("publisher", id))?;
        }
        let books = book::Entity::update_many()
            .col_expr(book::Column::PublisherId, Expr::value(to))
            .col_expr(book::Column::Revision, Expr::col(book::Column::Revision).add(1));
        let of_publisher = book::Column::PublisherId.eq(from);
        Ok(fragkeys_sea_orm::update_many(books, of_publisher, transaction).await?.len())
    })
    .await
}

/// Adds a review.
pub(crate) async fn add_review(
    db: &DatabaseConnection,
    book_id: i64,
    review: NewReview,
) -> Result<review::Model, Error> {
    let NewReview { reader, stars, text } = review;
    let review = review::ActiveModel {
        id: NotSet,
        book_id: Set(book_id),
        reader: Set(reader),
        stars: Set(stars),
        text: Set(text),
    };
    transaction(db, async |transaction| Ok(review.insert(transaction).await?)).await
}

/// Removes a review of a book.
pub(crate) async fn remove_review(
    db: &DatabaseConnection,
    book_id: i64,
    id: i64,
) -> Result<(), Error> {
    transaction(db, async |transaction| {
        let this = review::Column::Id.eq(id).and(review::Column::BookId.eq(book_id));
        let removed = fragkeys_sea_orm::delete_many(review::Entity, this, transaction).await?;
        if removed.is_empty() {
            return Err(Error::not_found(format!("book {book_id} has no review {id}")));
        }
        Ok(())
    })
    .await
}

/// Puts copies on the shelf, or takes some away.
pub(crate) async fn restock(
    db: &DatabaseConnection,
    book_id: i64,
    copies: i64,
) -> Result<stock::Model, Error> {
    transaction(db, async |transaction| add_copies(transaction, book_id, copies).await).await
}

/// Takes all books of an order from the stock, or none: one that is out rolls back the others.
pub(crate) async fn place_order(
    db: &DatabaseConnection,
    customer: String,
    books: BTreeMap<i64, i64>,
) -> Result<order::Model, Error> {
    transaction(db, async |transaction| {
        let order = order::ActiveModel { id: NotSet, customer: Set(customer) };
        let order = order.insert(transaction).await?;
        for (&book_id, &copies) in &books {
            add_copies(transaction, book_id, -copies).await?;
        }
        let lines = books.into_iter().map(|(book_id, copies)| line::ActiveModel {
            order_id: Set(order.id),
            book_id: Set(book_id),
            copies: Set(copies),
        });
        fragkeys_sea_orm::insert_many(lines, transaction).await?;
        Ok(order)
    })
    .await
}

async fn add_copies(
    transaction: &DatabaseTransaction,
    book_id: i64,
    copies: i64,
) -> Result<stock::Model, Error> {
    let stock = stock::Entity::find_by_id(book_id).one(transaction).await?;
    let stock = stock.ok_or_else(|| Error::missing("book", book_id))?;
    let copies = stock.copies + copies;
    if copies < 0 {
        let message = format!("of book {book_id} there are {} copies", stock.copies);
        return Err(Error::Refused(StatusCode::CONFLICT, message));
    }
    let stock = stock::ActiveModel { copies: Set(copies), ..stock.into_active_model() };
    Ok(stock.update(transaction).await?)
}
