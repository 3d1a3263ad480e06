//! What each statement puts into the outbox.

use std::collections::BTreeSet;

use fragkeys::TaggedModel;
use fragkeys_postgres::{Outbox, Triggers, drop_sql, trigger_sql};
use fragkeys_tests::PostgresServer;

use crate::support::{Donation, TABLE, connect, database, set, tags_of, taken};

#[test]
fn each_statement_writes_the_tags_of_old_and_new_rows_once() {
    let server = &database();
    let tags = |sql: &str| tags_of(server, sql);

    let inserted = tags("INSERT INTO donations VALUES (1, 7), (2, 7), (3, NULL)");
    assert_eq!(inserted, set(["Donations:1", "Donations:2", "Donations:3", "Donations:org:7"]));
    let moved = tags("UPDATE donations SET organization = 8 WHERE id = 1");
    assert_eq!(moved, set(["Donations:1", "Donations:org:7", "Donations:org:8"]));
    let changed = tags("UPDATE donations SET amount = 1 WHERE id = 2");
    assert_eq!(changed, set(["Donations:2", "Donations:org:7"]));
    let renumbered = tags("UPDATE donations SET id = -4 WHERE id = 3");
    assert_eq!(renumbered, set(["Donations:3", "Donations:-4"]));
    assert_eq!(tags("UPDATE donations SET amount = 1 WHERE id = 99"), set([]));
    assert_eq!(tags("DELETE FROM donations WHERE id = 2"), set(["Donations:2", "Donations:org:7"]));

    let upsert = "INSERT INTO donations VALUES (1, 9), (5, 5)
                  ON CONFLICT (id) DO UPDATE SET organization = excluded.organization";
    let upserted =
        ["Donations:1", "Donations:5", "Donations:org:5", "Donations:org:8", "Donations:org:9"];
    assert_eq!(tags(upsert), set(upserted));
    let copied = tags("COPY donations (id, organization) FROM stdin;\n6\t6\n7\t\\N\n\\.\nSELECT 1");
    assert_eq!(copied, set(["Donations:6", "Donations:7", "Donations:org:6"]));

    server.psql("BEGIN; INSERT INTO donations VALUES (100, 1); ROLLBACK");
    assert_eq!(taken(server), set([]), "nothing of what was rolled back");
}

#[test]
fn ten_thousand_rows_are_one_statement_and_each_tag_one_row() {
    let server = &database();
    server.psql("INSERT INTO donations SELECT i, i % 10 FROM generate_series(1, 10000) AS i");
    assert_eq!(
        server.psql("SELECT count(*), count(DISTINCT tag) FROM fragkeys.outbox"),
        "10010|10010"
    );
    taken(server);
    server.psql("UPDATE donations SET organization = 10 + organization % 2");
    assert_eq!(
        server.psql("SELECT count(*), count(DISTINCT tag) FROM fragkeys.outbox"),
        "10012|10012"
    );
}

#[test]
fn truncate_writes_the_tags_of_the_rows_that_it_takes() {
    let server = &database();
    let tags = |sql: &str| tags_of(server, sql);
    assert_eq!(tags("TRUNCATE donations"), set([]));
    tags("INSERT INTO donations VALUES (1, 7), (2, NULL)");
    assert_eq!(tags("TRUNCATE donations"), set(["Donations:1", "Donations:2", "Donations:org:7"]));

    // What its snapshot does not show may be taken, too.
    tags("INSERT INTO donations VALUES (1, 7)");
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        assert_eq!(
            tags(&format!("BEGIN ISOLATION LEVEL {level}; TRUNCATE donations; COMMIT")),
            set(["*"])
        );
    }
    tags("INSERT INTO donations SELECT i FROM generate_series(1, 100000) AS i");
    assert_eq!(tags("TRUNCATE donations").len(), 100_000);
    tags("INSERT INTO donations SELECT i FROM generate_series(1, 100001) AS i");
    assert_eq!(tags("TRUNCATE donations"), set(["*"]));
}

#[test]
fn what_foreign_keys_and_partitions_change_is_seen() {
    let server = &PostgresServer::start();
    server.psql(&Outbox::new().create_sql().unwrap());
    server.psql(
        "CREATE TABLE organizations (id bigint PRIMARY KEY);
         CREATE TABLE donations (
           id bigint, organization bigint REFERENCES organizations ON DELETE CASCADE ON UPDATE CASCADE
         ) PARTITION BY LIST (organization);
         CREATE TABLE donations_1 PARTITION OF donations FOR VALUES IN (1);
         CREATE TABLE donations_rest PARTITION OF donations DEFAULT;",
    );
    server.psql(&trigger_sql::<Donation>().unwrap());
    server.psql("INSERT INTO organizations VALUES (1), (2)");
    tags_of(server, "INSERT INTO donations VALUES (10, 1), (20, 2)");

    let between = tags_of(server, "UPDATE donations SET organization = 1 WHERE id = 20");
    assert_eq!(between, set(["Donations:20", "Donations:org:1", "Donations:org:2"]));
    let cascaded = tags_of(server, "DELETE FROM organizations WHERE id = 1");
    assert_eq!(cascaded, set(["Donations:10", "Donations:20", "Donations:org:1"]));
}

/// Names that are SQL, names of variables in the function, and a tag that is a format.
#[derive(TaggedModel)]
#[tagged_model(
    name = "%s'); DROP TABLE \"victim\"; --\\",
    table = "o'dd \"schema.$body$ $sql$ $fragkeys$; t\"able",
    columns = [id = "size", name = "na\"me$sql$", other = "tg_op"],
    scopes = ["$1:%I:<name>':<other>", "tag:<old>"],
)]
#[allow(dead_code)]
struct Hostile {
    id: i64,
    name: String,
    other: bool,
    old: i32,
}

#[test]
fn hostile_names_stay_names() {
    let server = &PostgresServer::start();
    server.psql(&Outbox::new().create_sql().unwrap());
    let table = r#""o'dd ""schema"."$body$ $sql$ $fragkeys$; t""able""#;
    server.psql(&format!(
        r#"CREATE TABLE victim (); CREATE SCHEMA "o'dd ""schema";
           CREATE TABLE {table} ("size" bigint, "na""me$sql$" text, tg_op boolean, old int);"#
    ));
    let expected: std::collections::BTreeSet<String> =
        Hostile { id: 5, name: "n:'$sql$%I\\".to_owned(), other: true, old: -1 }
            .tags()
            .iter()
            .map(ToString::to_string)
            .collect();
    // Backslashes mean something else in texts of the second kind.
    for conforming in ["on", "off"] {
        let set_up = format!(
            "SET standard_conforming_strings = {conforming}; SET escape_string_warning = off;"
        );
        server.psql(&format!("{set_up} {}", trigger_sql::<Hostile>().unwrap()));
        let insert = format!("INSERT INTO {table} VALUES (5, E'n:''$sql$%I\\\\', true, -1)");
        assert_eq!(tags_of(server, &format!("{set_up} {insert}")), expected, "{conforming}");
        assert_eq!(tags_of(server, &format!("{set_up} UPDATE {table} SET old = old")), expected);
        assert_eq!(tags_of(server, &format!("{set_up} TRUNCATE {table}")), expected);
        server.psql(&format!("{set_up} {}", drop_sql::<Hostile>().unwrap()));
    }
    assert_eq!(tags_of(server, &format!("INSERT INTO {table} VALUES (6)")), set([]));
    server.psql("DROP TABLE victim");
}

/// The donation of another release.
#[derive(TaggedModel)]
#[tagged_model(
    name = "Donations",
    table = "donations",
    scopes = ["Donations:size:<amount>", Tag::global("Total")],
)]
#[allow(dead_code)]
struct NewDonation {
    id: i64,
    amount: i64,
}

use fragkeys::Tag;

#[test]
fn the_sql_can_be_run_again_and_taken_back() {
    let server = &database();
    let insert =
        "DELETE FROM donations; DELETE FROM fragkeys.outbox; INSERT INTO donations VALUES (1, 7)";
    let triggers = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal";
    server.psql(&trigger_sql::<Donation>().unwrap());
    assert_eq!(server.psql(triggers), "4");
    assert_eq!(tags_of(server, insert), set(["Donations:1", "Donations:org:7"]));

    server.psql(&trigger_sql::<NewDonation>().unwrap());
    assert_eq!(server.psql(triggers), "4", "they took the place of the others");
    assert_eq!(tags_of(server, insert), set(["Donations:1", "Donations:size:0", "Total"]));

    for _ in 0..2 {
        server.psql(&drop_sql::<Donation>().unwrap());
        assert_eq!(server.psql(triggers), "0");
        assert_eq!(tags_of(server, insert), set([]));
    }
    assert_eq!(server.psql("SELECT count(*) FROM pg_proc WHERE prorettype = 'trigger'::regtype AND pronamespace = 'fragkeys'::regnamespace"), "0");
    server.psql(&trigger_sql::<Donation>().unwrap());
    assert_eq!(tags_of(server, insert), set(["Donations:1", "Donations:org:7"]));

    server.psql("DROP TABLE donations");
    server.psql(&drop_sql::<Donation>().unwrap());
    server.psql(&Outbox::new().drop_sql().unwrap());
    server.psql(&drop_sql::<Donation>().unwrap());
}

#[test]
fn whoever_may_write_the_table_need_not_be_let_into_the_outbox() {
    let server = &database();
    server.psql("CREATE ROLE clerk; GRANT INSERT, UPDATE, SELECT, TRUNCATE ON donations TO clerk");
    // A table and an operator of a stranger's are not taken for ours.
    let trap = "CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO clerk; SET ROLE clerk;
                CREATE FUNCTION trap.replace(text, text, text) RETURNS text LANGUAGE sql AS $$ SELECT 'trapped' $$;
                CREATE TABLE trap.outbox (tag text); SET search_path = trap, public;";
    server.psql(&format!(
        "{trap} INSERT INTO donations VALUES (1, 7); UPDATE donations SET amount = 2;"
    ));
    assert_eq!(taken(server), set(["Donations:1", "Donations:org:7"]));
    server.psql("SET ROLE clerk; TRUNCATE donations");
    assert_eq!(taken(server), set(["Donations:1", "Donations:org:7"]));
    let refused = server.try_psql("SET ROLE clerk; INSERT INTO fragkeys.outbox (tag) VALUES ('*')");
    assert!(refused.unwrap_err().contains("permission denied"));
}

#[test]
fn two_that_make_the_same_at_once_wait_for_each_other() {
    let server = &PostgresServer::start();
    server.psql(TABLE);
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                server.psql(&Outbox::new().create_sql().unwrap());
                server.psql(&trigger_sql::<Donation>().unwrap());
            });
        }
    });
    let tags = tags_of(server, "INSERT INTO donations VALUES (1, 7)");
    assert_eq!(tags, set(["Donations:1", "Donations:org:7"]));
}

#[derive(TaggedModel)]
#[tagged_model(table = "things", scopes = ["Thing:named:<name>"])]
#[allow(dead_code)]
struct Thing {
    id: i64,
    name: String,
}

#[test]
fn columns_whose_text_is_another_are_refused_and_nothing_is_made() {
    let server = &PostgresServer::start();
    server.psql(&Outbox::new().create_sql().unwrap());
    let sql = trigger_sql::<Thing>().unwrap();
    let refusal = |table: &str| {
        server.psql(&format!(
            "DROP TABLE IF EXISTS things CASCADE; DROP VIEW IF EXISTS things; {table}"
        ));
        let error = server.try_psql(&sql).expect_err(table);
        assert_eq!(server.psql("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal"), "0");
        error
    };
    let no_column = refusal("CREATE TABLE things (id bigint)");
    assert!(
        no_column.contains("public.things has no column name, which the field 'name' should be")
            || no_column.contains("things has no column name"),
        "{no_column}"
    );
    for (column, told) in [
        ("name timestamptz", "timestamp with time zone"),
        ("name char(5)", "character"),
        ("name bigint", "bigint"),
        ("name json", "json"),
        ("name text[]", "text[]"),
        ("name float8", "double precision"),
    ] {
        let error = refusal(&format!("CREATE TABLE things (id bigint, {column})"));
        assert!(error.contains(&format!("is of type {told}")), "{error}");
        assert!(
            error.contains("text, character varying") || error.contains("Supported here"),
            "{error}"
        );
    }
    let number = refusal("CREATE TABLE things (id numeric, name text)");
    assert!(number.contains("column id of") && number.contains("is of type numeric"), "{number}");
    assert!(refusal("").contains("\"things\" does not exist"));

    // A domain is what it is made of.
    server.psql(
        "CREATE DOMAIN word AS varchar(9); CREATE DOMAIN short AS word CHECK (length(VALUE) < 5);
                 CREATE TABLE things (id smallint, name short)",
    );
    server.psql(&sql);
    assert_eq!(
        tags_of(server, "INSERT INTO things VALUES (1, 'a:b')"),
        set(["Thing:1", r"Thing:named:a\:b"])
    );
}

#[tokio::test]
async fn a_text_is_compared_byte_by_byte_whatever_its_collation() {
    let server = &PostgresServer::start();
    server.psql(&Outbox::new().create_sql().unwrap());
    if server.try_psql("CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false)").is_err() {
        return; // This PostgreSQL was built without ICU.
    }
    server.psql("CREATE TABLE things (id bigint, name text COLLATE any_case)");
    server.psql(&trigger_sql::<Thing>().unwrap());
    let client = connect(&server.url()).await;
    client.batch_execute("INSERT INTO things VALUES (1, 'a:B'), (1, 'A:b')").await.unwrap();
    assert_eq!(taken(server), set(["Thing:1", r"Thing:named:a\:B", r"Thing:named:A\:b"]));
}

#[test]
fn another_outbox_is_another_one() {
    let server = &database();
    let other = Outbox::new().in_schema("Other_1").without_notify();
    server.psql(&other.create_sql().unwrap());
    let triggers = Triggers::of::<Thing>().into_outbox(other.clone());
    server.psql("CREATE TABLE things (id bigint, name text)");
    server.psql(&triggers.create_sql().unwrap());
    server.psql("INSERT INTO things VALUES (1, NULL)");
    assert_eq!(server.psql("SELECT tag FROM \"Other_1\".outbox"), "Thing:1");
    assert_eq!(taken(server), set([]));
    let refused = server.try_psql(&other.drop_sql().unwrap()).unwrap_err();
    assert!(refused.contains("first drop the triggers of things"), "{refused}");
    server.psql(&triggers.drop_sql().unwrap());
    for _ in 0..2 {
        server.psql(&other.drop_sql().unwrap());
    }
    assert_eq!(server.psql("SELECT to_regnamespace('\"Other_1\"') IS NULL"), "t");
}

/// Two caches may mind one table, and each has what it needs.
#[test]
fn two_outboxes_of_one_table_are_both_filled() {
    let server = &database();
    let other = Outbox::new().in_schema("other");
    server.psql(&other.create_sql().unwrap());
    let triggers = Triggers::of::<Donation>().into_outbox(other);
    server.psql(&triggers.create_sql().unwrap());
    server.psql("INSERT INTO donations VALUES (1, 7)");
    let expected = set(["Donations:1", "Donations:org:7"]);
    assert_eq!(taken(server), expected);
    let others = server.psql("DELETE FROM other.outbox RETURNING tag");
    assert_eq!(others.lines().map(str::to_owned).collect::<BTreeSet<_>>(), expected);
    server.psql(&triggers.drop_sql().unwrap());
    assert_eq!(tags_of(server, "DELETE FROM donations"), expected);
    assert_eq!(server.psql("SELECT count(*) FROM other.outbox"), "0");
}

/// A policy hides rows from the trigger, and not from `TRUNCATE`.
#[test]
fn what_a_policy_hides_is_truncated_all_the_same() {
    let server = &database();
    server.psql("INSERT INTO donations VALUES (1, 7); DELETE FROM fragkeys.outbox");
    let sql = "CREATE ROLE clerk; GRANT ALL ON donations TO clerk;
        GRANT USAGE ON SCHEMA fragkeys TO clerk; GRANT ALL ON fragkeys.outbox TO clerk;
        ALTER TABLE donations OWNER TO clerk; ALTER TABLE donations ENABLE ROW LEVEL SECURITY;
        ALTER TABLE donations FORCE ROW LEVEL SECURITY;
        CREATE POLICY none_of_these ON donations USING (false);";
    server.psql(sql);
    let function = server.psql(
        "SELECT tgfoid::regprocedure FROM pg_trigger WHERE tgrelid = 'donations'::regclass LIMIT 1",
    );
    server.psql("GRANT CREATE ON SCHEMA fragkeys TO clerk");
    server.psql(&format!("ALTER FUNCTION {function} OWNER TO clerk"));
    assert_eq!(tags_of(server, "TRUNCATE donations"), set(["*"]));
}
