//! Keys that are gone, evicted, or hold what is no version, on either side.

use fragkeys::Tag;

use super::{Both, depends_on, over_both_originals};

over_both_originals! {
    a_version_that_was_evicted_is_a_miss_on_both_sides,
    all_keys_lost,
    a_foreign_key_that_goes_and_comes_back,
    garbage_is_a_version_like_another_until_somebody_bumps,
    a_key_of_another_kind_costs_no_answer,
}

async fn a_version_that_was_evicted_is_a_miss_on_both_sides(mut both: Both) {
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    let key = both.user_key();
    // Seeded by Python, then by ours.
    for python_is_first in [true, false] {
        both.server.cli(&["DEL", &key]);
        if python_is_first {
            both.python.misses_once("profile(42)");
            both.ours_misses_once("User", "42").await;
        } else {
            both.ours_misses_once("User", "42").await;
            both.python.misses_once("profile(42)");
        }
    }
}

async fn all_keys_lost(mut both: Both) {
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
    both.server.flushall();
    both.ours_misses_once("User", "42").await;
    both.python.misses_once("profile(42)");
    both.bump("User:42").await;
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
}

/// `Tag::foreign`: while nothing is there nothing is cached, and what comes is another version.
async fn a_foreign_key_that_goes_and_comes_back(mut both: Both) {
    let key = both.user_key();
    let tag = Tag::foreign(&key);
    both.python.version("User", "42");
    assert!(both.runs(depends_on(&both.runs, tag.clone())).await);
    assert!(!both.runs(depends_on(&both.runs, tag.clone())).await);
    both.server.cli(&["DEL", &key]);
    for _ in 0..2 {
        assert!(both.runs(depends_on(&both.runs, tag.clone())).await);
    }
    both.python.version("User", "42");
    assert!(both.runs(depends_on(&both.runs, tag.clone())).await);
    assert!(!both.runs(depends_on(&both.runs, tag.clone())).await);
}

async fn garbage_is_a_version_like_another_until_somebody_bumps(mut both: Both) {
    let key = both.user_key();
    let long = "x".repeat(100_000);
    both.python.session.exec(
        "
def raises(function, *arguments):
    try:
        function(*arguments)
    except Exception:
        return True
    return False",
    );
    let hostile: [&[u8]; 6] = [b"", b"garbage", b"\x80\x04\xff", b"-1", b"nan", long.as_bytes()];
    for garbage in hostile {
        let shown = String::from_utf8_lossy(&garbage[..garbage.len().min(20)]).into_owned();
        both.server.set_raw(&key, garbage);
        for tag in [both.keys.tag("User", 42), Tag::foreign(&key)] {
            // It answers, and whatever it stored under that is not found under another.
            both.runs(depends_on(&both.runs, tag.clone())).await;
        }
        assert_eq!(both.server.get_raw(&key).unwrap(), garbage, "reading changes nothing: {shown}");
        if garbage == b"garbage" {
            assert_eq!(both.python.session.eval("raises(profile, 42)"), "True");
        }
        both.bump("User:42").await;
        assert!(both.ours_runs("User", "42").await, "after {shown}");
        let version = both.python.version("User", "42");
        assert!(version > 1e12, "Python reads {version} after {shown}");
        both.python.misses_once("profile(42)");
        both.python.increment("User", "42");
        both.python.misses_once("profile(42)");
        both.ours_misses_once("User", "42").await;
    }
}

/// A list where a version should be: the function runs each time, and a bump puts a version there.
async fn a_key_of_another_kind_costs_no_answer(mut both: Both) {
    let key = both.user_key();
    both.server.cli(&["RPUSH", &key, "x"]);
    for tag in [both.keys.tag("User", 42), Tag::foreign(&key)] {
        for _ in 0..2 {
            assert!(both.runs(depends_on(&both.runs, tag.clone())).await);
        }
    }
    both.bump("User:42").await;
    assert!(both.python.version("User", "42") > 1e12);
    both.python.misses_once("profile(42)");
    both.ours_misses_once("User", "42").await;
}
