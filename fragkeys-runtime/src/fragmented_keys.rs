//! The Python original on the same Redis: where its versions stand, and how it writes them.

use std::fmt::Display;

use crate::tag::{Kind, Tag};

/// Where `fragmented_keys` (Python) keeps its versions, so that a Python application and this one
/// invalidate each other's entries on one Redis.
///
/// ```
/// # use fragkeys_runtime::{Config, FragmentedKeys};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let python = FragmentedKeys::django("NOZ");
///
/// // Depend on a tag of the original: `tags = [python.tag("User", user_id)]`.
/// assert_eq!(python.tag("User", 42).to_string(), "~:1:User_42NOZ");
///
/// // Bump there, too: from now on `invalidate!("User:42")` makes Python's entries miss.
/// let config = Config::redis("redis://127.0.0.1:6379/1").also_bump(python);
/// # let _ = config.build().await?; Ok::<(), fragkeys_runtime::Error>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A tag `Name:instance` of ours stands for the original's tag `Name` with that instance, one of
/// several segments, `Review:org:7`, for the instance `org:7`, and `Dashboard` for an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FragmentedKeys {
    key_prefix: String,
    prefix: String,
    only: Option<Vec<String>>,
}

impl FragmentedKeys {
    /// As `fragmented_keys_django` keeps them in Django's cache, with the prefix that was
    /// configured there: `:1:User_42NOZ`.
    pub fn django(prefix: impl Into<String>) -> Self {
        FragmentedKeys::plain(prefix).key_prefix(":1:")
    }

    /// As the bare package keeps them in Redis: `User_42NOZ`.
    pub fn plain(prefix: impl Into<String>) -> Self {
        FragmentedKeys { key_prefix: String::new(), prefix: prefix.into(), only: None }
    }

    /// What stands in front of each key. Default: `:1:` with Django (its `KEY_PREFIX`, which is
    /// empty, and `VERSION`), else nothing.
    #[must_use]
    pub fn key_prefix(mut self, key_prefix: impl Into<String>) -> Self {
        self.key_prefix = key_prefix.into();
        self
    }

    /// Bumps only tags of these names there. Default: of all names.
    #[must_use]
    pub fn only<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        self.only = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// A tag of the original, to depend on or to bump.
    ///
    /// A look gives it a version where it has none, in the form that the original reads; a bump
    /// does as its `increment()`, but in one step.
    pub fn tag(&self, name: impl Into<String>, instance: impl Display) -> Tag {
        let FragmentedKeys { key_prefix, prefix, .. } = self;
        Tag::original(&format!("{key_prefix}{}_{instance}{prefix}", name.into()))
    }

    /// The original's tag that stands for one of ours; `None` if it has none.
    pub(crate) fn counterpart(&self, tag: &Tag) -> Option<Tag> {
        if tag.kind() != Kind::Own || tag.is_root() {
            return None;
        }
        let (name, instance) = tag.name_and_instance();
        let is_meant = self.only.as_ref().is_none_or(|names| names.contains(&name));
        is_meant.then(|| self.tag(name, instance))
    }
}
