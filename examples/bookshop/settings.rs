//! The bookshop's settings, from the environment. The cache reads its own.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// Whatever keeps the service from starting, for a person to read.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What the environment says, or the defaults.
pub(crate) struct Settings {
    /// `BOOKSHOP_ADDRESS`; default `127.0.0.1:3000`. Port 0 is any free one.
    pub(crate) address: String,
    /// `BOOKSHOP_DATABASE`, the path of the SQLite file; default: one in the temporary directory.
    pub(crate) database: PathBuf,
    /// `BOOKSHOP_CACHE_TIMEOUT_MS`, what the cache may add to a request; default: the library's.
    pub(crate) cache_timeout: Option<Duration>,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, BoxError> {
        let database = match env::var_os("BOOKSHOP_DATABASE") {
            Some(path) if !path.is_empty() => path.into(),
            _ => env::temp_dir().join("fragkeys-bookshop.sqlite"),
        };
        let cache_timeout = match env::var("BOOKSHOP_CACHE_TIMEOUT_MS") {
            Ok(text) => {
                let millis = text
                    .parse()
                    .map_err(|_| "BOOKSHOP_CACHE_TIMEOUT_MS must be a number of milliseconds")?;
                Some(Duration::from_millis(millis))
            }
            Err(_) => None,
        };
        let address = env::var("BOOKSHOP_ADDRESS").unwrap_or_else(|_| "127.0.0.1:3000".to_owned());
        Ok(Settings { address, database, cache_timeout })
    }
}
