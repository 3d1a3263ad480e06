//! Where PostgreSQL's programs are, and whose processes they may be.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;

/// The programs of one version.
#[derive(Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    /// User and group of the server, where the tests are root's.
    user: Option<(u32, u32)>,
}

impl Programs {
    /// # Panics
    ///
    /// When there are none.
    pub(super) fn find() -> Self {
        let folder = on_path().or_else(elsewhere).expect(
            "found no initdb on PATH, nor in /usr/lib/postgresql; the script tests/run installs PostgreSQL",
        );
        let user = geteuid().is_root().then(|| {
            ["postgres", "nobody"].into_iter().find_map(ids).expect("a user that is not root")
        });
        Programs { folder, user }
    }

    /// A program that talks to a server.
    pub(super) fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.path(name));
        forget_settings(&mut command);
        command
    }

    /// A program of the server itself, or a shell that becomes one.
    pub(super) fn of_server(&self, name: &str, directory: &Path) -> Command {
        let mut command = match name {
            "sh" => Command::new("sh"),
            name => Command::new(self.path(name)),
        };
        forget_settings(&mut command);
        command.current_dir(directory).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes a file the server's.
    pub(super) fn give(&self, file: &Path) {
        if let Some((user, group)) = self.user {
            chown(file, Some(user), Some(group)).expect("give a file away");
        }
    }
}

/// What somebody has set for servers of theirs.
fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os()
        .filter(|(name, _)| name.to_str().is_some_and(|name| name.starts_with("PG")))
    {
        command.env_remove(name);
    }
}

fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|folder| {
        // It may be a link to where all of them are.
        let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
        initdb.parent().filter(|folder| folder.join("postgres").exists()).map(Path::to_owned)
    })
}

/// Where Debian and others keep one folder a version.
fn elsewhere() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let version = version.ok()?;
            let number = version.file_name().to_str()?.parse().ok()?;
            Some((number, version.path().join("bin")))
        })
        .filter(|(_, folder)| folder.join("initdb").exists())
        .collect();
    folders.sort();
    folders.pop().map(|(_, folder)| folder)
}

/// User and group of a name.
fn ids(name: &str) -> Option<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd").ok()?;
    let user = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = user.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}
