//! The cached reads. What makes them miss stands at the models, in `entity`.
//!
//! The database is an argument like any other, but no part of an answer: it is not in
//! `vary_on`.

use fragkeys::tagged_cache;
use sea_orm::sea_query::LikeExpr;
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, LoaderTrait, Order,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};
use serde::{Deserialize, Serialize};

use crate::entity::{author, book, line, order, publisher, review, stock};

const BOOKS_A_PAGE: u64 = 20;

/// A book as lists show it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    id: i64,
    title: String,
    revision: i64,
    author: Option<author::Model>,
}

/// What there is to say about a book beyond its own row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Details {
    author: Option<author::Model>,
    publisher: Option<publisher::Model>,
    copies: i64,
    reviews: Vec<review::Model>,
}

/// An order with what was bought.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bought {
    order: order::Model,
    lines: Vec<line::Model>,
}

/// `None` is not cached: an entry for each number that somebody made up is of no use.
#[tagged_cache(timeout = 600, tags = ["Books:<id>"], vary_on = [id], cache_if = Option::is_some)]
pub(crate) async fn book(db: &DatabaseConnection, id: i64) -> Result<Option<book::Model>, DbErr> {
    book::Entity::find_by_id(id).one(db).await
}

/// Depends on the author and the publisher that the book has: so it is asked for with the
/// book's row. An edit of the title leaves this cached, and a new name of the author does
/// not touch the row.
#[tagged_cache(
    timeout = 600,
    tags = [
        "Authors:<book.author_id>",
        "Publishers:<book.publisher_id>",
        "Stock:<book.id>",
        "Reviews:book:<book.id>",
    ],
    vary_on = [book.id, book.author_id, book.publisher_id]
)]
pub(crate) async fn details(db: &DatabaseConnection, book: &book::Model) -> Result<Details, DbErr> {
    let stock = stock::Entity::find_by_id(book.id).one(db).await?;
    Ok(Details {
        author: author::Entity::find_by_id(book.author_id).one(db).await?,
        publisher: publisher::Entity::find_by_id(book.publisher_id).one(db).await?,
        copies: stock.map_or(0, |stock| stock.copies),
        reviews: review::Entity::find()
            .filter(review::Column::BookId.eq(book.id))
            .order_by(review::Column::Id, Order::Asc)
            .all(db)
            .await?,
    })
}

/// A list shows the names of all its authors: any of them may be given a new one.
#[tagged_cache(timeout = 600, tags = ["Books", "Authors"], vary_on = [page])]
pub(crate) async fn books(db: &DatabaseConnection, page: u64) -> Result<Vec<Listed>, DbErr> {
    listed(db, book::Entity::find(), page).await
}

/// The only name it shows is this author's.
#[tagged_cache(
    timeout = 600,
    tags = ["Books:author:<author_id>", "Authors:<author_id>"],
    vary_on = [author_id, page]
)]
pub(crate) async fn books_by_author(
    db: &DatabaseConnection,
    author_id: i64,
    page: u64,
) -> Result<Vec<Listed>, DbErr> {
    let books = book::Entity::find().filter(book::Column::AuthorId.eq(author_id));
    listed(db, books, page).await
}

#[tagged_cache(
    timeout = 600,
    tags = ["Books:publisher:<publisher_id>", "Authors"],
    vary_on = [publisher_id, page]
)]
pub(crate) async fn books_by_publisher(
    db: &DatabaseConnection,
    publisher_id: i64,
    page: u64,
) -> Result<Vec<Listed>, DbErr> {
    let books = book::Entity::find().filter(book::Column::PublisherId.eq(publisher_id));
    listed(db, books, page).await
}

/// Looks in titles and names. There are as many answers as there are questions, so they do
/// not stay long.
#[tagged_cache(timeout = 60, tags = ["Books", "Authors"], vary_on = [words, page])]
pub(crate) async fn search(
    db: &DatabaseConnection,
    words: &str,
    page: u64,
) -> Result<Vec<Listed>, DbErr> {
    let found = Condition::any()
        .add(book::Column::Title.like(containing(words)))
        .add(author::Column::Name.like(containing(words)));
    let books = book::Entity::find().left_join(author::Entity).filter(found);
    listed(db, books, page).await
}

/// A text that holds these words, whatever they mean in a pattern.
fn containing(words: &str) -> LikeExpr {
    let plain = words.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_");
    LikeExpr::new(format!("%{plain}%")).escape('\\')
}

/// How many copies of a book were sold.
#[tagged_cache(timeout = 600, tags = ["Lines:book:<book_id>"], vary_on = [book_id])]
pub(crate) async fn sold(db: &DatabaseConnection, book_id: i64) -> Result<i64, DbErr> {
    let sum = line::Entity::find()
        .select_only()
        .column_as(line::Column::Copies.sum(), "copies")
        .filter(line::Column::BookId.eq(book_id))
        .into_tuple::<Option<i64>>()
        .one(db)
        .await?;
    Ok(sum.flatten().unwrap_or(0))
}

/// An order's lines never change, so they need no tag.
#[tagged_cache(timeout = 600, tags = ["Orders:customer:<customer>"], vary_on = [customer])]
pub(crate) async fn orders(db: &DatabaseConnection, customer: &str) -> Result<Vec<Bought>, DbErr> {
    let orders = order::Entity::find()
        .filter(order::Column::Customer.eq(customer))
        .order_by(order::Column::Id, Order::Asc)
        .all(db)
        .await?;
    let lines = orders.load_many(line::Entity, db).await?;
    Ok(orders.into_iter().zip(lines).map(|(order, lines)| Bought { order, lines }).collect())
}

async fn listed(
    db: &DatabaseConnection,
    books: Select<book::Entity>,
    page: u64,
) -> Result<Vec<Listed>, DbErr> {
    let books = books.order_by(book::Column::Id, Order::Asc);
    let books = books.paginate(db, BOOKS_A_PAGE).fetch_page(page).await?;
    let authors = books.load_one(author::Entity, db).await?;
    let listed = |(book, author): (book::Model, _)| Listed {
        id: book.id,
        title: book.title,
        revision: book.revision,
        author,
    };
    Ok(books.into_iter().zip(authors).map(listed).collect())
}
