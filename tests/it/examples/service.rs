//! The service: what is cached, what a write makes miss, and what a client is told.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use fragkeys_tests::RedisServer;
use serde_json::{Value, json};

use super::client::Client;
use super::server::Setup;

#[test]
fn a_note_makes_its_package_miss_and_no_other() {
    let server = RedisServer::start();
    let service = Setup::new(server.url()).start();
    assert_eq!(service.notes("serde"), answer("miss", &[]));
    assert_eq!(service.notes("serde"), answer("hit", &[]));
    assert_eq!(service.notes("tokio"), answer("miss", &[]));
    assert!(service.get("/packages/serde/dependents").is_miss());

    assert_eq!(service.add_note("serde", "derive is a feature"), "done");
    assert_eq!(service.notes("serde"), answer("miss", &["derive is a feature"]));
    assert_eq!(service.notes("serde"), answer("hit", &["derive is a feature"]));
    assert_eq!(service.notes("tokio"), answer("hit", &[]));
    assert!(service.get("/packages/serde/dependents").is_hit(), "no note is part of it");

    let id = service.get("/packages/serde").body["notes"][0]["id"].as_i64().unwrap();
    let path = format!("/packages/serde/notes/{id}");
    let removed = service.delete(&path);
    assert_eq!((removed.status, removed.invalidation.as_deref()), (204, Some("done")));
    assert_eq!(service.notes("serde"), answer("miss", &[]));
    assert_eq!(service.delete(&path).status, 404);
    assert_eq!(service.notes("serde"), answer("hit", &[]), "nothing changed, nothing bumped");
}

#[test]
fn serves_what_cargo_knows() {
    let service = Setup::new("").start();
    let serde = service.get("/packages/serde").body;
    assert_eq!(serde["name"], "serde");
    assert_eq!(serde["license"], "MIT OR Apache-2.0");
    assert!(names(&serde["dependencies"]).contains(&"serde_core"), "{serde}");

    let dependents = service.get("/packages/fragkeys-runtime/dependents").body;
    assert!(names(&dependents).contains(&"fragkeys"), "{dependents}");
    let kinds = dependents.as_array().unwrap().iter().map(|user| &user["kind"]);
    assert!(kinds.into_iter().all(|kind| kind == "normal"), "{dependents}");
    // A root: nobody depends on it, which is an answer.
    let nobody = service.get("/packages/fragkeys-examples/dependents");
    assert_eq!((nobody.status, nobody.body), (200, json!([])));
}

#[test]
fn searches_are_cached_by_what_they_ask() {
    let service = Setup::new("").start();
    let first = service.get("/search?q=Serialize&limit=3");
    assert!(first.is_miss());
    assert!(!names(&first.body).is_empty() && names(&first.body).len() <= 3);
    assert!(service.get("/search?q=%20serialize%20&limit=3").is_hit(), "the same question");
    assert!(service.get("/search?q=serialize&limit=2").is_miss(), "another limit");

    assert!(service.get("/search?q=quokka").body.as_array().unwrap().is_empty());
    assert!(service.get("/packages/tokio").is_miss());
    let changed = service.patch("/packages/serde", &json!({ "description": "Now with a quokka" }));
    assert_eq!((changed.status, changed.invalidation.as_deref()), (204, Some("done")));
    let found = service.get("/search?q=quokka");
    assert!(found.is_miss());
    assert_eq!(names(&found.body), ["serde"]);
    assert_eq!(service.get("/packages/serde").body["description"], "Now with a quokka");
    assert!(service.get("/packages/tokio").is_hit());
}

#[test]
fn a_write_in_one_process_is_seen_in_the_other() {
    let server = RedisServer::start();
    let setup = Setup::new(server.url());
    let (one, other) = (setup.start(), setup.start());
    assert_eq!(one.notes("tokio"), answer("miss", &[]));
    assert_eq!(other.notes("tokio"), answer("hit", &[]), "they share entries");

    assert_eq!(other.add_note("tokio", "first"), "done");
    assert_eq!(one.notes("tokio"), answer("miss", &["first"]));
    assert_eq!(other.notes("tokio"), answer("hit", &["first"]));

    assert_eq!(one.add_note("tokio", "second"), "done");
    assert_eq!(other.notes("tokio"), answer("miss", &["first", "second"]));
    assert_eq!(one.notes("tokio"), answer("hit", &["first", "second"]));
}

/// While notes are added through one process, whoever asks any of them gets all notes
/// that were acknowledged before the question.
#[test]
fn nobody_ever_reads_less_than_was_acknowledged() {
    const NOTES: usize = 40;
    let server = RedisServer::start();
    let setup = Setup::new(server.url());
    let services = [setup.start(), setup.start()];
    let acknowledged = AtomicUsize::new(0);
    let has_ended = AtomicBool::new(false);
    thread::scope(|scope| {
        for service in &services {
            let client: &Client = service;
            let (acknowledged, has_ended) = (&acknowledged, &has_ended);
            scope.spawn(move || {
                while !has_ended.load(Ordering::SeqCst) {
                    let expected = acknowledged.load(Ordering::SeqCst);
                    let (outcome, notes) = client.notes("tokio");
                    let seen = notes.len();
                    // Ends the writer, too: a panic here is reported when the scope ends.
                    if seen < expected {
                        has_ended.store(true, Ordering::SeqCst);
                        panic!("{seen} notes of {expected}, by a {outcome}");
                    }
                }
            });
        }
        for number in 1..=NOTES {
            if has_ended.load(Ordering::SeqCst) {
                break;
            }
            let writer = &services[number % 2];
            assert_eq!(writer.add_note("tokio", &number.to_string()), "done");
            acknowledged.store(number, Ordering::SeqCst);
        }
        has_ended.store(true, Ordering::SeqCst);
    });
    for service in &services {
        assert_eq!(service.notes("tokio").1.len(), NOTES);
    }
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let service = Setup::new("").start();
    let long = "x".repeat(101);
    for (path, status, message) in [
        ("/packages/no-such-package", 404, "there is no package no-such-package"),
        ("/packages/no-such-package/dependents", 404, "there is no package"),
        ("/packages/a%20b", 400, "a package name has"),
        ("/packages/a%FF", 400, "UTF-8"),
        ("/search", 400, "missing field `q`"),
        ("/search?q=%20", 400, "q must have 1 to 100 characters"),
        (&format!("/search?q={long}"), 400, "q must have 1 to 100 characters"),
        ("/search?q=a&limit=0", 400, "limit must be 1 to 100"),
        ("/search?q=a&limit=many", 400, "limit"),
        ("/nowhere", 404, "nothing here"),
    ] {
        let answer = service.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(is_said(&answer.body, message), "{path}: {}", answer.body);
        assert_ne!(answer.cache.as_deref(), Some("hit"), "{path}");
    }

    let note = |author: &str, text: &str| json!({ "author": author, "text": text });
    let notes = "/packages/serde/notes";
    for (path, body, status, message) in [
        ("/packages/no-such-package/notes", note("a", "b"), 404, "there is no package"),
        (notes, note("", "b"), 400, "author must have 1 to 80 characters"),
        (notes, note("a", " \n"), 400, "text must have 1 to 2000 characters"),
        (notes, note("a", &"x".repeat(2_001)), 400, "text must have 1 to 2000 characters"),
        (notes, note("a", &"x".repeat(20_000)), 413, "limit"),
        (notes, json!({ "author": "a" }), 400, "missing field `text`"),
    ] {
        let answer = service.post(path, &body);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert!(is_said(&answer.body, message), "{path}: {}", answer.body);
        assert_eq!(answer.invalidation, None, "nothing was written");
    }
    assert_eq!(service.post_text(notes, "application/json", "{").status, 400);
    assert_eq!(service.post_text(notes, "text/plain", "{}").status, 415);
    assert_eq!(service.delete("/packages/serde/notes/1").status, 404);
    assert_eq!(service.delete("/packages/serde/notes/x").status, 400);
    assert_eq!(service.post("/health", &json!({})).status, 405);
    assert_eq!(service.get("/health").body["status"], "ok");
    // The client's connection is still open: that must not keep it from ending.
    assert!(service.stop().success());
}

fn answer(outcome: &str, notes: &[&str]) -> (String, Vec<String>) {
    (outcome.to_owned(), notes.iter().map(|&note| note.to_owned()).collect())
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

fn is_said(body: &Value, message: &str) -> bool {
    body["error"].as_str().is_some_and(|error| error.contains(message))
}
