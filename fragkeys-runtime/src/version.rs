//! Versions, and what a bump says of them.

use std::collections::HashMap;
use std::fmt::{self, Display};
#[cfg(feature = "tower")]
use std::time::Duration;

use crate::tag::Tag;

#[cfg(test)]
mod tests;
mod token;

/// A number of one tag that only ever grows. (Of a tag of the Python original, its milliseconds.)
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
    /// No versions, though clocks will give them from the year 2255 on: they stand in the place of one
    /// and say that a guard holds the tag.
    pub(crate) const MARKS: std::ops::Range<u64> =
        9_000_000_000_000_000_000..9_100_000_000_000_000_000;

    /// A version, if the number can be one.
    pub(crate) fn new(number: u64) -> Option<Self> {
        let is_version =
            (Self::MIN..=Self::MAX).contains(&number) && !Self::MARKS.contains(&number);
        is_version.then_some(Version(number))
    }

    /// Reads decimal ASCII as it stands in Redis; `None` for anything else.
    #[cfg(feature = "redis")]
    pub(crate) fn from_ascii(text: &[u8]) -> Option<Self> {
        if !text.iter().all(u8::is_ascii_digit) {
            return None;
        }
        std::str::from_utf8(text).ok()?.parse().ok().and_then(Version::new)
    }

    /// Stands for the bytes at somebody else's key, to be compared with others of its kind, and above all versions. Two
    /// texts have one stamp with a chance of 2⁻⁶³; who writes that key could as well leave it alone.
    #[cfg(feature = "redis")]
    pub(crate) fn stamp(bytes: &[u8]) -> Self {
        Version(xxhash_rust::xxh3::xxh3_64(bytes) | 1 << 63)
    }

    /// What a cell holds, if that is a version or a stamp.
    pub(crate) fn of_cell(number: u64) -> Option<Self> {
        (number >= Self::MIN).then_some(Version(number))
    }

    /// A version as the Python original counts: milliseconds since 1970.
    #[cfg(feature = "redis")]
    pub(crate) fn of_original(text: &[u8]) -> Option<Self> {
        std::str::from_utf8(text).ok()?.parse().ok().map(Version)
    }

    pub(crate) fn to_le_bytes(self) -> [u8; 8] {
        self.0.to_le_bytes()
    }

    /// Of bytes that [`to_le_bytes`](Self::to_le_bytes) gave.
    pub(crate) fn from_le_bytes(bytes: [u8; 8]) -> Self {
        Version(u64::from_le_bytes(bytes))
    }
}

/// Does this stand in the place of a version, and says that a guard holds the tag?
#[cfg(feature = "redis")]
pub(crate) fn is_mark(text: &[u8]) -> bool {
    let number = Some(text).filter(|text| text.len() == 19 && text.iter().all(u8::is_ascii_digit));
    let number = number.and_then(|text| std::str::from_utf8(text).ok()?.parse::<u64>().ok());
    number.is_some_and(|number| Version::MARKS.contains(&number))
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

/// What a bump did: each tag with its new version, or with a number that its version will be at least
/// (of 256 tags or more in one call); or, inside of a transaction, which tags wait.
///
/// It prints to a short text, fit for a header or a cookie, and is parsed from one: what
/// [`at_least`](crate::at_least) takes.
///
/// ```
/// # use fragkeys_runtime::{Bumped, Config, Error, Tag};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let cache = Config::memory().build().await?;
/// let bumped = cache.invalidate([Tag::new("User", 42)]).await?;
/// assert_eq!(bumped.to_string().parse::<Bumped>()?, bumped); // such as 1795396799063214123.User:42
/// # Ok::<(), Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bumped {
    pairs: Vec<(Tag, Version)>,
    held: Vec<Tag>,
    /// Was it read from a text that did not hold all tags?
    is_partial: bool,
}

impl Bumped {
    pub(crate) fn new(tags: Vec<Tag>, versions: Vec<Version>) -> Self {
        Bumped { pairs: tags.into_iter().zip(versions).collect(), ..Bumped::default() }
    }

    pub(crate) fn held_back(tags: Vec<Tag>) -> Self {
        Bumped { held: tags, ..Bumped::default() }
    }

    /// Both, of two caches; of a tag in both, the older version, which both have at least.
    pub(crate) fn and(mut self, more: Bumped) -> Self {
        if self.pairs.is_empty() && self.held.is_empty() {
            return more;
        }
        self.join(more, Version::min);
        self
    }

    /// Adds what was bumped earlier or later: of a tag in both, the newer version is kept.
    ///
    /// ```
    /// # use fragkeys_runtime::{Bumped, Config, Error};
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let cache = Config::memory().build().await?;
    /// let mut bumped = cache.invalidate(["User:42", "Dashboard"]).await?;
    /// let later = cache.invalidate(["User:42"]).await?;
    /// bumped.merge(later.clone());
    /// assert_eq!(bumped.len(), 2);
    /// assert_eq!(bumped.version(&"User:42".into()), later.version(&"User:42".into()));
    /// # Ok::<(), Error>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge(&mut self, more: Bumped) {
        self.join(more, Version::max);
    }

    fn join(&mut self, more: Bumped, choose: fn(Version, Version) -> Version) {
        let here = self.pairs.iter().enumerate();
        let index: HashMap<Tag, usize> = here.map(|(at, (tag, _))| (tag.clone(), at)).collect();
        for (tag, version) in more.pairs {
            match index.get(&tag).and_then(|at| self.pairs.get_mut(*at)) {
                Some((_, known)) => *known = choose(*known, version),
                None => self.pairs.push((tag, version)),
            }
        }
        self.held.extend(more.held);
        self.is_partial |= more.is_partial;
    }

    pub(crate) fn partial(mut self, is_partial: bool) -> Self {
        self.is_partial |= is_partial;
        self
    }

    /// Without what was bumped longer ago than this, by this machine's clock.
    #[cfg(feature = "tower")]
    pub(crate) fn of_the_last(mut self, time: Duration) -> Self {
        let oldest = crate::clock::since_1970().saturating_sub(time);
        self.pairs.retain(|(tag, version)| token::time_of(tag, *version) >= oldest);
        // Those that there was no room for are older than these.
        self.is_partial &= !self.pairs.is_empty();
        self
    }

    /// Without the root, which everybody's entries have: there may be more, instead, which leaves out
    /// what may be late.
    #[cfg(feature = "tower")]
    pub(crate) fn without_root(mut self) -> Self {
        let number = self.pairs.len();
        self.pairs.retain(|(tag, _)| *tag != Tag::root());
        self.is_partial |= self.pairs.len() < number;
        self
    }

    /// Were there more tags than these?
    pub(crate) fn is_partial(&self) -> bool {
        self.is_partial
    }

    /// The tags that wait for a commit, and have no new version yet: those of a bump inside of
    /// [`on_commit`](crate::on_commit).
    #[must_use]
    pub fn held(&self) -> &[Tag] {
        &self.held
    }

    /// The tags and their new versions, or what those are at least; each tag once.
    pub fn iter(&self) -> std::slice::Iter<'_, (Tag, Version)> {
        self.pairs.iter()
    }

    /// The new version of one tag, or what it is at least; if it was bumped.
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
