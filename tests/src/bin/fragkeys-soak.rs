//! The service under load while each fault of its Redis comes and goes, for some 90 seconds:
//!
//! ```sh
//! cargo build --release -p fragkeys-examples --features service --bin service
//! cargo run --release -p fragkeys-tests --bin fragkeys-soak -- target/release/service [latency.svg]
//! ```
//!
//! Ends with an error if a single request failed, or read what was written over.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's process ends loudly"
)]

use std::process::ExitCode;
use std::time::Duration;

use fragkeys_tests::soak::{Fault, Soak};
use fragkeys_tests::{Child, Proxy, RedisServer};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(program) = arguments.first() else {
        eprintln!("which service? fragkeys-soak PATH-OF-THE-SERVICE [latency.svg]");
        return ExitCode::FAILURE;
    };
    let mut server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("service.sqlite");
    let settings = [
        ("SERVICE_ADDRESS", "127.0.0.1:0"),
        ("SERVICE_DATABASE", database.to_str().unwrap()),
        ("FRAGKEYS_URL", &proxy.url()),
    ];
    let mut service = Child::start(program, &[], &settings);
    let line = service.try_read_line(Duration::from_secs(60)).expect("the service starts");
    let address = line.strip_prefix("listening on http://").expect("an address");
    let each = Duration::from_secs(4);
    let soak = Soak { service: address.to_owned(), connections: 64, each };
    let report = soak.run(&mut server, &proxy, &Fault::ALL);
    println!("{report}");
    if let Some(path) = arguments.get(1) {
        std::fs::write(path, report.plot()).unwrap();
    }
    if report.failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
