//! Why a call is not cached, said once for each function.

use std::collections::HashSet;
use std::fmt;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::codec::CodecError;
use crate::log::warning;

/// What is worth saying once for each function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Problem {
    NoCache,
    Twin,
    Unencodable,
    Undecodable,
    Unstorable,
    NoVersion,
    Tags,
    Unprimable,
    OtherOutput,
    FailedRefresh,
}

/// Logs a problem of a function, the first time.
pub(crate) fn warn_once(name: &str, problem: Problem, text: impl FnOnce() -> String) {
    /// Bounds the memory; what comes after is not logged.
    const LIMIT: usize = 1_000;
    static TOLD: LazyLock<Mutex<HashSet<(String, Problem)>>> = LazyLock::new(Mutex::default);
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.len() < LIMIT && told.insert((name.to_owned(), problem)) {
        drop(told);
        warning!("`{name}`: {}", text());
    }
}

/// Why a value is not stored.
#[derive(Debug)]
pub(crate) enum Unstorable {
    NotForCodec,
    CodecRefused(CodecError),
    NotReadBack(CodecError),
    ReadBackOtherwise,
    TooLarge { limit: usize },
}

impl fmt::Display for Unstorable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ADVICE: &str = "another codec may hold it: \
            `codec = fragkeys::Bincode`, `Json` or `MessagePack` (features `json`, `msgpack`)";
        match self {
            Unstorable::NotForCodec => {
                write!(
                    f,
                    "its type must see the data to understand it, and this codec does not say what is there; {ADVICE}"
                )
            }
            Unstorable::CodecRefused(error) => write!(f, "{error}; {ADVICE}"),
            Unstorable::NotReadBack(error) => {
                write!(f, "it was encoded, but cannot be decoded: {error}; {ADVICE}")
            }
            Unstorable::ReadBackOtherwise => {
                write!(f, "it was encoded, but is decoded as another one; {ADVICE}")
            }
            Unstorable::TooLarge { limit } => {
                write!(f, "the entry is above `max_entry_bytes`, which is {limit}")
            }
        }
    }
}
