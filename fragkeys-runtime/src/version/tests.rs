use super::*;

#[test]
fn versions_are_numbers_that_a_clock_gives() {
    assert_eq!(Version::new(1), None);
    assert_eq!(Version::new(u64::MAX), None);
    assert!(Version::new(Version::MIN) < Version::new(Version::MAX));
    #[cfg(feature = "redis")]
    for text in
        ["", "1", "-1795396799063214000", "+795396799063214000", "1795396799063214000 ", "x"]
    {
        assert_eq!(Version::from_ascii(text.as_bytes()), None, "{text}");
    }
}

/// What several caches have at least, and what a tag has by now.
#[test]
fn of_two_bumps_of_one_tag_one_version_is_told() {
    let version = |number| Version::new(Version::MIN + number).unwrap();
    let bumped = |a, b| Bumped::new(vec!["A".into(), "B".into()], vec![version(a), version(b)]);
    let one = Bumped::new(vec!["A".into()], vec![version(2)]);
    for other in [bumped(1, 5), bumped(3, 5)] {
        let a = other.version(&"A".into()).unwrap();
        let both = one.clone().and(other.clone());
        assert_eq!(both.version(&"A".into()), Some(a.min(version(2))));
        let mut later = one.clone();
        later.merge(other);
        assert_eq!(later.version(&"A".into()), Some(a.max(version(2))));
        assert_eq!([both.len(), later.len()], [2, 2]);
        assert_eq!(later.version(&"B".into()), Some(version(5)));
    }
}
