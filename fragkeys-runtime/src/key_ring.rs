//! Names and tags of entries, defined in one place and bound to values in many.

use std::collections::BTreeMap;
use std::fmt::Display;

use crate::cache::Cache;
use crate::entry::Entry;
use crate::error::{Error, ErrorKind};
use crate::tag::Tag;

/// Definitions of entries: a name, and the row of tags that its entries depend on.
///
/// Where entries by hand are read and written in several places, a ring keeps their names and
/// tags from drifting apart. It is made once, usually as a static:
///
/// ```
/// # use std::sync::LazyLock;
/// # use fragkeys_runtime::{Config, KeyRing, RingTag, Tag};
/// static RING: LazyLock<KeyRing> = LazyLock::new(|| {
///     KeyRing::new()
///         .define("org_list", ["organization", "category"])
///         .define("banner", [RingTag::new("campaign"), RingTag::constant("env")])
/// });
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let cache = Config::memory().build().await?;
/// let entry = RING.entry(&cache, "org_list", [7, 8])?;
/// entry.set(&"a list".to_owned()).await?;
///
/// cache.invalidate([Tag::new("category", 8)]).await?;
/// assert_eq!(entry.get::<String>().await?, None);
///
/// let tags = RING.tags("banner", ["spring", "production"])?;
/// assert_eq!(tags, [Tag::new("campaign", "spring"), Tag::constant("env", "production")]);
/// # Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    definitions: BTreeMap<String, Definition>,
}

#[derive(Clone, Debug)]
enum Definition {
    Once(Vec<RingTag>),
    /// Two places think that the name is theirs, so neither may have it.
    Twice,
}

/// A tag of a definition in a [`KeyRing`]: a name that still lacks its value.
///
/// A `&str` or `String` converts into the ordinary kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingTag {
    name: String,
    is_constant: bool,
}

impl RingTag {
    /// A tag that can be bumped: bound to 7, `RingTag::new("category")` is
    /// [`Tag::new("category", 7)`](Tag::new).
    pub fn new(name: impl Into<String>) -> Self {
        RingTag { name: name.into(), is_constant: false }
    }

    /// A part of the key that is never bumped: bound to `"production"`,
    /// `RingTag::constant("env")` is [`Tag::constant("env", "production")`](Tag::constant).
    pub fn constant(name: impl Into<String>) -> Self {
        RingTag { name: name.into(), is_constant: true }
    }

    fn bind(&self, value: impl Display) -> Tag {
        if self.is_constant {
            Tag::constant(&*self.name, value)
        } else {
            Tag::new(&*self.name, value)
        }
    }
}

impl From<&str> for RingTag {
    fn from(name: &str) -> Self {
        RingTag::new(name)
    }
}

impl From<String> for RingTag {
    fn from(name: String) -> Self {
        RingTag::new(name)
    }
}

impl KeyRing {
    /// A ring without definitions.
    #[must_use]
    pub fn new() -> Self {
        KeyRing::default()
    }

    /// Defines entries of one name, which take one value for each tag, in this order.
    ///
    /// A name that is defined twice is refused wherever it is used, even if the two are alike:
    /// the second place would not learn of a change to the first.
    #[must_use = "it gives back the ring with the definition"]
    pub fn define<I>(mut self, name: impl Into<String>, tags: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<RingTag>,
    {
        let definition = Definition::Once(tags.into_iter().map(Into::into).collect());
        self.definitions
            .entry(name.into())
            .and_modify(|definition| *definition = Definition::Twice)
            .or_insert(definition);
        self
    }

    /// The tags of a definition, bound to values.
    ///
    /// Values of several types go in as `[&7 as &dyn Display, &"education"]`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::KeyRing`] if the name is not defined, or twice, or if there are more or
    /// fewer values than tags. The message says what is defined, and how many were given.
    pub fn tags<V>(&self, name: &str, values: V) -> Result<Vec<Tag>, Error>
    where
        V: IntoIterator,
        V::Item: Display,
    {
        let tags = self.definition(name)?;
        let mut values = values.into_iter();
        let bound: Vec<Tag> =
            tags.iter().zip(values.by_ref()).map(|(tag, value)| tag.bind(value)).collect();
        // `zip` asks the tags first, so it takes no value that it has no tag for.
        let given = bound.len() + values.count();
        if given == tags.len() {
            return Ok(bound);
        }
        let names = listed(tags.iter().map(|tag| tag.name.as_str()));
        Err(refused(format!(
            "`{name}` takes one value for each of its tags ({names}); {given} were given for {}",
            tags.len(),
        )))
    }

    /// The entry of a definition in a cache, its tags bound to values. It is the one that
    /// [`Cache::entry`] gives for the same name and tags.
    ///
    /// # Errors
    ///
    /// As [`tags`](Self::tags).
    pub fn entry<V>(&self, cache: &Cache, name: &str, values: V) -> Result<Entry, Error>
    where
        V: IntoIterator,
        V::Item: Display,
    {
        let tags = self.tags(name, values)?;
        Ok(cache.entry(name).tags(tags))
    }

    /// The names that are defined, in alphabetical order.
    pub fn defined(&self) -> impl Iterator<Item = &str> {
        self.definitions.keys().map(String::as_str)
    }

    fn definition(&self, name: &str) -> Result<&[RingTag], Error> {
        match self.definitions.get(name) {
            Some(Definition::Once(tags)) => Ok(tags),
            Some(Definition::Twice) => Err(refused(format!(
                "`{name}` is defined twice in this key ring: rename one of the two, or drop it"
            ))),
            None => Err(refused(format!(
                "`{name}` is not defined in this key ring; defined: {}",
                listed(self.defined())
            ))),
        }
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::KeyRing, message)
}

/// Names in an error.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
