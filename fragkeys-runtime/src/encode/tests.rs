use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Serialize;

use super::*;

fn encoded<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    append(value, &mut bytes).unwrap();
    bytes
}

#[derive(Serialize)]
struct Filter<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
}

#[derive(Serialize)]
enum Choice {
    One,
    Two(u8),
    Three { one: u8 },
    Four(u8, u8),
}

/// Values that a careless encoding would put together.
#[test]
fn values_that_look_alike_are_kept_apart() {
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("unit", encoded(&())),
        ("none", encoded(&None::<u8>)),
        ("some unit", encoded(&Some(()))),
        ("some none", encoded(&Some(None::<u8>))),
        ("0_u8", encoded(&0_u8)),
        ("0_i8", encoded(&0_i8)),
        ("0_u16", encoded(&0_u16)),
        ("some 0", encoded(&Some(0_u8))),
        ("false", encoded(&false)),
        ("empty text", encoded("")),
        ("none as text", encoded("None")),
        ("0 as text", encoded("0")),
        ("a letter", encoded(&'0')),
        ("empty list", encoded(&[0_u8; 0][..])),
        ("empty lists", encoded(&vec![Vec::<u8>::new()])),
        ("two empty lists", encoded(&vec![Vec::<u8>::new(), Vec::new()])),
        ("nested list", encoded(&vec![vec![Vec::<u8>::new()]])),
        ("tuple of nothing", encoded(&((), ()))),
        ("texts ab, c", encoded(&("ab", "c"))),
        ("texts a, bc", encoded(&("a", "bc"))),
        ("list of ab, c", encoded(&vec!["ab", "c"])),
        ("list of a, bc", encoded(&vec!["a", "bc"])),
        ("map a: b", encoded(&BTreeMap::from([("a", "b")]))),
        ("map of two", encoded(&BTreeMap::from([("a", "b"), ("c", "d")]))),
        ("0.0", encoded(&0.0_f64)),
        ("-0.0", encoded(&-0.0_f64)),
        ("from only", encoded(&Filter { from: Some("x"), to: None })),
        ("to only", encoded(&Filter { from: None, to: Some("x") })),
        ("variant 1", encoded(&Choice::One)),
        ("variant 2", encoded(&Choice::Two(1))),
        ("variant 3", encoded(&Choice::Three { one: 1 })),
        ("variant 4", encoded(&Choice::Four(1, 1))),
    ];
    for (index, (name, bytes)) in rows.iter().enumerate() {
        for (other_name, other_bytes) in &rows[..index] {
            assert_ne!(bytes, other_bytes, "{name} and {other_name}");
        }
    }
}

type Row = (String, Option<String>, Vec<String>, Vec<u8>, BTreeMap<String, Option<u8>>);

proptest! {
    /// Two rows of arguments give the same bytes exactly if they are equal, wherever the
    /// bytes of one argument end.
    #[test]
    fn rows_are_kept_apart(one: Row, other: Row) {
        let append_all = |row: &Row| {
            let mut bytes = Vec::new();
            append(&row.0, &mut bytes).unwrap();
            append(&row.1, &mut bytes).unwrap();
            append(&row.2, &mut bytes).unwrap();
            append(&row.3, &mut bytes).unwrap();
            append(&row.4, &mut bytes).unwrap();
            bytes
        };
        prop_assert_eq!(append_all(&one) == append_all(&other), one == other);
    }

    /// No encoding begins another one: so a row of them can be cut in only one way.
    #[test]
    fn no_encoding_begins_another(one: Vec<Option<String>>, other: Vec<Option<String>>) {
        prop_assert!(one == other || !encoded(&one).starts_with(&encoded(&other)));
    }
}

#[test]
fn pitfalls_are_noticed_wherever_they_are() {
    #[derive(Serialize)]
    struct New<T>(T);
    let whole = || Filter { from: Some("a"), to: Some("b") };
    let sparse = || Filter { from: None, to: Some("b") };
    let skips = |found: Pitfalls| found == Pitfalls { skipped_fields: true, ..Pitfalls::default() };
    let hides =
        |found: Pitfalls| found == Pitfalls { some_of_nothing: true, ..Pitfalls::default() };
    let wild = |found: Pitfalls| found == Pitfalls { non_finite: true, ..Pitfalls::default() };
    assert!(skips(found_in(&sparse())));
    assert!(skips(found_in(&vec![whole(), sparse()])));
    assert!(skips(found_in(&BTreeMap::from([(1, Some(Box::new(sparse())))]))));
    assert!(hides(found_in(&Some(None::<u8>))));
    assert!(hides(found_in(&vec![(1, Some(New(New(()))))])));
    assert!(wild(found_in(&[Some(f64::NAN)])));
    assert!(wild(found_in(&f32::NEG_INFINITY)));
    let harmless = (whole(), Some(Some(1)), Some(vec![None::<u8>]), Choice::Three { one: 1 }, 0.5);
    assert_eq!(found_in(&harmless), Pitfalls::default());
}

fn found_in<T: Serialize + ?Sized>(value: &T) -> Pitfalls {
    pitfalls(value, true)
}

struct Refuses;

impl Serialize for Refuses {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(ser::Error::custom("hunter2"))
    }
}

#[test]
fn a_refusal_does_not_quote() {
    let error = append(&Refuses, &mut Vec::<u8>::new()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
