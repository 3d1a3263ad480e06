//! Tags, their text, and their versions.
//!
//! The text of a tag is a row of segments with `:` between them. In a *value*
//! (an instance, a placeholder) `:` and `\` are escaped with `\`, so that no
//! value can pretend to be two segments. In a *name* `:` separates segments,
//! just as it does in a template.

use std::collections::HashSet;
use std::fmt::{self, Display, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

#[cfg(test)]
mod tests;

/// Begins the text of a constant tag; escaped where another tag begins with it.
const CONSTANT: char = '=';
/// The whole text of the tag that every entry of a cache depends on.
const ROOT: &str = "*";
const ESCAPE: char = '\\';

/// What an entry depends on: a name with an optional instance, such as
/// `User:42` or `Dashboard`.
///
/// `Display` and `FromStr` round-trip, for hostile instances too:
///
/// ```
/// # use fragkeys_runtime::Tag;
/// let tag = Tag::new("User", "a:b");
/// assert_eq!(tag.to_string(), r"User:a\:b");
/// assert_eq!(tag.to_string().parse::<Tag>()?, tag);
/// assert_ne!(tag, Tag::scoped("User", "a", "b"));
/// # Ok::<(), fragkeys_runtime::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag {
    /// Canonical text: equal tags have equal texts, and only they.
    text: Arc<str>,
}

impl Tag {
    /// A tag of one instance: `Tag::new("User", 42)` is `User:42`.
    ///
    /// A `:` in the name separates segments, as in a template; one in the
    /// instance is escaped.
    pub fn new(name: impl Into<String>, instance: impl Display) -> Self {
        let mut text = TagText::default();
        text.name(&name.into()).value(instance);
        text.into_tag()
    }

    /// A tag without an instance: `Tag::global("Dashboard")` is `Dashboard`.
    pub fn global(name: impl Into<String>) -> Self {
        let mut text = TagText::default();
        text.name(&name.into());
        text.into_tag()
    }

    /// All instances of `name` that belong to one instance of a scope:
    /// `Tag::scoped("Review", "org", 7)` is `Review:org:7`.
    pub fn scoped(
        name: impl Into<String>,
        scope: impl Into<String>,
        instance: impl Display,
    ) -> Self {
        let mut text = TagText::default();
        text.name(&name.into()).name(&scope.into()).value(instance);
        text.into_tag()
    }

    /// One row of a model, by its key. The same tag as [`Tag::new`]; the name says what is meant.
    pub fn model(name: impl Into<String>, key: impl Display) -> Self {
        Tag::new(name, key)
    }

    /// A list that belongs to somebody: `Tag::list("Donations", user_id)`.
    pub fn list(name: impl Into<String>, owner: impl Display) -> Self {
        Tag::new(name, owner)
    }

    /// A computed figure and its filter: `Tag::aggregate("Stats", "daily")`.
    pub fn aggregate(name: impl Into<String>, filter: impl Display) -> Self {
        Tag::new(name, filter)
    }

    /// Anything else that entries may depend on: `Tag::custom("Weather", city)`.
    pub fn custom(name: impl Into<String>, instance: impl Display) -> Self {
        Tag::new(name, instance)
    }

    /// A part of the key that is never bumped, such as the environment:
    /// `Tag::constant("env", "production")` is `=env:production`.
    ///
    /// Bumping it, or asking for its version, is an error of kind [`ErrorKind::Tag`].
    pub fn constant(name: impl Into<String>, value: impl Display) -> Self {
        let mut text = TagText::default();
        text.name(&name.into()).value(value);
        Tag { text: format!("{CONSTANT}{}", text.text).into() }
    }

    /// The tag that every entry depends on; `invalidate_all` bumps it.
    pub(crate) fn root() -> Self {
        Tag { text: ROOT.into() }
    }

    /// Is it the tag that every entry depends on?
    #[cfg(feature = "redis")]
    pub(crate) fn is_root(&self) -> bool {
        &*self.text == ROOT
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Is this a part of the key that has no version?
    #[must_use]
    pub fn is_constant(&self) -> bool {
        self.text.starts_with(CONSTANT)
    }

    /// Refuses a tag that has no version of its own to bump or to read.
    pub(crate) fn check_versioned(&self) -> Result<(), Error> {
        if self.is_constant() {
            return Err(Error::new(
                ErrorKind::Tag,
                format!(
                    "`{self}` is a constant tag: it is part of the key and has no version; \
                     bump a tag made by `Tag::new` or `Tag::global` instead"
                ),
            ));
        }
        if self.text.is_empty() {
            return Err(Error::new(ErrorKind::Tag, "a tag needs a name; this one is empty"));
        }
        Ok(())
    }
}

/// A tag's text while it is put together.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct TagText {
    text: String,
    has_segment: bool,
}

impl TagText {
    /// Begins with a name.
    pub fn named(name: &str) -> Self {
        let mut text = TagText::default();
        text.name(name);
        text
    }

    /// Segments as a programmer writes them: `:` separates.
    fn name(&mut self, name: &str) -> &mut Self {
        self.separate();
        for character in name.chars() {
            if character == ESCAPE {
                self.text.push(ESCAPE);
            }
            self.text.push(character);
        }
        self
    }

    /// One segment whose text may come from anywhere.
    fn value(&mut self, value: impl Display) -> &mut Self {
        self.separate();
        self.placeholder(value);
        self
    }

    fn separate(&mut self) {
        if self.has_segment {
            self.text.push(':');
        }
        self.has_segment = true;
    }

    /// A template's literal part, in the canonical form that the macro gave it.
    pub fn literal(&mut self, canonical: &str) {
        self.text.push_str(canonical);
    }

    /// A template's placeholder: escaped, wherever in a segment it stands.
    pub fn placeholder(&mut self, value: impl Display) {
        let mut escaped = Escaped(&mut self.text);
        // A `Display` that fails midway leaves what it wrote: still a tag, and
        // the same one each time. There is nobody to tell in an infallible constructor.
        let _ = write!(escaped, "{value}");
    }

    /// The tag of this text, which is canonical but for its first character.
    pub fn into_tag(self) -> Tag {
        let mut text = self.text;
        if text.starts_with(CONSTANT) || text == ROOT {
            text.insert(0, ESCAPE);
        }
        Tag { text: text.into() }
    }
}

/// Writes a value so that it stays one segment.
struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            if matches!(character, ':' | ESCAPE) {
                self.0.push(ESCAPE);
            }
            self.0.push(character);
        }
        Ok(())
    }
}

impl Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tag").field(&&*self.text).finish()
    }
}

/// Reads a tag as `Display` writes it. A `\` escapes the `:`, `\`, `=` or `*`
/// after it; any other `\` stands for itself.
///
/// # Errors
///
/// [`ErrorKind::Tag`] if the text is empty.
impl FromStr for Tag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(Error::new(ErrorKind::Tag, "a tag needs a name; the text is empty"));
        }
        Ok(Tag::from(text))
    }
}

/// Reads a tag as [`FromStr`] does. An empty text gives a tag that no bump accepts.
///
/// Not for a user's input: `*` is the whole cache, and `:` separates. Use [`Tag::new`] there.
impl From<&str> for Tag {
    fn from(text: &str) -> Self {
        if text == ROOT {
            return Tag::root();
        }
        match text.strip_prefix(CONSTANT) {
            Some(rest) => Tag { text: format!("{CONSTANT}{}", canonical(rest)).into() },
            None => TagText { text: canonical(text), has_segment: true }.into_tag(),
        }
    }
}

impl From<String> for Tag {
    fn from(text: String) -> Self {
        Tag::from(text.as_str())
    }
}

impl From<&Tag> for Tag {
    fn from(tag: &Tag) -> Self {
        tag.clone()
    }
}

/// The one spelling of a tag's text in which only what must be escaped is.
fn canonical(text: &str) -> String {
    let mut canonical = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if character != ESCAPE {
            canonical.push(character);
            continue;
        }
        match characters.next_if(|next| matches!(*next, ':' | ESCAPE | CONSTANT | '*')) {
            Some(escaped @ (CONSTANT | '*')) => canonical.push(escaped),
            Some(escaped) => canonical.extend([ESCAPE, escaped]),
            None => canonical.extend([ESCAPE, ESCAPE]),
        }
    }
    canonical
}

/// A number of one tag that only ever grows.
///
/// ```
/// # use fragkeys_runtime::Version;
/// # fn newer(a: Version, b: Version) -> bool { a < b }
/// # fn number(a: Version) -> u64 { u64::from(a) }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u64);

impl Version {
    /// Versions are µs since 1970 times 1,000 plus three random digits. Less
    /// than this (September 2001) is no clock's number: a foreign `INCR` on a
    /// tag that was not there gave it.
    pub(crate) const MIN: u64 = 1_000_000_000_000_000_000;
    /// What Redis's `INCR` can still count to.
    pub(crate) const MAX: u64 = i64::MAX as u64;

    /// A version, if the number can be one.
    pub(crate) fn new(number: u64) -> Option<Self> {
        (Self::MIN..=Self::MAX).contains(&number).then_some(Version(number))
    }

    /// Reads decimal ASCII as it stands in Redis; `None` for anything else.
    #[cfg(feature = "redis")]
    pub(crate) fn from_ascii(text: &[u8]) -> Option<Self> {
        if !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(text).ok()?.parse().ok().and_then(Version::new)
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }
}

impl From<Version> for u64 {
    fn from(version: Version) -> u64 {
        version.0
    }
}

impl Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

/// What a bump did: each tag with its new version; or, inside of a transaction, which tags wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bumped {
    pairs: Vec<(Tag, Version)>,
    held: Vec<Tag>,
}

impl Bumped {
    pub(crate) fn new(tags: Vec<Tag>, versions: Vec<Version>) -> Self {
        Bumped { pairs: tags.into_iter().zip(versions).collect(), held: Vec::new() }
    }

    pub(crate) fn held_back(tags: Vec<Tag>) -> Self {
        Bumped { pairs: Vec::new(), held: tags }
    }

    /// Both; of a tag in both, the version of this one.
    pub(crate) fn and(mut self, more: Bumped) -> Self {
        if self.pairs.is_empty() && self.held.is_empty() {
            return more;
        }
        let is_here: HashSet<Tag> = self.pairs.iter().map(|(tag, _)| tag.clone()).collect();
        self.pairs.extend(more.pairs.into_iter().filter(|(tag, _)| !is_here.contains(tag)));
        self.held.extend(more.held);
        self
    }

    /// The tags that wait for a commit, and have no new version yet: those of a bump inside of
    /// [`on_commit`](crate::on_commit).
    #[must_use]
    pub fn held(&self) -> &[Tag] {
        &self.held
    }

    /// The tags and their new versions, each tag once.
    pub fn iter(&self) -> std::slice::Iter<'_, (Tag, Version)> {
        self.pairs.iter()
    }

    /// The new version of one tag, if it was bumped.
    #[must_use]
    pub fn version(&self, tag: &Tag) -> Option<Version> {
        self.pairs.iter().find(|(bumped, _)| bumped == tag).map(|(_, version)| *version)
    }

    /// How many tags were bumped.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Was nothing bumped?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }
}

impl IntoIterator for Bumped {
    type Item = (Tag, Version);
    type IntoIter = std::vec::IntoIter<(Tag, Version)>;

    fn into_iter(self) -> Self::IntoIter {
        self.pairs.into_iter()
    }
}

impl<'a> IntoIterator for &'a Bumped {
    type Item = &'a (Tag, Version);
    type IntoIter = std::slice::Iter<'a, (Tag, Version)>;

    fn into_iter(self) -> Self::IntoIter {
        self.pairs.iter()
    }
}
