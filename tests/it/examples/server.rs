//! A running service, or bookshop.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use fragkeys_tests::Child;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::{NamedTempFile, TempDir};

use super::client::Client;
use super::programs;

/// Waits until the watchdog is in place, then becomes the service, with the pid it has.
const LAUNCHER: &str = r#"read -r word || exit 1; exec "$1" 2>"$2" </dev/null"#;
/// Kills the service when the test process is gone, however it died, and clears up.
const WATCHDOG: &str = r#"trap '' INT TERM HUP; read -r word; kill -9 "$1"; rm -rf "$2""#;

/// Plenty, so that a busy machine makes no hit a bypass.
pub(super) const PATIENT: Duration = Duration::from_secs(5);

/// Which of the examples; its settings begin with this.
#[derive(Clone, Copy)]
enum Program {
    Service,
    Bookshop,
}

/// What services share: the folder of the database file, and a Redis server.
pub(super) struct Setup {
    program: Program,
    directory: Arc<TempDir>,
    url: String,
}

impl Setup {
    /// An empty URL is the embedded store.
    pub(super) fn new(url: impl Into<String>) -> Self {
        Setup::of(Program::Service, url)
    }

    pub(super) fn bookshop(url: impl Into<String>) -> Self {
        Setup::of(Program::Bookshop, url)
    }

    fn of(program: Program, url: impl Into<String>) -> Self {
        Setup { program, directory: Arc::new(tempfile::tempdir().unwrap()), url: url.into() }
    }

    /// The same database, and an embedded store of its own: what it tells is what is there.
    pub(super) fn with_empty_cache(&self) -> Self {
        Setup { program: self.program, directory: self.directory.clone(), url: String::new() }
    }

    pub(super) fn start(&self) -> Service {
        self.start_with(PATIENT)
    }

    /// Starts a service in which the cache may add this much to a request.
    pub(super) fn start_with(&self, cache_timeout: Duration) -> Service {
        let database = self.directory.path().join("service.sqlite");
        let cache_timeout = cache_timeout.as_millis().to_string();
        let (program, prefix) = match self.program {
            Program::Service => (&programs().service, "SERVICE"),
            Program::Bookshop => (&programs().bookshop, "BOOKSHOP"),
        };
        let setting = |name: &str| format!("{prefix}_{name}");
        let settings = [setting("ADDRESS"), setting("DATABASE"), setting("CACHE_TIMEOUT_MS")];
        let [address_is, database_is, cache_timeout_is] = &settings;
        let envs = [
            (address_is.as_str(), "127.0.0.1:0"),
            (database_is, database.to_str().unwrap()),
            (cache_timeout_is, &cache_timeout),
            ("FRAGKEYS_URL", &self.url),
            ("FRAGKEYS_PREFIX", "service"),
            ("CARGO", env!("CARGO")),
        ];
        Service::start(program, &envs, self.directory.clone())
    }
}

pub(super) struct Service {
    // Dropped first: what it watches over is still there then.
    watchdog: Child,
    process: Child,
    client: Client,
    log: NamedTempFile,
    // The database file must not go while the service runs.
    _directory: Arc<TempDir>,
}

impl Service {
    fn start(program: &Path, envs: &[(&str, &str)], directory: Arc<TempDir>) -> Service {
        let log = NamedTempFile::new_in(directory.path()).unwrap();
        let program = program.to_str().unwrap();
        let arguments = ["-c", LAUNCHER, "launcher", program, log.path().to_str().unwrap()];
        let mut process = Child::start("sh", &arguments, envs);
        let pid = process.pid().to_string();
        let arguments = ["-c", WATCHDOG, "watchdog", &pid, directory.path().to_str().unwrap()];
        let watchdog = Child::start("sh", &arguments, &[]);
        process.send_line("go");
        // The first start asks cargo, which may have to wait for another one.
        let line = process.try_read_line(Duration::from_secs(60)).unwrap_or_else(|| {
            panic!("the service does not start:\n{}", fs::read_to_string(log.path()).unwrap())
        });
        let address = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("{line}"));
        Service { watchdog, process, client: Client::new(address), log, _directory: directory }
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// Asks it to end, and waits until it has.
    pub(super) fn stop(mut self) -> ExitStatus {
        let pid = i32::try_from(self.process.pid()).ok().and_then(Pid::from_raw).unwrap();
        // Before the pid can be another's.
        self.watchdog.kill();
        kill_process(pid, Signal::TERM).unwrap();
        self.process.wait()
    }
}

impl Deref for Service {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
