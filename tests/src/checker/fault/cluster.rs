//! What happens to a cluster.

use std::thread;
use std::time::Duration;

use super::Fault::{self, *};
use crate::checker::rig::{Rig, Site};
use crate::checker::{SECOND, now};
use crate::wait::holds_within;
use crate::{Cluster, RedisServer, Reply, RespClient};

const PATIENCE: Duration = Duration::from_secs(60);
/// A replica may lag behind by so much that nobody planned.
const LAG: u64 = SECOND;

impl Fault {
    pub(super) fn happen_to_cluster(self, rig: &mut Rig<'_>) {
        let stay = rig.moment();
        let slot = rig.any_slot();
        let Site::Cluster(cluster, masters) = &mut rig.site else {
            unreachable!("{self:?} needs a cluster")
        };
        let change = Change::of(cluster, slot);
        match self {
            // Shorter than what has it replaced.
            ServerStopped => self.happen_to_server(&cluster.nodes[change.master], stay / 4),
            ServerRestarted => cluster.nodes[change.master].restart(),
            MasterKilled => change.kill(cluster),
            MasterStopped => {
                cluster.nodes[change.master].pause();
                change.wait(cluster);
                thread::sleep(stay);
                cluster.nodes[change.master].resume();
                let is_replica = |node: &RedisServer| role(node) == "slave";
                expect("it to be a replica", || is_replica(&cluster.nodes[change.master]));
            }
            MasterKilledAhead => {
                cluster.nodes[change.heir].pause();
                cluster.nodes[change.master].cli(&["CLIENT", "KILL", "TYPE", "replica"]);
                thread::sleep(stay / 4);
                cluster.nodes[change.master].kill();
                cluster.nodes[change.heir].resume();
                change.wait(cluster);
                thread::sleep(stay);
                cluster.nodes[change.master].restart();
            }
            TakenOver => cluster.hand_over(change.master, change.heir),
            SlotMoved => {
                let to = (0..cluster.nodes.len()).find(|index| {
                    *index != change.master && role(&cluster.nodes[*index]) == "master"
                });
                cluster.move_slot(slot, to.expect("another master"), || thread::sleep(stay));
            }
            _ => self.happen_to_server(&cluster.nodes[change.master], stay),
        }
        settle(cluster);
        let before = std::mem::replace(masters, Masters::of(cluster));
        // Also one that nobody planned: a busy machine may keep a master from answering.
        if before.nodes != masters.nodes && self != TakenOver {
            rig.note_loss(before.seen_at.saturating_sub(LAG), now());
        }
    }
}

/// Which nodes are masters, and when that was seen.
pub(in crate::checker) struct Masters {
    nodes: Vec<bool>,
    seen_at: u64,
}

impl Masters {
    pub(in crate::checker) fn of(cluster: &Cluster) -> Self {
        let seen_at = now();
        let nodes = cluster.nodes.iter().map(|node| role(node) == "master").collect();
        Masters { nodes, seen_at }
    }
}

/// Who has a slot, and who is to have it.
struct Change {
    slot: u16,
    master: usize,
    /// Its replica.
    heir: usize,
    /// Neither of them.
    witness: usize,
}

impl Change {
    fn of(cluster: &Cluster, slot: u16) -> Self {
        let master = cluster.owner(slot, 0);
        let port = format!("master_port:{}", cluster.nodes[master].port());
        let follows = |node: &RedisServer| {
            node.cli(&["INFO", "replication"]).lines().any(|line| line.trim() == port)
        };
        let heir = cluster.nodes.iter().position(follows).expect("a replica of each master");
        let is_neither = |index: &usize| *index != master && *index != heir;
        let witness = (0..cluster.nodes.len()).find(is_neither).expect("six nodes");
        Change { slot, master, heir, witness }
    }

    fn wait(&self, cluster: &Cluster) {
        expect("the replica to take over", || {
            [self.witness, self.heir].iter().all(|by| cluster.owner(self.slot, *by) == self.heir)
        });
    }

    fn kill(&self, cluster: &mut Cluster) {
        cluster.nodes[self.master].kill();
        self.wait(cluster);
        cluster.nodes[self.master].restart();
    }
}

/// Waits until all is well. A master that was replaced while it was away takes itself for one until
/// the others tell it.
fn settle(cluster: &Cluster) {
    // One that was started again does not know yet, and would take another for dead for two minutes.
    cluster.replaces_soon();
    let masters = || cluster.nodes.iter().filter(|node| role(node) == "master").count();
    expect("three masters", || masters() == 3);
    let has_its_data = |node: &RedisServer| matches!(node.command(&[b"PING"]), Reply::Simple(_));
    expect("all to have their data", || cluster.nodes.iter().all(has_its_data));
    cluster.nodes.iter().for_each(|node| leave_to_others(cluster, node));
    cluster.wait_until_whole();
}

/// A master that starts with data from before a slot was moved takes that slot for one that is on
/// its way to it, and believes nobody who has it from then on. An operator would have
/// `redis-cli --cluster fix` put that right.
fn leave_to_others(cluster: &Cluster, node: &RedisServer) {
    let known = node.cli(&["CLUSTER", "NODES"]);
    let itself = known.lines().find(|line| line.contains("myself")).unwrap_or_default();
    for (slot, _) in itself.split(['[', ' ']).filter_map(|word| word.split_once("-<-")) {
        let mut asking = RespClient::connect(node.port()).expect("a node that runs");
        for key in cluster.keys_in(node, slot.parse().expect("a slot")) {
            let _ok = asking.command(&[b"ASKING"]).expect("a reply");
            let _number = asking.command(&[b"DEL", &key]).expect("a reply");
        }
        node.cli(&["CLUSTER", "SETSLOT", slot, "STABLE"]);
    }
}

fn role(node: &RedisServer) -> String {
    let info = node.cli(&["INFO", "replication"]);
    let role = info.lines().find_map(|line| line.strip_prefix("role:"));
    role.unwrap_or_default().trim().to_owned()
}

fn expect(what: &str, holds: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, holds), "still waiting after {PATIENCE:?}: {what}");
}
