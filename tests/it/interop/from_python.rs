//! Python bumps, Rust misses.

use fragkeys::{FragmentedKeys, Outcome, Tag, observe, tagged_cache, with_cache};

use super::{Both, over_both_originals};

over_both_originals! {
    an_increment_makes_ours_miss,
    a_reset_makes_ours_miss,
    a_tag_that_only_reads,
    every_kind_of_tag_is_found_where_python_keeps_it,
    a_seed_of_ours_is_pythons_version,
    what_python_has_not_touched_stays,
    an_increment_that_python_loses_is_lost_here_too,
}

async fn an_increment_makes_ours_miss(mut both: Both) {
    both.ours_misses_once("User", "42").await;
    both.python.increment("User", "42");
    both.ours_misses_once("User", "42").await;
    both.python.increment("User", "42");
    both.python.increment("User", "42");
    both.ours_misses_once("User", "42").await;
}

async fn a_reset_makes_ours_miss(mut both: Both) {
    both.ours_misses_once("User", "42").await;
    both.python.session.exec("StandardTag('User', '42').reset_tag_version()");
    both.ours_misses_once("User", "42").await;
}

/// `Tag::foreign` with the key written out.
async fn a_tag_that_only_reads(mut both: Both) {
    let tag = Tag::foreign(both.user_key());
    let call = || super::depends_on(&both.runs, tag.clone());
    // Nothing stands there yet, so there is no version to store under.
    assert!(both.runs(call()).await && both.runs(call()).await);
    assert_eq!(both.server.get_raw(&both.user_key()), None, "reading does not seed it");

    let mut last = both.python.version("User", "42");
    for _ in 0..5 {
        assert!(both.runs(call()).await);
        assert!(!both.runs(call()).await);
        both.python.increment("User", "42");
        let version = both.python.version("User", "42");
        assert!(version > last);
        last = version;
    }
    let error = both.cache.invalidate([&tag]).await.unwrap_err();
    assert_eq!(error.kind(), fragkeys::ErrorKind::Tag);
}

async fn every_kind_of_tag_is_found_where_python_keeps_it(mut both: Both) {
    for (name, instance, call) in [
        ("User", "42", "profile(42)"),
        ("Dashboard", "", "dashboard()"),
        ("Review", "org:7", "org_reviews(7)"),
    ] {
        both.python.misses_once(call);
        let raw = both.server.get_raw(&both.python.key(name, instance)).unwrap();
        both.ours_misses_once(name, instance).await;
        assert_eq!(both.server.get_raw(&both.python.key(name, instance)).unwrap(), raw);
        both.python.increment(name, instance);
        both.python.misses_once(call);
        both.ours_misses_once(name, instance).await;
    }
}

/// Ours comes first: what it seeds is a version that Python reads, keeps and increments.
async fn a_seed_of_ours_is_pythons_version(mut both: Both) {
    both.ours_misses_once("User", "42").await;
    let raw = both.server.get_raw(&both.user_key()).unwrap();
    let seed: f64 = std::str::from_utf8(&raw).unwrap().parse().unwrap();
    assert_eq!(both.python.version("User", "42"), seed);
    both.python.misses_once("profile(42)");
    assert!(!both.ours_runs("User", "42").await, "Python only read it");
    both.python.increment("User", "42");
    assert!(both.python.version("User", "42") > seed);
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
}

async fn what_python_has_not_touched_stays(mut both: Both) {
    both.ours_misses_once("User", "42").await;
    both.ours_misses_once("User", "43").await;
    both.python.increment("User", "42");
    assert!(!both.ours_runs("User", "43").await);
    assert!(both.ours_runs("User", "42").await);
}

/// A limit, and why to bump from one side where that can be had: of two increments at once the
/// second writes what the first wrote, so what was stored in between is found again.
async fn an_increment_that_python_loses_is_lost_here_too(mut both: Both) {
    both.python.session.exec(
        "
one, other = StandardTag('User', '42'), StandardTag('User', '42')
one.get_tag_version(), other.get_tag_version()
one.increment()",
    );
    both.ours_misses_once("User", "42").await;
    both.python.session.exec("other.increment()");
    assert!(!both.ours_runs("User", "42").await);
    // Unlike two bumps of ours, or one of each with ours last.
    both.bump("User:42").await;
    both.ours_misses_once("User", "42").await;
}

#[tagged_cache(timeout = 3600, tags = [python.tag("review", format!("org:{org}"))], vary_on = [org])]
async fn reviews_of(python: &FragmentedKeys, org: i64) -> i64 {
    org
}

/// As a model's hook does it, which swallows what fails and says `True` or `False`.
#[tokio::test]
async fn invalidate_scope_makes_ours_miss() {
    let mut both = Both::start(super::original::DJANGO).await;
    let keys = both.keys.clone();
    let call = async || with_cache(both.cache.clone(), observe(reviews_of(&keys, 42))).await.1;
    assert_eq!((call().await, call().await), (Some(Outcome::Miss), Some(Outcome::Hit)));
    let scope = "ModelTagManager.invalidate_scope('review', 'org:42')";
    assert_eq!(both.python.session.eval(scope), "True");
    assert_eq!((call().await, call().await), (Some(Outcome::Miss), Some(Outcome::Hit)));
    let tags = "backend.invalidate_tags([('review', 'org:42'), ('review', 'org:43')])";
    assert_eq!(both.python.session.eval(tags), "2");
    assert_eq!((call().await, call().await), (Some(Outcome::Miss), Some(Outcome::Hit)));
}
