//! Directories of servers, by whose names `tests/run` finds what was left behind.

use tempfile::TempDir;

/// A new one. The run is part of its name, so that two runs at the same time don't take each
/// other's servers for leftovers.
pub(crate) fn directory() -> TempDir {
    let run = std::env::var("FRAGKEYS_TEST_RUN").map_or(String::new(), |run| run + "-");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&format!("fragkeys-test-server-{run}")).tempdir().expect("a temporary directory")
}
