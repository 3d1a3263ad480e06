//! The tags that PostgreSQL makes are those of the program, to the byte.

use std::collections::BTreeSet;

use fragkeys::{Tag, TaggedModel};
use fragkeys_postgres::{Outbox, trigger_sql};
use fragkeys_tests::PostgresServer;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::support::connect;

const ROWS: usize = 1_000;

#[derive(Clone, Debug, TaggedModel)]
#[tagged_model(
    name = r"Ro:w\",
    table = "rows",
    key = (id, name),
    columns = [kind = "the kind"],
    scopes = [
        "Row:<small>:<medium>:x<name>y",
        "<kind>",
        "<kind>:<flag>",
        "*<kind>",
        r"\~<kind>",
        r"\=<label>",
        r"\*<name>\=\:\\",
        Tag::new("=", "not"),
        "Row:uuid:<uuid>",
        "100%<label>{{'\"",
        Tag::new("Row", ":fixed'\\"),
    ],
)]
struct Row {
    id: i64,
    small: i16,
    medium: Option<i32>,
    name: String,
    label: Option<String>,
    kind: String,
    flag: Option<bool>,
    uuid: Uuid,
}

/// Texts that mean something to a tag or to SQL, and any others but NUL.
fn text() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "",
        ":",
        "\\",
        "=",
        "@",
        "~",
        "*",
        "**",
        "\\:",
        "=x",
        "'",
        "\"",
        "$body$",
        "%s",
        "é",
        "\u{1F980}",
        "a b",
        "\n",
        "NULL",
    ]);
    let any = prop::collection::vec(any::<char>().prop_filter("NUL", |c| *c != '\0'), 0..8)
        .prop_map(|characters| characters.into_iter().collect::<String>());
    prop_oneof![
        hostile.clone().prop_map(str::to_owned),
        any.clone(),
        (hostile, any).prop_map(|(one, other)| format!("{one}{other}")),
    ]
}

fn row() -> impl Strategy<Value = Row> {
    let numbers = (any::<i64>(), any::<i16>(), any::<Option<i32>>());
    let texts = (text(), prop::option::of(text()), text());
    (numbers, texts, any::<Option<bool>>(), any::<u128>()).prop_map(
        |((id, small, medium), (name, label, kind), flag, uuid)| {
            let uuid = Uuid::from_u128(uuid);
            Row { id, small, medium, name, label, kind, flag, uuid }
        },
    )
}

async fn tags_of(client: &Client, row: &Row) -> BTreeSet<String> {
    let Row { id, small, medium, name, label, kind, flag, uuid } = row;
    client
        .execute(
            "INSERT INTO rows VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &[id, small, medium, name, label, kind, flag, uuid],
        )
        .await
        .unwrap();
    let tags = client.query("DELETE FROM fragkeys.outbox RETURNING tag", &[]).await.unwrap();
    assert_eq!(
        tags.len(),
        tags.iter().map(|tag| tag.get::<_, String>(0)).collect::<BTreeSet<_>>().len()
    );
    tags.iter().map(|tag| tag.get(0)).collect()
}

#[tokio::test]
async fn hostile_values_give_the_texts_that_tags_have() {
    let server = PostgresServer::start();
    server.psql(&Outbox::new().create_sql().unwrap());
    server.psql(
        "CREATE TABLE rows (id bigint, small smallint, medium int, name text, label varchar,
         \"the kind\" text, flag boolean, uuid uuid)",
    );
    server.psql(&trigger_sql::<Row>().unwrap());
    let client = connect(&server.url()).await;
    let mut runner = TestRunner::default();
    for _ in 0..ROWS {
        let row = row().new_tree(&mut runner).unwrap().current();
        // Nobody can bump one without a text.
        let texts = row.tags().iter().map(ToString::to_string).collect::<Vec<_>>();
        let expected: BTreeSet<String> =
            texts.into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(tags_of(&client, &row).await, expected, "{row:?}");
        // What the relay makes of the text is the tag itself.
        assert!(row.tags().iter().all(|tag| Tag::from(tag.to_string()) == *tag), "{row:?}");
    }
}
