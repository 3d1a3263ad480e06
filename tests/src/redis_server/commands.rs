//! Commands to the server, besides the client under test.

use std::io;

use super::RedisServer;
use crate::resp::{Reply, RespClient};

impl RedisServer {
    /// Runs one command and gives its reply, an error reply included.
    ///
    /// # Panics
    ///
    /// When no reply comes.
    #[must_use]
    pub fn command(&self, args: &[&[u8]]) -> Reply {
        self.connect()
            .and_then(|mut client| client.command(args))
            .unwrap_or_else(|error| panic!("no reply from the Redis server: {error}"))
    }

    /// Runs one command and gives its reply as text, as [`Reply::to_text`]
    /// does: `cli(&["INCR", "k"])`.
    ///
    /// # Panics
    ///
    /// When no reply comes, or the reply is an error.
    pub fn cli(&self, args: &[&str]) -> String {
        let bytes: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        match self.command(&bytes) {
            Reply::Error(error) => panic!("{args:?}: {error}"),
            reply => reply.to_text(),
        }
    }

    /// The keys that match `pattern`, sorted; those that aren't UTF-8 with
    /// replacement characters.
    #[must_use]
    pub fn keys(&self, pattern: &str) -> Vec<String> {
        let Reply::Array(Some(keys)) = self.command(&[b"KEYS", pattern.as_bytes()]) else {
            panic!("KEYS gives a list");
        };
        let mut keys: Vec<_> = keys.iter().map(Reply::to_text).collect();
        keys.sort();
        keys
    }

    /// The bytes stored under `key`.
    #[must_use]
    pub fn get_raw(&self, key: &str) -> Option<Vec<u8>> {
        match self.command(&[b"GET", key.as_bytes()]) {
            Reply::Bulk(bytes) => bytes,
            other => panic!("GET {key}: {other:?}"),
        }
    }

    /// Stores bytes under `key`, without expiry.
    pub fn set_raw(&self, key: &str, bytes: &[u8]) {
        let reply = self.command(&[b"SET", key.as_bytes(), bytes]);
        assert_eq!(reply, Reply::Simple("OK".to_owned()), "SET {key}");
    }

    /// Removes all keys.
    pub fn flushall(&self) {
        self.cli(&["FLUSHALL"]);
    }

    /// How often a command ran since the start or [`Self::reset_stats`]: `get`,
    /// or `script|load` for a subcommand.
    #[must_use]
    pub fn command_calls(&self, name: &str) -> u64 {
        let prefix = format!("cmdstat_{}:calls=", name.to_lowercase());
        let info = self.cli(&["INFO", "commandstats"]);
        let Some(rest) = info.lines().find_map(|line| line.strip_prefix(&prefix)) else { return 0 };
        let calls = rest.split(',').next().unwrap_or_default();
        calls.parse().expect("a number of calls")
    }

    /// Sets the counts of [`Self::command_calls`] to zero.
    pub fn reset_stats(&self) {
        self.cli(&["CONFIG", "RESETSTAT"]);
    }

    pub(super) fn connect(&self) -> io::Result<RespClient> {
        let mut client = RespClient::connect(self.port)?;
        let flag = self.args.iter().rposition(|arg| arg == "--requirepass");
        if let Some(password) = flag.and_then(|at| self.args.get(at + 1)) {
            // Where the test has changed the password since, the command says.
            client.command(&[b"AUTH", password.as_bytes()])?;
        }
        Ok(client)
    }
}
