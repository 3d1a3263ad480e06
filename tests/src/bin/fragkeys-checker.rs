//! Processes that read and write through the cache while faults come and go, and a judge of what
//! they saw:
//!
//! ```sh
//! cargo run --release -p fragkeys-tests --bin fragkeys-checker -- near --minutes 10
//! ```
//!
//! The first word is `strict` (one server, no near tier), `near` or `cluster`. Then, as far as
//! wanted: `--minutes`, `--rounds` (of all faults), `--reads` (at least so many), `--seed`,
//! `--slack` (ms that a call may take beyond all waiting that has a bound), `--longest` (ms that a
//! fault stays, at most), `--logs` (an empty folder, which stays); or `--judge` (the folder of an
//! earlier run, to judge its logs again). Ends with 2 if a promise was broken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's process ends loudly"
)]

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use fragkeys_tests::checker::{Mode, Plan, Rig, Worker};

const USAGE: &str = "fragkeys-checker strict|near|cluster [--minutes N] [--rounds N] [--reads N] \
                     [--seed N] [--slack MS] [--longest MS] [--logs FOLDER] [--judge FOLDER]";

/// How it ends if a promise was broken.
const BROKEN: u8 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let ["worker", args @ ..] = &words[..] {
        Worker::of_args(args).expect("arguments as the rig gives them").run();
        return ExitCode::SUCCESS;
    }
    let Some((plan, logs)) = read(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let report = match logs {
        Logs::Forget => {
            let folder = tempfile::Builder::new().prefix("fragkeys-checker-").tempdir().unwrap();
            Rig::run(&plan, folder.path())
        }
        Logs::Keep(folder) => Rig::run(&plan, Path::new(folder)),
        Logs::Judge(folder) => Rig::judge_again(&plan, Path::new(folder)),
    };
    let report = report.unwrap();
    println!("{report}");
    if report.violations == 0 { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

/// What becomes of the logs.
enum Logs<'a> {
    Forget,
    Keep(&'a str),
    /// They are there already.
    Judge(&'a str),
}

fn read<'a>(words: &[&'a str]) -> Option<(Plan, Logs<'a>)> {
    let (mode, options) = words.split_first()?;
    let mut plan = Plan::of(Mode::named(mode)?);
    let mut logs = Logs::Forget;
    for option in options.chunks(2) {
        let [name, value] = option else { return None };
        let number = value.parse();
        match *name {
            "--minutes" => plan.time = Duration::from_secs(number.ok()? * 60),
            "--rounds" => plan.rounds = u32::try_from(number.ok()?).ok()?,
            "--reads" => plan.reads = number.ok()?,
            "--seed" => plan.seed = number.ok()?,
            "--slack" => plan.slack = Duration::from_millis(number.ok()?),
            "--longest" => plan.longest = Duration::from_millis(number.ok()?),
            "--logs" => logs = Logs::Keep(value),
            "--judge" => logs = Logs::Judge(value),
            _ => return None,
        }
    }
    Some((plan, logs))
}
