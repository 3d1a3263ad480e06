//! Key rings: definitions of keys in one place.

use std::sync::LazyLock;
use std::time::Duration;

use fragkeys::{ErrorKind, KeyRing, RingTag, Tag, cache, with_cache};

use crate::support::memory_cache;

/// In place of a registry of rings by name: a static has a name, and needs no startup.
static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    KeyRing::new()
        .define("org_list", ["organization", "category"])
        .define("banner", [RingTag::new("campaign"), RingTag::constant("env")])
});

#[tokio::test]
async fn a_ring_is_a_static_and_works_in_whatever_cache() {
    for cache in [memory_cache().await, memory_cache().await] {
        let entry = RING.entry(&cache, "org_list", [7, 8]).unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
        entry.set(&1).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
        cache.invalidate([Tag::new("organization", 7)]).await.unwrap();
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_ring_of_the_cache_in_use() {
    with_cache(memory_cache().await, async {
        RING.entry(&cache(), "org_list", [7, 8]).unwrap().set(&1).await.unwrap();
        let by_hand = cache().entry("org_list").tags(RING.tags("org_list", [7, 8]).unwrap());
        assert_eq!(by_hand.get::<i32>().await.unwrap(), Some(1));
    })
    .await;
}

#[test]
fn definitions_are_bound_by_name_and_listed() {
    let tags = RING.tags("banner", ["spring", "production"]).unwrap();
    assert_eq!(tags, [Tag::new("campaign", "spring"), Tag::constant("env", "production")]);
    assert!(RING.defined().eq(["banner", "org_list"]));
    // Theirs matches names without regard to case, and takes the last of two definitions.
    assert_eq!(RING.tags("Banner", ["spring", "x"]).unwrap_err().kind(), ErrorKind::KeyRing);
    assert_eq!(RING.tags("banner", ["spring"]).unwrap_err().kind(), ErrorKind::KeyRing);
}

/// In place of options of tags and rings: a kind of tag at the definition, and what concerns
/// time or the store at the entry and the cache.
#[tokio::test]
async fn options_stand_where_they_belong() {
    let (one, other) = (memory_cache().await, memory_cache().await);
    let entry = RING.entry(&one, "banner", ["spring", "test"]).unwrap();
    entry.timeout(Duration::from_secs(60)).set(&1).await.unwrap();
    let elsewhere = RING.entry(&other, "banner", ["spring", "test"]).unwrap();
    assert_eq!(elsewhere.get::<i32>().await.unwrap(), None);
    let staging = RING.entry(&one, "banner", ["spring", "staging"]).unwrap();
    assert_eq!(staging.get::<i32>().await.unwrap(), None);
}

/// In place of the ring's own factory of tags.
#[test]
fn a_tag_of_a_ring_is_an_ordinary_one() {
    let tags = RING.tags("org_list", ["a", "b"]).unwrap();
    assert_eq!(tags, [Tag::new("organization", "a"), Tag::new("category", "b")]);
}
