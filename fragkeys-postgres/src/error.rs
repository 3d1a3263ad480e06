//! What can go wrong, for a person to read.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

/// What went wrong, and what to do. It never holds a password, nor the URL it stands in.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    message: String,
}

/// The classes of [`Error`], for code to act on.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A model's tags cannot be made in the database.
    Model,
    /// A setting cannot be used: a bad URL, a name that is too long, a missing feature.
    Config,
    /// PostgreSQL does not let this user in.
    Login,
    /// There is no outbox, or this user may not use it.
    Outbox,
    /// PostgreSQL cannot be reached, or did not do what it was asked for.
    Database,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error { kind, message: message.into() }
    }

    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    pub(crate) fn timed_out(doing: &str, patience: Duration) -> Self {
        let message = format!("{doing}: PostgreSQL gave no answer within {patience:?}");
        Error::new(ErrorKind::Database, message)
    }

    /// What PostgreSQL or its driver said.
    pub(crate) fn database(doing: &str, error: &tokio_postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            // The driver's own words name options, and never what stands in them.
            let why = error.source().map(|why| format!(": {why}")).unwrap_or_default();
            let (kind, advice) = Self::without_answer(error);
            return Error::new(kind, format!("{doing}: {error}{why}{advice}"));
        };
        let (code, message) = (said.code(), said.message());
        let (kind, advice) = match code.code() {
            "28P01" | "28000" => {
                (ErrorKind::Login, "; see that user and password in the URL are right")
            }
            "3D000" => (ErrorKind::Login, "; see that the database in the URL is right"),
            "42P01" | "3F000" => (
                ErrorKind::Outbox,
                "; run what `fragkeys-postgres outbox-sql` prints, in this database",
            ),
            "42501" => (
                ErrorKind::Outbox,
                "; the relay's user needs USAGE on the outbox's schema, and SELECT, UPDATE and DELETE on the outbox",
            ),
            "25006" => (
                ErrorKind::Database,
                "; this is a standby: add the primary to the URL, and `target_session_attrs=read-write`",
            ),
            _ => (ErrorKind::Database, ""),
        };
        Error::new(kind, format!("{doing}: {message} (SQLSTATE {}){advice}", code.code()))
    }

    /// Of what did not come from the server: was it the network, or is it to be set right?
    fn without_answer(error: &tokio_postgres::Error) -> (ErrorKind, &'static str) {
        let mut source = error.source();
        while let Some(cause) = source {
            match cause.downcast_ref::<io::Error>().map(io::Error::kind) {
                // So rustls tells that it does not trust a certificate.
                Some(io::ErrorKind::InvalidData) => {
                    let advice = "; name the authority that signed the server's certificate, or \
                                  do without TLS: `sslmode=disable` in the URL";
                    return (ErrorKind::Config, advice);
                }
                Some(_) => return (ErrorKind::Database, ""),
                None => source = cause.source(),
            }
        }
        // A password is missing, or TLS is asked for and the server has none.
        let is_said = error.source().is_some() && !error.is_closed();
        (if is_said { ErrorKind::Config } else { ErrorKind::Database }, "")
    }

    /// Will it be the same at the next attempt, unless somebody does something?
    pub(crate) fn is_lasting(&self) -> bool {
        matches!(self.kind, ErrorKind::Config | ErrorKind::Login | ErrorKind::Outbox)
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
