//! The program, from its command line to its end.

use std::process::{Command, Output};

use fragkeys_postgres::{ErrorKind, Outbox, Relay};
use fragkeys_tests::{PostgresServer, RedisServer};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{PROGRAM, database, eventually, relay_process};

fn run(args: &[&str], database: &str) -> (Output, String) {
    let mut command = Command::new(PROGRAM);
    for name in ["DATABASE_URL", "FRAGKEYS_URL", "FRAGKEYS_PREFIX", "FRAGKEYS_SCHEMA"] {
        command.env_remove(name);
    }
    if !database.is_empty() {
        // Nothing listens there, and nothing need.
        command.env("DATABASE_URL", database).env("FRAGKEYS_URL", "redis://127.0.0.1:1/");
    }
    let output = command.args(args).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    (output, told)
}

#[test]
fn it_prints_the_sql_of_the_library() {
    let printed = |args: &[&str]| {
        let (output, told) = run(args, "");
        assert!(output.status.success(), "{told}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(printed(&["outbox-sql"]), Outbox::new().create_sql().unwrap());
    let other = Outbox::new().in_schema("other").without_notify();
    assert_eq!(
        printed(&["outbox-sql", "--schema", "other", "--no-notify"]),
        other.create_sql().unwrap()
    );
    assert_eq!(printed(&["drop-outbox-sql", "--schema=other"]), other.drop_sql().unwrap());
    assert!(printed(&["--help"]).contains("DATABASE_URL"));
    assert!(printed(&["--version"]).starts_with("fragkeys-postgres 0."));
    let (output, told) = run(&["outbox-sql", "--schema", "a b"], "");
    assert!(!output.status.success() && told.contains("letters, digits"), "{told}");
}

#[test]
fn what_cannot_go_well_ends_it_with_a_word_and_without_the_password() {
    let server = PostgresServer::start();
    let password = server.password();
    let wrong = server.url().replace(password, "wr0ng-secret");
    let missing = format!("{}_elsewhere", server.url());
    let no_password = format!("postgres://postgres@127.0.0.1:{}/postgres", server.port());
    for (url, told) in [
        (wrong.as_str(), "see that user and password in the URL are right"),
        (&missing, "see that the database in the URL is right"),
        (&server.url(), "run what `fragkeys-postgres outbox-sql` prints"),
        (&no_password, "password missing"),
        ("postgres://user:wr0ng-secret@host:port/x", "the database's URL cannot be read"),
        ("mysql wr0ng-secret", "the database's URL cannot be read"),
    ] {
        let (output, said) = run(&["relay"], url);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(told), "{told}: {said}");
        assert!(!said.contains("wr0ng-secret") && !said.contains(password), "{said}");
    }
    for (args, told) in [(&["relay"][..], "Set FRAGKEYS_URL"), (&["fly"], "unknown argument")] {
        let (output, said) = run(args, "");
        assert!(!output.status.success() && said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn a_library_is_told_the_same() {
    let server = PostgresServer::start();
    let run = async |url: &str| {
        let cache = fragkeys::Config::memory().build().await.unwrap();
        Relay::new(url, cache).unwrap().run().await.unwrap_err().kind()
    };
    assert_eq!(run(&server.url()).await, ErrorKind::Outbox);
    let cache = fragkeys::Config::memory().build().await.unwrap();
    let relay = Relay::new(&server.url(), cache).unwrap();
    assert!(!format!("{relay:?}").contains(server.password()));
    assert_eq!(run(&server.url().replace(server.password(), "x")).await, ErrorKind::Login);
    let cache = fragkeys::Config::memory().build().await.unwrap();
    assert_eq!(Relay::new("nonsense", cache).unwrap_err().kind(), ErrorKind::Config);
    #[cfg(not(feature = "tls"))]
    assert_eq!(run(&format!("{}?sslmode=require", server.url())).await, ErrorKind::Config);
}

#[tokio::test]
async fn a_signal_stops_it_and_leaves_what_it_did_not_do() {
    let (server, redis) = (database(), RedisServer::start());
    for signal in [Signal::TERM, Signal::INT] {
        let mut relay = relay_process(&server.url(), &redis.url(), &[]);
        server.psql("INSERT INTO donations VALUES (1) ON CONFLICT (id) DO UPDATE SET amount = 5");
        eventually("the outbox to be empty", async || {
            server.psql("SELECT count(*) FROM fragkeys.outbox") == "0"
        })
        .await;
        let pid = Pid::from_raw(i32::try_from(relay.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        assert!(relay.wait().success());
    }
    server.psql("UPDATE donations SET amount = 6");
    assert_eq!(server.psql("SELECT count(*) FROM fragkeys.outbox"), "1");
}
