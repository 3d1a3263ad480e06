//! Other processes of a test, which are spoken to line by line.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::wait::holds_within;

const DEADLINE: Duration = Duration::from_secs(120);

/// A real process, killed and reaped on drop. Its standard error is that of the
/// test.
///
/// A child should end when its standard input ends: that is how it learns that
/// the test process was killed.
#[derive(Debug)]
pub struct Child {
    process: process::Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Child {
    /// Starts the program at `path`, for a binary of the tests package
    /// `env!("CARGO_BIN_EXE_name")`. `envs` come on top of the environment of
    /// the test.
    ///
    /// # Panics
    ///
    /// When it can't be started.
    #[must_use]
    pub fn start(path: impl AsRef<OsStr>, args: &[&str], envs: &[(&str, &str)]) -> Self {
        let path = path.as_ref();
        let mut process = Command::new(path)
            .args(args)
            .envs(envs.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {}: {error}", path.display()));
        let stdin = process.stdin.take();
        let lines = read_lines(process.stdout.take().expect("stdout is a pipe"));
        Self { process, stdin, lines }
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends one line; the line end is added.
    ///
    /// # Panics
    ///
    /// When the process doesn't take it, or after [`Self::close_stdin`].
    pub fn send_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin of the child was closed");
        // One write, as the child may be killed between two.
        let sent = stdin.write_all(format!("{line}\n").as_bytes());
        sent.unwrap_or_else(|error| panic!("the child doesn't take {line:?}: {error}"));
    }

    /// The next line of the standard output, without its end.
    ///
    /// # Panics
    ///
    /// When none comes within two minutes, or the output has ended.
    #[must_use]
    pub fn read_line(&mut self) -> String {
        match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line from the child in {DEADLINE:?}"),
            Err(RecvTimeoutError::Disconnected) => panic!("the output of the child has ended"),
        }
    }

    /// The next line, or `None` when none comes within `timeout` or the output
    /// has ended.
    #[must_use]
    pub fn try_read_line(&mut self, timeout: Duration) -> Option<String> {
        self.lines.recv_timeout(timeout).ok()
    }

    /// Ends the standard input of the process.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Ends the standard input and waits until the process has ended by itself.
    ///
    /// # Panics
    ///
    /// When it hasn't after two minutes.
    pub fn wait(&mut self) -> ExitStatus {
        self.close_stdin();
        let mut status = None;
        let ended = holds_within(DEADLINE, || {
            status = self.process.try_wait().expect("state of the child");
            status.is_some()
        });
        assert!(ended, "the child still runs after {DEADLINE:?}");
        status.expect("it has ended")
    }

    /// Kills the process (SIGKILL) and reaps it. Harmless once it has ended.
    pub fn kill(&mut self) {
        // Fails only when there is nothing left to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The thread ends with the output, hence with the process.
fn read_lines(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn talks_line_by_line() {
        let mut cat = Child::start("cat", &[], &[]);
        cat.send_line("one");
        assert_eq!(cat.read_line(), "one");
        cat.send_line("two");
        assert_eq!(cat.read_line(), "two");
        assert!(cat.wait().success());
        assert_eq!(cat.try_read_line(DEADLINE), None);
    }

    #[test]
    fn passes_arguments_and_environment() {
        let script = r#"echo "$1 $FRAGKEYS_TEST_WORD""#;
        let envs = [("FRAGKEYS_TEST_WORD", "world")];
        let mut shell = Child::start("sh", &["-c", script, "sh", "hello"], &envs);
        assert_eq!(shell.read_line(), "hello world");
    }

    #[test]
    fn kill_ends_it() {
        let mut cat = Child::start("cat", &[], &[]);
        cat.kill();
        assert_eq!(cat.wait().signal(), Some(9));
        assert_eq!(cat.try_read_line(DEADLINE), None);
        cat.kill();
    }
}
