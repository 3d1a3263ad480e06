//! Templates, the constructors of `Tag`, and a tag's text all speak of the same tags.

use std::collections::HashMap;

use fragkeys::{Tag, cache, invalidate, tag, with_cache};
use proptest::prelude::*;

use crate::support::memory_cache;

/// The text of each of these tags, which is also the tag of that text.
fn assert_texts<const N: usize>(tags: [(Tag, &str); N]) {
    for (tag, text) in tags {
        assert_eq!(tag.to_string(), text);
        assert_eq!(text.parse::<Tag>().unwrap(), tag, "parsed from {text}");
        assert_eq!(Tag::from(text), tag, "made from {text}");
        assert_eq!(Tag::from(text.to_owned()), tag, "made from {text}");
        assert_eq!(Tag::from(&tag), tag);
    }
}

#[test]
fn constructors() {
    assert_texts([
        (Tag::global("Dashboard"), "Dashboard"),
        (Tag::global("Sales:Dashboard"), "Sales:Dashboard"),
        (Tag::new("User", 42), "User:42"),
        (Tag::new("Sales:User", 42), "Sales:User:42"),
        (Tag::new("User", ""), "User:"),
        (Tag::new("User", " "), "User: "),
        (Tag::new("User", "é\n\0"), "User:é\n\0"),
        (Tag::scoped("Review", "org", 7), "Review:org:7"),
        (Tag::model("User", 42), "User:42"),
        (Tag::list("Donations", 42), "Donations:42"),
        (Tag::aggregate("Stats", "daily"), "Stats:daily"),
        (Tag::custom("Weather", "Oslo"), "Weather:Oslo"),
        (Tag::constant("env", "production"), "=env:production"),
    ]);
}

#[test]
fn escapes() {
    assert_texts([
        (Tag::new("User", "a:b"), r"User:a\:b"),
        (Tag::new("User", r"a\b"), r"User:a\\b"),
        (Tag::new("User", r"a\:b"), r"User:a\\\:b"),
        (Tag::new("User", ":"), r"User:\:"),
        (Tag::new("User", r"\"), r"User:\\"),
        (Tag::global(r"a\b"), r"a\\b"),
        (Tag::global("=env:production"), r"\=env:production"),
        (Tag::global("="), r"\="),
        (Tag::global("*"), r"\*"),
        (Tag::global("**"), "**"),
        (Tag::new("*", "*"), "*:*"),
        (Tag::new("User", "=*"), "User:=*"),
        (Tag::new("=", "x"), r"\=:x"),
        (Tag::constant("=", "*:"), r"==:*\:"),
    ]);
}

/// A text that nobody's `Display` writes still has one meaning.
#[test]
fn texts_in_other_spellings() {
    for (spelling, tag) in [
        (r"User:a\b", Tag::new("User", r"a\b")),
        (r"User:\=a\*", Tag::new("User", "=a*")),
        (r"User:a\", Tag::new("User", r"a\")),
        (r"\User:1", Tag::new(r"\User", 1)),
        ("User:a:b", Tag::scoped("User", "a", "b")),
    ] {
        assert_eq!(spelling.parse::<Tag>().unwrap(), tag, "{spelling}");
    }
    assert!("".parse::<Tag>().is_err());
}

#[test]
fn templates() {
    struct Row {
        id: u64,
        r#type: &'static str,
        pair: (u8, (char, bool)),
    }
    let row = Row { id: 7, r#type: "a:b", pair: (1, ('x', true)) };
    let user_id = 42;
    let name = r"a:\b";
    let empty = "";
    let r#async = 1.5;
    let _private = "p";
    let größe = 3;
    for (tag, expected) in [
        (tag!("Dashboard"), Tag::global("Dashboard")),
        (tag!("User:<user_id>"), Tag::new("User", 42)),
        (tag!("User:{user_id}"), Tag::new("User", 42)),
        (tag!("User:< user_id >"), Tag::new("User", 42)),
        (tag!("User:<name>"), Tag::new("User", r"a:\b")),
        (tag!("User:org:<user_id>"), Tag::scoped("User", "org", 42)),
        (tag!("<user_id>"), Tag::global("42")),
        (tag!("User:<empty>"), Tag::new("User", "")),
        (tag!("User:<row.id>"), Tag::new("User", 7)),
        (tag!("User:<row.type>"), Tag::new("User", "a:b")),
        (tag!("User:<row.r#type>"), Tag::new("User", "a:b")),
        (tag!("User:<async>"), Tag::new("User", 1.5)),
        (tag!("User:{r#async}"), Tag::new("User", 1.5)),
        (tag!("User:<row.pair.0>"), Tag::new("User", 1)),
        (tag!("User:<row.pair.1.0>"), Tag::new("User", "x")),
        (tag!("User:<row.pair.1.1>"), Tag::new("User", true)),
        (tag!("User:<_private>"), Tag::new("User", "p")),
        (tag!("User:<größe>"), Tag::new("User", 3)),
        (tag!("User:v<user_id>-<row.id>"), Tag::new("User", "v42-7")),
        (tag!("User:<user_id><row.id>"), Tag::new("User", "427")),
        (tag!("<user_id>:{row.id}:<name>"), r"42:7:a\:\\b".parse().unwrap()),
        (tag!("User:<<user_id>>"), Tag::new("User", "<user_id>")),
        (tag!("User:{{user_id}}"), Tag::new("User", "{user_id}")),
        (tag!("User:<<<user_id>>>"), Tag::new("User", "<42>")),
        (tag!("User:{{{user_id}}}"), Tag::new("User", "{42}")),
        (tag!("a >> b: <<"), Tag::global("a > b: <")),
        (tag!(r"User:a\:b"), Tag::new("User", "a:b")),
        (tag!(r"User:a\\b"), Tag::new("User", r"a\b")),
        (tag!(r"User:a\b"), Tag::new("User", r"a\b")),
        (tag!(r"User:\<user_id>"), Tag::new("User", r"\42")),
        (tag!(r"\=env:<user_id>"), Tag::new("=env", 42)),
        (tag!(r"\*"), Tag::global("*")),
        (tag!("**"), Tag::global("**")),
        (tag!("User:=*"), Tag::new("User", "=*")),
        (tag!(" User : <user_id> "), " User : 42 ".parse().unwrap()),
    ] {
        assert_eq!(tag, expected);
        assert_eq!(tag.to_string().parse::<Tag>().unwrap(), tag);
    }
}

/// What a value says cannot make another kind of tag of a template.
#[test]
fn values_at_the_beginning_of_a_template() {
    let (star, equals, constant) = ("*", "=", "=env:production");
    assert_eq!(tag!("<star>"), Tag::global("*"));
    assert_eq!(tag!("<equals>env"), Tag::global("=env"));
    assert_eq!(tag!("<equals>env:<star>"), Tag::new("=env", "*"));
    assert!(!tag!("<constant>").is_constant());
    assert_ne!(tag!("<constant>"), Tag::constant("env", "production"));
    assert_ne!(tag!("<star>"), Tag::from("*"));
}

#[test]
fn a_value_is_one_segment() {
    assert_ne!(Tag::new("User", "a:b"), Tag::scoped("User", "a", "b"));
    assert_ne!(Tag::new("User", "a:b"), Tag::new("User:a", "b"));
    let (pair, a, b) = ("a:b", "a", "b");
    assert_ne!(tag!("User:<pair>"), tag!("User:<a>:<b>"));
    assert_eq!(tag!("User:<pair>"), Tag::new("User", "a:b"));
    assert_eq!(tag!("User:<a>:<b>"), Tag::scoped("User", "a", "b"));
}

#[tokio::test]
async fn invalidate_takes_templates_and_tags() {
    let cache_of_test = memory_cache().await;
    with_cache(cache_of_test, async {
        let user_id = 42;
        let own = Tag::new("Own", 1);
        let text = "Text:1".to_owned();
        let borrowed = Tag::new("Borrowed", 1);
        let bumped = invalidate!(
            "User:<user_id>",
            "Dashboard",
            own,
            &borrowed,
            borrowed.clone(),
            text.as_str(),
            Tag::scoped("Review", "org", user_id),
        )
        .await
        .unwrap();
        let mut names: Vec<String> = bumped.iter().map(|(tag, _)| tag.to_string()).collect();
        names.sort();
        let expected = ["Borrowed:1", "Dashboard", "Own:1", "Review:org:42", "Text:1", "User:42"];
        assert_eq!(names, expected);
        for (tag, version) in &bumped {
            assert_eq!(cache().tag_version(tag).await.unwrap(), *version);
        }
        assert!(invalidate!(Tag::constant("env", "test")).await.is_err());
        assert!(invalidate!(Tag::global("")).await.is_err());
    })
    .await;
}

/// Texts from an alphabet in which mistakes of escaping show, and any others.
fn text() -> impl Strategy<Value = String> {
    prop_oneof!["[:\\\\=*<>{}ab ]{0,6}", any::<String>()]
}

/// A name without `:`: with one, it says more than one segment, as a template does.
fn plain_name() -> impl Strategy<Value = String> {
    text().prop_map(|name| name.replace(':', ""))
}

proptest! {
    #[test]
    fn display_and_from_str_round_trip(a in text(), b in text(), c in text()) {
        let tags = [
            Tag::new(&a, &b),
            Tag::global(&a),
            Tag::scoped(&a, &b, &c),
            Tag::model(&a, &b),
            Tag::list(&a, &b),
            Tag::aggregate(&a, &b),
            Tag::custom(&a, &b),
            Tag::constant(&a, &b),
            tag!("<a>:x:{b}<c>"),
            tag!("Name:<a>"),
        ];
        for tag in tags {
            let text = tag.to_string();
            if !text.is_empty() {
                prop_assert_eq!(text.parse::<Tag>().unwrap(), tag);
            }
        }
    }

    #[test]
    fn equal_texts_are_equal_tags(a in text()) {
        if let Ok(tag) = a.parse::<Tag>() {
            let canonical = tag.to_string();
            prop_assert_eq!(canonical.parse::<Tag>().unwrap().to_string(), canonical);
        }
    }

    #[test]
    fn templates_are_constructors(a in text(), b in text()) {
        prop_assert_eq!(tag!("User:<a>"), Tag::new("User", &a));
        prop_assert_eq!(tag!("User:org:{a}"), Tag::scoped("User", "org", &a));
        let joined = format!("{a}-{b}");
        prop_assert_eq!(tag!("User:<a>-<b>"), Tag::new("User", joined));
    }

    #[test]
    fn pairs_are_distinct(
        (a, b) in (plain_name(), text()),
        (c, d) in (plain_name(), text()),
    ) {
        prop_assert_eq!(Tag::new(&a, &b) == Tag::new(&c, &d), (&a, &b) == (&c, &d));
        let constants = Tag::constant(&a, &b) == Tag::constant(&c, &d);
        prop_assert_eq!(constants, (&a, &b) == (&c, &d));
        prop_assert_eq!(tag!("<a>:<b>") == tag!("<c>:<d>"), (&a, &b) == (&c, &d));
        prop_assert_ne!(Tag::constant(&a, &b), Tag::new(&c, &d));
        prop_assert_ne!(Tag::new(&a, &b), Tag::global(&c));
    }
}

/// All pairs of short hostile texts, without exception.
#[test]
fn short_pairs_are_distinct() {
    let parts = ["", ":", r"\", "=", "*", "a", "::", r"\:", r":\", r"\\", "a:", ":a", r"a\", r"\a"];
    let mut seen = HashMap::new();
    for a in parts {
        for b in parts {
            for (tag, made_from) in [
                (tag!("<a>:<b>"), (a, b, "template")),
                (Tag::constant(a.replace(':', ";"), b), (a, b, "constant")),
            ] {
                let earlier = seen.insert(tag.clone(), made_from);
                assert_eq!(earlier, None, "{tag:?} is also {made_from:?}");
            }
        }
    }
}
