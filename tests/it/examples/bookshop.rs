//! The bookshop: each edit is in the next answer of each process, though no code says what an
//! edit makes stale.

use std::path::Path;

use fragkeys_tests::RedisServer;
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::server::{Service, Setup};

/// Makes each of these functions of running shops two tests: one shop with the embedded store,
/// and two that share a Redis server and a database.
macro_rules! in_one_shop_and_in_two {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(
                #[test]
                fn $name() {
                    let setup = crate::examples::server::Setup::bookshop("");
                    super::$name(&setup, &[setup.start()]);
                }
            )*
        }

        mod redis {
            $(
                #[test]
                fn $name() {
                    let server = fragkeys_tests::RedisServer::start();
                    let setup = crate::examples::server::Setup::bookshop(server.url());
                    super::$name(&setup, &[setup.start(), setup.start()]);
                }
            )*
        }
    };
}

mod concurrent;

in_one_shop_and_in_two! {
    a_new_title_is_in_all_lists,
    a_new_name_is_on_the_pages_of_the_books,
    a_book_that_moves_leaves_two_lists_and_enters_two,
    all_books_of_a_publisher_move_at_once,
    reviews_come_and_go,
    an_order_takes_its_books_from_the_stock,
    an_order_that_fails_changes_nothing,
    a_search_finds_what_is_typed,
}

/// Book 1 is by author 1, and printed by publisher 1.
fn a_new_title_is_in_all_lists(_setup: &Setup, shops: &[Service]) {
    let lists = ["/books", "/authors/1/books", "/publishers/1/books", "/search?q=aarhus"];
    let elsewhere = ["/authors/2/books", "/publishers/2/books", "/books/2/sold"];
    for shop in shops {
        for path in lists.iter().chain(&elsewhere) {
            shop.get(path);
            assert!(shop.get(path).is_hit(), "{path}");
        }
        assert_eq!(shop.book(1)["title"], "The Blue Bridge of Aarhus");
        assert_eq!(shop.book_outcomes(1), "hit, hit");
    }
    for (round, editor) in shops.iter().enumerate() {
        let title = format!("The {round}th Bridge of Aarhus");
        let edited = editor.edit_book(1, &json!({ "title": title }));
        assert_eq!(edited["revision"], round + 1);
        for shop in shops {
            assert_eq!(shop.book(1)["title"], *title);
            for path in lists {
                assert_eq!(listed(&shop.get(path).body, 1)["title"], *title, "{path}");
            }
            for path in elsewhere {
                assert!(shop.get(path).is_hit(), "{path}");
            }
        }
    }
}

fn a_new_name_is_on_the_pages_of_the_books(_setup: &Setup, shops: &[Service]) {
    for shop in shops {
        for _ in 0..2 {
            shop.get("/books/1");
            shop.get("/books/2");
        }
        shop.get("/authors/1/books");
    }
    for (round, editor) in shops.iter().enumerate() {
        let name = format!("Ada {round}");
        assert_eq!(editor.rename_author(1, &name)["name"], *name);
        let page = editor.get("/books/1");
        assert_eq!(page.body["details"]["author"]["name"], *name);
        assert_eq!(page.cache.as_deref(), Some("hit, miss"), "the book's own row is as it was");
        for shop in shops {
            assert_eq!(shop.get("/books/1").body["details"]["author"]["name"], *name);
            let books = shop.get("/authors/1/books").body;
            assert_eq!(listed(&books, 1)["author"]["name"], *name);
            assert_eq!(listed(&shop.get("/publishers/1/books").body, 1)["author"]["name"], *name);
            assert!(!ids(&shop.get("/search?q=Ada%20").body).is_empty());
            assert_eq!(shop.book_outcomes(2), "hit, hit", "another author");
        }
    }
}

/// Also letters beyond ASCII, and characters that mean something to a database.
fn a_search_finds_what_is_typed(_setup: &Setup, shops: &[Service]) {
    let editor = &shops[0];
    for (name, query) in
        [("Élodie", "%C3%89lodie"), ("100%_sure", "100%25_sure"), (r"a\b", "a%5Cb")]
    {
        editor.rename_author(1, name);
        for shop in shops {
            let found = shop.get(&format!("/search?q={query}")).body;
            assert_eq!(listed(&found, 1)["author"]["name"], *name);
        }
    }
    for query in ["%25%25", "_____________________", "%25a%25"] {
        assert!(ids(&editor.get(&format!("/search?q={query}")).body).is_empty(), "{query}");
    }
}

fn a_book_that_moves_leaves_two_lists_and_enters_two(_setup: &Setup, shops: &[Service]) {
    let lists = |author: i64, publisher: i64| {
        [format!("/authors/{author}/books"), format!("/publishers/{publisher}/books")]
    };
    for (round, editor) in shops.iter().enumerate() {
        // To and fro, each list cached in each shop.
        let ((from_author, from_publisher), (author, publisher)) =
            if round == 0 { ((1, 1), (2, 2)) } else { ((2, 2), (1, 1)) };
        for shop in shops {
            for path in lists(from_author, from_publisher) {
                assert!(ids(&shop.get(&path).body).contains(&1), "{path}");
            }
            for path in lists(author, publisher) {
                assert!(!ids(&shop.get(&path).body).contains(&1), "{path}");
            }
            shop.get("/authors/3/books");
            shop.get("/books/1");
        }
        editor.edit_book(1, &json!({ "author_id": author, "publisher_id": publisher }));
        for shop in shops {
            for path in lists(from_author, from_publisher) {
                assert!(!ids(&shop.get(&path).body).contains(&1), "{path}");
            }
            for path in lists(author, publisher) {
                assert!(ids(&shop.get(&path).body).contains(&1), "{path}");
            }
            assert_eq!(shop.get("/books/1").body["details"]["author"]["id"], author);
            assert!(shop.get("/authors/3/books").is_hit());
        }
    }
}

fn all_books_of_a_publisher_move_at_once(_setup: &Setup, shops: &[Service]) {
    for shop in shops {
        for path in ["/publishers/1/books", "/publishers/2/books", "/books/1", "/authors/1/books"] {
            shop.get(path);
            shop.get(path);
        }
        shop.get("/publishers/3/books");
    }
    let editor = &shops[0];
    let moved = editor.post("/publishers/1/books/move", &json!({ "to": 2 }));
    assert_eq!((moved.status, &moved.body["moved"]), (200, &json!(60)));
    for shop in shops {
        assert!(ids(&shop.get("/publishers/1/books").body).is_empty());
        assert!(ids(&shop.get("/publishers/2/books").body).contains(&1));
        assert_eq!(shop.book(1)["publisher_id"], 2);
        assert_eq!(shop.book(1)["revision"], 1);
        assert_eq!(listed(&shop.get("/authors/1/books").body, 1)["revision"], 1);
        assert_eq!(shop.get("/books/1").body["details"]["publisher"]["id"], 2);
    }
    let missing = editor.post("/publishers/2/books/move", &json!({ "to": 99 }));
    assert_eq!(missing.status, 404);
}

fn reviews_come_and_go(_setup: &Setup, shops: &[Service]) {
    let reviews = |shop: &Client| shop.get("/books/2").body["details"]["reviews"].clone();
    for shop in shops {
        assert_eq!(reviews(shop), json!([]));
        shop.get("/books/1");
        shop.get("/books/1");
    }
    for editor in shops {
        let review = json!({ "reader": "Zoe", "stars": 5, "text": "Read it." });
        let review = editor.post("/books/2/reviews", &review);
        assert_eq!(review.status, 201);
        for shop in shops {
            assert_eq!(reviews(shop), json!([review.body]));
            assert_eq!(shop.book_outcomes(1), "hit, hit");
        }
        let path = format!("/books/2/reviews/{}", review.body["id"]);
        assert_eq!(editor.delete(&path).status, 204);
        for shop in shops {
            assert_eq!(reviews(shop), json!([]));
        }
        assert_eq!(editor.delete(&path).status, 404);
        assert_eq!(shops[0].book_outcomes(2), "hit, hit", "nothing was removed");
    }
}

fn an_order_takes_its_books_from_the_stock(setup: &Setup, shops: &[Service]) {
    let before: Vec<i64> = (1..=3).map(|id| shops[0].copies(id)).collect();
    for shop in shops {
        for id in 1..=3 {
            shop.copies(id);
            assert_eq!(shop.sold(id), 0);
        }
        assert_eq!(shop.get("/customers/zoe/orders").body, json!([]));
    }
    for (round, editor) in (1..).zip(shops) {
        let order = json!({ "customer": "zoe", "books": { "1": 1, "2": 2 } });
        assert_eq!(editor.post("/orders", &order).status, 201);
        for shop in shops {
            assert_eq!(shop.copies(1), before[0] - round);
            assert_eq!(shop.copies(2), before[1] - 2 * round);
            assert_eq!((shop.sold(1), shop.sold(2)), (round, 2 * round));
            let orders = shop.get("/customers/zoe/orders").body;
            assert_eq!(orders.as_array().unwrap().len() as i64, round);
            assert_eq!(orders[0]["lines"][1]["copies"], 2);
            assert_eq!(shop.book_outcomes(3), "hit, hit", "not ordered");
        }
    }
    let restocked = shops[0].post("/books/1/stock", &json!({ "copies": 100 }));
    for shop in shops {
        assert_eq!(shop.copies(1), restocked.body["copies"].as_i64().unwrap());
    }
    assert_eq!(setup.with_empty_cache().start().copies(1), shops[0].copies(1));
}

/// The first book is there, the second one is not: its stock is put back, and as nothing
/// changed for anybody, nothing misses.
fn an_order_that_fails_changes_nothing(setup: &Setup, shops: &[Service]) {
    let paths = ["/books/1/sold", "/customers/zoe/orders", "/authors/1/books"];
    for shop in shops {
        for _ in 0..2 {
            shop.get("/books/1");
            for path in paths {
                shop.get(path);
            }
        }
    }
    let before = shops[0].get("/books/1").body;
    for editor in shops {
        for (books, status, message) in [
            (json!({ "1": 1, "2": 1_000 }), 409, "of book 2 there are 18 copies"),
            (json!({ "1": 1, "9999": 1 }), 404, "there is no book 9999"),
        ] {
            let order = json!({ "customer": "zoe", "books": books });
            let refused = editor.post("/orders", &order);
            assert_eq!((refused.status, &refused.body["error"]), (status, &json!(message)));
        }
        // Midway through an update: there is no such author.
        let edit = json!({ "title": "Lost", "author_id": 9_999 });
        assert_eq!(editor.patch("/books/1", &edit).status, 404);
        for shop in shops {
            assert_eq!(shop.get("/books/1").body, before);
            assert_eq!(shop.book_outcomes(1), "hit, hit");
            for path in paths {
                assert!(shop.get(path).is_hit(), "{path}");
            }
        }
    }
    assert_eq!(setup.with_empty_cache().start().get("/books/1").body, before);
}

/// Redis has entries of a shop that was here before, with other rows under the same numbers.
#[test]
fn a_new_database_is_not_taken_for_the_old_one() {
    let server = RedisServer::start();
    let old = Setup::bookshop(server.url()).start();
    old.edit_book(1, &json!({ "title": "Gone" }));
    old.rename_author(1, "Nobody");
    for path in ["/books", "/books/1", "/authors/1/books"] {
        assert!(old.get(path).body.to_string().contains("Gone"), "{path}");
    }
    assert!(old.stop().success());
    let new = Setup::bookshop(server.url()).start();
    for path in ["/books", "/books/1", "/authors/1/books"] {
        let body = new.get(path).body.to_string();
        assert!(!body.contains("Gone") && !body.contains("Nobody"), "{path}: {body}");
    }
    assert!(!new.log().contains("WARN"), "{}", new.log());
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let shop = Setup::bookshop("").start();
    for (path, status, message) in [
        ("/books/9999", 404, "there is no book 9999"),
        ("/books/x", 400, "x"),
        ("/books?page=10001", 400, "page must be 0 to 10000"),
        ("/search", 400, "missing field `q`"),
        ("/search?q=%20", 400, "q must have 1 to 100 characters"),
        ("/nowhere", 404, "nothing here"),
    ] {
        let answer = shop.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(
            answer.body["error"].as_str().unwrap().contains(message),
            "{path}: {}",
            answer.body
        );
    }
    let order = |books: Value| json!({ "customer": "zoe", "books": books });
    let review = |stars: i64| json!({ "reader": "a", "stars": stars, "text": "b" });
    for (path, body, status) in [
        ("/orders", order(json!({})), 400),
        ("/orders", order(json!({ "1": 0 })), 400),
        ("/orders", order(json!({ "x": 1 })), 400),
        ("/books/1/reviews", review(6), 400),
        ("/books/9999/reviews", review(5), 404),
        ("/books/9999/stock", json!({ "copies": 1 }), 404),
        ("/books/1/stock", json!({ "copies": -1_000 }), 409),
        ("/books/1/stock", json!({ "copies": i64::MIN }), 400),
        ("/publishers/9999/books/move", json!({ "to": 1 }), 404),
    ] {
        let answer = shop.post(path, &body);
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.body);
    }
    assert_eq!(shop.patch("/books/1", &json!({ "pages": 3 })).status, 400);
    assert_eq!(shop.get("/health").body["status"], "ok");
    assert!(shop.stop().success());
}

/// What the example is there to show.
#[test]
fn no_code_of_the_bookshop_invalidates() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/bookshop");
    let mut files = vec![folder.join("entity.rs")];
    for folder in [folder.clone(), folder.join("entity")] {
        files.extend(std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    let sources = files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let sources: Vec<_> = sources.map(|path| std::fs::read_to_string(path).unwrap()).collect();
    assert!(sources.len() > 10);
    for source in sources {
        for word in ["invalidate", "bump_", ".created(", ".updated(", ".deleted(", "on_commit"] {
            let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            assert!(code.into_iter().all(|line| !line.contains(word)), "{word} in {source}");
        }
    }
}

impl Client {
    fn book(&self, id: i64) -> Value {
        self.found(&format!("/books/{id}")).body["book"].clone()
    }

    fn book_outcomes(&self, id: i64) -> String {
        self.found(&format!("/books/{id}")).cache.unwrap()
    }

    fn copies(&self, id: i64) -> i64 {
        self.found(&format!("/books/{id}")).body["details"]["copies"].as_i64().unwrap()
    }

    fn sold(&self, id: i64) -> i64 {
        self.found(&format!("/books/{id}/sold")).body["copies"].as_i64().unwrap()
    }

    fn edit_book(&self, id: i64, edit: &Value) -> Value {
        let answer = self.patch(&format!("/books/{id}"), edit);
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn rename_author(&self, id: i64, name: &str) -> Value {
        let answer = self.patch(&format!("/authors/{id}"), &json!({ "name": name }));
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    }

    fn found(&self, path: &str) -> Answer {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer
    }
}

fn ids(list: &Value) -> Vec<i64> {
    list.as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

/// A book in a list.
fn listed(list: &Value, id: i64) -> &Value {
    let found = list.as_array().unwrap().iter().find(|item| item["id"] == id);
    found.unwrap_or_else(|| panic!("no book {id} in {list}"))
}
