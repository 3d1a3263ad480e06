//! Names and texts as SQL, so that none of them can end where it should not.

use std::fmt::Write as _;

/// An identifier: exactly this name, upper case and all.
pub(crate) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A table with its schema, or without one.
pub(crate) fn qualified(name: &[&str]) -> String {
    name.iter().map(|part| ident(part)).collect::<Vec<_>>().join(".")
}

/// A text. Right whatever `standard_conforming_strings` is: a `\` stands in an `E''` alone.
pub(crate) fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        return format!("E'{}'", quoted.replace('\\', r"\\"));
    }
    format!("'{quoted}'")
}

/// Something longer between two `$name$`, of which there is none in it.
pub(crate) fn dollars(name: &str, text: &str) -> String {
    let mut tag = format!("${name}$");
    let mut number = 0;
    while text.contains(&tag) {
        number += 1;
        tag = format!("${name}{number}$");
    }
    format!("{tag}\n{text}{tag}")
}

/// Text for a comment: what could end one is left out.
pub(crate) fn comment(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

/// What distinguishes a name from others that look alike once they are cut and cleaned.
pub(crate) fn digest(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        // Its length before it: so that no two lists give one text.
        let _ = write!(text, "{}:{part}", part.len());
    }
    let hash = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
    format!("{:08x}", hash >> 32)
}

/// A readable beginning for a name: small letters, digits and `_`.
pub(crate) fn clean(name: &str, longest: usize) -> String {
    let clean = |character: char| match character.to_ascii_lowercase() {
        plain @ ('a'..='z' | '0'..='9') => plain,
        _ => '_',
    };
    name.chars().take(longest).map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(ident(r#"a"b"#), r#""a""b""#);
        assert_eq!(qualified(&["shop", "a.b"]), r#""shop"."a.b""#);
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"\'"), r"E'\\'''");
    }

    #[test]
    fn dollars_are_not_in_the_text() {
        assert_eq!(dollars("a", "x\n"), "$a$\nx\n$a$");
        assert_eq!(dollars("a", "$a$ $a1$\n"), "$a2$\n$a$ $a1$\n$a2$");
    }

    #[test]
    fn a_comment_stays_on_its_line() {
        assert_eq!(comment("a\nDROP TABLE b; \r"), "aDROP TABLE b; ");
    }

    #[test]
    fn names_are_cleaned_and_told_apart() {
        assert_eq!(clean("Do-na.tions", 6), "do_na_");
        assert_ne!(digest(&["a", "b"]), digest(&["ab", ""]));
    }
}
