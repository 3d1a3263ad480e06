//! What it was measured on.

use std::process::Command;
use std::{env, fs, thread};

/// A list in markdown.
#[must_use]
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!(
        "- {}, {cores} cores, {}\n- {}, {}\n- {}\n",
        model.unwrap_or("unknown processor"),
        output("uname", &["-sr"]),
        output("rustc", &["--version"]),
        output("redis-server", &["--version"]).split(" sha").next().unwrap_or_default(),
        packages(),
    )
}

/// The versions that were built, as the lock file has them.
fn packages() -> String {
    const SHOWN: [&str; 9] = [
        "fragkeys",
        "redis",
        "tokio",
        "cached",
        "hitbox",
        "hitbox-redis",
        "hitbox-moka",
        "moka",
        "quick_cache",
    ];
    let lock = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
    let lock = lock.unwrap_or_default();
    let version = |name: &str| {
        let rest = lock.split(&format!("name = \"{name}\"\nversion = \"")).nth(1)?;
        Some(format!("{name} {}", rest.split('"').next()?))
    };
    SHOWN.iter().filter_map(|name| version(name)).collect::<Vec<_>>().join(", ")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map_or_else(|_| format!("no {program}").into(), |output| output.stdout);
    String::from_utf8_lossy(&text).trim().to_owned()
}
