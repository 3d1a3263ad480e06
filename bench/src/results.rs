//! Where the results go.

use std::fs;
use std::path::PathBuf;

/// `bench/results/NAME`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results"));
    fs::create_dir_all(&folder).expect("a writable checkout");
    folder.join(name)
}

pub fn write(name: &str, text: &str) {
    fs::write(path(name), text).expect("a writable checkout");
}

/// Puts a table into the project's README, between the two marks.
pub fn replace_in_readme(table: &str) {
    const BEGIN: &str = "<!-- bench/run writes this table -->\n";
    const END: &str = "<!-- until here -->";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md");
    let text = fs::read_to_string(path).expect("the README");
    let (before, rest) = text.split_once(BEGIN).expect("the mark before the table");
    let (_, after) = rest.split_once(END).expect("the mark behind the table");
    fs::write(path, format!("{before}{BEGIN}\n{table}\n{END}{after}"))
        .expect("a writable checkout");
}
