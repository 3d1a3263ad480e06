//! Models: which tags a row has, and what bumps them.

mod bump;
mod event;
mod mute;
mod registry;

use std::fmt::Display;

use fragkeys::{Tag, TaggedModel, tag};

/// The texts of a row's own tag and scopes.
fn texts(row: &impl TaggedModel) -> Vec<String> {
    row.tags().iter().map(ToString::to_string).collect()
}

#[test]
fn name_and_key_by_default() {
    #[derive(TaggedModel)]
    struct Donation {
        id: u64,
    }
    let donation = Donation { id: 42 };
    assert_eq!(donation.tag(), Some(Tag::new("Donation", 42)));
    assert_eq!(donation.tags(), [Tag::new("Donation", 42)]);
    assert!(donation.scopes().is_empty());
    assert_eq!(Donation::TAG_NAME, "Donation");
    assert_eq!(Donation::key_tag(42), donation.tag().unwrap());
}

#[test]
fn name_key_and_scopes_by_option() {
    #[derive(TaggedModel)]
    #[tagged_model(
        name = "Sales:Donations",
        key = number,
        scopes = ["Donations:org:<organization_id>", "Donations:{self.organization_id}:<number>", "All"],
    )]
    struct Donation {
        number: &'static str,
        organization_id: u64,
    }
    let donation = Donation { number: "n", organization_id: 7 };
    let expected = ["Sales:Donations:n", "Donations:org:7", "Donations:7:n", "All"];
    assert_eq!(texts(&donation), expected);
}

#[test]
fn keys_in_fields_of_fields_and_in_tuples() {
    struct Key {
        tenant: u32,
        number: (u32, u32),
    }

    #[derive(TaggedModel)]
    #[tagged_model(key = key.tenant, scopes = ["Nested:<key.number.1>"])]
    struct Nested {
        key: Key,
    }
    let key = Key { tenant: 1, number: (2, 3) };
    assert_eq!(texts(&Nested { key }), ["Nested:1", "Nested:3"]);

    #[derive(TaggedModel)]
    #[tagged_model(key = (self.key.tenant, key.number.0, (key.number.1)))]
    struct Composite {
        key: Key,
    }
    let key = Key { tenant: 1, number: (2, 3) };
    assert_eq!(texts(&Composite { key }), ["Composite:1:2:3"]);

    #[derive(TaggedModel)]
    #[tagged_model(key = 0, scopes = ["Pair:second:<self.1>"])]
    struct Pair(u32, u32);
    assert_eq!(texts(&Pair(1, 2)), ["Pair:1", "Pair:second:2"]);

    #[derive(TaggedModel)]
    #[tagged_model(key = (1, self.0.tenant))]
    struct Backwards(Key, u32);
    assert_eq!(texts(&Backwards(Key { tenant: 1, number: (2, 3) }, 4)), ["Backwards:4:1"]);

    #[derive(TaggedModel)]
    #[tagged_model(key = (0,))]
    struct TupleOfOne(u32);
    assert_eq!(TupleOfOne(1).tag(), Some(TupleOfOne::key_tag(1)));
}

#[derive(TaggedModel)]
#[tagged_model(key = (tenant, number), scopes = ["Member:tenant:<tenant>"])]
struct Member {
    tenant: String,
    number: String,
}

/// Rows, keys, templates and constructors all speak of one tag, whatever stands in it.
#[test]
fn hostile_keys_are_one_segment_and_one_tag_everywhere() {
    let hostile = ["", " ", ":", r"\", "a:b", r"a\:b", r"a\", "=", "*", "<x>", "é\n\0", "Member"];
    let mut seen = std::collections::HashSet::new();
    for tenant in hostile {
        for number in hostile {
            let member = Member { tenant: tenant.to_owned(), number: number.to_owned() };
            let own = member.tag().unwrap();
            assert_eq!(own, tag!("Member:<tenant>:<number>"));
            assert_eq!(own, Member::key_tag((tenant, number)));
            assert_eq!(own, own.to_string().parse().unwrap());
            assert_eq!(member.scopes(), [Tag::scoped("Member", "tenant", tenant)]);
            assert!(seen.insert(own), "two rows of one tag");
        }
    }
}

#[test]
fn hostile_names_are_names_as_tags_have_them() {
    #[derive(TaggedModel)]
    #[tagged_model(name = "=x")]
    struct Constant {
        id: u8,
    }
    assert_eq!(Constant { id: 1 }.tag(), Some(Tag::new("=x", 1)));
    assert!(!Constant { id: 1 }.tag().unwrap().is_constant());

    #[derive(TaggedModel)]
    #[tagged_model(name = r"*\a:b")]
    struct Separated {
        id: u8,
    }
    assert_eq!(Separated { id: 1 }.tag(), Some(Tag::new(r"*\a:b", 1)));
    assert_eq!(Separated::key_tag(1), Tag::new(Separated::TAG_NAME, 1));
}

#[test]
fn what_is_none_makes_no_tag() {
    #[derive(TaggedModel)]
    #[tagged_model(key = (tenant, id), scopes = ["Row:<owner>", "Row:<tenant>:<owner>", "Row:<tenant>"])]
    struct Row<'a> {
        tenant: u64,
        id: Option<u64>,
        owner: Option<&'a str>,
    }
    let row = Row { tenant: 1, id: None, owner: None };
    assert_eq!(row.tag(), None);
    assert_eq!(texts(&row), ["Row:1"]);
    let row = Row { tenant: 1, id: Some(2), owner: Some("ada") };
    assert_eq!(texts(&row), ["Row:1:2", "Row:ada", "Row:1:ada", "Row:1"]);
}

#[test]
fn raw_names() {
    #[derive(TaggedModel)]
    #[tagged_model(key = r#type, scopes = ["Type:<type>", "Also:<r#type>:<plain>"])]
    #[allow(non_camel_case_types)]
    struct r#struct {
        r#type: u8,
        r#plain: u8,
    }
    let row = r#struct { r#type: 1, plain: 2 };
    assert_eq!(texts(&row), ["struct:1", "Type:1", "Also:1:2"]);

    #[derive(TaggedModel)]
    struct RawId {
        r#id: u8,
    }
    assert_eq!(texts(&RawId { id: 1 }), ["RawId:1"]);
}

#[test]
fn scopes_as_expressions() {
    const PLAIN: &str = "Plain:1";
    #[derive(TaggedModel)]
    #[tagged_model(scopes = [
        Tag::scoped("User", "letter", &self.name[..1]),
        self.team(),
        PLAIN,
        format!("Text:{}", self.id),
        tag!("Nested:<self.id>"),
        &self.kept,
        if self.id > 1 { Tag::global("Many") } else { Tag::global("One") },
    ])]
    struct User {
        id: u8,
        name: String,
        kept: Tag,
    }
    impl User {
        fn team(&self) -> Tag {
            Tag::new("Team", self.id)
        }
    }
    let user = User { id: 1, name: "Ada".to_owned(), kept: Tag::global("Kept") };
    let expected =
        ["User:1", "User:letter:A", "Team:1", "Plain:1", "Text:1", "Nested:1", "Kept", "One"];
    assert_eq!(texts(&user), expected);
}

#[test]
fn generic_models() {
    #[derive(TaggedModel)]
    #[tagged_model(key = (kind, id), scopes = ["Row:<parent>", Tag::new("Size", N)])]
    struct Row<'a, Id, Kind: ?Sized = str, const N: usize = 2>
    where
        Id: Display,
        Kind: Display,
    {
        id: Id,
        kind: &'a Kind,
        parent: Option<Id>,
    }
    let by_default: Row<'_, u8> = Row { id: 1, kind: "k", parent: None };
    assert_eq!(texts(&by_default), ["Row:k:1", "Size:2"]);
    let kind = 'c';
    let row = Row::<'_, _, _, 3> { id: "id".to_owned(), kind: &kind, parent: Some("p".to_owned()) };
    assert_eq!(texts(&row), ["Row:c:id", "Row:p", "Size:3"]);
    assert_eq!(Row::<String, char, 3>::key_tag(('c', "id")), row.tag().unwrap());

    /// Of a type parameter it is not known whether it is an `Option`: it is `Display`.
    #[derive(TaggedModel)]
    struct Either<T: Display> {
        id: T,
    }
    assert_eq!(texts(&Either { id: 1 }), ["Either:1"]);
    assert_eq!(texts(&Either { id: "x:y" }), [r"Either:x\:y"]);
}

/// Anything that is `Display`, by value and by reference.
#[test]
fn keys_of_any_type() {
    #[derive(TaggedModel)]
    #[tagged_model(scopes = ["Of:<owner>"])]
    struct Row {
        id: Box<str>,
        owner: std::sync::Arc<std::net::Ipv6Addr>,
    }
    let row = Row { id: "x".into(), owner: std::net::Ipv6Addr::LOCALHOST.into() };
    assert_eq!(texts(&row), ["Row:x", r"Of:\:\:1"]);
    assert_eq!(Row::key_tag('x'), Row::key_tag(&"x".to_owned()));
}

/// The required items are all that an implementation needs.
#[test]
fn an_implementation_by_hand() {
    struct Report(u32);
    impl TaggedModel for Report {
        const TAG_NAME: &'static str = "Report";
        fn tag(&self) -> Option<Tag> {
            Some(Tag::new(Self::TAG_NAME, self.0))
        }
        fn scopes(&self) -> Vec<Tag> {
            vec![Tag::global("Reports")]
        }
    }
    assert_eq!(texts(&Report(1)), ["Report:1", "Reports"]);
    assert_eq!(Report(1).on_create(), Report(1).tags());
    let (old, new) = (Report(1), Report(2));
    assert_eq!(new.on_update(&fragkeys::Change::from_row(&old)).len(), 4);
}
