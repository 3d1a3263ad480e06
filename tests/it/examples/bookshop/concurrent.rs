//! Many readers and editors at a time: nobody reads less than was acknowledged before the
//! question, and when all is quiet the caches say what the database says.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::super::client::Client;
use super::super::server::{Service, Setup};

in_one_shop_and_in_two! {
    nobody_reads_less_than_was_acknowledged,
}

const EDITORS: usize = 3;
const READERS: usize = 4;
const EDITS: usize = 60;
/// Few, so that they meet.
const BOOKS: usize = 4;
const AUTHORS: usize = 3;

/// What is acknowledged: each only grows, and whoever asks later gets no less.
#[derive(Default)]
struct Floors {
    books: [AtomicI64; BOOKS],
    authors: [AtomicI64; AUTHORS],
    sold: [AtomicI64; BOOKS],
    reviews: [AtomicUsize; BOOKS],
    has_ended: AtomicBool,
    reads: AtomicUsize,
    hits: AtomicUsize,
}

fn nobody_reads_less_than_was_acknowledged(setup: &Setup, shops: &[Service]) {
    let floors = Floors::default();
    for (book, reviews) in (1..).zip(&floors.reviews) {
        reviews.store(number_of_reviews(&shops[0], book), Ordering::SeqCst);
    }
    thread::scope(|scope| {
        for reader in 0..READERS {
            let (floors, client) = (&floors, client(shops, reader));
            scope.spawn(move || until_the_end(floors, || read(client, floors)));
        }
        let editors: Vec<_> = (0..EDITORS)
            .map(|editor| {
                let (floors, client) = (&floors, client(shops, editor));
                scope.spawn(move || {
                    // However it ends, the readers are not to wait for more.
                    let _ends = Ends(floors);
                    for number in 0..EDITS {
                        if floors.has_ended.load(Ordering::SeqCst) {
                            break;
                        }
                        edit(client, floors, editor, number);
                    }
                })
            })
            .collect();
        for editor in editors {
            let _ = editor.join();
        }
        floors.has_ended.store(true, Ordering::SeqCst);
    });
    let (reads, hits) = (floors.reads.into_inner(), floors.hits.into_inner());
    assert!(reads >= READERS && hits > 0, "{hits} hits of {reads}");

    let truth = setup.with_empty_cache().start();
    for path in all_paths() {
        let expected = truth.get(&path).body;
        for shop in shops {
            // Once from what the run left behind, once from what that stored.
            for _ in 0..2 {
                assert_eq!(shop.get(&path).body, expected, "{path}");
            }
        }
    }
}

fn client(shops: &[Service], number: usize) -> &Client {
    &shops[number % shops.len()]
}

/// A panic of one ends all, and is reported when the threads are joined.
struct Ends<'a>(&'a Floors);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.has_ended.store(true, Ordering::SeqCst);
        }
    }
}

fn until_the_end(floors: &Floors, work: impl Fn()) {
    let _ends = Ends(floors);
    while !floors.has_ended.load(Ordering::SeqCst) {
        work();
    }
}

/// One edit of each kind after the other; each editor begins with another one.
fn edit(client: &Client, floors: &Floors, editor: usize, number: usize) {
    let step = number + editor * 2;
    let (index, author) = (step % BOOKS, step % AUTHORS);
    let book = index as i64 + 1;
    let raise = |floor: &AtomicI64, answer: &Value| {
        floor.fetch_max(answer["revision"].as_i64().unwrap(), Ordering::SeqCst);
    };
    match step % 6 {
        0 => {
            let title = format!("Title {editor}.{number} of Aarhus");
            let edited = client.edit_book(book, &json!({ "title": title }));
            raise(&floors.books[index], &edited);
        }
        1 => {
            let name = format!("Name {editor}.{number}");
            let renamed = client.rename_author(author as i64 + 1, &name);
            raise(&floors.authors[author], &renamed);
        }
        2 => {
            let to = json!({ "author_id": author + 1, "publisher_id": step / 6 % 3 + 1 });
            raise(&floors.books[index], &client.edit_book(book, &to));
        }
        3 => {
            let second = (index + 1) % BOOKS;
            client.post(&format!("/books/{book}/stock"), &json!({ "copies": 2 }));
            let order = json!({
                "customer": format!("customer {editor}"),
                "books": { book.to_string(): 1, (second + 1).to_string(): 1 },
            });
            match client.post("/orders", &order).status {
                201 => {
                    floors.sold[index].fetch_add(1, Ordering::SeqCst);
                    floors.sold[second].fetch_add(1, Ordering::SeqCst);
                }
                // Out of stock.
                status => assert_eq!(status, 409),
            }
        }
        4 => {
            let review = json!({ "reader": "Zoe", "stars": 3, "text": format!("{number}") });
            let added = client.post(&format!("/books/{book}/reviews"), &review);
            assert_eq!(added.status, 201, "{}", added.body);
            floors.reviews[index].fetch_add(1, Ordering::SeqCst);
        }
        _ => {
            // Rolled back, after it has written to three tables.
            let order = json!({
                "customer": format!("customer {editor}"),
                "books": { book.to_string(): 1, "2400": 1_000_000 },
            });
            let status = client.post("/orders", &order).status;
            assert_eq!(status, 409);
        }
    }
}

/// Asks for everything that is being edited, and compares with what was acknowledged before.
fn read(client: &Client, floors: &Floors) {
    let get = |path: &str| {
        let answer = client.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        floors.reads.fetch_add(1, Ordering::Relaxed);
        let is_hit = answer.cache.as_deref().is_some_and(|outcomes| outcomes.contains("hit"));
        floors.hits.fetch_add(usize::from(is_hit), Ordering::Relaxed);
        (answer.body, answer.cache)
    };
    for (index, book) in (1..=BOOKS).enumerate() {
        let (books, authors) = (load(&floors.books), load(&floors.authors));
        let reviews = floors.reviews[index].load(Ordering::SeqCst);
        let (page, outcome) = get(&format!("/books/{book}"));
        let seen = page["book"]["revision"].as_i64().unwrap();
        assert!(seen >= books[index], "book {book}: {seen} < {}, {outcome:?}", books[index]);
        check_author(&page["details"]["author"], &authors);
        let seen = page["details"]["reviews"].as_array().unwrap().len();
        assert!(seen >= reviews, "{seen} reviews of book {book} < {reviews}, {outcome:?}");

        let sold = floors.sold[index].load(Ordering::SeqCst);
        let (seen, outcome) = get(&format!("/books/{book}/sold"));
        let seen = seen["copies"].as_i64().unwrap();
        assert!(seen >= sold, "{seen} of book {book} sold < {sold}, {outcome:?}");
    }
    for path in ["/books", "/authors/1/books", "/publishers/1/books", "/search?q=aarhus"] {
        let (books, authors) = (load(&floors.books), load(&floors.authors));
        let (list, outcome) = get(path);
        for listed in list.as_array().unwrap() {
            let id = usize::try_from(listed["id"].as_i64().unwrap()).unwrap();
            let seen = listed["revision"].as_i64().unwrap();
            let floor = books.get(id - 1).copied().unwrap_or(0);
            assert!(seen >= floor, "{path}: book {id}: {seen} < {floor}, {outcome:?}");
            check_author(&listed["author"], &authors);
        }
    }
}

fn load(floors: &[AtomicI64]) -> Vec<i64> {
    floors.iter().map(|floor| floor.load(Ordering::SeqCst)).collect()
}

fn check_author(author: &Value, floors: &[i64]) {
    let id = usize::try_from(author["id"].as_i64().unwrap()).unwrap();
    let floor = floors.get(id - 1).copied().unwrap_or(0);
    assert!(author["revision"].as_i64().unwrap() >= floor, "author {author} < {floor}");
}

fn number_of_reviews(shop: &Client, book: usize) -> usize {
    let page = shop.get(&format!("/books/{book}")).body;
    page["details"]["reviews"].as_array().unwrap().len()
}

fn all_paths() -> Vec<String> {
    let mut paths = vec!["/books".to_owned(), "/books?page=1".to_owned()];
    paths.push("/search?q=aarhus".to_owned());
    paths.push("/search?q=name".to_owned());
    for id in 1..=6 {
        paths.push(format!("/books/{id}"));
        paths.push(format!("/books/{id}/sold"));
        paths.push(format!("/authors/{id}/books"));
        paths.push(format!("/publishers/{id}/books"));
    }
    paths.push("/books/2400".to_owned());
    paths.extend((0..EDITORS).map(|editor| format!("/customers/customer%20{editor}/orders")));
    paths
}
