//! Tags, their text, and their versions.
//!
//! The text of a tag is a row of segments with `:` between them. In a *value*
//! (an instance, a placeholder) `:` and `\` are escaped with `\`, so that no
//! value can pretend to be two segments. In a *name* `:` separates segments,
//! just as it does in a template.

use std::fmt::{self, Display, Write as _};
use std::str::FromStr;
use std::sync::Arc;

use crate::error::{Error, ErrorKind};

#[cfg(test)]
mod tests;

/// Begins the text of a constant tag; escaped where another tag begins with it, as are the next two.
const CONSTANT: char = '=';
/// Begins the text of a tag whose version stands at somebody else's key, which is the rest.
const FOREIGN: char = '@';
/// Begins the text of a tag of the Python original, whose key is the rest.
const ORIGINAL: char = '~';
/// What only begins the text of a tag of a kind.
const MARKS: [char; 3] = [CONSTANT, FOREIGN, ORIGINAL];
/// The whole text of the tag that every entry of a cache depends on.
const ROOT: &str = "*";
const ESCAPE: char = '\\';

/// Where the version of a tag stands, and who may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// At a key of the cache.
    Own,
    /// Nowhere: it is part of the key.
    Constant,
    /// At somebody else's key, which is only read.
    Foreign,
    /// At a key of the Python original, which is written as that writes it.
    Original,
}

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

    /// A tag whose version is whatever bytes stand at somebody else's key in the same Redis:
    /// when anybody changes them, entries that depend on it miss. It stands there raw, without
    /// the cache's prefix: `Tag::foreign(":1:User_42NOZ")` is `@:1:User_42NOZ`.
    ///
    /// It is only read: bumping it, or asking for its version, is an error of kind
    /// [`ErrorKind::Tag`]. While there is no text at that key, calls that depend on it run
    /// uncached, as nobody could tell one such time from the next. If the owner writes bytes
    /// that stood there before, entries from that time are found again.
    ///
    /// For the keys of `fragmented_keys`, see [`FragmentedKeys`](crate::FragmentedKeys). In the
    /// embedded store, which has no keys of others, it is a tag as any that nobody bumps.
    pub fn foreign(key: impl Into<String>) -> Self {
        Tag { text: format!("{FOREIGN}{}", key.into()).into() }
    }

    pub(crate) fn original(key: &str) -> Self {
        Tag { text: format!("{ORIGINAL}{key}").into() }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.text.chars().next() {
            Some(CONSTANT) => Kind::Constant,
            Some(FOREIGN) => Kind::Foreign,
            Some(ORIGINAL) => Kind::Original,
            _ => Kind::Own,
        }
    }

    /// The key of a tag that is not the cache's own.
    #[cfg(feature = "redis")]
    pub(crate) fn key_of_others(&self) -> Option<&str> {
        self.text.strip_prefix([FOREIGN, ORIGINAL])
    }

    /// The first segment, and the others as one text, without escapes.
    pub(crate) fn name_and_instance(&self) -> (String, String) {
        let (mut name, mut instance) = (String::new(), String::new());
        let mut is_name = true;
        let mut characters = self.text.chars();
        while let Some(character) = characters.next() {
            let part = if is_name { &mut name } else { &mut instance };
            match character {
                ':' if is_name => is_name = false,
                ESCAPE => part.extend(characters.next()),
                other => part.push(other),
            }
        }
        (name, instance)
    }

    /// The tag that every entry depends on; `invalidate_all` bumps it.
    pub(crate) fn root() -> Self {
        Tag { text: ROOT.into() }
    }

    /// Is it the tag that every entry depends on?
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

    /// Refuses a tag that cannot be given a new version.
    #[doc(hidden)]
    pub fn check_bumpable(&self) -> Result<(), Error> {
        let problem = match self.kind() {
            Kind::Constant => {
                "is a constant tag: it is part of the key and has no version; \
                 bump a tag made by `Tag::new` or `Tag::global` instead"
            }
            Kind::Foreign => {
                "is a foreign tag: only the owner of that key changes it; \
                 for a key of `fragmented_keys`, make the tag with `FragmentedKeys`"
            }
            Kind::Own if self.text.is_empty() => {
                return Err(Error::new(ErrorKind::Tag, "a tag needs a name; this one is empty"));
            }
            Kind::Own | Kind::Original => return Ok(()),
        };
        Err(Error::new(ErrorKind::Tag, format!("`{self}` {problem}")))
    }

    /// Refuses a tag that has no version of the cache's own.
    pub(crate) fn check_own(&self) -> Result<(), Error> {
        match self.kind() {
            Kind::Original => Err(Error::new(
                ErrorKind::Tag,
                format!("the version of `{self}` is that of `fragmented_keys`, and no `Version`"),
            )),
            _ => self.check_bumpable(),
        }
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

    pub(crate) fn into_text(self) -> String {
        self.text
    }

    /// The tag of this text, which is canonical but for its first character.
    pub fn into_tag(self) -> Tag {
        let mut text = self.text;
        if text.starts_with(MARKS) || text == ROOT {
            text.insert(0, ESCAPE);
        }
        Tag { text: text.into() }
    }
}

/// A part of a template.
#[doc(hidden)]
#[derive(Debug)]
pub enum Part {
    /// In the canonical form that the macro gave it.
    Text(&'static str),
    /// Which one of the values of all of a function's templates.
    Placeholder(usize),
}

impl Tag {
    /// The tag of a template, with these values in its placeholders.
    pub(crate) fn of_template(parts: &[Part], values: &[&str]) -> Self {
        let mut text = TagText::default();
        for part in parts {
            match part {
                Part::Text(canonical) => text.literal(canonical),
                Part::Placeholder(index) => {
                    text.placeholder(values.get(*index).copied().unwrap_or_default());
                }
            }
        }
        text.into_tag()
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

/// Reads a tag as `Display` writes it. A `\` escapes the `:`, `\`, `=`, `@`, `~` or `*`
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
/// Not for a user's input: `*` is the whole cache, `@` and `~` begin raw keys, and `:` separates.
/// Use [`Tag::new`] there.
impl From<&str> for Tag {
    fn from(text: &str) -> Self {
        if text == ROOT {
            return Tag::root();
        }
        if text.starts_with([FOREIGN, ORIGINAL]) {
            return Tag { text: text.into() };
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
        let is_escapable =
            |next: &char| matches!(*next, ':' | ESCAPE | '*') || MARKS.contains(next);
        match characters.next_if(is_escapable) {
            Some(mark) if mark == '*' || MARKS.contains(&mark) => canonical.push(mark),
            Some(escaped) => canonical.extend([ESCAPE, escaped]),
            None => canonical.extend([ESCAPE, ESCAPE]),
        }
    }
    canonical
}
