//! Kills a server whose test process died without cleaning up.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the farewell, or for the end of the pipe, which comes when the
/// test process is gone, however it died. Arguments: pid, directory, signal.
const SCRIPT: &str = r#"
trap '' INT TERM HUP
word=
read -r word
if [ "$word" != done ]; then
    kill "-$3" "$1"
    rm -rf "$2"
fi
"#;

/// A small process that outlives the test process just long enough to kill the
/// server `pid` and to remove its directory.
///
/// The pid can't be a recycled one: the server is a child of the test process,
/// which reaps it only after [`Self::dismiss`]. It therefore names the server,
/// dead or alive, for as long as the watchdog may act on it.
#[derive(Debug)]
pub(crate) struct Watchdog {
    process: Child,
}

impl Watchdog {
    /// `signal` is what ends the server for sure, such as `KILL`.
    pub(crate) fn start(pid: u32, directory: &Path, signal: &str) -> io::Result<Self> {
        let process = Command::new("sh")
            .args(["-c", SCRIPT, "fragkeys-watchdog"])
            .arg(pid.to_string())
            .arg(directory)
            .arg(signal)
            // std opens pipes with close-on-exec, so that no other child holds
            // the write end open after the test process has died.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the group of the tests: what kills that group must leave
            // the watchdog its work.
            .process_group(0)
            .spawn()?;
        Ok(Self { process })
    }

    /// Ends the watchdog without a kill. Call it before reaping the server.
    pub(crate) fn dismiss(&mut self) {
        if let Some(mut pipe) = self.process.stdin.take() {
            // Fails only if the watchdog has been killed, which is as good.
            let _ = pipe.write_all(b"done\n");
        }
        let _ = self.process.wait();
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.dismiss();
    }
}
