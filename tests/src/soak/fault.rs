//! The faults that come and go.

use std::thread::JoinHandle;
use std::time::Duration;

use crate::{Proxy, RedisServer, RespClient};

/// A fault of a Redis server, or of the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The server is killed, and started again.
    Killed,
    /// The server is stopped (SIGSTOP), and goes on.
    Stopped,
    /// The network swallows everything.
    BlackHoled,
    /// It accepts connections and closes them.
    HangsUp,
    /// Replies take 100 ms.
    Slow,
    /// Replies take 1 s.
    TooSlow,
    /// Every write is refused for want of memory.
    OutOfMemory,
    /// It is a replica without its master.
    ReadOnly,
    /// A script keeps it busy.
    Busy,
    /// All keys are gone at once.
    Flushed,
}

/// What must be ended with the fault.
pub(super) type State = Option<JoinHandle<()>>;

impl Fault {
    /// All of them.
    pub const ALL: [Fault; 10] = [
        Fault::Killed,
        Fault::Stopped,
        Fault::BlackHoled,
        Fault::HangsUp,
        Fault::Slow,
        Fault::TooSlow,
        Fault::OutOfMemory,
        Fault::ReadOnly,
        Fault::Busy,
        Fault::Flushed,
    ];

    /// A word or two for a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Killed => "killed",
            Fault::Stopped => "stopped",
            Fault::BlackHoled => "black hole",
            Fault::HangsUp => "hangs up",
            Fault::Slow => "slow, 0.1 s",
            Fault::TooSlow => "slow, 1 s",
            Fault::OutOfMemory => "out of memory",
            Fault::ReadOnly => "read-only",
            Fault::Busy => "busy script",
            Fault::Flushed => "flushed",
        }
    }

    pub(super) fn begin(self, server: &mut RedisServer, proxy: &Proxy) -> State {
        match self {
            Fault::Killed => server.kill(),
            Fault::Stopped => server.pause(),
            Fault::BlackHoled => proxy.black_hole(),
            Fault::HangsUp => proxy.refuse(),
            Fault::Slow => proxy.delay(Duration::from_millis(50)),
            Fault::TooSlow => proxy.delay(Duration::from_millis(500)),
            Fault::OutOfMemory => config(server, "maxmemory", "1"),
            Fault::ReadOnly => drop(server.cli(&["REPLICAOF", "127.0.0.1", "1"])),
            Fault::Flushed => server.flushall(),
            Fault::Busy => {
                config(server, "lua-time-limit", "20");
                let port = server.port();
                return Some(std::thread::spawn(move || {
                    let mut client = RespClient::connect(port).expect("a connection");
                    // It may take longer than the client waits.
                    let _ = client.command(&[b"EVAL", b"while true do end", b"0"]);
                }));
            }
        }
        None
    }

    pub(super) fn end(self, state: State, server: &mut RedisServer, proxy: &Proxy) {
        match self {
            Fault::Killed => server.restart(),
            Fault::Stopped => server.resume(),
            Fault::BlackHoled | Fault::HangsUp | Fault::Slow | Fault::TooSlow => proxy.pass(),
            Fault::OutOfMemory => config(server, "maxmemory", "0"),
            Fault::ReadOnly => drop(server.cli(&["REPLICAOF", "NO", "ONE"])),
            Fault::Flushed => {}
            Fault::Busy => drop(server.cli(&["SCRIPT", "KILL"])),
        }
        if let Some(thread) = state {
            thread.join().expect("the script's client");
        }
    }
}

fn config(server: &RedisServer, name: &str, value: &str) {
    server.cli(&["CONFIG", "SET", name, value]);
}
