//! The outbox by hand.

use fragkeys_postgres::Outbox;

use crate::support::{database, set, tags_of, taken};

#[test]
fn making_it_again_loses_nothing() {
    let server = &database();
    server.psql("INSERT INTO donations VALUES (1, 7)");
    server.psql(&Outbox::new().create_sql().unwrap());
    server.psql(&Outbox::new().without_notify().create_sql().unwrap());
    assert_eq!(taken(server), set(["Donations:1", "Donations:org:7"]));
}

#[test]
fn bump_takes_tags_of_whoever_may() {
    let server = &database();
    let tags = tags_of(server, "SELECT fragkeys.bump('User:42', 'Dashboard', 'User:42', NULL, '')");
    assert_eq!(tags, set(["User:42", "Dashboard"]));
    assert_eq!(tags_of(server, "SELECT fragkeys.bump(VARIADIC '{}')"), set([]));
}

#[test]
fn a_prepared_transaction_needs_an_outbox_that_wakes_nobody() {
    let server = fragkeys_tests::PostgresServer::start_with(&["-c", "max_prepared_transactions=2"]);
    server.psql(&Outbox::new().create_sql().unwrap());
    server.psql(crate::support::TABLE);
    server.psql(&fragkeys_postgres::trigger_sql::<crate::support::Donation>().unwrap());
    let prepare = "BEGIN; INSERT INTO donations VALUES (1, 7); PREPARE TRANSACTION 'one'";
    assert!(server.try_psql(prepare).unwrap_err().contains("NOTIFY"));
    server.psql(&Outbox::new().without_notify().create_sql().unwrap());
    server.psql(prepare);
    assert_eq!(taken(&server), set([]));
    assert_eq!(tags_of(&server, "COMMIT PREPARED 'one'"), set(["Donations:1", "Donations:org:7"]));
}
