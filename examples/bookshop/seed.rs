//! What is on the shelves at the first start: made up, and the same each time.

use fragkeys_sea_orm::transaction;
use sea_orm::{DatabaseConnection, EntityTrait, NotSet, PaginatorTrait, Set};

use crate::entity::{author, book, publisher, review, stock};
use crate::error::Error;

const PUBLISHERS: i64 = 40;
const AUTHORS: i64 = 300;
const BOOKS: i64 = 2_400;
/// One book in two has a review.
const BOOKS_A_REVIEW: i64 = 2;

const FIRST: [&str; 12] = [
    "Ada", "Boris", "Clara", "Denis", "Elif", "Femi", "Grete", "Hiro", "Ines", "Jan", "Kofi",
    "Lena",
];
const LAST: [&str; 25] = [
    "Adler", "Baum", "Castro", "Dumont", "Eklund", "Fischer", "Garcia", "Hansen", "Ito", "Jansen",
    "Kaya", "Lind", "Moreau", "Novak", "Okoro", "Petrov", "Quist", "Rossi", "Silva", "Tanaka",
    "Urban", "Vogel", "Weber", "Yilmaz", "Zhou",
];
const ADJECTIVES: [&str; 16] = [
    "Blue", "Broken", "Cold", "Distant", "Empty", "Golden", "Hidden", "Last", "Long", "Lost",
    "Old", "Quiet", "Second", "Silver", "Wild", "Winter",
];
const NOUNS: [&str; 15] = [
    "Bridge", "City", "Door", "Forest", "Garden", "Harbour", "Island", "Letter", "Map", "Mountain",
    "Night", "River", "Summer", "Tower", "Voyage",
];
const PLACES: [&str; 10] =
    ["Aarhus", "Bergen", "Cadiz", "Delft", "Evora", "Fez", "Genoa", "Hanoi", "Izmir", "Jaipur"];

/// Fills an empty database; leaves another as it is.
///
/// The rows are bumped like any that come: Redis may hold entries from a database that was
/// here before this one.
pub(crate) async fn fill(db: &DatabaseConnection) -> Result<(), Error> {
    transaction(db, async |transaction| {
        // Another process may have been faster.
        if book::Entity::find().count(transaction).await? > 0 {
            return Ok(());
        }
        fragkeys_sea_orm::insert_many((0..PUBLISHERS).map(publisher), transaction).await?;
        fragkeys_sea_orm::insert_many((0..AUTHORS).map(author), transaction).await?;
        fragkeys_sea_orm::insert_many((0..BOOKS).map(book), transaction).await?;
        fragkeys_sea_orm::insert_many((0..BOOKS).map(stock), transaction).await?;
        let reviews = (0..BOOKS).step_by(BOOKS_A_REVIEW as usize).map(review);
        fragkeys_sea_orm::insert_many(reviews, transaction).await?;
        Ok(())
    })
    .await
}

fn publisher(number: i64) -> publisher::ActiveModel {
    let house = ["Books", "Press", "& Sons", "House"];
    let name = format!("{} {}", pick(&LAST, number * 7), pick(&house, number));
    publisher::ActiveModel { id: NotSet, name: Set(name) }
}

fn author(number: i64) -> author::ActiveModel {
    // Twelve times 25 names: each once.
    let name = format!("{} {}", pick(&FIRST, number), pick(&LAST, number));
    author::ActiveModel { id: NotSet, name: Set(name), revision: Set(0) }
}

fn book(number: i64) -> book::ActiveModel {
    // 16 times 15 times 10 titles: each once.
    let words = [pick(&ADJECTIVES, number), pick(&NOUNS, number), pick(&PLACES, number / 240)];
    book::ActiveModel {
        id: NotSet,
        title: Set(format!("The {} {} of {}", words[0], words[1], words[2])),
        author_id: Set(number * 7 % AUTHORS + 1),
        publisher_id: Set(number * 11 % PUBLISHERS + 1),
        revision: Set(0),
    }
}

fn stock(number: i64) -> stock::ActiveModel {
    stock::ActiveModel { book_id: Set(number + 1), copies: Set(number * 13 % 20 + 5) }
}

fn review(number: i64) -> review::ActiveModel {
    let opinion = ["I could not put it down.", "A slow start.", "My sister liked it.", "Again!"];
    review::ActiveModel {
        id: NotSet,
        book_id: Set(number + 1),
        reader: Set(pick(&FIRST, number / 2).to_owned()),
        stars: Set(i32::try_from(number % 5).unwrap_or(0) + 1),
        text: Set(pick(&opinion, number / 2).to_owned()),
    }
}

fn pick<'a>(words: &[&'a str], number: i64) -> &'a str {
    let index = number.rem_euclid(words.len() as i64);
    words[index as usize]
}
