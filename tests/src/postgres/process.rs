//! The process of a server, under its watchdog.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::program::Programs;
use crate::redis_server::process::LAUNCHER;
use crate::wait::holds_within;
use crate::watchdog::Watchdog;

const LOG: &str = "server.log";

#[derive(Debug)]
pub(super) struct Process {
    server: Child,
    watchdog: Watchdog,
}

impl Process {
    pub(super) fn start(programs: &Programs, directory: &Path, args: &[String]) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(directory.join(LOG));
        let log = log.expect("a log for the server");
        let mut command = programs.of_server("sh", directory);
        command.args(["-c", LAUNCHER, "fragkeys-launcher"]).arg(programs.path("postgres"));
        command.args(args);
        // In a group of its own: what interrupts the tests must not end the server under a test
        // that is still cleaning up.
        command.process_group(0).stdin(Stdio::piped());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let mut server = command.spawn().expect("start sh");
        let mut go = server.stdin.take().expect("stdin is a pipe");
        // It ends its own processes and memory with that, and a SIGKILL would leave them behind.
        let watchdog = Watchdog::start(server.id(), directory, "QUIT").expect("start sh");
        go.write_all(b"go\n").expect("start the server");
        Self { server, watchdog }
    }

    /// Looks without reaping, since the watchdog relies on the pid.
    pub(super) fn has_ended(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(self.pid()), options).expect("state of the server").is_some()
    }

    pub(super) fn log(directory: &Path) -> String {
        fs::read_to_string(directory.join(LOG)).unwrap_or_else(|error| error.to_string())
    }

    fn pid(&self) -> Pid {
        i32::try_from(self.server.id()).ok().and_then(Pid::from_raw).expect("a process id")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = kill_process(self.pid(), Signal::QUIT);
        if !holds_within(Duration::from_secs(20), || self.has_ended()) {
            let _ = self.server.kill();
        }
        self.watchdog.dismiss();
        let _ = self.server.wait();
    }
}
