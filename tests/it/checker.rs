//! A short run of the checker: all faults of one server, each for a moment. What is promised holds,
//! and the run was one in which it could have been broken.

use std::process::Command;

fn check(mode: &str) -> String {
    let mut checker = Command::new(env!("CARGO_BIN_EXE_fragkeys-checker"));
    // No test is timed: that a call is answered at all has to do.
    checker.args([mode, "--longest", "250", "--reads", "20000", "--slack", "60000", "--seed", "6"]);
    let output = checker.output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{report}\n{errors}", output.status);
    report
}

fn number(report: &str, of: &str) -> u64 {
    let row = format!("| {of} | ");
    let number = report.lines().find_map(|line| line.strip_prefix(&row)).unwrap();
    number.trim_end_matches(" |").parse().unwrap()
}

#[test]
fn i2_no_promise_is_broken_without_the_near_tier() {
    let report = check("strict");
    assert!(number(&report, "calls") >= 20_000, "{report}");
    assert!(number(&report, "hit") > 1_000 && number(&report, "bumps") > 100, "{report}");
}

#[test]
fn i2_no_promise_is_broken_with_the_near_tier() {
    let report = check("near");
    assert!(number(&report, "calls") >= 20_000, "{report}");
    assert!(number(&report, "of the hits, near") > 1_000, "{report}");
    assert!(number(&report, "of those, failed and made up for later") > 0, "{report}");
}
