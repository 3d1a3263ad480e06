//! A cluster: three masters, each with a replica.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::RedisServer;
use crate::certificates::{Certificates, Flaw, TLS_PORT};
use crate::resp::Reply;
use crate::wait::{holds_within, wait_until};

const MASTERS: usize = 3;
const SLOTS: usize = 16_384;

/// The option that takes the port at which nodes speak to each other.
const BUS_PORT: &str = "--cluster-port";

/// After so many milliseconds a node that says nothing is taken for dead. Nodes also tell each other
/// the news the more often, the shorter it is.
const SOON: &str = "1000";
const LATE: &str = "60000";

const BASE: [[&str; 2]; 5] = [
    ["--cluster-enabled", "yes"],
    ["--cluster-node-timeout", LATE],
    // A replica takes over however long ago it last heard of its master.
    ["--cluster-replica-validity-factor", "0"],
    ["--cluster-allow-replica-migration", "no"],
    ["--repl-diskless-sync-delay", "0"],
];

/// How long they have to find each other.
const PATIENCE: Duration = Duration::from_secs(60);

/// A real cluster of six nodes, which keep their index; which of them are masters may change.
/// Nodes that a busy machine keeps waiting are not taken for dead, unless a test
/// [asks for it](Cluster::replaces_soon).
#[derive(Debug)]
pub struct Cluster {
    /// At the start, three masters and then the replica of each.
    pub nodes: Vec<RedisServer>,
    /// What each node is started with.
    args: Vec<String>,
    other_ports: &'static [&'static str],
    _turn: Turn,
}

/// So many at a time in a process: of the nodes of more of them, a machine with two cores keeps some
/// waiting for so long that others take them for dead.
const AT_ONCE: usize = 2;
static RUNNING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// The right to run one.
#[derive(Debug)]
struct Turn;

impl Turn {
    fn wait() -> Self {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let running = ENDED.wait_while(running, |running| *running >= AT_ONCE);
        *running.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

impl Cluster {
    /// Starts six nodes, joins them, and waits until all of them agree.
    ///
    /// # Panics
    ///
    /// When they don't within a minute.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// [`Self::start`] with more arguments for each node.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        Self::begin(&[BUS_PORT], args)
    }

    /// [`Self::start`], where all of them speak TLS to each other, and tell a client with TLS of
    /// their ports with TLS.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn start_tls(authority: &Certificates) -> Self {
        let args = authority.tls_args(&authority.server(Flaw::None), false);
        let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
        args.extend(["--tls-cluster", "yes", "--tls-replication", "yes"]);
        Self::begin(&[BUS_PORT, TLS_PORT], &args)
    }

    fn begin(other_ports: &'static [&'static str], args: &[&str]) -> Self {
        let args = BASE.as_flattened().iter().chain(args).map(|&arg| arg.to_owned()).collect();
        let mut cluster = Self { nodes: Vec::new(), args, other_ports, _turn: Turn::wait() };
        cluster.nodes = (0..2 * MASTERS).map(|_| cluster.node()).collect();
        cluster.meet_all();
        // Who replicates whom gets around soon, and meanwhile none is replaced that is kept waiting.
        cluster.configure("cluster-replica-no-failover", "yes");
        cluster.configure("cluster-node-timeout", SOON);
        cluster.replicate();
        cluster.configure("cluster-node-timeout", LATE);
        // Who was taken for dead in that time would be so for twice as long as it takes now.
        let is_suspected = |line: &str| {
            let mut flags = line.split(' ').nth(2).unwrap_or_default().split(',');
            flags.any(|flag| matches!(flag, "fail" | "fail?"))
        };
        let suspects =
            |node: &RedisServer| node.cli(&["CLUSTER", "NODES"]).lines().any(is_suspected);
        while cluster.nodes.iter().any(suspects) {
            cluster.configure("cluster-node-timeout", SOON);
            cluster.wait("nobody to be taken for dead", |node| !suspects(node));
            cluster.configure("cluster-node-timeout", LATE);
        }
        cluster.configure("cluster-replica-no-failover", "no");
        cluster.wait_until_whole();
        cluster
    }

    /// From now on, a master that is away for a second is replaced.
    pub fn replaces_soon(&self) {
        self.configure("cluster-node-timeout", SOON);
    }

    fn configure(&self, name: &str, value: &str) {
        for node in &self.nodes {
            node.cli(&["CONFIG", "SET", name, value]);
        }
    }

    fn node(&self) -> RedisServer {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        RedisServer::begin(None, self.other_ports, &args)
    }

    /// Makes masters of the first three, and all known to all. That takes them longer than a second,
    /// where a machine is busy, and who is late is not met again.
    fn meet_all(&self) {
        for (index, node) in self.nodes.iter().enumerate() {
            node.cli(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            if index < MASTERS {
                let first = index * SLOTS / MASTERS;
                let last = (index + 1) * SLOTS / MASTERS - 1;
                node.cli(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()]);
            }
        }
        (1..self.nodes.len()).for_each(|index| self.meet(index));
        self.wait("all nodes to be known everywhere", |node| {
            let known = node.cli(&["CLUSTER", "NODES"]);
            known.lines().count() == 2 * MASTERS && !known.contains("handshake")
        });
    }

    /// Makes replicas of the others.
    fn replicate(&self) {
        for (index, replica) in self.nodes[MASTERS..].iter().enumerate() {
            replica.cli(&["CLUSTER", "REPLICATE", &self.id(index)]);
        }
        for replica in &self.nodes[MASTERS..] {
            let follows =
                || replica.cli(&["INFO", "replication"]).contains("master_link_status:up");
            assert!(holds_within(PATIENCE, follows), "a replica does not follow its master");
        }
        self.wait_until_whole();
    }

    /// Waits until each node knows of three masters with a replica each, and works.
    ///
    /// # Panics
    ///
    /// When one doesn't within a minute.
    pub fn wait_until_whole(&self) {
        self.wait("each master to have a replica", |node| {
            let has_two = |range: &Reply| matches!(range, Reply::Array(Some(of)) if of.len() == 4);
            let slots = node.command(&[b"CLUSTER", b"SLOTS"]);
            let is_whole =
                matches!(slots, Reply::Array(Some(ranges)) if ranges.iter().all(has_two));
            is_whole && works(node)
        });
    }

    fn wait(&self, what: &str, mut holds: impl FnMut(&RedisServer) -> bool) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            assert!(
                holds_within(PATIENCE, || holds(node)),
                "still waiting after {PATIENCE:?}: {what}\n{}",
                self.views()
            );
        }
    }

    /// What each node that runs knows of all.
    fn views(&self) -> String {
        let running = self.nodes.iter().filter(|node| node.is_running());
        let view = |node: &RedisServer| {
            format!("as {} has it:\n{}", node.port(), node.cli(&["CLUSTER", "NODES"]))
        };
        running.map(view).collect::<Vec<_>>().join("\n")
    }

    /// `redis://127.0.0.1:PORT/` of each node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(RedisServer::url).collect()
    }

    /// The slot of a key.
    #[must_use]
    pub fn slot(&self, key: &str) -> u16 {
        let node = self.nodes.iter().find(|node| node.is_running()).expect("a node that runs");
        node.cli(&["CLUSTER", "KEYSLOT", key]).parse().expect("a slot")
    }

    /// The index of the master that has a slot, as `seen_by` sees it.
    ///
    /// # Panics
    ///
    /// When nobody has it.
    #[must_use]
    pub fn owner(&self, slot: u16, seen_by: usize) -> usize {
        self.find_owner(slot, seen_by).expect("an owner among the nodes")
    }

    fn find_owner(&self, slot: u16, seen_by: usize) -> Option<usize> {
        let ranges = self.ranges(seen_by);
        ranges.iter().find(|(slots, _)| slots.contains(&slot)).map(|(_, owner)| *owner)
    }

    /// Which slots are whose, as `seen_by` sees it; nothing while that loads its data.
    fn ranges(&self, seen_by: usize) -> Vec<(RangeInclusive<u16>, usize)> {
        let Reply::Array(Some(ranges)) = self.nodes[seen_by].command(&[b"CLUSTER", b"SLOTS"])
        else {
            return Vec::new();
        };
        let slot = |number: &i64| u16::try_from(*number).expect("a slot");
        let range = |range: &Reply| {
            let Reply::Array(Some(range)) = range else { return None };
            let [Reply::Int(first), Reply::Int(last), Reply::Array(Some(master)), ..] =
                range.as_slice()
            else {
                return None;
            };
            let [_, Reply::Int(port), ..] = master.as_slice() else { return None };
            let is_it = |node: &RedisServer| i64::from(node.port()) == *port;
            Some((slot(first)..=slot(last), self.nodes.iter().position(is_it)?))
        };
        ranges.iter().filter_map(range).collect()
    }

    /// Where each key lives, as `seen_by` sees it.
    #[must_use]
    pub fn owners(&self, keys: &[&str], seen_by: usize) -> HashSet<usize> {
        keys.iter().map(|key| self.owner(self.slot(key), seen_by)).collect()
    }

    /// Has a replica take over from its master in good order, as an operator would, and waits until
    /// all nodes know. Until then one that hears from the old master first, that it is none any more,
    /// knows of nobody who has its slots, and answers `CLUSTERDOWN`.
    ///
    /// # Panics
    ///
    /// When it doesn't within a minute.
    pub fn hand_over(&self, master: usize, heir: usize) {
        let ranges = self.ranges(master);
        let slot = *ranges.iter().find(|(_, owner)| *owner == master).expect("slots").0.start();
        let knows =
            |by: usize| !self.nodes[by].is_running() || self.find_owner(slot, by) == Some(heir);
        let is_done = || (0..self.nodes.len()).all(knows);
        // Redis gives up after five seconds, and refuses where the two have just lost each other.
        wait_until("the replica to take over", || {
            let _refused = self.nodes[heir].command(&[b"CLUSTER", b"FAILOVER"]);
            holds_within(Duration::from_secs(6), is_done)
        });
        self.wait("all to work again", works);
    }

    /// Moves a slot from the master that has it to another, with all of its keys, as an operator
    /// would, and waits until all nodes know. `between` runs while the slot is on its way: after
    /// the first half of the keys.
    ///
    /// # Panics
    ///
    /// When a step is refused.
    pub fn move_slot(&self, slot: u16, to: usize, between: impl FnOnce()) {
        let from = self.owner(slot, to);
        assert_ne!(from, to, "the slot is there already");
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let number = slot.to_string();
        target.cli(&["CLUSTER", "SETSLOT", &number, "IMPORTING", &self.id(from)]);
        source.cli(&["CLUSTER", "SETSLOT", &number, "MIGRATING", &self.id(to)]);
        let keys = self.keys_in(source, slot);
        let (first, second) = keys.split_at(keys.len().div_ceil(2));
        let send = |keys: &[Vec<u8>]| {
            for key in keys {
                let port = target.port().to_string();
                let step = source.command(&[
                    b"MIGRATE",
                    b"127.0.0.1",
                    port.as_bytes(),
                    key,
                    b"0",
                    b"5000",
                ]);
                assert!(matches!(step, Reply::Simple(_)), "MIGRATE: {step:?}");
            }
        };
        send(first);
        between();
        send(second);
        // What was written meanwhile.
        loop {
            let rest = self.keys_in(source, slot);
            if rest.is_empty() {
                break;
            }
            send(&rest);
        }
        for node in [target, source] {
            node.cli(&["CLUSTER", "SETSLOT", &number, "NODE", &self.id(to)]);
        }
        for seen_by in (0..self.nodes.len()).filter(|index| self.nodes[*index].is_running()) {
            wait_until("the move to be known", || self.owner(slot, seen_by) == to);
        }
    }

    /// One more master, without slots, that all others know. Its index is the last one.
    ///
    /// # Panics
    ///
    /// When they don't within a minute.
    pub fn add_master(&mut self) -> usize {
        self.nodes.push(self.node());
        let index = self.nodes.len() - 1;
        self.meet(index);
        let number = self.nodes.len();
        self.wait("the new node to be known everywhere", |node| {
            let known = node.cli(&["CLUSTER", "NODES"]);
            let is_known = known.lines().count() == number && !known.contains("handshake");
            let info = node.cli(&["CLUSTER", "INFO"]);
            // It may count itself as well before it has heard who has which slots.
            let are_slots_known = info.contains("cluster_slots_assigned:16384");
            is_known && are_slots_known && info.contains("cluster_state:ok")
        });
        index
    }

    fn meet(&self, index: usize) {
        let node = &self.nodes[index];
        let port = node.other_port(TLS_PORT).unwrap_or_else(|| node.port()).to_string();
        let bus = node.other_port(BUS_PORT).expect("a node of a cluster").to_string();
        self.nodes[0].cli(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
    }

    pub(crate) fn keys_in(&self, node: &RedisServer, slot: u16) -> Vec<Vec<u8>> {
        let slot = slot.to_string();
        let keys = node.command(&[b"CLUSTER", b"GETKEYSINSLOT", slot.as_bytes(), b"1000"]);
        let Reply::Array(Some(keys)) = keys else { panic!("CLUSTER GETKEYSINSLOT: {keys:?}") };
        let bytes = |key| match key {
            Reply::Bulk(Some(bytes)) => bytes,
            other => panic!("a key: {other:?}"),
        };
        keys.into_iter().map(bytes).collect()
    }

    fn id(&self, index: usize) -> String {
        self.nodes[index].cli(&["CLUSTER", "MYID"])
    }
}

/// Does a node answer what it is asked?
fn works(node: &RedisServer) -> bool {
    node.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_master_that_is_killed_is_replaced_and_slots_move() {
        let mut cluster = Cluster::start();
        let slot = cluster.slot("key");
        let owner = cluster.owner(slot, 0);
        let other = (owner + 1) % MASTERS;
        cluster.nodes[owner].set_raw("key", b"1");
        cluster.move_slot(slot, other, || {
            let moved = cluster.nodes[owner].command(&[b"GET", b"key"]);
            assert!(matches!(&moved, Reply::Error(error) if error.starts_with("ASK")), "{moved:?}");
        });
        assert_eq!(cluster.nodes[other].get_raw("key").as_deref(), Some(b"1".as_slice()));

        cluster.replaces_soon();
        let witness = (other + 1) % MASTERS;
        wait_until("the move to be known", || cluster.owner(slot, witness) == other);
        cluster.nodes[other].kill();
        wait_until("its replica to take over", || cluster.owner(slot, witness) == other + MASTERS);
        wait_until("the cluster to work again", || works(&cluster.nodes[witness]));
        assert_eq!(cluster.nodes[other + MASTERS].get_raw("key").as_deref(), Some(b"1".as_slice()));
    }
}
