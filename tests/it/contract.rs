//! What every store must do: one suite, run over the embedded store and over real Redis.

use std::time::Duration;

use fragkeys::{Cache, Config, ErrorKind, Tag};
use fragkeys_tests::RedisServer;

use crate::support::{eventually, memory_cache, over_both_stores};

over_both_stores! {
    an_entry_is_read_back_as_it_was_set,
    an_entry_is_gone_after_its_timeout,
    an_entry_is_gone_after_delete,
    a_bump_hides_entries_of_its_tag_and_no_others,
    invalidate_all_hides_every_entry_by_one_bump,
    versions_only_grow,
    a_version_is_stable_until_it_is_bumped,
    many_tags_are_bumped_in_one_call,
    a_tag_named_twice_is_bumped_once,
    constant_tags_are_part_of_the_key_and_cannot_be_bumped,
    names_groups_and_tags_tell_entries_apart,
    the_order_of_tags_does_not_matter,
    an_entry_of_another_type_is_a_miss,
    a_value_above_the_limit_is_an_error_that_says_so,
    a_set_after_a_get_is_fenced_by_the_versions_that_the_get_saw,
    a_set_after_a_hit_replaces_what_was_read,
    a_set_of_another_type_than_the_get_before_it,
    get_or_set_with_runs_once_and_get_or_try_keeps_no_errors,
    hostile_names_and_tags_are_kept_apart,
}

async fn an_entry_is_read_back_as_it_was_set(cache: Cache) {
    let entry = cache.entry("numbers").tag(Tag::new("User", 1));
    assert_eq!(entry.get::<Vec<u64>>().await.unwrap(), None);
    entry.set(&vec![1_u64, 2, 3]).await.unwrap();
    assert_eq!(entry.get::<Vec<u64>>().await.unwrap(), Some(vec![1, 2, 3]));
    // A fresh handle finds it as well.
    let again = cache.entry("numbers").tag(Tag::new("User", 1));
    assert_eq!(again.get::<Vec<u64>>().await.unwrap(), Some(vec![1, 2, 3]));
    assert!(again.key().await.unwrap().starts_with("fragkeys:v:numbers:"));
}

async fn an_entry_is_gone_after_its_timeout(cache: Cache) {
    let short = cache.entry("short").timeout(Duration::from_millis(100));
    let long = cache.entry("long").timeout(Duration::from_secs(3_600));
    short.set(&1).await.unwrap();
    long.set(&1).await.unwrap();
    eventually("the entry expires", async || short.get::<i32>().await.unwrap().is_none()).await;
    assert_eq!(long.get::<i32>().await.unwrap(), Some(1));
}

async fn an_entry_is_gone_after_delete(cache: Cache) {
    let entry = cache.entry("a");
    entry.set(&1).await.unwrap();
    cache.entry("b").set(&2).await.unwrap();
    assert!(entry.delete().await.unwrap());
    assert!(!entry.delete().await.unwrap());
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
    assert_eq!(cache.entry("b").get::<i32>().await.unwrap(), Some(2));
}

async fn a_bump_hides_entries_of_its_tag_and_no_others(cache: Cache) {
    let one = cache.entry("x").tag(Tag::new("User", 1)).tag(Tag::global("Dashboard"));
    let two = cache.entry("x").tag(Tag::new("User", 2));
    let none = cache.entry("x");
    for entry in [&one, &two, &none] {
        entry.set(&7).await.unwrap();
    }
    cache.invalidate([Tag::global("Dashboard")]).await.unwrap();
    assert_eq!(one.get::<i32>().await.unwrap(), None);
    assert_eq!(two.get::<i32>().await.unwrap(), Some(7));
    assert_eq!(none.get::<i32>().await.unwrap(), Some(7));
}

async fn invalidate_all_hides_every_entry_by_one_bump(cache: Cache) {
    let entries = [cache.entry("a"), cache.entry("b").tag("T"), cache.entry("c").group("g")];
    for entry in &entries {
        entry.set(&7).await.unwrap();
    }
    assert_eq!(cache.invalidate_all().await.unwrap().len(), 1);
    for entry in &entries {
        assert_eq!(entry.get::<i32>().await.unwrap(), None);
    }
}

async fn versions_only_grow(cache: Cache) {
    let tag = Tag::new("User", 1);
    let mut last = cache.tag_version(&tag).await.unwrap();
    for _ in 0..100 {
        let next = cache.invalidate([&tag]).await.unwrap().version(&tag).unwrap();
        assert!(next > last, "{next} after {last}");
        assert_eq!(cache.tag_version(&tag).await.unwrap(), next);
        last = next;
    }
}

async fn a_version_is_stable_until_it_is_bumped(cache: Cache) {
    let tag = Tag::new("User", 1);
    let version = cache.tag_version(&tag).await.unwrap();
    cache.invalidate([Tag::new("User", 2)]).await.unwrap();
    assert_eq!(cache.tag_version(&tag).await.unwrap(), version);
}

async fn many_tags_are_bumped_in_one_call(cache: Cache) {
    let tags: Vec<Tag> = (0..25_000).map(|id| Tag::new("User", id)).collect();
    let bumped = cache.invalidate(&tags).await.unwrap();
    assert_eq!(bumped.len(), tags.len());
    // Of so many, what is told is the least that a tag has from then on.
    let version = cache.tag_version(&tags[24_999]).await.unwrap();
    assert!(version >= bumped.version(&tags[24_999]).unwrap());
    assert!(cache.invalidate(Vec::<Tag>::new()).await.unwrap().is_empty());
}

async fn a_tag_named_twice_is_bumped_once(cache: Cache) {
    let bumped = cache.invalidate(["A", "B", "A"]).await.unwrap();
    let tags: Vec<String> = bumped.iter().map(|(tag, _)| tag.to_string()).collect();
    assert_eq!(tags, ["A", "B"]);
}

async fn constant_tags_are_part_of_the_key_and_cannot_be_bumped(cache: Cache) {
    let production = cache.entry("x").tag(Tag::constant("env", "production"));
    let staging = cache.entry("x").tag(Tag::constant("env", "staging"));
    production.set(&1).await.unwrap();
    assert_eq!(staging.get::<i32>().await.unwrap(), None);
    assert_eq!(production.get::<i32>().await.unwrap(), Some(1));
    let both = [Tag::global("A"), Tag::constant("env", "production")];
    let before = cache.tag_version(&both[0]).await.unwrap();
    let error = cache.invalidate(&both).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tag);
    assert!(error.to_string().contains("=env:production"), "{error}");
    assert_eq!(cache.tag_version(&both[0]).await.unwrap(), before, "none is bumped");
    assert_eq!(cache.tag_version(&both[1]).await.unwrap_err().kind(), ErrorKind::Tag);
    assert_eq!(cache.invalidate([""]).await.unwrap_err().kind(), ErrorKind::Tag);
    assert_eq!(cache.queued_bumps(), 0, "what can never be bumped is not retried");
}

async fn names_groups_and_tags_tell_entries_apart(cache: Cache) {
    let entries = [
        cache.entry("a"),
        cache.entry("b"),
        cache.entry("a").group(""),
        cache.entry("a").group("b"),
        cache.entry("ab"),
        cache.entry("a").tag("b"),
        cache.entry("a").tag("b").tag("c"),
        cache.entry("a").tag("b:c"),
        cache.entry("a").group("b").tag("b"),
    ];
    for (number, entry) in entries.iter().enumerate() {
        entry.set(&number).await.unwrap();
    }
    for (number, entry) in entries.iter().enumerate() {
        assert_eq!(entry.get::<usize>().await.unwrap(), Some(number));
    }
}

async fn the_order_of_tags_does_not_matter(cache: Cache) {
    cache.entry("x").tags(["A", "B"]).set(&1).await.unwrap();
    assert_eq!(cache.entry("x").tags(["B", "A", "B"]).get::<i32>().await.unwrap(), Some(1));
}

async fn an_entry_of_another_type_is_a_miss(cache: Cache) {
    let entry = cache.entry("x");
    entry.set(&1_u32).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
    assert_eq!(entry.get::<(u32,)>().await.unwrap(), None);
    assert_eq!(entry.get::<u32>().await.unwrap(), Some(1));
    assert_eq!(cache.stats().rejected, 2);
}

async fn a_value_above_the_limit_is_an_error_that_says_so(cache: Cache) {
    let error = cache.entry("x").set(&vec![0_u8; 9 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("max_entry_bytes"), "{error}");
}

/// I1 by hand: what was computed before a bump is not stored under the version after it.
async fn a_set_after_a_get_is_fenced_by_the_versions_that_the_get_saw(cache: Cache) {
    let entry = cache.entry("x").tag("T");
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
    cache.invalidate(["T"]).await.unwrap();
    entry.set(&1).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), None, "computed before the bump");
    entry.set(&2).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(2));
}

async fn a_set_after_a_hit_replaces_what_was_read(cache: Cache) {
    let (entry, other) = (cache.entry("x").tag("T"), cache.entry("x").tag("T"));
    assert_eq!(entry.get::<i32>().await.unwrap(), None);
    cache.invalidate(["T"]).await.unwrap();
    other.set(&1).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(1));
    entry.set(&2).await.unwrap();
    assert_eq!(entry.get::<i32>().await.unwrap(), Some(2));
}

async fn a_set_of_another_type_than_the_get_before_it(cache: Cache) {
    let entry = cache.entry("x");
    assert_eq!(entry.get::<i64>().await.unwrap(), None);
    entry.set(&5_u64).await.unwrap();
    assert_eq!(entry.get::<i64>().await.unwrap(), None);
    assert_eq!(entry.get::<u64>().await.unwrap(), Some(5));
}

async fn get_or_set_with_runs_once_and_get_or_try_keeps_no_errors(cache: Cache) {
    let entry = cache.entry("x");
    assert_eq!(entry.get_or_set_with(async || 1).await, 1);
    assert_eq!(entry.get_or_set_with(async || 2).await, 1);

    let entry = cache.entry("y");
    assert_eq!(entry.get_or_try_set_with(async || Err::<i32, _>("away")).await, Err("away"));
    assert_eq!(entry.get_or_try_set_with(async || Ok::<_, &str>(3)).await, Ok(3));
    assert_eq!(entry.get_or_try_set_with(async || Err::<i32, _>("away")).await, Ok(3));
}

async fn hostile_names_and_tags_are_kept_apart(cache: Cache) {
    let texts =
        ["\0", "a\r\nDEL x", "*", "=", "\\", ":", "::", "{}", "\u{202e}", "é", "a:*", "\\:"];
    for text in texts {
        cache.entry(text).tag(Tag::new("T", text)).set(&text.to_owned()).await.unwrap();
    }
    for text in texts {
        let entry = cache.entry(text).tag(Tag::new("T", text));
        assert_eq!(entry.get::<String>().await.unwrap().as_deref(), Some(text));
        cache.invalidate([Tag::new("T", text)]).await.unwrap();
        assert_eq!(entry.get::<String>().await.unwrap(), None);
    }
}

/// A prefix keeps two caches in one Redis apart; an epoch, two generations of one.
#[tokio::test]
async fn prefixes_and_epochs_tell_caches_apart() {
    let server = RedisServer::start();
    let config = || crate::support::patient(server.url());
    let first = config().prefix("NOZ").build().await.unwrap();
    let second = config().prefix("other").build().await.unwrap();
    let later = config().prefix("NOZ").epoch(2).build().await.unwrap();
    let same = config().prefix("NOZ").build().await.unwrap();
    first.entry("x").tag("T").set(&1).await.unwrap();
    assert_eq!(second.entry("x").tag("T").get::<i32>().await.unwrap(), None);
    assert_eq!(later.entry("x").tag("T").get::<i32>().await.unwrap(), None);
    assert_eq!(same.entry("x").tag("T").get::<i32>().await.unwrap(), Some(1));
    second.invalidate(["T"]).await.unwrap();
    assert_eq!(first.entry("x").tag("T").get::<i32>().await.unwrap(), Some(1));
    later.invalidate(["T"]).await.unwrap();
    assert_eq!(first.entry("x").tag("T").get::<i32>().await.unwrap(), None);
    let keys = server.keys("*");
    assert!(
        keys.iter().all(|key| key.starts_with("NOZ:") || key.starts_with("other:")),
        "{keys:?}"
    );
    assert!(keys.contains(&"NOZ:t:T".to_owned()), "{keys:?}");
}

/// Whatever the number of cores: an entry must fit into one of the store's parts.
#[tokio::test]
async fn the_embedded_store_holds_large_entries_or_says_that_it_cannot() {
    let cache = memory_cache().await;
    let entry = cache.entry("large");
    entry.set(&vec![1_u8; 7_500_000]).await.unwrap();
    assert!(entry.get::<Vec<u8>>().await.unwrap().is_some());
    let small = Config::memory().max_bytes(1 << 20).build().await.unwrap();
    let error = small.entry("large").set(&vec![1_u8; 2 << 20]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.to_string().contains("max_bytes"), "{error}");
    // Near the bound: found again, or refused.
    for bytes in (800_000..1 << 20).step_by(20_000) {
        let entry = small.entry("near").group(bytes.to_string());
        if entry.set(&vec![1_u8; bytes]).await.is_ok() {
            assert!(entry.get::<Vec<u8>>().await.unwrap().is_some(), "{bytes}");
        }
    }
    small.entry("fits").set(&vec![1_u8; 500_000]).await.unwrap();
    assert!(small.entry("fits").get::<Vec<u8>>().await.unwrap().is_some());
}

/// The bound holds on every insert, of entries and of tags.
#[tokio::test]
async fn the_embedded_store_is_bounded_in_bytes() {
    let cache = Config::memory().max_bytes(1 << 20).build().await.unwrap();
    for number in 0..20_000_u64 {
        let entry = cache.entry("x").tag(Tag::new("T", number));
        entry.set(&vec![0_u8; 1_000]).await.unwrap();
    }
    let shown = format!("{cache:?}");
    let bytes: u64 = shown
        .split("bytes: ")
        .nth(1)
        .and_then(|rest| rest.split([' ', ',']).next())
        .unwrap()
        .parse()
        .unwrap();
    assert!((500_000..=1 << 20).contains(&bytes), "{shown}");
    // What is still there is right, and what is not is a miss.
    let mut found = 0;
    for number in 0..20_000_u64 {
        let entry = cache.entry("x").tag(Tag::new("T", number));
        found += usize::from(entry.get::<Vec<u8>>().await.unwrap().is_some());
    }
    assert!(found < 2_000, "{found}");
}
