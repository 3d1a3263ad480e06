//! A master, its replicas, and the sentinels that watch over them.

use crate::RedisServer;
use crate::certificates::{Certificates, Flaw, TLS_PORT};
use crate::wait::wait_until;

/// The name under which the sentinels know the master.
pub const NAME: &str = "mymaster";

/// A master with two replicas, and three sentinels: real processes, which replace a master that
/// is away for half a second.
#[derive(Debug)]
pub struct Sentinels {
    /// The servers with data; which one is the master changes.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl Sentinels {
    /// Starts all six and waits until they know each other.
    ///
    /// # Panics
    ///
    /// When they don't within a minute.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[], &[], &[])
    }

    /// [`Self::start`] with more arguments for the servers, more for the sentinels, and more
    /// settings of these, one a line.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(args: &[&str], sentinel_args: &[&str], settings: &[&str]) -> Self {
        Self::begin(&[], args, sentinel_args, settings)
    }

    /// [`Self::start`], where all of them speak TLS to each other.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn start_tls(authority: &Certificates) -> Self {
        let args = authority.tls_args(&authority.server(Flaw::None), false);
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.extend(["--tls-replication", "yes"]);
        Self::begin(&[TLS_PORT], &args, &args, &[])
    }

    fn begin(
        other_ports: &[&'static str],
        args: &[&str],
        sentinel_args: &[&str],
        settings: &[&str],
    ) -> Self {
        let begin = |more: &[&str]| {
            let args = [&["--repl-diskless-sync-delay", "0"], more, args].concat();
            RedisServer::begin(None, other_ports, &args)
        };
        let master = begin(&[]);
        let address = format!("127.0.0.1 {}", spoken_to(&master));
        let replicas: Vec<_> = (0..2).map(|_| begin(&["--replicaof", &address])).collect();
        let servers: Vec<_> = std::iter::once(master).chain(replicas).collect();
        for replica in &servers[1..] {
            wait_until("a replica to follow its master", || {
                replica.cli(&["INFO", "replication"]).contains("master_link_status:up")
            });
        }
        let settings = format!(
            "sentinel monitor {NAME} {address} 2\n\
             sentinel down-after-milliseconds {NAME} 500\n\
             sentinel failover-timeout {NAME} 3000\n{}\n",
            settings.join("\n")
        );
        let sentinel_args = [&["--sentinel"], sentinel_args].concat();
        let sentinels: Vec<_> = (0..3)
            .map(|_| RedisServer::begin(Some(&settings), other_ports, &sentinel_args))
            .collect();
        let started = Self { servers, sentinels };
        started.wait_until_whole();
        started
    }

    /// Waits until all sentinels know of each other and of both replicas.
    ///
    /// # Panics
    ///
    /// When they don't within a minute.
    pub fn wait_until_whole(&self) {
        for sentinel in &self.sentinels {
            wait_until("the sentinels to know each other", || {
                let known = sentinel.cli(&["SENTINEL", "MASTER", NAME]);
                let known: Vec<&str> = known.lines().collect();
                let number = |field| {
                    let at = known.iter().position(|line| *line == field);
                    at.and_then(|at| known.get(at + 1)?.parse::<u32>().ok())
                };
                number("num-other-sentinels") == Some(2) && number("num-slaves") == Some(2)
            });
        }
    }

    /// `redis://127.0.0.1:PORT/` of each sentinel.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.sentinels.iter().map(RedisServer::url).collect()
    }

    /// The index in `servers` of the master that the first sentinel names.
    #[must_use]
    pub fn master(&self) -> usize {
        let address = self.sentinels[0].cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME]);
        let port = address.lines().nth(1).and_then(|port| port.parse().ok());
        let is_it = |server: &RedisServer| Some(spoken_to(server)) == port;
        self.servers.iter().position(is_it).expect("a master among the servers")
    }
}

/// The port that the others know it by.
fn spoken_to(server: &RedisServer) -> u16 {
    server.other_port(TLS_PORT).unwrap_or_else(|| server.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_is_killed_is_replaced() {
        let mut started = Sentinels::start();
        let before = started.master();
        started.servers[before].kill();
        wait_until("another master", || started.master() != before);
        let after = started.master();
        wait_until("it to be one", || started.servers[after].cli(&["ROLE"]).starts_with("master"));
    }
}
