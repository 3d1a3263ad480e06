//! Models whose tags no database can make.

use fragkeys::{Tag, TaggedModel};
use fragkeys_postgres::{ErrorKind, Triggers, drop_sql, trigger_sql};

fn refusal<M: TaggedModel>() -> String {
    let error = trigger_sql::<M>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Model);
    error.to_string()
}

#[derive(TaggedModel)]
#[allow(dead_code)]
struct Homeless {
    id: i64,
}

#[derive(TaggedModel)]
#[tagged_model(table = "t", on_update = |row, change| change.tags(row))]
struct WithEvent {
    id: i64,
}

#[derive(TaggedModel)]
#[tagged_model(table = "t", scopes = [Tag::scoped("Row", "letter", &self.name[..1])])]
struct WithCode {
    id: i64,
    name: String,
}

#[derive(TaggedModel)]
#[tagged_model(table = "t", scopes = [Tag::constant("env", "test")])]
struct WithConstant {
    id: i64,
}

#[derive(TaggedModel)]
#[tagged_model(table = "t", scopes = ["With\0NUL"])]
struct WithNul {
    id: i64,
}

/// What it is tomorrow, the database would not know.
#[derive(TaggedModel)]
#[tagged_model(table = "t", scopes = [Tag::aggregate("Stats", today())])]
struct WithToday {
    id: i64,
}

fn today() -> String {
    "2024-02-29".to_owned()
}

struct Organization {
    id: i64,
}

#[derive(TaggedModel)]
#[tagged_model(table = "t", scopes = ["Row:org:<organization.id>"])]
struct WithOneColumnTwice {
    id: i64,
    organization: Organization,
}

struct Newtype(i64);

impl std::fmt::Display for Newtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(TaggedModel)]
#[tagged_model(table = "t", key = key.0, columns = [key.0 = "id"])]
struct WithNewtype {
    key: (Newtype, f64),
}

#[test]
fn each_is_told_with_what_to_do() {
    assert!(refusal::<Homeless>().contains("does not say its table: add `table"));
    assert_eq!(drop_sql::<Homeless>().unwrap_err().kind(), ErrorKind::Model);
    assert!(refusal::<WithEvent>().contains("`on_update`"));
    assert!(refusal::<WithCode>().contains("write a template"));
    assert!(refusal::<WithConstant>().contains("`=env:test`, which nobody can bump"));
    assert!(refusal::<WithToday>().contains("write a template"));
    let twice = refusal::<WithOneColumnTwice>();
    assert!(twice.contains("columns = [organization.id = \"..\"]"), "{twice}");
    assert!(refusal::<WithNul>().contains("NUL"));
    let newtype = refusal::<WithNewtype>();
    assert!(newtype.contains("Newtype") && newtype.contains("vouch_for(\"key.0\")"), "{newtype}");
}

#[test]
fn what_is_said_of_them_is_believed() {
    assert!(Triggers::of::<WithEvent>().without_events().create_sql().is_ok());
    let sql = Triggers::of::<WithNewtype>().vouch_for("key.0").create_sql().unwrap();
    assert!(sql.contains("fragkeys\".check_column('\"t\"', 'key.0', 'id', 'any')"), "{sql}");
    assert!(Triggers::of::<WithNewtype>().vouch_for("key.1").create_sql().is_err());
}
