//! Real Redis servers, one of its own for each test that wants one.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::temporary;
use crate::wait::{DEADLINE, holds_within, wait_until};

mod commands;
pub(crate) mod process;
#[cfg(test)]
mod tests;

use process::Process;

/// A `redis-server` (or `valkey-server`) process on a port of 127.0.0.1 and on
/// a socket, in a temporary directory of its own, without persistence. Drop
/// ends it; when the test process is killed, a watchdog does.
///
/// The methods that talk to the server use a new connection for each command
/// and count in its statistics like any other client. They panic when the
/// server doesn't answer within a minute.
#[derive(Debug)]
pub struct RedisServer {
    process: Option<Process>,
    port: u16,
    /// More ports, with other numbers at each attempt to start.
    other_ports: Vec<OtherPort>,
    args: Vec<String>,
    directory: TempDir,
}

/// A port that a server needs beside the first one, and the option that takes it.
#[derive(Debug, Clone, Copy)]
struct OtherPort {
    option: &'static str,
    number: u16,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// With the log of the server, when it doesn't come up within a minute.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// [`Self::start`] with more arguments, which win over those of the
    /// harness: `start_with(&["--maxmemory", "2mb"])`. With `--requirepass` the
    /// methods of this type log in, but [`Self::url`] stays without password.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        Self::begin(None, &[], args)
    }

    /// With a file of settings, and with options that take a port each.
    pub(crate) fn begin(config: Option<&str>, other_ports: &[&'static str], args: &[&str]) -> Self {
        let directory = temporary::directory();
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let other_ports =
            other_ports.iter().map(|option| OtherPort { option, number: 0 }).collect();
        let mut server = Self { process: None, port: 0, other_ports, args, directory };
        if let Some(config) = config {
            fs::write(server.config(), config).expect("write the settings of the server");
        }
        let mut failure = String::new();
        // The port may be taken between the choice and the start, hence more
        // than one attempt.
        for _ in 0..20 {
            server.port = unused_port();
            for other in &mut server.other_ports {
                other.number = unused_port();
            }
            match server.launch() {
                Ok(()) => return server,
                Err(log) => failure = log,
            }
            if !failure.contains("Address already in use") {
                break;
            }
        }
        panic!("the Redis server doesn't start:\n{failure}");
    }

    /// `redis://127.0.0.1:PORT/`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// `redis+unix:///PATH`, for the socket of the same server.
    #[must_use]
    pub fn socket_url(&self) -> String {
        format!("redis+unix://{}", self.socket().display())
    }

    /// The port on 127.0.0.1; it stays the same for the life of this value.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port that it was begun with for this option.
    pub(crate) fn other_port(&self, option: &str) -> Option<u16> {
        self.other_ports.iter().find(|other| other.option == option).map(|other| other.number)
    }

    /// The process id of the server itself.
    ///
    /// # Panics
    ///
    /// After [`Self::kill`].
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running().pid()
    }

    /// Whether the process runs (or is paused).
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.process.as_ref().is_some_and(|process| !process.has_ended())
    }

    /// Kills the server (SIGKILL) and reaps it. Harmless when it is dead.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Kills the server if it runs and starts it again: same port, same
    /// arguments, no data.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    pub fn restart(&mut self) {
        self.kill();
        let mut failure = String::new();
        let started = holds_within(DEADLINE, || match self.launch() {
            Ok(()) => true,
            Err(log) => {
                failure = log;
                false
            }
        });
        assert!(started, "the Redis server doesn't start again:\n{failure}");
    }

    /// Stops the process (SIGSTOP): connections stay open, nothing is answered.
    /// Returns once it stands still.
    ///
    /// # Panics
    ///
    /// When the server doesn't run.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
        self.wait_for_stopped(true);
    }

    /// Lets a paused process go on (SIGCONT). Returns once it runs.
    ///
    /// # Panics
    ///
    /// When the server doesn't run.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
        self.wait_for_stopped(false);
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("the server was killed")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("server.conf")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("send a signal to the server");
    }

    /// The signal is sent, but need not have been taken yet. Only Linux tells;
    /// elsewhere the signal has to do.
    fn wait_for_stopped(&self, stopped: bool) {
        if cfg!(target_os = "linux") {
            let pid = self.pid();
            wait_until("the server to take the signal", || is_stopped(pid) == stopped);
        }
    }

    fn launch(&mut self) -> Result<(), String> {
        let config = Some(self.config()).filter(|config| config.exists());
        let mut args = self.args.clone();
        for other in &self.other_ports {
            args.extend([other.option.to_owned(), other.number.to_string()]);
        }
        let (directory, socket) = (self.directory.path(), self.socket());
        let process = Process::start(directory, &socket, self.port, config.as_deref(), &args);
        let expected = format!("process_id:{}", process.pid());
        self.process = Some(process);
        let up = holds_within(DEADLINE, || {
            // Another server on that port would answer too, hence the pid.
            self.running().has_ended() || self.info_has(&expected)
        });
        if up && !self.running().has_ended() {
            return Ok(());
        }
        self.process = None;
        Err(Process::log(self.directory.path()))
    }

    fn info_has(&self, line: &str) -> bool {
        let Ok(mut client) = self.connect() else { return false };
        // What else may sit on that port need not speak.
        let _ = client.set_read_timeout(Duration::from_secs(1));
        match client.command(&[b"INFO", b"server"]) {
            Ok(reply) => reply.to_text().lines().any(|info| info == line),
            Err(_) => false,
        }
    }
}

/// Below the range of ports systems give to outgoing connections: otherwise a
/// client could be given the port of a killed server, which then couldn't
/// restart, or connect to itself through it. Never the same port twice in a
/// process (before 12000 servers), for the same reason.
pub(crate) fn unused_port() -> u16 {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Spreads the processes that run at the same time.
    let offset = std::process::id().wrapping_mul(2_654_435_761) % u32::from(COUNT);
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let index = (offset + next) % u32::from(COUNT);
        let port = FIRST + u16::try_from(index).expect("below the count");
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn is_stopped(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("state of the server");
    // The name before it is in parentheses and may hold anything.
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}
