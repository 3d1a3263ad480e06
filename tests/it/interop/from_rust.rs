//! Rust bumps, Python misses.

use std::time::Duration;

use fragkeys::{FragmentedKeys, Tag, TaggedModel, invalidate, on_commit, with_cache};

use super::{Both, over_both_originals};
use crate::support::{eventually, patient};

over_both_originals! {
    a_bump_of_ours_makes_python_miss,
    every_kind_of_tag_is_bumped_where_python_keeps_it,
    a_bump_of_pythons_own_tag,
    a_bump_is_no_lost_increment,
    a_bump_where_python_has_no_version_yet,
    only_the_named_tags_are_bumped_for_python,
    without_also_bump_python_sees_nothing,
    many_bumps_in_a_millisecond_are_as_many_versions,
    models_and_transactions_reach_python_at_the_commit,
    what_is_rolled_back_does_not_reach_python,
    a_bump_that_was_queued_reaches_python,
    invalidate_all_is_ours_alone,
}

async fn a_bump_of_ours_makes_python_miss(mut both: Both) {
    both.python.misses_once("profile(42)");
    both.python.misses_once("profile(43)");
    for _ in 0..3 {
        with_cache(both.cache.clone(), invalidate!("User:42")).await.unwrap();
        both.python.misses_once("profile(42)");
        assert!(!both.python.runs("profile(43)"));
    }
}

async fn every_kind_of_tag_is_bumped_where_python_keeps_it(mut both: Both) {
    for (tag, call) in [
        (Tag::new("User", 42), "profile(42)"),
        (Tag::global("Dashboard"), "dashboard()"),
        (Tag::scoped("Review", "org", 7), "org_reviews(7)"),
    ] {
        both.python.misses_once(call);
        both.bump(&tag).await;
        both.python.misses_once(call);
    }
}

/// The tag that functions of ours depend on while Python still writes.
async fn a_bump_of_pythons_own_tag(mut both: Both) {
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    both.bump(both.keys.tag("User", 42)).await;
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
}

/// What ours wrote is read, and an increment on top of it is another version.
async fn a_bump_is_no_lost_increment(mut both: Both) {
    let mut last = both.python.version("User", "42");
    for _ in 0..5 {
        both.bump("User:42").await;
        let bumped = both.python.version("User", "42");
        assert!(bumped > last, "{bumped} after {last}");
        both.python.misses_once("profile(42)");
        both.python.increment("User", "42");
        let incremented = both.python.version("User", "42");
        assert!(incremented > bumped, "{incremented} after {bumped}");
        both.python.misses_once("profile(42)");
        last = incremented;
    }
}

async fn a_bump_where_python_has_no_version_yet(mut both: Both) {
    both.bump("User:42").await;
    let version = both.python.version("User", "42");
    assert!(version > 1e12, "milliseconds since 1970: {version}");
    both.python.misses_once("profile(42)");
    both.bump("User:42").await;
    both.python.misses_once("profile(42)");
}

async fn only_the_named_tags_are_bumped_for_python(mut both: Both) {
    let keys = both.keys.clone().only(["Review"]);
    let cache = patient(both.server.url()).also_bump(keys).build().await.unwrap();
    both.python.misses_once("profile(42)");
    both.python.misses_once("org_reviews(7)");
    cache.invalidate([Tag::new("User", 42), Tag::scoped("Review", "org", 7)]).await.unwrap();
    assert!(!both.python.runs("profile(42)"));
    both.python.misses_once("org_reviews(7)");
}

async fn without_also_bump_python_sees_nothing(mut both: Both) {
    let cache = patient(both.server.url()).build().await.unwrap();
    both.python.misses_once("profile(42)");
    cache.invalidate(["User:42"]).await.unwrap();
    assert!(!both.python.runs("profile(42)"));
}

/// A version is a millisecond, so bumps in one need more than the clock.
async fn many_bumps_in_a_millisecond_are_as_many_versions(mut both: Both) {
    let mut last = both.python.version("User", "42");
    for _ in 0..50 {
        // One after the other over one connection: several in each millisecond.
        both.bump("User:42").await;
        let raw = both.server.get_raw(&both.user_key()).unwrap();
        let version: f64 = std::str::from_utf8(&raw).unwrap().parse().unwrap();
        assert!(version > last, "{version} after {last}");
        last = version;
    }
    assert_eq!(both.python.version("User", "42"), last);
}

#[derive(TaggedModel)]
#[tagged_model(scopes = ["Review:org:<organization_id>"])]
struct Review {
    id: i64,
    organization_id: i64,
}

async fn models_and_transactions_reach_python_at_the_commit(mut both: Both) {
    both.python.misses_once("org_reviews(7)");
    both.python.misses_once("profile(42)");
    let cache = both.cache.clone();
    let transaction = async {
        Review { id: 1, organization_id: 7 }.created().await?;
        invalidate!("User:42").await?;
        assert!(!both.python.runs("org_reviews(7)") && !both.python.runs("profile(42)"));
        Ok::<_, fragkeys::Error>(())
    };
    with_cache(cache, on_commit(transaction)).await.unwrap();
    both.python.misses_once("org_reviews(7)");
    both.python.misses_once("profile(42)");
}

async fn what_is_rolled_back_does_not_reach_python(mut both: Both) {
    both.python.misses_once("profile(42)");
    let transaction = async {
        invalidate!("User:42").await.unwrap();
        Err::<(), _>("rolled back")
    };
    with_cache(both.cache.clone(), on_commit(transaction)).await.unwrap_err();
    assert!(!both.python.runs("profile(42)"));
}

/// The server hangs while the bump is made, and comes back.
async fn a_bump_that_was_queued_reaches_python(mut both: Both) {
    let config = patient(both.server.url()).operation_timeout(Duration::from_millis(300));
    let cache = config.also_bump(both.keys.clone()).build().await.unwrap();
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    both.server.pause();
    cache.invalidate(["User:42"]).await.unwrap_err();
    assert_eq!(cache.queued_bumps(), 2, "our tag, and the original's");
    both.server.resume();
    eventually("the bump goes through", async || cache.queued_bumps() == 0).await;
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
}

/// The original has no version of everything.
async fn invalidate_all_is_ours_alone(mut both: Both) {
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    both.cache.invalidate_all().await.unwrap();
    assert!(!both.python.runs("profile(42)"));
    both.ours_misses_once("User", "42").await;
}

/// Django can put another prefix and version number in front of its keys.
#[tokio::test]
async fn another_key_prefix_of_django() {
    let mut both = Both::start(super::original::DJANGO).await;
    both.python.session.exec(
        "
from fragmented_keys_django.cache_backends import DjangoCacheHandler
from django.core.cache.backends.redis import RedisCache
shop = RedisCache(os.environ['REDIS_URL'], {'KEY_PREFIX': 'shop', 'VERSION': 2})
handler = DjangoCacheHandler(cache=shop)",
    );
    let mut version = || {
        both.python
            .session
            .eval("repr(StandardTag('User', '42', handler=handler).get_tag_version())")
    };
    let before = version();
    assert_eq!(both.server.keys("*User_42NOZ"), ["shop:2:User_42NOZ"]);
    let keys = FragmentedKeys::django("NOZ").key_prefix("shop:2:");
    let cache = patient(both.server.url()).also_bump(keys).build().await.unwrap();
    cache.invalidate(["User:42"]).await.unwrap();
    assert_ne!(version(), before);
    let all = both.server.keys("*User_42NOZ");
    let theirs = all.iter().filter(|key| !key.starts_with("fragkeys:")).collect::<Vec<_>>();
    assert_eq!(theirs, ["shop:2:User_42NOZ"]);
}
