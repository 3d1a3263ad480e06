//! The guide's table of faults and the tests agree: each row has its test, each test its row.

use std::collections::BTreeSet;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The tests that rows are named for: what tests of invariants (`i2_…`) show besides is not a row.
fn tests() -> BTreeSet<String> {
    let mut tests = BTreeSet::new();
    for module in ["reach", "network", "refusal", "lie", "loss", "process"] {
        let text = read(&format!("it/faults/{module}.rs"));
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if !line.trim().starts_with("#[tokio::test") && line.trim() != "#[test]" {
                continue;
            }
            let line = lines.next().unwrap();
            let name = line.split("fn ").nth(1).unwrap().split('(').next().unwrap();
            let is_invariant = name.starts_with('i') && name.as_bytes()[1].is_ascii_digit();
            if !is_invariant {
                assert!(tests.insert(name.to_owned()), "two tests are named {name}");
            }
        }
    }
    tests
}

#[test]
fn each_row_is_a_test_and_each_test_a_row() {
    let guide = read("../fragkeys/docs/faults.md");
    let table = guide.lines().skip_while(|line| !line.starts_with("| fault | a read |"));
    let rows = table.skip(2).take_while(|line| line.starts_with("| "));
    let mut named = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        assert_eq!(cells.len(), 5, "fault, read, bump, seen, test: {row}");
        assert!(cells.iter().all(|cell| !cell.is_empty()), "{row}");
        let name = cells[4].trim_matches('`');
        assert!(named.insert(name.to_owned()), "two rows are named {name}");
    }
    assert_eq!(named, tests());
    assert!(named.len() >= 30);
}
