//! The service while Redis dies, hangs, comes back, or was never there.

use std::time::Duration;

use fragkeys_tests::soak::{Fault, Soak};
use fragkeys_tests::{Proxy, RedisServer, wait_until};
use serde_json::json;

use super::server::{Service, Setup};

#[test]
fn a_killed_redis_costs_no_answer_and_no_write() {
    let mut server = RedisServer::start();
    let service = Setup::new(server.url()).start();
    assert_eq!(service.notes("serde").0, "miss");
    assert_eq!(service.notes("serde").0, "hit");

    server.kill();
    for path in ["/packages/serde", "/packages/serde/dependents", "/search?q=serde"] {
        let answer = service.get(path);
        assert_eq!((answer.status, answer.cache.as_deref()), (200, Some("bypass")), "{path}");
    }
    assert_eq!(service.get("/packages/no-such-package").status, 404);
    assert_eq!(service.add_note("serde", "written in the dark"), "queued");
    let changed = service.patch("/packages/tokio", &json!({ "description": "changed" }));
    assert_eq!((changed.status, changed.invalidation.as_deref()), (204, Some("queued")));
    assert_eq!(service.notes("serde"), bypass(&["written in the dark"]));
    assert_eq!(service.queued_bumps(), 3, "Package:serde, Package:tokio, Descriptions");
    let log = service.log();
    assert!(log.contains("the change is saved, but bumping `Package:serde` failed"), "{log}");

    server.restart();
    wait_for_hit(&service, "serde", &["written in the dark"]);
    assert_eq!(service.add_note("serde", "written in the light"), "done");
    let notes = &["written in the dark", "written in the light"];
    wait_for_hit(&service, "serde", notes);
    wait_until("all bumps to go through", || service.queued_bumps() == 0);
}

/// A hung server keeps its entries. Once it answers again they are old, and still there.
#[test]
fn entries_from_before_a_hang_are_not_served_after_it() {
    let server = RedisServer::start();
    let service = Setup::new(server.url()).start_with(Duration::from_secs(1));
    wait_for_hit(&service, "serde", &[]);

    server.pause();
    assert_eq!(service.add_note("serde", "written in the dark"), "queued");
    assert_eq!(service.notes("serde"), bypass(&["written in the dark"]));
    assert_eq!(service.get("/search?q=serde").status, 200);

    server.resume();
    wait_for_hit(&service, "serde", &["written in the dark"]);
    assert_eq!(service.queued_bumps(), 0);
}

#[test]
fn starts_and_stops_without_redis() {
    let mut server = RedisServer::start();
    server.kill();
    let setup = Setup::new(server.url());
    let service = setup.start();
    assert_eq!(service.notes("serde"), bypass(&[]));
    assert_eq!(service.add_note("serde", "nobody listens"), "queued");
    assert!(service.stop().success());

    let service = setup.start();
    assert_eq!(service.notes("serde"), bypass(&["nobody listens"]), "the note was kept");
    server.restart();
    wait_for_hit(&service, "serde", &["nobody listens"]);
    assert_eq!(service.add_note("serde", "somebody does"), "done");
    assert_eq!(service.notes("serde").1, ["nobody listens", "somebody does"]);
    assert!(service.stop().success());
}

/// Asks until the answer comes from the cache. All the way it has to be the right one.
fn wait_for_hit(service: &Service, package: &str, notes: &[&str]) {
    wait_until("an answer from the cache", || {
        let (outcome, found) = service.notes(package);
        assert_eq!(found, notes, "by a {outcome}");
        outcome == "hit"
    });
}

fn bypass(notes: &[&str]) -> (String, Vec<String>) {
    ("bypass".to_owned(), notes.iter().map(|&note| note.to_owned()).collect())
}

/// Under load no request fails and none reads what was written over, whatever Redis does meanwhile. A
/// short form of the program `fragkeys-soak`.
#[test]
fn under_load_no_request_fails() {
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let service = Setup::new(proxy.url()).start_with(Duration::from_millis(250));
    let each = Duration::from_millis(1_000);
    let soak = Soak { service: service.host().to_owned(), connections: 16, each };
    let report = soak.run(&mut server, &proxy, &Fault::ALL);
    assert_eq!(report.failures, [] as [&str; 0], "{report}");
    // The load went on, and faults made it slower by what they may: nobody waits for Redis for long.
    for phase in &report.phases {
        assert!(phase.requests > 0 && phase.longest < Duration::from_secs(10), "{report}");
    }
    let hits = |phase: &fragkeys_tests::soak::Phase| phase.hits;
    assert!(report.phases.first().map_or(0, hits) > 0, "{report}");
    assert!(report.phases.last().map_or(0, hits) > 0, "{report}");
}
