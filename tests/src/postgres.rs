//! Real PostgreSQL servers, one of its own for each test that wants one.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::redis_server::unused_port;
use crate::temporary;
use crate::wait::holds_within;

mod process;
mod program;

use process::Process;
use program::Programs;

/// A start may have to recover, on a machine that has other things to do.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);
const PASSWORD: &str = "hush-hush";

/// A PostgreSQL server on a port of 127.0.0.1, where it asks for a password, and on a socket,
/// where it asks for none; in a temporary directory of its own, without `fsync`. Drop ends it;
/// when the test process is killed, a watchdog does. Run by root, it is a process of the user
/// `postgres` or `nobody`, as PostgreSQL wants none of root's.
#[derive(Debug)]
pub struct PostgresServer {
    process: Option<Process>,
    programs: Programs,
    port: u16,
    args: Vec<String>,
    directory: TempDir,
}

impl PostgresServer {
    /// Makes a database cluster, starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// With the log of the server, when it doesn't come up within a minute; and where there is
    /// no PostgreSQL.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// [`Self::start`] with more arguments: `start_with(&["-c", "ssl=on"])`.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let (programs, directory) = (Programs::find(), temporary::directory());
        let mut server = Self { process: None, programs, port: 0, args, directory };
        server.programs.give(server.directory.path());
        server.initialize();
        let mut failure = String::new();
        // The port may be taken between the choice and the start.
        for _ in 0..20 {
            server.port = unused_port();
            match server.launch() {
                Ok(()) => return server,
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("PostgreSQL doesn't start:\n{failure}");
    }

    /// `postgres://postgres:PASSWORD@127.0.0.1:PORT/postgres`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_through(self.port)
    }

    /// The same with another port, such as that of a proxy.
    #[must_use]
    pub fn url_through(&self, port: u16) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{port}/postgres")
    }

    /// The port on 127.0.0.1; it stays the same for the life of this value.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password in [`Self::url`].
    #[must_use]
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Where its data are; for a file that the server is to read.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Gives a file to the user that the server runs as, and to nobody else.
    pub fn own(&self, file: &Path) {
        self.programs.give(file);
    }

    /// What `psql` prints of this SQL, as the superuser `postgres`: rows in lines, columns with
    /// `|` between them.
    ///
    /// # Panics
    ///
    /// With its error, if there is one.
    pub fn psql(&self, sql: &str) -> String {
        self.try_psql(sql).unwrap_or_else(|error| panic!("psql: {error}\n{sql}"))
    }

    /// [`Self::psql`], or the first error, at which it stops.
    ///
    /// # Errors
    ///
    /// What `psql` says.
    ///
    /// # Panics
    ///
    /// When there is no `psql`.
    pub fn try_psql(&self, sql: &str) -> Result<String, String> {
        let mut psql = self.client("psql", &["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut psql = psql.spawn().expect("start psql");
        let mut stdin = psql.stdin.take().expect("stdin is a pipe");
        // Fails where psql has stopped at an error.
        let _ = stdin.write_all(sql.as_bytes());
        drop(stdin);
        let output = psql.wait_with_output().expect("the output of psql");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// Ends the server at once, as a crash does: what was committed is there at the next start.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends the server if it runs and starts it again: same port, same data.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    pub fn restart(&mut self) {
        self.kill();
        let mut failure = String::new();
        let started = holds_within(DEADLINE, || self.launch().map_err(|log| failure = log).is_ok());
        assert!(started, "PostgreSQL doesn't start again:\n{failure}");
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn initialize(&self) {
        let password = self.directory.path().join("password");
        fs::write(&password, PASSWORD).expect("write the password");
        self.programs.give(&password);
        let mut initdb = self.programs.of_server("initdb", self.directory.path());
        initdb.args(["--no-sync", "--username=postgres", "--encoding=UTF8", "--locale=C"]);
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile"]);
        initdb.arg(&password).arg("--pgdata").arg(self.data());
        let output = initdb.output().expect("start initdb");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "initdb: {said}");
    }

    fn launch(&mut self) -> Result<(), String> {
        let directory = self.directory.path();
        let mut args = vec!["-D".to_owned(), self.data().display().to_string()];
        args.extend(["-p".to_owned(), self.port.to_string()]);
        let settings = [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("unix_socket_directories={}", directory.display()),
            "fsync=off".to_owned(),
            "max_connections=50".to_owned(),
            "shared_buffers=32MB".to_owned(),
        ];
        args.extend(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
        args.extend(self.args.iter().cloned());
        self.process = Some(Process::start(&self.programs, directory, &args));
        let up = holds_within(DEADLINE, || {
            let process = self.process.as_ref().expect("it was just started");
            process.has_ended() || self.is_ready()
        });
        let process = self.process.as_ref().expect("it was just started");
        if up && !process.has_ended() {
            return Ok(());
        }
        let log = Process::log(directory);
        self.process = None;
        Err(log)
    }

    fn is_ready(&self) -> bool {
        // Through the socket in the directory of its own: so it is no other server.
        self.client("pg_isready", &["-q"]).status().is_ok_and(|status| status.success())
    }

    /// A program that connects to it.
    fn client<S: AsRef<OsStr>>(&self, name: &str, args: &[S]) -> Command {
        let mut command = self.programs.client(name);
        command.arg("-h").arg(self.directory.path()).args(["-p", &self.port.to_string()]);
        command.args(["-U", "postgres", "-d", "postgres"]).args(args);
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_committed_outlives_a_crash() {
        let mut server = PostgresServer::start();
        server.psql("CREATE TABLE word (text text); INSERT INTO word VALUES ('a|b'), (NULL)");
        server.kill();
        assert!(server.try_psql("SELECT 1").is_err());
        server.restart();
        assert_eq!(server.psql("SELECT text, 1 FROM word ORDER BY 1"), "a|b|1\n|1");
        let error = server.try_psql("SELECT 1; SELECT nothing; SELECT 2").unwrap_err();
        assert!(error.contains("nothing"), "{error}");
    }
}
