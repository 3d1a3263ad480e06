//! What one client does.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::http::{Answer, Connection};
use super::{Failure, Sample};

/// Between two requests: bounds the load, whatever the machine.
const PAUSE: Duration = Duration::from_millis(15);
/// What writers write about; each has one of its own.
const WRITTEN: [&str; 4] = ["serde", "tokio", "quote", "syn"];
const READ: [&str; 5] = [
    "/packages/serde_core",
    "/packages/proc-macro2",
    "/packages/redis",
    "/packages/serde/dependents",
    "/search?q=serde&limit=5",
];

pub(super) struct Client<'a> {
    pub(super) number: usize,
    pub(super) start: Instant,
    pub(super) is_over: &'a AtomicBool,
}

impl Client<'_> {
    /// Asks until it is over; one failure ends it, as what follows would only repeat it.
    pub(super) fn run(&self, address: &str) -> (Vec<Sample>, Option<Failure>) {
        let mut seen = Vec::new();
        let mut connection = match Connection::to(address) {
            Ok(connection) => connection,
            Err(error) => return (seen, Some(format!("no connection: {error}"))),
        };
        let mut ask = |method: &str, path: &str, body: &str| -> io::Result<Answer> {
            let began = Instant::now();
            let answer = connection.ask(method, path, body)?;
            let at = began - self.start;
            seen.push(Sample { at, took: began.elapsed(), is_hit: answer.is_hit });
            thread::sleep(PAUSE);
            Ok(answer)
        };
        let mut outcome = Ok(());
        let mut round = self.number;
        while outcome.is_ok() && !self.is_over.load(Ordering::SeqCst) {
            outcome = match WRITTEN.get(self.number) {
                Some(package) => write(package, round, &mut ask),
                None => read(READ[round % READ.len()], &mut ask),
            };
            round += 1;
        }
        let at = self.start.elapsed();
        (
            seen,
            outcome.err().map(|failure| format!("client {} after {at:?}: {failure}", self.number)),
        )
    }
}

fn read(
    path: &str,
    ask: &mut impl FnMut(&str, &str, &str) -> io::Result<Answer>,
) -> Result<(), Failure> {
    expect(ask("GET", path, ""), path, 200).map(drop)
}

/// Writes a note and reads it, twice; removes it and reads that.
fn write(
    package: &str,
    round: usize,
    ask: &mut impl FnMut(&str, &str, &str) -> io::Result<Answer>,
) -> Result<(), Failure> {
    let path = format!("/packages/{package}");
    let notes = format!("{path}/notes");
    let text = format!("note {round} of {package}.");
    let body = format!(r#"{{"author":"a client","text":"{text}"}}"#);
    let note = expect(ask("POST", &notes, &body), &notes, 201)?.body;
    for _ in 0..2 {
        let read = expect(ask("GET", &path, ""), &path, 200)?;
        if !read.body.contains(&text) {
            return Err(format!("{path} is from before {text:?} (hit: {})", read.is_hit));
        }
    }
    let id = note.split_once(r#""id":"#).map(|(_, rest)| rest);
    let id: String = id.unwrap_or_default().chars().take_while(char::is_ascii_digit).collect();
    let one = format!("{notes}/{id}");
    expect(ask("DELETE", &one, ""), &one, 204)?;
    for _ in 0..2 {
        let read = expect(ask("GET", &path, ""), &path, 200)?;
        if read.body.contains(&text) {
            return Err(format!("{path} still has {text:?} (hit: {})", read.is_hit));
        }
    }
    Ok(())
}

fn expect(answer: io::Result<Answer>, path: &str, status: u16) -> Result<Answer, Failure> {
    match answer {
        Ok(answer) if answer.status == status => Ok(answer),
        Ok(answer) => Err(format!("{path}: {} {}", answer.status, answer.body)),
        Err(error) => Err(format!("{path}: {error}")),
    }
}
