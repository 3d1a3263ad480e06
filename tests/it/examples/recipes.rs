//! The recipes fail by themselves if a read is answered otherwise than it should be; here is
//! that they make these reads. And the guide quotes them: what it shows is what runs.

use std::path::Path;
use std::process::{Command, Output};

use fragkeys_tests::RedisServer;

use super::programs;

#[test]
fn embedded_every_step_is_as_expected() {
    for program in [&programs().recipe_sqlx, &programs().recipe_diesel] {
        assert_eq!(Run::of(program, "").steps, expected());
    }
}

#[test]
fn redis_every_step_is_as_expected_and_again_in_the_next_process() {
    let server = RedisServer::start();
    for program in [&programs().recipe_sqlx, &programs().recipe_diesel] {
        assert_eq!(Run::of(program, &server.url()).steps, expected());
        assert_eq!(Run::of(program, &server.socket_url()).steps, expected());
    }
}

/// Without the Redis that they were told of they do not pretend that all is well.
#[test]
fn a_dead_redis_fails_them() {
    let mut server = RedisServer::start();
    server.kill();
    for program in [&programs().recipe_sqlx, &programs().recipe_diesel] {
        let output = output(program, &server.url());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(errors.contains("failed and is queued to be retried"), "{errors}");
    }
}

#[test]
fn the_guide_quotes_them() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let read = |path: &str| std::fs::read_to_string(workspace.join(path)).unwrap();
    let guide = read("fragkeys/docs/transactions.md");
    let quotes: Vec<&str> = guide.split("```rust,ignore\n").skip(1).collect();
    assert_eq!(quotes.len(), 3, "of sqlx one, of Diesel one, and how to spawn");
    for quote in quotes {
        let (quote, _) = quote.split_once("```").unwrap();
        let (source, quote) = quote.split_once('\n').unwrap();
        let source = source.strip_prefix("// ").expect("a quote begins with where it is from");
        let recipe = trimmed(&read(source));
        let quote = trimmed(quote);
        assert!(recipe.contains(&quote), "{source} does not have:\n{quote}");
    }
}

/// Without indentation and comments: a quote may leave those out.
fn trimmed(code: &str) -> String {
    let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    lines.fold(String::new(), |text, line| text + line + "\n")
}

struct Run {
    /// What was done, or how a read was answered and with what.
    steps: Vec<String>,
}

impl Run {
    fn of(program: &Path, url: &str) -> Run {
        let output = output(program, url);
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        assert!(text.ends_with("all as expected\n"), "{text}");
        Run { steps: text.lines().filter_map(step).collect() }
    }
}

fn output(program: &Path, url: &str) -> Output {
    Command::new(program).env("FRAGKEYS_URL", url).output().unwrap()
}

/// `create: two donations`, or `  total of the ants  30        miss: asked the database`.
fn step(line: &str) -> Option<String> {
    let (what, rest) = line.split_once(": ").unwrap_or((line, ""));
    if !line.starts_with(' ') {
        return (!rest.is_empty()).then(|| what.to_owned());
    }
    Some(what.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn expected() -> Vec<&'static str> {
    vec![
        "database",
        "total of the ants 0 miss",
        "total of the ants 0 hit",
        "create",
        "total of the ants 30 miss",
        "total of the ants 30 hit",
        "total of the bees 0 miss",
        "donation 1 Some(10) miss",
        "donation 2 Some(20) miss",
        "update",
        "bumped Donation:1",
        "bumped Donation:org:1",
        "bumped Donation:org:2",
        "total of the ants 20 miss",
        "total of the bees 10 miss",
        "donation 1 Some(10) miss",
        "donation 2 Some(20) hit",
        "bulk update",
        "total of the bees 20 miss",
        "donation 1 Some(20) miss",
        "total of the ants 20 hit",
        "donation 2 Some(20) hit",
        "rollback",
        "total of the bees 20 hit",
        "donation 1 Some(20) hit",
        "total of the bees 25 miss",
        "donation 1 Some(25) miss",
        "savepoints",
        "total of the ants 23 miss",
        "total of the bees 25 hit",
        "donation 2 Some(20) hit",
        "no transaction",
        "total of the ants 43 miss",
        "donation 2 Some(40) miss",
        "total of the bees 25 hit",
        "delete",
        "total of the bees 0 miss",
        "donation 1 None miss",
        "donation 1 None hit",
        "total of the ants 43 hit",
    ]
}
