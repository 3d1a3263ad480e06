//! The examples, run as a reader would run them: as processes, against real servers.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "also outside of test functions, this is all tests"
)]

mod bookshop;
mod client;
mod faults;
mod quickstart;
mod recipes;
mod server;
mod service;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

struct Programs {
    quickstart: PathBuf,
    recipe_diesel: PathBuf,
    recipe_sqlx: PathBuf,
    service: PathBuf,
    bookshop: PathBuf,
}

/// Built once in a run of the tests, where the tests themselves were built. As a part of
/// the whole workspace with all features they share most of what is compiled already.
fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        // TARGET/PROFILE/deps/it-0123456789abcdef
        let tests = env::current_exe().unwrap();
        let [_, profile, target] = tests.ancestors().skip(1).take(3).collect::<Vec<_>>()[..] else {
            panic!("{} is not in a target directory", tests.display());
        };
        let profile = match profile.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(other) => other,
        };
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let built = Command::new(env!("CARGO"))
            .args(["build", "--workspace", "--all-features", "--bin", "quickstart"])
            .args(["--bin", "recipe-diesel", "--bin", "recipe-sqlx", "--bin", "service"])
            .args(["--bin", "bookshop"])
            .arg("--message-format=json-render-diagnostics")
            .args(["--profile", profile, "--target-dir"])
            .arg(target)
            .current_dir(workspace)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "the examples do not build:\n{errors}");
        let messages = String::from_utf8(built.stdout).unwrap();
        Programs {
            quickstart: executable(&messages, "quickstart"),
            recipe_diesel: executable(&messages, "recipe-diesel"),
            recipe_sqlx: executable(&messages, "recipe-sqlx"),
            service: executable(&messages, "service"),
            bookshop: executable(&messages, "bookshop"),
        }
    })
}

fn executable(messages: &str, name: &str) -> PathBuf {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut paths = messages
        .filter(|message| message["target"]["name"] == name)
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    paths.next().unwrap_or_else(|| panic!("cargo built no {name}"))
}
