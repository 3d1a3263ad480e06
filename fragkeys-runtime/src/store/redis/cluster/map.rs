//! Which master has which slot, as a node of the cluster tells it.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::slot::SLOTS;
use crate::store::redis::link::Links;
use crate::store::redis::node::Node;
use crate::store::redis::server::Server;

/// A master, and the links to it.
pub(super) struct Master {
    pub(super) node: Node,
    pub(super) address: String,
    pub(super) links: Links,
}

impl Master {
    pub(super) fn new(node: Node, operation_timeout: Duration) -> Arc<Self> {
        let address = node.address();
        let links = Links::to(Server::direct(node.clone(), operation_timeout));
        Arc::new(Master { node, address, links })
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
    slots: std::ops::RangeInclusive<usize>,
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
        operation_timeout: Duration,
    ) -> Self {
        let mut map = SlotMap { owners: vec![NOBODY; SLOTS], masters: Vec::new() };
        for range in ranges {
            let node = through.at(range.host, range.port);
            let index = map.index_of(node, before, operation_timeout);
            if let Some(owners) = map.owners.get_mut(range.slots) {
                owners.fill(index);
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

    /// The same, but for one slot that this node has now.
    pub(super) fn moved(&self, slot: u16, node: Node, operation_timeout: Duration) -> Self {
        let mut map = self.clone();
        let index = map.index_of(node, None, operation_timeout);
        if let Some(owner) = map.owners.get_mut(usize::from(slot)) {
            *owner = index;
        }
        map
    }

    fn index_of(&mut self, node: Node, before: Option<&SlotMap>, patience: Duration) -> u16 {
        let address = node.address();
        let found = self.masters.iter().position(|master| master.address == address);
        let index = found.unwrap_or_else(|| {
            let known = before.and_then(|before| before.at(&address)).cloned();
            self.masters.push(known.unwrap_or_else(|| Master::new(node, patience)));
            self.masters.len() - 1
        });
        u16::try_from(index).unwrap_or(NOBODY)
    }

    /// Do both send every slot to the same place?
    pub(super) fn is_like(&self, other: &SlotMap) -> bool {
        let addresses =
            |map: &SlotMap| map.masters.iter().map(|m| m.address.clone()).collect::<Vec<_>>();
        self.owners == other.owners && addresses(self) == addresses(other)
    }
}

/// Reads what `CLUSTER SLOTS` gave; `None` if it is something else. A node that does not know
/// its own name, or does not want to say it, is reached where it was asked.
pub(super) fn read_slots(reply: &Value, asked: &str) -> Option<Vec<Range>> {
    let Value::Array(ranges) = reply else { return None };
    ranges.iter().map(|range| read_range(range, asked)).collect()
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
