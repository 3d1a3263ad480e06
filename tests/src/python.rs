//! The Python packages that fragkeys is compared with, run by a real interpreter.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::child::Child;

mod environment;
#[cfg(test)]
mod tests;

use environment::Environment;

/// What the environment has: the two packages at the versions that the parity table is about,
/// and what they need for Redis and Django.
const REQUIREMENTS: &[&str] =
    &["fragmented_keys==0.1.5", "fragmented_keys_django==0.2.1", "redis", "django"];

/// Reads a piece of Python from a line and answers with its value, again and again.
const SESSION: &str = include_str!("python/session.py");

/// A Python interpreter in a virtual environment that has the packages
/// `fragmented_keys` and `fragmented_keys_django`, `redis` and `django`.
///
/// The environment stands in the target directory. The first test that needs it makes it with
/// `python3 -m venv` and pip, as pip is configured on this machine, and every other one, in
/// other processes as well, waits for that.
#[derive(Debug)]
pub struct Python {
    environment: &'static Environment,
}

impl Python {
    /// The interpreter; makes the environment first if it is not there.
    ///
    /// # Panics
    ///
    /// When it can't be made, with what `venv` or pip said.
    #[must_use]
    pub fn new() -> Self {
        static ENVIRONMENT: OnceLock<Environment> = OnceLock::new();
        let environment = ENVIRONMENT.get_or_init(|| {
            let place = Environment::place();
            let made = Environment::ready(&place, REQUIREMENTS);
            made.unwrap_or_else(|problem| panic!("no Python environment: {problem}"))
        });
        Self { environment }
    }

    /// Runs a script to its end and gives what it printed. `args` are its `sys.argv[1:]`, and
    /// `envs` come on top of the environment of the test, of which Python's own variables do
    /// not count.
    ///
    /// # Panics
    ///
    /// When the script fails, with its standard error.
    pub fn run(&self, script: &str, args: &[&str], envs: &[(&str, &str)]) -> String {
        let output = Command::new(self.program())
            .args(arguments(script, args))
            .envs(envs.iter().copied())
            .stdin(Stdio::null())
            .output()
            .expect("start Python");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "the script failed:\n{}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Starts a process that keeps its state between [`PythonSession::eval`]s, and runs `setup`
    /// in it. `envs` as for [`Self::run`].
    ///
    /// # Panics
    ///
    /// When `setup` fails, with its traceback.
    #[must_use]
    pub fn session(&self, setup: &str, envs: &[(&str, &str)]) -> PythonSession {
        let arguments = arguments(SESSION, &[]);
        let mut session = PythonSession { child: Child::start(self.program(), &arguments, envs) };
        session.exec(setup);
        session
    }

    fn program(&self) -> &Path {
        self.environment.program()
    }
}

impl Default for Python {
    fn default() -> Self {
        Self::new()
    }
}

/// `-I` keeps out what the machine's owner has set up for Python.
fn arguments<'a>(script: &'a str, args: &[&'a str]) -> Vec<&'a str> {
    ["-I", "-c", script].into_iter().chain(args.iter().copied()).collect()
}

/// A Python process that is told what to do piece by piece. Killed on drop; it ends by itself
/// when the test process is gone.
#[derive(Debug)]
pub struct PythonSession {
    child: Child,
}

impl PythonSession {
    /// Runs statements.
    ///
    /// # Panics
    ///
    /// When they raise, with the traceback, or don't end within 30 seconds.
    pub fn exec(&mut self, statements: &str) {
        self.ask("exec", statements);
    }

    /// The value of an expression, as `str` shows it.
    ///
    /// # Panics
    ///
    /// As [`Self::exec`].
    pub fn eval(&mut self, expression: &str) -> String {
        self.ask("eval", expression)
    }

    fn ask(&mut self, how: &str, code: &str) -> String {
        self.child.send_line(&format!("{how} {}", in_one_line(code)));
        let answer = self.child.read_line();
        match answer.split_once(' ') {
            Some(("ok", value)) => in_many_lines(value),
            Some(("raised", traceback)) => panic!("{code}\n{}", in_many_lines(traceback)),
            _ => panic!("not an answer of the session: {answer:?}"),
        }
    }
}

fn in_one_line(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r")
}

fn in_many_lines(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        text.push(match (character, character == '\\') {
            (_, true) => match characters.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some(escaped) => escaped,
                None => panic!("half an escape at the end of {line:?}"),
            },
            (plain, false) => plain,
        });
    }
    text
}
