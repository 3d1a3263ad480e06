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
