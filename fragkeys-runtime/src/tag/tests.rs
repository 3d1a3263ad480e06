use super::*;

#[test]
fn constructors_and_their_texts() {
    let cases = [
        (Tag::new("User", 42), "User:42"),
        (Tag::new("User", ""), "User:"),
        (Tag::new("Ns:User", "a:b"), r"Ns:User:a\:b"),
        (Tag::new("User", r"a\"), r"User:a\\"),
        (Tag::new(r"U\:s", 1), r"U\\:s:1"),
        (Tag::global("Dashboard"), "Dashboard"),
        (Tag::global("*"), r"\*"),
        (Tag::global("=x"), r"\=x"),
        (Tag::new("=x", "=y"), r"\=x:=y"),
        (Tag::scoped("Review", "org", 7), "Review:org:7"),
        (Tag::model("User", 42), "User:42"),
        (Tag::list("Donations", 42), "Donations:42"),
        (Tag::aggregate("Stats", "daily"), "Stats:daily"),
        (Tag::custom("Weather", "oslo"), "Weather:oslo"),
        (Tag::constant("env", "production"), "=env:production"),
        (Tag::constant("=env", "a:b"), r"==env:a\:b"),
        (Tag::root(), "*"),
    ];
    for (tag, text) in cases {
        assert_eq!(tag.to_string(), text);
        assert_eq!(text.parse::<Tag>().unwrap(), tag, "{text}");
    }
}

#[test]
fn one_tag_has_one_text_however_it_is_written() {
    for (written, canonical) in
        [(r"a\b", r"a\\b"), (r"a\=b", "a=b"), (r"\=a", r"\=a"), (r"a\", r"a\\")]
    {
        let tag: Tag = written.parse().unwrap();
        assert_eq!(tag.to_string(), canonical);
        assert_eq!(canonical.parse::<Tag>().unwrap(), tag);
    }
}
