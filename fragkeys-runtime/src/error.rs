//! The one error type, for configuration, bumps and entries used by hand.
//!
//! An annotated function never returns it: a cache fault is not an answer (I5).

use std::borrow::Cow;
use std::fmt;

/// What went wrong in the cache, for a person to read.
///
/// The message says what happened, to which tag or key, and what to do. It never
/// holds a cached value, a password or a whole URL.
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: Cow<'static, str>,
}

/// The classes of [`Error`], for code to act on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A setting cannot be used: a bad URL, a zero timeout, a missing feature.
    Config,
    /// A cache of this name is installed already.
    AlreadyInstalled,
    /// No cache of this name is installed.
    NotInstalled,
    /// A text is not a tag, or a tag cannot be used in this place.
    Tag,
    /// A key ring does not define what was asked of it.
    KeyRing,
    /// The store cannot be reached.
    Unreachable,
    /// The store did not answer within `operation_timeout`.
    Timeout,
    /// The store answered that it will not do it: out of memory, read-only, no permission.
    Refused,
    /// The store answered something that makes no sense.
    Protocol,
    /// A value could not be turned into bytes, or back.
    Codec,
    /// An entry is larger than `max_entry_bytes`.
    TooLarge,
    /// A bump of one of the tags waits for the commit: see [`on_commit`](crate::on_commit).
    Held,
    /// A guard holds one of the tags: see [`guard`](crate::guard()).
    Guarded,
    /// The store has older versions than [`at_least`](crate::at_least) asks for.
    Behind,
    /// A text is not what a [`Bumped`](crate::Bumped) prints.
    Token,
    /// There is no Tokio runtime to reach Redis with.
    Runtime,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Error { kind, message: message.into() }
    }

    /// The same error, with what was being done put in front of it.
    pub(crate) fn context(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message).into();
        self
    }

    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.kind).field("message", &self.message).finish()
    }
}

impl std::error::Error for Error {}
