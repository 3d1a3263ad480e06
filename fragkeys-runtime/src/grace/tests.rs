use std::time::Duration;

use super::{Age, Freshness, Grace};

const SECOND: Duration = Duration::from_secs(1);

fn age(ran_for: Duration) -> Age {
    Age { created: 1_000 * SECOND, expires: 1_100 * SECOND, ran_for }
}

fn at(grace: Grace, seconds: u32) -> Freshness {
    grace.judge(&age(Duration::ZERO), seconds * SECOND)
}

#[test]
fn windows_begin_and_end_where_they_say() {
    let plain = Grace::new();
    assert_eq!(at(plain, 1_099), Freshness::Fresh);
    assert_eq!(at(plain, 1_100), Freshness::Old);
    let revalidating = plain.while_revalidate(10 * SECOND);
    assert_eq!(at(revalidating, 1_099), Freshness::Fresh);
    assert_eq!(at(revalidating, 1_100), Freshness::Expired);
    assert_eq!(at(revalidating, 1_109), Freshness::Expired);
    assert_eq!(at(revalidating, 1_110), Freshness::Old);
    let ahead = plain.ahead_by_share(0.2);
    assert_eq!(at(ahead, 1_079), Freshness::Fresh);
    assert_eq!(at(ahead, 1_080), Freshness::Due);
    assert_eq!(at(ahead, 1_100), Freshness::Old);
    let if_error = plain.if_error(10 * SECOND);
    assert_eq!(at(if_error, 1_100), Freshness::Old);
    assert!(if_error.may_stand_in(&age(SECOND), 1_109 * SECOND));
    assert!(!if_error.may_stand_in(&age(SECOND), 1_110 * SECOND));
}

#[test]
fn an_entry_is_kept_for_the_longest_of_its_windows() {
    let grace = Grace::new().while_revalidate(10 * SECOND).if_error(30 * SECOND);
    assert_eq!(grace.kept_for(100 * SECOND), 130 * SECOND);
    assert_eq!(Grace::new().kept_for(100 * SECOND), 100 * SECOND);
    let for_ever = Grace::new().while_revalidate(Duration::MAX);
    assert_eq!(for_ever.kept_for(Duration::MAX), super::LONGEST_TIMEOUT);
}

/// XFetch: each call draws anew; the value is due with a probability that grows to one.
#[test]
fn at_random_it_is_the_more_probable_the_nearer_the_end() {
    let grace = Grace::new().ahead_at_random(1.0);
    let due = |milliseconds: u64| {
        let now = Duration::from_millis(milliseconds);
        let is_due = |_: &u32| grace.judge(&age(SECOND), now) == Freshness::Due;
        (0..10_000).filter(is_due).count()
    };
    // A second for the run, and the chance of a draw above x seconds is e^-x.
    assert!(due(1_088_000) < 20, "e^-11 of 10,000 is 0.2");
    let three_before = due(1_097_000);
    assert!((1_100..1_600).contains(&three_before), "{three_before}: e^-2 of 10,000 is 1,353");
    let two_before = due(1_098_000);
    assert!((3_400..3_950).contains(&two_before), "{two_before}: e^-1 of 10,000 is 3,679");
    assert_eq!(due(1_099_001), 10_000);
}

/// What took no time to make is never due early; nothing overflows.
#[test]
fn extremes() {
    let grace = Grace::new().ahead_at_random(f64::MAX);
    assert_eq!(grace.judge(&age(Duration::ZERO), 1_099 * SECOND), Freshness::Fresh);
    assert_eq!(grace.judge(&age(Duration::MAX), Duration::ZERO), Freshness::Due);
    let strange = Age { created: Duration::MAX, expires: Duration::ZERO, ran_for: Duration::MAX };
    assert_eq!(Grace::new().ahead_by_share(1.0).judge(&strange, SECOND), Freshness::Old);
    assert_eq!(grace.fresh_for(&strange, SECOND), Duration::ZERO);
}
