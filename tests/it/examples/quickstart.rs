//! The quickstart says what happened at each step; here is what should have.

use std::process::Command;

use fragkeys_tests::RedisServer;

use super::programs;

const ADA: &str = "Ada Byron";
const NEW_ADA: &str = "Ada Lovelace";
const GRACE: &str = "Grace Hopper";

#[test]
fn embedded_tells_miss_and_hit() {
    let run = Run::with_url("");
    assert!(run.text.starts_with("store: embedded"), "{}", run.text);
    assert_eq!(run.steps, first_run());
    assert!(run.version() > 0);
}

#[test]
fn redis_tells_the_same_and_keeps_it_for_the_next_process() {
    let server = RedisServer::start();
    let first = Run::with_url(&server.url());
    assert!(first.text.starts_with("store: Redis"), "{}", first.text);
    assert_eq!(first.steps, first_run());
    assert!(!first.text.contains("earlier run"), "{}", first.text);

    let second = Run::with_url(&server.socket_url());
    let expected = [
        ("hit", NEW_ADA),
        ("hit", NEW_ADA),
        ("hit", GRACE),
        ("miss", ADA),
        ("hit", ADA),
        ("hit", GRACE),
    ];
    assert_eq!(second.steps, owned(expected));
    assert!(second.text.contains("earlier run"), "{}", second.text);
    assert!(second.version() > first.version(), "a bump in another process counts on");
}

#[test]
fn a_dead_redis_costs_no_answer() {
    let mut server = RedisServer::start();
    server.kill();
    let run = Run::with_url(&server.url());
    let ada = [("bypass", ADA), ("bypass", ADA), ("bypass", GRACE)];
    let new_ada = [("bypass", NEW_ADA), ("bypass", NEW_ADA), ("bypass", GRACE)];
    assert_eq!(run.steps, [owned(ada), owned(new_ada)].concat());
    assert!(run.text.contains("`User:42` failed and is queued"), "{}", run.text);
}

struct Run {
    text: String,
    /// How each call was answered, and with which name.
    steps: Vec<(String, String)>,
}

impl Run {
    fn with_url(url: &str) -> Run {
        let output = Command::new(&programs().quickstart)
            .env("FRAGKEYS_URL", url)
            .env("FRAGKEYS_PREFIX", "quickstart")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        let steps = text.lines().filter_map(step).collect();
        Run { text, steps }
    }

    /// The one that the bump gave.
    fn version(&self) -> u64 {
        let version =
            self.text.lines().find_map(|line| line.strip_prefix("  User:42 has version "));
        version.unwrap_or_else(|| panic!("no version in {}", self.text)).parse().unwrap()
    }
}

/// `what  12.3 ms  Ada Byron  hit: from the cache`
fn step(line: &str) -> Option<(String, String)> {
    let (_, answer) = line.split_once(" ms  ")?;
    let (name, outcome) = answer.split_once(':')?.0.rsplit_once(' ')?;
    Some((outcome.to_owned(), name.trim_end().to_owned()))
}

fn first_run() -> Vec<(String, String)> {
    owned([
        ("miss", ADA),
        ("hit", ADA),
        ("miss", GRACE),
        ("miss", NEW_ADA),
        ("hit", NEW_ADA),
        ("hit", GRACE),
    ])
}

fn owned<const N: usize>(steps: [(&str, &str); N]) -> Vec<(String, String)> {
    steps.map(|(outcome, name)| (outcome.to_owned(), name.to_owned())).into()
}
