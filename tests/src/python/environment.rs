//! A virtual environment, made once and shared by all test processes of a target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

/// Written when everything is in place; its text is what was asked for.
const RECEIPT: &str = "fragkeys-receipt";

#[derive(Debug)]
pub(super) struct Environment {
    program: PathBuf,
    #[cfg_attr(not(test), expect(dead_code, reason = "the tests ask"))]
    pub(super) was_made: bool,
}

impl Environment {
    /// In the target directory of the running test binary: with the profile's binaries, since
    /// only some kinds of tests are told of a directory of their own.
    pub(super) fn place() -> PathBuf {
        let binary = std::env::current_exe().expect("the path of the test binary");
        let folder = binary.parent().expect("a binary is in a folder");
        let folder = if folder.ends_with("deps") { folder.join("..") } else { folder.to_owned() };
        folder.join("fragkeys-python")
    }

    /// The environment at `place`; makes it, or makes it anew, where it is not whole or lacks
    /// what is required. One process does so at a time.
    pub(super) fn ready(place: &Path, requirements: &[&str]) -> Result<Self, String> {
        let program = place.join("bin/python");
        // Held until the end of this function, and no longer than this process lives.
        let lock = File::create(place.with_extension("lock")).map_err(|error| error.to_string())?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| error.to_string())?;
        let wanted = requirements.join("\n");
        let is_whole =
            fs::read_to_string(place.join(RECEIPT)).is_ok_and(|it| it == wanted) && runs(&program);
        if !is_whole {
            make(place, &program, requirements)?;
            fs::write(place.join(RECEIPT), wanted).map_err(|error| error.to_string())?;
        }
        Ok(Self { program, was_made: !is_whole })
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }
}

/// It doesn't when the Python that the environment was made from is gone.
fn runs(program: &Path) -> bool {
    let mut command = Command::new(program);
    let status = command.args(["-I", "-c", ""]).stdin(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn make(place: &Path, program: &Path, requirements: &[&str]) -> Result<(), String> {
    let mut venv = Command::new("python3");
    venv.args(["-m", "venv", "--clear"]).arg(place);
    if requirements.is_empty() {
        // Takes most of the time, and nothing is to be installed.
        venv.arg("--without-pip");
    }
    succeed(&mut venv).map_err(|problem| {
        format!("{problem}\n(tests/run installs python3 with venv where they are missing)")
    })?;
    if requirements.is_empty() {
        return Ok(());
    }
    let mut pip = Command::new(program);
    pip.args(["-m", "pip", "install", "--no-input", "--disable-pip-version-check"]);
    succeed(pip.args(requirements))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("can't start {command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    Err(format!("{command:?} failed, {}:\n{}", output.status, String::from_utf8_lossy(&said)))
}
