//! The process of a server, under its watchdog.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::watchdog::Watchdog;

const LOG: &str = "server.log";

/// Waits for the watchdog to be in place, then becomes the server, with the
/// pid it has. If the test process dies before, the input ends and so does
/// this: at no moment can a server be left without somebody to kill it.
pub(crate) const LAUNCHER: &str = r#"read -r word || exit 1; exec "$@" </dev/null"#;

#[derive(Debug)]
pub(super) struct Process {
    server: Child,
    watchdog: Watchdog,
}

impl Process {
    /// `config` is a file that goes before the arguments: sentinels need one.
    pub(super) fn start(
        directory: &Path,
        socket: &Path,
        port: u16,
        config: Option<&Path>,
        args: &[String],
    ) -> Self {
        let log = OpenOptions::new().create(true).append(true).open(directory.join(LOG));
        let log = log.expect("a log for the server");
        let program = program();
        let mut command = Command::new("sh");
        command.args(["-c", LAUNCHER, "fragkeys-launcher", program.name]);
        command.args(config);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]);
        command.arg("--unixsocket").arg(socket).arg("--dir").arg(directory);
        command.args(["--save", "", "--appendonly", "no", "--daemonize", "no"]);
        if program.can_keep_title {
            // The directory has to stay visible in the list of processes.
            command.args(["--set-proc-title", "no"]);
        }
        command.args(args);
        // In a group of its own: what interrupts the tests must not end the
        // server under a test that is still cleaning up.
        command.process_group(0).stdin(Stdio::piped());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        let mut server = command.spawn().expect("start sh");
        let mut go = server.stdin.take().expect("stdin is a pipe");
        let watchdog = Watchdog::start(server.id(), directory, "KILL").expect("start sh");
        go.write_all(b"go\n").expect("start the server");
        Self { server, watchdog }
    }

    pub(super) fn pid(&self) -> u32 {
        self.server.id()
    }

    /// Looks without reaping, since the watchdog relies on the pid.
    pub(super) fn has_ended(&self) -> bool {
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).expect("a process id");
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(pid), options).expect("state of the server").is_some()
    }

    pub(super) fn log(directory: &Path) -> String {
        fs::read_to_string(directory.join(LOG)).unwrap_or_else(|error| error.to_string())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL also ends a stopped process.
        let _ = self.server.kill();
        self.watchdog.dismiss();
        let _ = self.server.wait();
    }
}

#[derive(Debug)]
struct Program {
    name: &'static str,
    can_keep_title: bool,
}

fn program() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        ["redis-server", "valkey-server"].into_iter().find_map(probe).expect(
            "neither redis-server nor valkey-server is on PATH; the script tests/run installs one",
        )
    })
}

fn probe(name: &'static str) -> Option<Program> {
    let output = Command::new(name).arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // "Redis server v=7.0.15 sha=..."; the option came with 6.2.
    let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="))?;
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let version = (numbers.next()?, numbers.next().unwrap_or(0));
    Some(Program { name, can_keep_title: version >= (6, 2) })
}
