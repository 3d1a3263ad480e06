//! Where the results go.

use std::fs;
use std::path::PathBuf;

/// A folder for tables and plots.
pub struct Results(PathBuf);

impl Results {
    /// `bench/results`, or for results that mean nothing a folder beside the programs.
    #[must_use]
    pub fn open(is_kept: bool) -> Self {
        let folder = if is_kept {
            PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/results"))
        } else {
            let program = std::env::current_exe().expect("the path of this program");
            program.with_file_name("smoke-results")
        };
        fs::create_dir_all(&folder).expect("a writable checkout");
        Results(folder)
    }

    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a writable checkout");
    }
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
