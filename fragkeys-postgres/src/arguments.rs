//! The command line and the environment.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// How long Redis may take for a batch.
pub(crate) const REDIS_PATIENCE: Duration = Duration::from_secs(2);

pub(crate) const HELP: &str = "\
fragkeys-postgres: what changes in PostgreSQL bumps tags in Redis

  fragkeys-postgres outbox-sql        prints SQL that makes the outbox, or brings it up to date
  fragkeys-postgres drop-outbox-sql   prints SQL that takes it away
  fragkeys-postgres relay             bumps what stands in the outbox, until SIGTERM

Options, and the environment that stands for them; URLs with passwords are better kept there:

  --database-url URL   DATABASE_URL      postgres://user@host/database
  --redis-url URL      FRAGKEYS_URL      redis://host:6379/1
  --prefix TEXT        FRAGKEYS_PREFIX   what all keys in Redis begin with; default: fragkeys
  --schema NAME        FRAGKEYS_SCHEMA   where the outbox is; default: fragkeys
  --database-ca FILE   FRAGKEYS_DATABASE_CA
                       certificates of authorities, PEM; needs the feature `tls`
  --batch NUMBER       how many tags at a time, 1 to 10000; default: 1000
  --poll-ms NUMBER     how often it looks without being woken; default: 1000
  --no-notify          for outbox-sql: commits do not wake the relay
";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    OutboxSql,
    DropOutboxSql,
    Relay,
}

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    database: Option<String>,
    redis: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) schema: Option<String>,
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "refused where it is read"))]
    pub(crate) authority: Option<PathBuf>,
    pub(crate) batch_size: Option<u32>,
    pub(crate) poll_every: Option<Duration>,
    pub(crate) notifies: bool,
}

impl Arguments {
    /// # Errors
    ///
    /// What is wrong with them, without what they hold.
    pub(crate) fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, String> {
        let variable = |name: &str| match variable(name).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
            Some(Err(_)) => Err(format!("{name} is no UTF-8")),
        };
        let mut read = Arguments {
            command: Command::Help,
            database: variable("DATABASE_URL")?,
            redis: variable("FRAGKEYS_URL")?,
            prefix: variable("FRAGKEYS_PREFIX")?,
            schema: variable("FRAGKEYS_SCHEMA")?,
            authority: variable("FRAGKEYS_DATABASE_CA")?.map(PathBuf::from),
            batch_size: None,
            poll_every: None,
            notifies: true,
        };
        let mut command = None;
        let texts = arguments.into_iter().map(OsString::into_string).collect::<Result<Vec<_>, _>>();
        let mut texts = texts.map_err(|_| "an argument is no UTF-8")?.into_iter();
        while let Some(text) = texts.next() {
            if let Some(known) = command_of(&text) {
                if command.replace(known).is_some() {
                    return Err(format!("`{text}` is one command too many"));
                }
            } else if text == "--no-notify" {
                read.notifies = false;
            } else {
                read.option(&text, &mut texts)?;
            }
        }
        read.command = command.ok_or("which command? `fragkeys-postgres --help` lists them")?;
        if !cfg!(feature = "tls") && read.authority.is_some() {
            return Err("certificates need the feature `tls`, which was not built in".to_owned());
        }
        Ok(read)
    }

    fn option(
        &mut self,
        option: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (option, None),
        };
        const OPTIONS: [&str; 7] = [
            "--database-url",
            "--redis-url",
            "--prefix",
            "--schema",
            "--database-ca",
            "--batch",
            "--poll-ms",
        ];
        if !OPTIONS.contains(&name) {
            // It may be a URL that lost its option, with a password: so it is not repeated.
            return Err(
                "there is an unknown argument; `fragkeys-postgres --help` lists them".to_owned()
            );
        }
        let value =
            value.or_else(|| rest.next()).ok_or_else(|| format!("`{name}` needs a value"))?;
        match name {
            "--database-url" => self.database = Some(value),
            "--redis-url" => self.redis = Some(value),
            "--prefix" => self.prefix = Some(value),
            "--schema" => self.schema = Some(value),
            "--database-ca" => self.authority = Some(value.into()),
            "--batch" => self.batch_size = Some(number(name, &value, 10_000)?),
            _ => {
                let millis = number(name, &value, 3_600_000)?;
                self.poll_every = Some(Duration::from_millis(millis.into()));
            }
        }
        Ok(())
    }

    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn database(&self) -> Result<&str, String> {
        self.database.as_deref().ok_or_else(|| "which database? Set DATABASE_URL".to_owned())
    }

    /// # Errors
    ///
    /// If there is none.
    pub(crate) fn redis(&self) -> Result<&str, String> {
        self.redis.as_deref().ok_or_else(|| "which Redis? Set FRAGKEYS_URL".to_owned())
    }
}

fn command_of(text: &str) -> Option<Command> {
    match text {
        "-h" | "--help" | "help" => Some(Command::Help),
        "-V" | "--version" => Some(Command::Version),
        "outbox-sql" => Some(Command::OutboxSql),
        "drop-outbox-sql" => Some(Command::DropOutboxSql),
        "relay" => Some(Command::Relay),
        _ => None,
    }
}

fn number(name: &str, text: &str, most: u32) -> Result<u32, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("`{name}` takes a number from 1 to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Arguments, String> {
        let variable = |name: &str| (name == "FRAGKEYS_PREFIX").then(|| "of-env".into());
        Arguments::read(arguments.iter().map(OsString::from), variable)
    }

    #[test]
    fn an_option_wins_over_the_environment() {
        let read = read(&["relay", "--prefix", "shop", "--poll-ms=20", "--batch", "7"]).unwrap();
        assert_eq!((read.command, read.prefix.as_deref()), (Command::Relay, Some("shop")));
        assert_eq!(read.poll_every, Some(Duration::from_millis(20)));
        assert_eq!((read.batch_size, read.notifies), (Some(7), true));
        assert_eq!(self::read(&["relay"]).unwrap().prefix.as_deref(), Some("of-env"));
    }

    #[test]
    fn what_is_wrong_is_told_and_not_repeated() {
        for wrong in [
            &["relay", "postgres://user:secret@host/db"][..],
            &["relay", "--database=postgres://user:secret@host/db"],
            &["relay", "--batch", "secret"],
            &["relay", "--batch", "0"],
            &["relay", "--prefix"],
            &["relay", "outbox-sql"],
            &[],
        ] {
            let problem = read(wrong).unwrap_err();
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
