//! The faults, one at a time: each comes, stays for a moment, and goes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::rig::{Rig, Site};
use super::worker::{MAX_STALENESS, READS_ONLY};
use crate::{Action, Proxy, RedisServer, RespClient};

mod cluster;

pub(super) use cluster::Masters;

/// What can happen to a system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A process is killed (SIGKILL), and another one takes its place.
    ProcessKilled,
    /// A process is stopped (SIGSTOP), and goes on.
    ProcessStopped,
    /// A server is stopped, and goes on before it is replaced.
    ServerStopped,
    /// A server is killed, and started again without its data.
    ServerRestarted,
    /// All connections are closed by the server.
    ClientsKilled,
    /// All keys are gone at once.
    Flushed,
    /// Memory is short, and keys are evicted.
    Evicting,
    /// Memory is short, and writes are refused.
    OutOfMemory,
    /// The table of who has read what is so small that Redis forgets at once.
    TrackingForgotten,
    /// The server is a replica without its master.
    ReadOnly,
    /// A script keeps the server busy.
    Busy,
    /// The scripts are gone.
    ScriptsFlushed,
    /// One process's connections are not tracked: somebody switches that off.
    TrackingOff,
    /// One process's messages take 20 ms in each direction.
    Delayed,
    /// One process's messages are all kept back, and come then.
    Held,
    /// What one process is told is all kept back, and comes then; what it sends arrives.
    RepliesHeld,
    /// One process's messages vanish, and its connections end.
    BlackHoled,
    /// Some of one process's messages to the server vanish with their connections.
    Dropped,
    /// One process's connections end in one direction.
    HalfClosed,
    /// One process's connections are closed.
    Cut,
    /// One process's connections are closed, and new ones at once.
    Refused,
    /// A master is killed, and its replica takes over.
    MasterKilled,
    /// A master is stopped until its replica has taken over, and goes on.
    MasterStopped,
    /// A master is killed that acknowledged bumps of which its replica has not heard.
    MasterKilledAhead,
    /// A replica takes over in good order.
    TakenOver,
    /// A slot goes to another master, with its keys.
    SlotMoved,
}

use Fault::*;

impl Fault {
    /// What can happen to one server, its processes, and the way between them.
    pub const OF_ONE_SERVER: [Fault; 21] = [
        ProcessKilled,
        ProcessStopped,
        ServerStopped,
        ServerRestarted,
        ClientsKilled,
        Flushed,
        Evicting,
        OutOfMemory,
        TrackingForgotten,
        ReadOnly,
        Busy,
        ScriptsFlushed,
        TrackingOff,
        Delayed,
        Held,
        RepliesHeld,
        BlackHoled,
        Dropped,
        HalfClosed,
        Cut,
        Refused,
    ];

    /// What can happen to a cluster and its processes.
    pub const OF_A_CLUSTER: [Fault; 14] = [
        ProcessKilled,
        ProcessStopped,
        ServerStopped,
        ServerRestarted,
        ClientsKilled,
        Flushed,
        Evicting,
        OutOfMemory,
        ScriptsFlushed,
        MasterKilled,
        MasterStopped,
        MasterKilledAhead,
        TakenOver,
        SlotMoved,
    ];

    /// Some words for a report.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ProcessKilled => "a process is killed (SIGKILL)",
            ProcessStopped => "a process is stopped (SIGSTOP)",
            ServerStopped => "a server is stopped (SIGSTOP)",
            ServerRestarted => "a server is killed and restarted without data",
            ClientsKilled => "`CLIENT KILL` of all clients",
            Flushed => "`FLUSHALL`",
            Evicting => "eviction under `maxmemory`",
            OutOfMemory => "out of memory, no eviction",
            TrackingForgotten => "tracking table full",
            ReadOnly => "read-only replica",
            Busy => "busy with a script",
            ScriptsFlushed => "`SCRIPT FLUSH`",
            TrackingOff => "tracking switched off",
            Delayed => "messages delayed",
            Held => "messages held back",
            RepliesHeld => "replies and pushes held back",
            BlackHoled => "messages swallowed (black hole)",
            Dropped => "requests dropped with their connection",
            HalfClosed => "connections half-closed",
            Cut => "connections cut",
            Refused => "connections refused",
            MasterKilled => "failover: a master is killed",
            MasterStopped => "failover: a master is stopped, and comes back",
            MasterKilledAhead => "failover to a replica that lags behind",
            TakenOver => "failover in good order",
            SlotMoved => "a slot moves",
        }
    }

    /// Has it come and go.
    pub(super) fn happen(self, rig: &mut Rig<'_>) {
        match self {
            ProcessKilled => rig.replace_a_worker(),
            ProcessStopped => {
                let stay = rig.moment();
                rig.stop_a_worker(stay);
            }
            _ => self.happen_to_servers(rig),
        }
    }

    fn happen_to_servers(self, rig: &mut Rig<'_>) {
        let stay = rig.moment();
        let index = rig.any_process();
        let Site::Server { server, proxies } = &mut rig.site else {
            return self.happen_to_cluster(rig);
        };
        match self {
            ServerRestarted => {
                server.kill();
                thread::sleep(stay);
                server.restart();
            }
            TrackingOff | Delayed | Held | BlackHoled | Dropped | HalfClosed | Cut | Refused => {
                self.happen_on_the_way(&proxies[index], stay);
            }
            RepliesHeld => hold_replies(&proxies[READS_ONLY as usize]),
            _ => self.happen_to_server(server, stay),
        }
    }

    /// Whichever server it is.
    fn happen_to_server(self, server: &RedisServer, stay: Duration) {
        let set = |name, value: &str| drop(server.cli(&["CONFIG", "SET", name, value]));
        match self {
            ServerStopped => {
                server.pause();
                thread::sleep(stay);
                server.resume();
            }
            ClientsKilled => {
                drop(server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]))
            }
            Flushed => server.flushall(),
            Evicting => {
                set("maxmemory-policy", "allkeys-random");
                set("maxmemory", &used_memory(server).to_string());
                thread::sleep(stay);
                set("maxmemory", "0");
                set("maxmemory-policy", "noeviction");
            }
            OutOfMemory => {
                set("maxmemory", "1");
                thread::sleep(stay);
                set("maxmemory", "0");
            }
            TrackingForgotten => {
                set("tracking-table-max-keys", "1");
                thread::sleep(stay);
                set("tracking-table-max-keys", "1000000");
            }
            ReadOnly => {
                server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
                thread::sleep(stay);
                server.cli(&["REPLICAOF", "NO", "ONE"]);
            }
            Busy => keep_busy(server, stay),
            ScriptsFlushed => drop(server.cli(&["SCRIPT", "FLUSH"])),
            other => unreachable!("{other:?} does not happen to one server"),
        }
    }

    /// Between one process and the server.
    fn happen_on_the_way(self, proxy: &Proxy, stay: Duration) {
        const DELAY: Duration = Duration::from_millis(20);
        match self {
            TrackingOff => return switch_tracking_off(proxy, stay),
            Delayed => proxy.delay(DELAY),
            Held => proxy.hold(),
            BlackHoled => proxy.black_hole(),
            Dropped => proxy.on_request(Box::new(|_| match fastrand::u8(..) {
                0..8 => Action::Cut,
                _ => Action::Forward,
            })),
            HalfClosed => proxy.half_close(),
            Cut => proxy.cut(),
            Refused => proxy.refuse(),
            other => unreachable!("{other:?} does not happen on the way"),
        }
        thread::sleep(stay);
        match self {
            // A stream in which something is missing does not go on.
            BlackHoled => proxy.refuse(),
            Dropped => proxy.clear_hook(),
            _ => {}
        }
        proxy.pass();
    }
}

/// Has a near tier without trust give old answers, whichever calls come when:
///
/// - The process has rows near that the others go on bumping, and is not told.
/// - It goes on reading: the first call that waits in vain lets all others go on without Redis.
/// - It has no failed bump that would end its near hits ([`READS_ONLY`]).
/// - It hears nothing for so much longer than `max_staleness` that the others come by most rows.
///
/// Not the pushes alone: each reply vouches for those that were sent before it, the heartbeat's and
/// also a hit's, and no stream goes on behind what it has lost. So the process hears nothing at all.
fn hold_replies(proxy: &Proxy) {
    /// It is connected again by then, whatever happened before, and has read some rows.
    const CALM: Duration = Duration::from_secs(1);
    /// Shorter than until the connection is given up, a second after a call has waited in vain.
    const STAY: Duration = MAX_STALENESS.saturating_mul(4);
    // Twice, as somebody may have bumped everything just before.
    for _ in 0..2 {
        thread::sleep(CALM);
        proxy.hold_replies();
        thread::sleep(STAY);
        proxy.pass();
    }
}

fn used_memory(server: &RedisServer) -> u64 {
    let info = server.cli(&["INFO", "memory"]);
    let used = info.lines().find_map(|line| line.strip_prefix("used_memory:"));
    used.and_then(|used| used.trim().parse().ok()).expect("what memory is used")
}

fn keep_busy(server: &RedisServer, stay: Duration) {
    server.cli(&["CONFIG", "SET", "lua-time-limit", "20"]);
    let port = server.port();
    let script = thread::spawn(move || {
        let mut client = RespClient::connect(port).expect("a connection");
        // It may take longer than the client waits.
        let _ = client.command(&[b"EVAL", b"while true do end", b"0"]);
    });
    thread::sleep(stay);
    // It may not have begun.
    while !script.is_finished() {
        let _ = server.command(&[b"SCRIPT", b"KILL"]);
        thread::sleep(Duration::from_millis(20));
    }
    script.join().expect("the script's client");
}

/// In the place of the first `PING` of each connection, whose answer is a word as well.
fn switch_tracking_off(proxy: &Proxy, stay: Duration) {
    const OFF: &[u8] = b"*3\r\n$6\r\nCLIENT\r\n$8\r\nTRACKING\r\n$3\r\nOFF\r\n";
    let is_done = AtomicBool::new(false);
    proxy.on_request(Box::new(move |request| {
        if request == b"*1\r\n$4\r\nPING\r\n" && !is_done.swap(true, Ordering::SeqCst) {
            return Action::Replace(OFF);
        }
        Action::Forward
    }));
    proxy.cut();
    thread::sleep(stay);
    proxy.clear_hook();
}
