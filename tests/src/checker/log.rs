//! The logs: what a process did, a file for its calls and one for the rest. An entry is written at
//! once and by one write, so a process that is killed loses nothing but what it was about to say.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::event::{BYTES, Event, Life};

const READS: &str = "reads";
const EVENTS: &str = "events";

#[derive(Debug)]
pub(super) struct Log {
    reads: File,
    events: File,
}

impl Log {
    pub(super) fn create(folder: &Path, life: Life) -> io::Result<Self> {
        let create = |kind: &str| {
            let path = folder.join(format!("{life}.{kind}"));
            File::options().append(true).create_new(true).open(path)
        };
        Ok(Log { reads: create(READS)?, events: create(EVENTS)? })
    }

    pub(super) fn write(&self, event: Event) {
        let mut file = if matches!(event, Event::Read(_)) { &self.reads } else { &self.events };
        file.write_all(&event.to_bytes()).expect("room for the log");
    }
}

/// How many calls were answered so far.
pub(super) fn count_reads(folder: &Path) -> io::Result<u64> {
    let bytes = files(folder, READS)?.into_iter().map(|(_, path)| Ok(path.metadata()?.len()));
    Ok(bytes.sum::<io::Result<u64>>()? / BYTES as u64)
}

/// All answered calls, one life after the other.
pub(super) fn reads(folder: &Path) -> io::Result<impl Iterator<Item = (Life, Event)> + use<>> {
    Ok(files(folder, READS)?.into_iter().flat_map(of_file))
}

/// All else that was logged, one life after the other.
pub(super) fn events(folder: &Path) -> io::Result<impl Iterator<Item = (Life, Event)> + use<>> {
    Ok(files(folder, EVENTS)?.into_iter().flat_map(of_file))
}

fn files(folder: &Path, kind: &str) -> io::Result<Vec<(Life, PathBuf)>> {
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let life = name.strip_suffix(kind).and_then(|name| name.strip_suffix('.'));
        let life = life.and_then(|life| life.split_once('.'));
        if let Some((process, number)) = life
            && let (Ok(process), Ok(number)) = (process.parse(), number.parse())
        {
            files.push((Life { process, number }, path));
        }
    }
    files.sort();
    Ok(files)
}

/// What follows a piece of an entry was never written: its process was killed.
fn of_file((life, path): (Life, PathBuf)) -> impl Iterator<Item = (Life, Event)> {
    let mut file = BufReader::new(File::open(path).expect("a log"));
    std::iter::from_fn(move || {
        let mut bytes = [0; BYTES];
        file.read_exact(&mut bytes).ok()?;
        Some((life, Event::of_bytes(&bytes).expect("an entry of a log")))
    })
}
