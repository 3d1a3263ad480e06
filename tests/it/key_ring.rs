//! Key rings: entries by hand whose names and tags stand in one place.

use std::fmt::Display;
use std::sync::LazyLock;

use fragkeys::{ErrorKind, KeyRing, RingTag, Tag};
use fragkeys_tests::RedisServer;

use crate::support::{memory_cache, redis_cache};

static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::new()
        .define("org_list", ["organization", "category"])
        .define("banner", [RingTag::from("campaign"), RingTag::constant("env")])
        .define("front_page", [] as [&str; 0])
});

#[test]
fn values_are_bound_to_the_tags_in_their_order() {
    let tags = RING.tags("org_list", [7, 8]).unwrap();
    assert_eq!(tags, [Tag::new("organization", 7), Tag::new("category", 8)]);
    let tags = RING.tags("org_list", [&7 as &dyn Display, &"education"]).unwrap();
    assert_eq!(tags, [Tag::new("organization", 7), Tag::new("category", "education")]);
    let tags = RING.tags("banner", ["spring", "production"]).unwrap();
    assert_eq!(tags, [Tag::new("campaign", "spring"), Tag::constant("env", "production")]);
    assert!(RING.tags("front_page", [] as [u8; 0]).unwrap().is_empty());
    assert!(RING.defined().eq(["banner", "front_page", "org_list"]));
}

#[test]
fn a_hostile_value_stays_one_value() {
    let one = RING.tags("org_list", ["a:b", "c"]).unwrap();
    let other = RING.tags("org_list", ["a", "b:c"]).unwrap();
    assert_ne!(one, other);
    assert_eq!(one, [Tag::new("organization", "a:b"), Tag::new("category", "c")]);
    // A value cannot make itself a constant, or the tag of the whole cache.
    let ring = KeyRing::new().define("x", [""]);
    assert!(!ring.tags("x", ["=env"]).unwrap()[0].is_constant());
}

#[test]
fn a_mistake_says_what_is_defined_and_what_was_given() {
    let unknown = RING.tags("org_lst", [7, 8]).unwrap_err();
    let few = RING.tags("org_list", ["hunter2"]).unwrap_err();
    let many = RING.tags("org_list", [1, 2, 3]).unwrap_err();
    let none = RING.tags("front_page", [1]).unwrap_err();
    let empty = KeyRing::new().tags("org_list", [7]).unwrap_err();
    for error in [&unknown, &few, &many, &none, &empty] {
        assert_eq!(error.kind(), ErrorKind::KeyRing, "{error}");
    }
    let says = |error: &fragkeys::Error, parts: &[&str]| {
        for part in parts {
            assert!(error.to_string().contains(part), "{error} does not say {part}");
        }
    };
    says(&unknown, &["`org_lst` is not defined", "`banner`, `front_page`, `org_list`"]);
    says(&few, &["`org_list`", "`organization`, `category`", "1 were given for 2"]);
    says(&many, &["`org_list`", "`organization`, `category`", "3 were given for 2"]);
    says(&none, &["`front_page`", "1 were given for 0"]);
    says(&empty, &["`org_list` is not defined", "nothing"]);
    assert!(!few.to_string().contains("hunter2"), "values are nobody's business: {few}");
}

/// Also where the two are alike, and a third does not heal it.
#[test]
fn a_name_that_is_defined_twice_is_refused_where_it_is_used() {
    let mut ring = KeyRing::new().define("other", ["x"]);
    for _ in 0..2 {
        ring = ring.define("twice", ["a"]).define("twice", ["a"]);
        let error = ring.tags("twice", [1]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyRing);
        assert!(error.to_string().contains("`twice` is defined twice"), "{error}");
        ring = ring.define("twice", ["a"]);
        assert!(ring.tags("twice", [1]).is_err());
    }
    assert_eq!(ring.tags("other", [1]).unwrap(), [Tag::new("x", 1)]);
}

#[tokio::test]
async fn its_entries_are_those_of_the_cache_by_hand() {
    let server = RedisServer::start();
    for cache in [memory_cache().await, redis_cache(&server).await] {
        let entry = RING.entry(&cache, "org_list", [7, 8]).unwrap();
        entry.set(&1).await.unwrap();
        let by_hand =
            cache.entry("org_list").tag(Tag::new("organization", 7)).tag(Tag::new("category", 8));
        assert_eq!(by_hand.get::<i32>().await.unwrap(), Some(1));
        let swapped = RING.entry(&cache, "org_list", [8, 7]).unwrap();
        assert_eq!(swapped.get::<i32>().await.unwrap(), None);

        cache.invalidate([Tag::new("organization", 8)]).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
        cache.invalidate([Tag::new("category", 8)]).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), None);

        let error = RING.entry(&cache, "org_list", [7]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyRing);
    }
}
