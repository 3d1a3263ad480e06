//! What a bump did, as a short text for a header or a cookie.
//!
//! `1795396799063214123.User:42.Dashboard~1795396799063214200.Team:7`: versions, each with its tags
//! behind it. In a tag, all that a cookie could not hold is `%` and two hexadecimal digits. A last
//! `~*` says that there were more.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Bumped, Version};
use crate::error::{Error, ErrorKind};
use crate::tag::{Kind, Tag};

/// Bytes. A cookie takes 4,096, with its name and attributes.
const LONGEST: usize = 1_024;
const REST: &str = "*";
/// How far ahead of this machine's clock a version may be: that clock and Redis's may differ, and
/// versions run ahead of a clock that was put back.
const LONGEST_LEAD: Duration = Duration::from_secs(86_400);

/// Writes the tags and their versions as a text of at most 1,024 bytes, all of them letters, digits
/// and `-_:*.~%`. Of a bump with more tags than that holds, the first ones; the text says that
/// there are more, and then [`at_least`](crate::at_least) leaves the near tier out for all calls.
/// Tags that are held are not in it.
impl fmt::Display for Bumped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        let mut last = None;
        let mut is_partial = self.is_partial;
        for (tag, version) in &self.pairs {
            let mut next = String::new();
            if last != Some(*version) {
                let separator = if text.is_empty() { "" } else { "~" };
                write!(next, "{separator}{version}")?;
            }
            next.push('.');
            escape(tag.as_str(), &mut next)?;
            if text.len() + next.len() > LONGEST - 1 - REST.len() {
                is_partial = true;
                break;
            }
            text.push_str(&next);
            last = Some(*version);
        }
        if is_partial {
            let separator = if text.is_empty() { "" } else { "~" };
            write!(text, "{separator}{REST}")?;
        }
        f.pad(&text)
    }
}

/// Reads what `Display` writes. The text may come from a user: a forged one can name any tags and
/// versions, but no version that is more than a day ahead of this machine's clock.
///
/// # Errors
///
/// [`ErrorKind::Token`] if it is longer than 1,024 bytes, or is not such a text.
impl FromStr for Bumped {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.len() > LONGEST {
            return Err(refuse("it is longer than 1,024 bytes"));
        }
        let mut bumped = Bumped::default();
        let mut index = HashMap::new();
        for group in text.split('~').filter(|_| !text.is_empty()) {
            if group == REST {
                bumped.is_partial = true;
                continue;
            }
            let (version, tags) = group
                .split_once('.')
                .ok_or_else(|| refuse("there is a version in it without a tag"))?;
            for tag in tags.split('.') {
                let tag = Tag::from(unescape(tag)?);
                if tag.check_bumpable().is_err() {
                    return Err(refuse("there is a tag in it that cannot be bumped"));
                }
                let version = read_version(&tag, version)?;
                let index = *index.entry(tag.clone()).or_insert(bumped.pairs.len());
                match bumped.pairs.get_mut(index) {
                    Some((_, known)) => *known = version.max(*known),
                    None => bumped.pairs.push((tag, version)),
                }
            }
        }
        Ok(bumped)
    }
}

fn read_version(tag: &Tag, text: &str) -> Result<Version, Error> {
    let is_number =
        (1..=19).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let number: Option<u64> = text.parse().ok().filter(|_| is_number);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let latest = since_1970.saturating_add(LONGEST_LEAD);
    let version = number.and_then(|number| match tag.kind() {
        Kind::Original => Some(Version(number)),
        _ => Version::new(number),
    });
    match version {
        None => Err(refuse("there is something else in it than a version")),
        Some(version) if time_of(tag, version) > latest => {
            Err(refuse("a version in it is more than a day ahead of this machine's clock"))
        }
        Some(version) => Ok(version),
    }
}

/// When a tag got this version, by the clock of who gave it.
pub(super) fn time_of(tag: &Tag, version: Version) -> Duration {
    match tag.kind() {
        // The Python original counts milliseconds.
        Kind::Original => Duration::from_millis(version.0),
        _ => Duration::from_micros(version.0 / 1_000),
    }
}

fn refuse(why: &str) -> Error {
    // Not the text itself, which may be anything.
    Error::new(ErrorKind::Token, format!("this text does not say what was bumped: {why}"))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_:*".contains(&byte)
}

fn escape(text: &str, into: &mut String) -> fmt::Result {
    for byte in text.bytes() {
        if is_plain(byte) {
            into.push(char::from(byte));
        } else {
            write!(into, "%{byte:02X}")?;
        }
    }
    Ok(())
}

fn unescape(text: &str) -> Result<String, Error> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'%', high, low, rest @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16);
                let byte = digit(high).zip(digit(low)).map(|(high, low)| high * 16 + low);
                let byte = byte.and_then(|byte| u8::try_from(byte).ok());
                bytes.push(byte.ok_or_else(|| refuse("there is a `%` in it without two digits"))?);
                rest
            }
            [byte, rest @ ..] if is_plain(*byte) => {
                bytes.push(*byte);
                rest
            }
            _ => return Err(refuse("there is a character in it that stands in no such text")),
        }
    }
    String::from_utf8(bytes).map_err(|_| refuse("a tag in it is not UTF-8"))
}
