//! The house rules that a program can check.

use std::path::{Path, PathBuf};

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(under), &mut found);
    assert!(!found.is_empty(), "nothing under {under}");
    found
}

#[test]
fn no_file_is_longer_than_500_lines() {
    for folder in [
        "fragkeys",
        "fragkeys-macros",
        "fragkeys-runtime",
        "fragkeys-sea-orm",
        "tests",
        "examples",
        "bench/src",
    ] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines: split it by idea", path.display());
        }
    }
}

#[test]
fn only_the_redis_store_knows_the_redis_crate() {
    for (path, text) in sources("fragkeys-runtime/src") {
        let may = path.to_string_lossy().contains("store/redis");
        let does = text.lines().any(|line| {
            let code = line.trim_start();
            !code.starts_with("//") && (code.contains("use redis") || code.contains(" redis::"))
        });
        assert!(may || !does, "{} names the redis crate", path.display());
    }
}

#[test]
fn every_invariant_is_cited_by_a_test() {
    let tests: String = sources("tests/it").into_iter().map(|(_, text)| text).collect();
    for number in 1..=8 {
        assert!(tests.contains(&format!("fn i{number}_")), "no test is named for I{number}");
    }
}
