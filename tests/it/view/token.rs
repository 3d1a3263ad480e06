//! What a bump did, as a text that comes back from anybody.

use std::time::{SystemTime, UNIX_EPOCH};

use fragkeys::{Bumped, ErrorKind, Tag};
use proptest::prelude::*;

use crate::support::memory_cache;

const LONGEST: usize = 1_024;

fn is_fit_for_a_cookie(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:*.~%".contains(&byte))
}

fn nanoseconds_ahead(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_nanos()).unwrap() + seconds * 1_000_000_000
}

#[tokio::test]
async fn hostile_tags_come_back() {
    let cache = memory_cache().await;
    let texts = ["42", "a:b", "\\", "", " ", ";,\"", "ü", "\0\r\n", "%41", "~", ".", "*", "a~b.c"];
    let tags = texts.map(|text| Tag::new("User", text));
    let tags = tags.into_iter().chain(["*".into(), Tag::global("=x"), Tag::global("~y")]);
    let bumped = cache.invalidate(tags).await.unwrap();
    let text = bumped.to_string();
    assert!(is_fit_for_a_cookie(&text) && text.len() <= LONGEST, "{text}");
    let back: Bumped = text.parse().unwrap();
    assert_eq!(back.len(), bumped.len());
    for (tag, version) in &bumped {
        assert_eq!(back.version(tag), Some(*version), "{tag}");
    }
}

#[tokio::test]
async fn it_is_short_however_many_tags_there_are() {
    let cache = memory_cache().await;
    let bumped = cache.invalidate((0..10_000).map(|id| Tag::new("User", id))).await.unwrap();
    let text = bumped.to_string();
    assert!(text.len() <= LONGEST && text.len() > LONGEST - 100 && text.ends_with("~*"));
    let back: Bumped = text.parse().unwrap();
    assert!(back.len() > 20 && back.iter().all(|(tag, at)| bumped.version(tag) == Some(*at)));
    assert_eq!(back.to_string(), text);
    // One that has no room at all.
    let bumped = cache.invalidate([Tag::new("User", "x".repeat(2_000))]).await.unwrap();
    assert_eq!(bumped.to_string(), "*");
    assert!("*".parse::<Bumped>().unwrap().is_empty());
}

#[test]
fn nothing_is_a_token_too() {
    assert_eq!(Bumped::default().to_string(), "");
    assert_eq!("".parse::<Bumped>().unwrap(), Bumped::default());
}

#[test]
fn of_one_tag_the_newest_version_counts() {
    let (old, new) = (nanoseconds_ahead(-20), nanoseconds_ahead(-10));
    for text in [format!("{old}.A~{new}.A"), format!("{new}.A.A~{old}.A")] {
        let bumped: Bumped = text.parse().unwrap();
        let version = bumped.version(&"A".into()).map(u64::from);
        assert_eq!((bumped.len(), version), (1, u64::try_from(new).ok()));
    }
}

#[test]
fn what_is_none_is_an_error_that_does_not_repeat_it() {
    let now = nanoseconds_ahead(0);
    let hostile = [
        "x".to_owned(),
        "~".to_owned(),
        ".".to_owned(),
        ".User:42".to_owned(),
        format!("{now}"),
        format!("{now}."),
        format!("{now}.A~"),
        format!("{now}.A~~{now}.B"),
        format!("{now}.A..B"),
        format!("{now}.A%"),
        format!("{now}.A%4"),
        format!("{now}.A%zz"),
        format!("{now}.A%FF"),
        format!("{now}.A B"),
        format!("{now}.A;B"),
        format!("{now}.ü"),
        format!("{now}.%3Denv:production"),
        format!("{now}.%40raw-key"),
        format!("+{now}.A"),
        format!("-{now}.A"),
        "1.A".to_owned(),
        "0.A".to_owned(),
        "999999999999999999.A".to_owned(),
        "18446744073709551615.A".to_owned(),
        "99999999999999999999999.A".to_owned(),
        format!("{}.A", "9".repeat(900)),
        format!("{now}.{}", "A".repeat(2_000)),
        format!("**{now}.A"),
    ];
    for text in hostile {
        let error = text.parse::<Bumped>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Token, "{text}");
        assert!(!error.to_string().contains("now") && error.to_string().len() < 200, "{error}");
        assert!(text.len() < 5 || !error.to_string().contains(&text), "{error}");
    }
}

#[test]
fn a_version_may_be_a_day_ahead_and_no_more() {
    let day = 86_400;
    assert!(format!("{}.A", nanoseconds_ahead(day - 60)).parse::<Bumped>().is_ok());
    for ahead in [day + 60, 365 * day] {
        let error = format!("{}.A", nanoseconds_ahead(ahead)).parse::<Bumped>().unwrap_err();
        assert!(error.to_string().contains("a day ahead"), "{error}");
    }
    assert!(format!("{}.A", i64::MAX).parse::<Bumped>().is_err());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,60}|[0-9.~%*A-F]{0,80}") {
        if let Ok(bumped) = text.parse::<Bumped>() {
            prop_assert_eq!(bumped.to_string().parse::<Bumped>().unwrap(), bumped);
        }
    }
}
