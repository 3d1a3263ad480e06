//! How often a hit allocates. Counting takes time, so another program of this package does it.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::value::Size;

/// Allocations a hit, by contender and size.
pub struct Allocations(HashMap<(String, String), f64>);

impl Allocations {
    /// Runs the program `allocations`, which stands beside this one.
    #[must_use]
    pub fn count(wanted: &[String]) -> Self {
        let path = std::env::current_exe().expect("the path of this program");
        let program = path.with_file_name("allocations");
        let output = Command::new(&program).args(wanted).stderr(Stdio::inherit()).output();
        let output = output.unwrap_or_else(|error| {
            panic!("cannot run {}, which `bench/run` builds: {error}", program.display())
        });
        assert!(output.status.success(), "{} failed", program.display());
        let text = String::from_utf8(output.stdout).expect("lines of text");
        let line = |line: &str| {
            let [size, count, name] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            ((name.to_owned(), size.to_owned()), count.parse().expect("a number"))
        };
        Allocations(text.lines().map(line).collect())
    }

    #[must_use]
    pub fn of(&self, name: &str, size: Size) -> f64 {
        self.0.get(&(name.to_owned(), size.name().to_owned())).copied().unwrap_or(f64::NAN)
    }
}
