//! The graph of requests a type makes, and the state of its exploration.
//!
//! A node stands for one request by one visitor type, an edge for "the value
//! in this slot of that container". Types that occur repeatedly share their
//! nodes and recursive types form cycles, which keeps the graph as small as
//! the type's definition. The fingerprint is taken of the graph's unfolding,
//! so that it cannot tell how much was shared: the names of visitor types
//! help to recognise a type that was seen before, and never reach the hash.

use std::collections::BTreeMap;

use xxhash_rust::xxh3::xxh3_128;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// The distance where nothing unexplored is ahead.
const UNREACHABLE: u32 = u32::MAX;

/// The choices a container leaves to whoever fills it.
#[derive(Clone, Copy)]
pub(super) enum Alternatives {
    /// None: every part is always there.
    Fixed,
    /// To be empty instead: options, sequences, maps.
    MayBeEmpty,
    /// One of so many variants.
    OneOf(u32),
}

/// How a pass finds its way.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) pass: usize,
    /// Straight to what is nearest, as opposed to around what is in the way.
    pub(super) direct: bool,
}

/// How filling a container with the chosen alternative went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Failed in a way that another try may not; nothing is concluded.
    Unsettled,
    /// Could not end its recursion with what is known so far.
    Deferred,
    Failed,
}

#[derive(Clone, Copy)]
struct Alternative {
    /// `Unsettled` until the first conclusive try.
    outcome: Outcome,
    /// How often it is on the current path from the root.
    active: u32,
}

struct Samples {
    count: usize,
    next: usize,
    refused: usize,
    /// The sample to offer next has not been tried yet.
    pending: bool,
    /// What the same visitor type shares across places.
    hint: u128,
}

struct Node {
    request: u128,
    edges: Vec<(u32, NodeId)>,
    may_be_empty: bool,
    alternatives: Vec<Alternative>,
    /// The first variant that was filled to the end. While it was, only ways
    /// out found earlier were used, so following them always terminates.
    way_out: Option<u32>,
    active: u32,
    samples: Option<Samples>,
    /// Steps to the nearest node that is unexplored, as of the last pass.
    distance: u32,
}

impl Node {
    fn new(request: u128) -> Self {
        Node {
            request,
            edges: Vec::new(),
            may_be_empty: false,
            alternatives: Vec::new(),
            way_out: None,
            active: 0,
            samples: None,
            distance: UNREACHABLE,
        }
    }

    /// Has something to explore itself, whatever its children have.
    fn is_unexplored(&self) -> bool {
        self.samples.as_ref().is_some_and(|samples| samples.pending)
            || self
                .alternatives
                .iter()
                .any(|a| matches!(a.outcome, Outcome::Unsettled | Outcome::Deferred))
    }

    /// The first alternative in a state that is `accept`ed.
    fn first(&self, accept: impl Fn(&Alternative) -> bool) -> Option<u32> {
        (0u32..)
            .zip(&self.alternatives)
            .find(|(_, alternative)| accept(alternative))
            .map(|(index, _)| index)
    }

    /// An alternative that ends a recursion, if any may.
    fn shortest(&self) -> Option<u32> {
        if self.may_be_empty || self.way_out.is_some() {
            return self.way_out;
        }
        let inactive = |outcome| self.first(|a| a.outcome == outcome && a.active == 0);
        inactive(Outcome::Unsettled)
            .or_else(|| inactive(Outcome::Deferred))
            // Once more through the same variant may meet another one on the
            // way which has an end.
            .or_else(|| self.first(|a| a.outcome != Outcome::Failed && a.active < 2))
            .or_else(|| inactive(Outcome::Failed))
    }
}

pub(super) struct Graph {
    nodes: Vec<Node>,
    index: BTreeMap<u128, NodeId>,
    /// Per visitor type, the first sample it has not been seen to refuse.
    hints: BTreeMap<u128, usize>,
    progress: bool,
}

impl Graph {
    pub(super) fn new() -> Self {
        Graph {
            nodes: vec![Node::new(0)],
            index: BTreeMap::new(),
            hints: BTreeMap::new(),
            progress: false,
        }
    }

    /// Stands above the type itself.
    pub(super) fn root(&self) -> NodeId {
        NodeId(0)
    }

    /// Whether anything was learned since the last call.
    pub(super) fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.progress)
    }

    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id.0)
    }

    fn node_mut(&mut self, id: NodeId) -> Option<&mut Node> {
        self.nodes.get_mut(id.0)
    }

    fn intern(&mut self, key: u128, node: impl FnOnce() -> Node) -> NodeId {
        if let Some(&id) = self.index.get(&key) {
            return id;
        }
        let id = NodeId(self.nodes.len());
        self.nodes.push(node());
        self.index.insert(key, id);
        self.progress = true;
        id
    }

    /// The node of a container that `visitor` asks for.
    pub(super) fn container(
        &mut self,
        request: u128,
        visitor: &str,
        alternatives: Alternatives,
    ) -> NodeId {
        let key = key_of(b'c', request, xxh3_128(visitor.as_bytes()), 0);
        self.intern(key, || {
            let mut node = Node::new(request);
            let count = match alternatives {
                Alternatives::Fixed => 0,
                Alternatives::MayBeEmpty => {
                    node.may_be_empty = true;
                    1
                }
                Alternatives::OneOf(count) => count,
            };
            let untried = Alternative { outcome: Outcome::Unsettled, active: 0 };
            node.alternatives = vec![untried; count as usize];
            node
        })
    }

    /// The node of what one variant of an enum carries.
    pub(super) fn payload(&mut self, owner: NodeId, variant: u32, request: u128) -> NodeId {
        let key = key_of(b'p', request, owner.0 as u128, variant);
        self.intern(key, || Node::new(request))
    }

    /// The node of a leaf, and the sample to offer it. Leaves are kept per
    /// place, as two fields of one type may be validated differently.
    pub(super) fn leaf(
        &mut self,
        (owner, slot): (NodeId, u32),
        request: u128,
        visitor: &str,
        count: usize,
    ) -> (NodeId, usize) {
        let hint = key_of(b'h', request, xxh3_128(visitor.as_bytes()), 0);
        let start = self.hints.get(&hint).copied().unwrap_or(0);
        let id = self.intern(key_of(b'l', hint, owner.0 as u128, slot), || {
            let mut node = Node::new(request);
            node.samples = Some(Samples { count, next: start, refused: 0, pending: false, hint });
            node
        });
        let samples = self.node(id).and_then(|node| node.samples.as_ref());
        (id, samples.map_or(0, |samples| samples.next))
    }

    /// Moves a leaf on to the sample after the refused one, unless it has
    /// refused all of them.
    pub(super) fn next_sample(&mut self, leaf: NodeId) -> bool {
        let node = self.node_mut(leaf);
        let Some(samples) = node.and_then(|node| node.samples.as_mut()) else {
            return false;
        };
        if samples.refused + 1 >= samples.count {
            samples.pending = false;
            return false;
        }
        samples.refused += 1;
        samples.next = (samples.next + 1) % samples.count;
        samples.pending = true;
        self.progress = true;
        true
    }

    pub(super) fn accept_sample(&mut self, leaf: NodeId) {
        if let Some(samples) = self.node_mut(leaf).and_then(|node| node.samples.as_mut()) {
            samples.pending = false;
        }
    }

    /// Notes that a visitor itself refused a sample, as opposed to somebody
    /// around it: the same visitor would refuse it in any place.
    pub(super) fn visitor_refused(&mut self, leaf: NodeId) {
        let Some(samples) = self.node(leaf).and_then(|node| node.samples.as_ref()) else {
            return;
        };
        let (hint, next) = (samples.hint, (samples.next + 1) % samples.count.max(1));
        self.hints.insert(hint, next);
    }

    /// Records that `parent` has `child` in `slot`. Slots are mostly linked in
    /// order and then met again, so both cases avoid the search.
    pub(super) fn link(&mut self, parent: NodeId, slot: u32, child: NodeId) {
        let Some(node) = self.node_mut(parent) else {
            return;
        };
        let edge = (slot, child);
        if node.edges.get(slot as usize) == Some(&edge) {
            return;
        }
        let is_next = node.edges.last().is_none_or(|(last, _)| *last < slot);
        if is_next || !node.edges.contains(&edge) {
            node.edges.push(edge);
            self.progress = true;
        }
    }

    /// Whether a container with a choice contains itself on the current path.
    pub(super) fn is_reentered(&self, id: NodeId) -> bool {
        self.node(id).is_some_and(|node| node.active > 0 && !node.alternatives.is_empty())
    }

    /// Which alternative to fill `id` with; `None` for an empty container, for
    /// a fixed one, or if there is no way to end a recursion.
    pub(super) fn choose(&self, id: NodeId, short: bool, route: Route) -> Option<u32> {
        let node = self.node(id)?;
        if short {
            return node.shortest();
        }
        // What failed before is likely to fail again and hide what follows it,
        // so it is only given every other pass.
        let (deferred, failed) = match route.pass % 2 {
            0 => (node.first(|a| a.outcome == Outcome::Deferred), None),
            _ => (None, Some(Outcome::Failed)),
        };
        node.first(|a| a.outcome == Outcome::Unsettled)
            .or(deferred)
            .or_else(|| self.towards_unexplored(id, Outcome::Done, route))
            .or_else(|| self.towards_unexplored(id, failed?, route))
            .or_else(|| node.shortest())
    }

    /// Among the alternatives with this outcome, the one that is nearest to
    /// something unexplored; or any of those that lead there at all.
    fn towards_unexplored(&self, id: NodeId, outcome: Outcome, route: Route) -> Option<u32> {
        let node = self.node(id)?;
        let distance = |index: u32| {
            let edges = node.edges.iter();
            edges
                .filter(|(slot, _)| node.may_be_empty || *slot == index)
                .map(|(_, child)| self.distance(*child))
                .min()
                .unwrap_or(UNREACHABLE)
        };
        // Differs between nodes, lest nested choices always change together.
        let turn =
            (route.pass as u32).wrapping_add(id.0 as u32).wrapping_mul(0x9e37_79b1).rotate_left(16);
        (0u32..)
            .zip(&node.alternatives)
            .filter(|(_, alternative)| alternative.outcome == outcome)
            .map(|(index, _)| (distance(index), index))
            .filter(|(distance, _)| *distance != UNREACHABLE)
            .min_by_key(|(distance, index)| match route.direct {
                true => *distance,
                false => (index ^ turn).wrapping_mul(0x85eb_ca6b),
            })
            .map(|(_, index)| index)
    }

    fn distance(&self, id: NodeId) -> u32 {
        self.node(id).map_or(UNREACHABLE, |node| node.distance)
    }

    /// Enters a container.
    pub(super) fn begin(&mut self, id: NodeId, choice: Option<u32>) {
        if let Some(node) = self.node_mut(id) {
            node.active += 1;
            if let Some(alternative) = alternative_mut(node, choice) {
                alternative.active += 1;
            }
        }
    }

    /// Leaves a container that was entered with the same `choice`.
    pub(super) fn end(&mut self, id: NodeId, choice: Option<u32>, outcome: Outcome) {
        let Some(node) = self.node_mut(id) else {
            return;
        };
        node.active = node.active.saturating_sub(1);
        let Some(alternative) = alternative_mut(node, choice) else {
            return;
        };
        alternative.active = alternative.active.saturating_sub(1);
        let before = alternative.outcome;
        if outcome == Outcome::Unsettled || before == Outcome::Done || before == outcome {
            return;
        }
        alternative.outcome = outcome;
        if outcome == Outcome::Done && !node.may_be_empty {
            node.way_out = node.way_out.or(choice);
        }
        self.progress = true;
    }

    /// Measures the ways to what is unexplored, for `choose`; tells whether
    /// anything is.
    pub(super) fn refresh_distances(&mut self) -> bool {
        for node in &mut self.nodes {
            node.distance = if node.is_unexplored() { 0 } else { UNREACHABLE };
        }
        let unexplored = self.nodes.iter().any(|node| node.distance == 0);
        let mut changed = unexplored;
        while changed {
            changed = false;
            // Children mostly come after their parents, so going backwards
            // settles nearly everything in one round.
            for id in (0..self.nodes.len()).rev().map(NodeId) {
                let nearest = self
                    .node(id)
                    .and_then(|node| node.edges.iter().map(|(_, c)| self.distance(*c)).min());
                let through = nearest.map_or(UNREACHABLE, |distance| distance.saturating_add(1));
                if let Some(node) = self.node_mut(id).filter(|node| through < node.distance) {
                    node.distance = through;
                    changed = true;
                }
            }
        }
        unexplored
    }

    /// Hashes the unfolding of the graph.
    ///
    /// A node's colour starts as its request and takes in its children's
    /// colours on each round. Once a round tells no more nodes apart than the
    /// one before, colours say all there is to say, in cycles as well. That
    /// moment depends on the distinct colours only, not on how many nodes have
    /// them, and hashing every distinct colour pins down the whole unfolding.
    pub(super) fn fingerprint(mut self) -> u128 {
        // Recursion may reach a later variant first. The sort is stable: where
        // one slot had several requests, their order is part of the shape.
        for node in &mut self.nodes {
            node.edges.sort_by_key(|(slot, _)| *slot);
        }
        let mut colours: Vec<u128> = self.nodes.iter().map(|node| node.request).collect();
        let mut distinct = distinct_colours(&colours);
        let mut buffer = Vec::new();
        for _ in 0..=self.nodes.len() {
            colours = self.nodes.iter().map(|node| recolour(node, &colours, &mut buffer)).collect();
            let refined = distinct_colours(&colours);
            let stable = refined.len() == distinct.len();
            distinct = refined;
            if stable {
                break;
            }
        }
        buffer.clear();
        buffer.extend(colours.first().copied().unwrap_or(0).to_le_bytes());
        buffer.extend(distinct.iter().flat_map(|colour| colour.to_le_bytes()));
        xxh3_128(&buffer)
    }
}

fn alternative_mut(node: &mut Node, choice: Option<u32>) -> Option<&mut Alternative> {
    node.alternatives.get_mut(choice? as usize)
}

fn recolour(node: &Node, colours: &[u128], buffer: &mut Vec<u8>) -> u128 {
    buffer.clear();
    buffer.extend(node.request.to_le_bytes());
    for (slot, child) in &node.edges {
        buffer.extend(slot.to_le_bytes());
        let colour = colours.get(child.0).copied().unwrap_or(0);
        buffer.extend(colour.to_le_bytes());
    }
    xxh3_128(buffer)
}

fn distinct_colours(colours: &[u128]) -> Vec<u128> {
    let mut distinct = colours.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

/// Identifies a node while exploring; never part of the fingerprint.
fn key_of(kind: u8, first: u128, second: u128, third: u32) -> u128 {
    let tail = u128::from(kind) << 32 | u128::from(third);
    let parts = [first, second, tail].map(u128::to_le_bytes);
    xxh3_128(parts.as_flattened())
}
