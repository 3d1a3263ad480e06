//! The source of truth: a number for each row, in a file, which a killed process leaves as it is.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

const BYTES: usize = size_of::<u64>();

/// Each row is written by one task of one process; whoever likes reads it.
#[derive(Debug)]
pub(super) struct Database(File);

impl Database {
    pub(super) fn create(folder: &Path, rows: u32) -> io::Result<()> {
        std::fs::write(folder.join("rows"), vec![0; rows as usize * BYTES])
    }

    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(folder.join("rows")).map(Database)
    }

    pub(super) fn read(&self, row: u32) -> u64 {
        let mut bytes = [0; BYTES];
        self.0.read_exact_at(&mut bytes, place(row)).expect("a row of the database");
        u64::from_le_bytes(bytes)
    }

    /// Done when it returns: that is the commit.
    pub(super) fn write(&self, row: u32, number: u64) {
        self.0.write_all_at(&number.to_le_bytes(), place(row)).expect("a row of the database");
    }
}

fn place(row: u32) -> u64 {
    u64::from(row) * BYTES as u64
}
