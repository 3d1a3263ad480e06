//! Keeps the processors awake while one caller is measured: a virtual one that halts between
//! two hits takes longer to come back than the hit takes.

use std::ffi::OsStr;
use std::io::Read;
use std::process::{Command, exit};
use std::thread;

use fragkeys_tests::Child;

/// The argument that makes a program of this package spin.
const SPIN: &str = "spin-until-the-input-ends";

/// Processes that run when nobody else wants to, one for each processor. Drop ends them.
pub struct Spinners {
    _children: Vec<Child>,
    pub kind: &'static str,
}

impl Spinners {
    /// At idle priority, or the lowest of the ordinary ones where there is no `chrt`.
    #[must_use]
    pub fn start() -> Self {
        let program = std::env::current_exe().expect("the path of this program");
        let program = program.to_str().expect("a path in UTF-8");
        let has_chrt = Command::new("chrt").arg("--version").output().is_ok();
        let (launcher, before, kind): (&OsStr, &[&str], _) = if has_chrt {
            ("chrt".as_ref(), &["--idle", "0"], "idle priority (SCHED_IDLE)")
        } else {
            ("nice".as_ref(), &["-n", "19"], "nice 19")
        };
        let arguments = [before, &[program, SPIN]].concat();
        let count = thread::available_parallelism().map_or(1, usize::from);
        let children = (0..count).map(|_| Child::start(launcher, &arguments, &[])).collect();
        Spinners { _children: children, kind }
    }
}

/// To be called first in each program that starts spinners.
pub fn spin_if_told() {
    if std::env::args().nth(1).as_deref() != Some(SPIN) {
        return;
    }
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        exit(0);
    });
    loop {
        std::hint::spin_loop();
    }
}
