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
//! fault stays, at most), `--logs` (an empty folder, which stays). Ends with 2 if a promise was broken.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's process ends loudly"
)]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use fragkeys_tests::checker::{Mode, Plan, Rig, Worker};

const USAGE: &str = "fragkeys-checker strict|near|cluster [--minutes N] [--rounds N] [--reads N] \
                     [--seed N] [--slack MS] [--longest MS] [--logs FOLDER]";

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
    let folder = tempfile::Builder::new().prefix("fragkeys-checker-").tempdir().unwrap();
    let report = Rig::run(&plan, logs.as_deref().unwrap_or(folder.path())).unwrap();
    println!("{report}");
    if report.violations == 0 { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) }
}

/// What to run, and where its logs are to stay.
fn read(words: &[&str]) -> Option<(Plan, Option<PathBuf>)> {
    let (mode, options) = words.split_first()?;
    let mut plan = Plan::of(Mode::named(mode)?);
    let mut logs = None;
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
            "--logs" => logs = Some(PathBuf::from(value)),
            _ => return None,
        }
    }
    Some((plan, logs))
}
