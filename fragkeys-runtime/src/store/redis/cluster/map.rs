//! Which master has which slot, as a node of the cluster tells it.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::Value;

use super::slot::{SLOTS, slot_of};
use crate::store::redis::link::{Links, Means};
use crate::store::redis::node::Node;
use crate::store::redis::server::Server;

/// A master, and the links to it.
pub(super) struct Master {
    pub(super) node: Node,
    pub(super) address: String,
    pub(super) links: Links,
    /// When it was last asked for what is on its way to it.
    asked: Mutex<Option<Instant>>,
}

/// For so long a master is kept that has no slot: the first one may be on its way.
const KEPT: Duration = Duration::from_secs(10);
/// As large as clusters get; a server that lies does not get further.
const MOST_MASTERS: usize = 1_000;

impl Master {
    pub(super) fn new(node: Node, means: &Means) -> Arc<Self> {
        let address = node.address();
        let server = Server::direct(node.clone(), means.operation_timeout);
        let links = Links::to(server, means);
        Arc::new(Master { node, address, links, asked: Mutex::default() })
    }

    /// A slot is on its way to it.
    pub(super) fn expect(&self) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_expected(&self) -> bool {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_some_and(|asked| asked.elapsed() < KEPT)
    }
}

/// Which master has which slot. Masters that stay keep their links when it changes.
#[derive(Clone)]
pub(super) struct SlotMap {
    /// For each slot the index of its master; of none, where nobody has it.
    owners: Vec<u16>,
    pub(super) masters: Vec<Arc<Master>>,
}

const NOBODY: u16 = u16::MAX;

/// A range of slots, and where their master is.
pub(super) struct Range {
    slots: RangeInclusive<usize>,
    host: String,
    port: u16,
}

impl SlotMap {
    /// The map of these ranges, with the masters that `before` has already. `through` is the
    /// node that told it.
    pub(super) fn new(
        ranges: Vec<Range>,
        through: &Node,
        before: Option<&SlotMap>,
        means: &Means,
    ) -> Self {
        let mut map = SlotMap { owners: vec![NOBODY; SLOTS], masters: Vec::new() };
        for range in ranges {
            let node = through.at(range.host, range.port);
            let index = map.index_of(node, before, means);
            if let Some(owners) = map.owners.get_mut(range.slots) {
                owners.fill(index);
            }
        }
        for master in before.iter().flat_map(|before| &before.masters) {
            if master.is_expected() && map.at(&master.address).is_none() {
                map.masters.push(master.clone());
            }
        }
        map
    }

    /// The master of a slot, if somebody has it.
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Master>> {
        self.masters.get(usize::from(*self.owners.get(usize::from(slot))?))
    }

    pub(super) fn at(&self, address: &str) -> Option<&Arc<Master>> {
        self.masters.iter().find(|master| master.address == address)
    }

    /// What stands in slots that masters of this map have, and not any more in `after`, is another
    /// server's now, which does not tell us of changes.
    pub(super) fn forget_moved(&self, after: &SlotMap) {
        for master in &self.masters {
            let has_left = |slot: u16| {
                let has =
                    |map: &SlotMap| map.owner(slot).is_some_and(|owner| Arc::ptr_eq(owner, master));
                has(self) && !has(after)
            };
            master.links.forget_where(|key| has_left(slot_of(key.as_bytes())));
        }
    }

    /// The same, but for one slot that this node has now.
    pub(super) fn moved(&self, slot: u16, node: Node, means: &Means) -> Self {
        let mut map = self.clone();
        let index = map.index_of(node, None, means);
        if let Some(owner) = map.owners.get_mut(usize::from(slot)) {
            *owner = index;
        }
        map
    }

    /// The same, and this node with no slot.
    pub(super) fn with(&self, node: Node, means: &Means) -> Self {
        let mut map = self.clone();
        map.index_of(node, None, means);
        map
    }

    fn index_of(&mut self, node: Node, before: Option<&SlotMap>, means: &Means) -> u16 {
        let address = node.address();
        let found = self.masters.iter().position(|master| master.address == address);
        if found.is_none() && self.masters.len() >= MOST_MASTERS {
            return NOBODY;
        }
        let index = found.unwrap_or_else(|| {
            let known = before.and_then(|before| before.at(&address)).cloned();
            self.masters.push(known.unwrap_or_else(|| Master::new(node, means)));
            self.masters.len() - 1
        });
        u16::try_from(index).unwrap_or(NOBODY)
    }

    /// Do both send every slot to the same place?
    pub(super) fn is_like(&self, other: &SlotMap) -> bool {
        let addresses = |map: &SlotMap| -> Vec<String> {
            map.masters.iter().map(|master| master.address.clone()).collect()
        };
        self.owners == other.owners && addresses(self) == addresses(other)
    }

    /// Are the masters the same, whoever has which slot?
    pub(super) fn has_masters_of(&self, other: &SlotMap) -> bool {
        let addresses = |map: &SlotMap| -> HashSet<String> {
            map.masters.iter().map(|master| master.address.clone()).collect()
        };
        addresses(self) == addresses(other)
    }
}

/// Reads what `CLUSTER SLOTS` gave; `None` if it is something else. A node that does not know
/// its own name, or does not want to say it, is reached where it was asked.
pub(super) fn read_slots(reply: &Value, asked: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    ranges.iter().map(|range| read_range(range, asked)).collect()
}

/// The slots of the master of this id, in what `CLUSTER SLOTS` gave; `None` if it is something else.
pub(in crate::store::redis) fn slots_of(
    id: &[u8],
    reply: &Value,
) -> Option<Vec<RangeInclusive<u16>>> {
    let Value::Array(ranges) = reply else { return None };
    let mut own = Vec::new();
    for range in ranges {
        let Value::Array(range) = range else { return None };
        let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice()
        else {
            return None;
        };
        let [_, _, of, ..] = master.as_slice() else { return None };
        let is_own = match of {
            Value::BulkString(of) => of == id,
            Value::SimpleString(of) => of.as_bytes() == id,
            _ => return None,
        };
        if is_own {
            own.push(u16::try_from(*first).ok()?..=u16::try_from(*last).ok()?);
        }
    }
    Some(own)
}

fn read_range(range: &Value, asked: &str) -> Option<Range> {
    let Value::Array(range) = range else { return None };
    let [Value::Int(first), Value::Int(last), Value::Array(master), ..] = range.as_slice() else {
        return None;
    };
    let slots = usize::try_from(*first).ok()?..=usize::try_from(*last).ok()?;
    let [host, Value::Int(port), ..] = master.as_slice() else { return None };
    let host = match host {
        Value::BulkString(host) => std::str::from_utf8(host).ok()?,
        Value::Nil => "",
        _ => return None,
    };
    let host = if host.is_empty() || host == "?" { asked } else { host }.to_owned();
    Some(Range { slots, host, port: u16::try_from(*port).ok()? })
}
