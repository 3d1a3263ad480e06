//! A fingerprint of what a type asks of serde, for use inside a cache key.
//!
//! Formats that are not self-describing decode a value whose fields were
//! reordered, retyped, renamed or removed into wrong data and still report
//! success. [`shape_of`] runs `T::deserialize` against a recorder that answers
//! with made-up values and keeps a graph of every request: primitive kinds,
//! names, ordered field and variant lists, lengths, and what they contain. The
//! hash of that graph changes when the shape does, and with nothing else.
//!
//! Made-up values lead the type through several passes: each pass takes enum
//! variants that were not seen yet and offers another sample wherever the last
//! one was refused.
//!
//! What this module refuses to do:
//! * guess: whatever a type hides behind a value nobody can make up, or behind
//!   a validation no sample satisfies, is left out of the fingerprint;
//! * use names that are not part of the serialized form: two types which look
//!   the same to serde have the same fingerprint, whatever they are called;
//! * run forever: recursion, passes and the number of requests are bounded, at
//!   places which depend on the type alone.

mod access;
mod graph;
mod probe;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::panic::catch_unwind;
use std::sync::{LazyLock, PoisonError, RwLock};

use graph::{Alternatives, Graph, NodeId, Outcome, Route};
use probe::Probe;
use serde::de::{DeserializeOwned, DeserializeSeed};
use xxhash_rust::xxh3::xxh3_128;

/// Passes over one type. Each explores at least one new variant per enum.
const MAX_PASSES: usize = 1024;
/// Passes in a row that may find nothing while something is known to be open.
const MAX_IDLE_PASSES: usize = 32;
/// Requests answered over all passes together.
const MAX_EVENTS: u32 = 1 << 16;
/// Nesting beyond which values are kept as short as they can be.
const SHORT_DEPTH: u32 = 40;
/// Nesting beyond which a pass is given up, far from exhausting a small stack.
const MAX_DEPTH: u32 = 96;

/// What is known about the serde shape of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Equal for equal shapes, in every process and run.
    pub(crate) fingerprint: u128,
    /// Some part asks what the input holds (`deserialize_any`) or for the name
    /// of a field: only formats that describe themselves can decode it.
    pub(crate) self_describing_only: bool,
}

/// Finds out the shape of `T` by deserializing made-up values of it.
pub(crate) fn shape_of<T: DeserializeOwned>() -> Shape {
    let mut walk = Walk::new();
    let mut idle = 0;
    for pass in 0..MAX_PASSES {
        walk.begin_pass(pass, idle == 0);
        let root = walk.graph.root();
        let value = walk.child(Place { node: root, slot: 0 }, PhantomData::<T>);
        let progress = walk.graph.take_progress();
        idle = if progress { 0 } else { idle + 1 };

        let open = walk.graph.refresh_distances();
        // A failed pass that changed something makes the next one take another
        // way, even if everything known by now has been looked at.
        let another = open || (value.is_err() && progress);
        if !another || idle >= MAX_IDLE_PASSES || walk.events >= MAX_EVENTS {
            break;
        }
    }
    Shape { fingerprint: walk.graph.fingerprint(), self_describing_only: walk.needs_description }
}

impl Shape {
    /// The shape of what is the one or the other, and says which.
    pub(crate) fn or(self, other: Shape) -> Shape {
        let [one, two] = [self, other].map(|shape| shape.fingerprint.to_le_bytes());
        Shape {
            fingerprint: xxh3_128(&[b"either".as_slice(), &one, &two].concat()),
            self_describing_only: self.self_describing_only || other.self_describing_only,
        }
    }
}

/// Ends a pass. Carries nothing: why it ended is kept in [`Walk::fault`].
#[derive(Debug)]
struct Halt;

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shape exploration ended")
    }
}

impl std::error::Error for Halt {}

impl serde::de::Error for Halt {
    fn custom<M: fmt::Display>(_: M) -> Self {
        Halt
    }
}

/// Where in the graph a value is asked for.
#[derive(Clone, Copy)]
struct Place {
    node: NodeId,
    slot: u32,
}

/// Why an error is on its way up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// Nobody has been found responsible yet, or there is no error.
    None,
    /// A leaf refused its sample and has another one for the next pass.
    Retry,
    /// A recursion found no way to end; one may be known in a later pass.
    Cut,
    /// Nothing that is on offer would be accepted.
    Final,
}

/// One exploration of one type: the graph, and the state of the current pass.
struct Walk {
    graph: Graph,
    route: Route,
    events: u32,
    depth: u32,
    /// How many containers on the current path contain themselves.
    reentries: u32,
    /// Leaves visited so far, and the last of them.
    leaves: u32,
    last_leaf: Option<NodeId>,
    fault: Fault,
    needs_description: bool,
}

impl Walk {
    fn new() -> Self {
        Walk {
            graph: Graph::new(),
            route: Route { pass: 0, direct: true },
            events: 0,
            depth: 0,
            reentries: 0,
            leaves: 0,
            last_leaf: None,
            fault: Fault::None,
            needs_description: false,
        }
    }

    fn begin_pass(&mut self, pass: usize, direct: bool) {
        self.route = Route { pass, direct };
        self.fault = Fault::None;
    }

    /// Deserializes the value that belongs at `place`.
    fn child<'de, S: DeserializeSeed<'de>>(
        &mut self,
        place: Place,
        seed: S,
    ) -> Result<S::Value, Halt> {
        let leaves = self.leaves;
        let value = seed.deserialize(Probe::new(self, place));
        self.settle(leaves, value.is_err());
        value
    }

    /// Decides who is responsible for an error, at the innermost level that
    /// sees it. Validation often runs after the visitor (`try_from`), so the
    /// leaf visited last is asked for another sample whoever complained.
    fn settle(&mut self, leaves_before: u32, failed: bool) {
        let leaf = self.last_leaf.filter(|_| self.leaves > leaves_before);
        if !failed {
            self.fault = Fault::None;
            if let Some(leaf) = leaf {
                self.graph.accept_sample(leaf);
            }
        } else if self.fault == Fault::None {
            self.fault = match leaf {
                Some(leaf) if self.graph.next_sample(leaf) => Fault::Retry,
                _ => Fault::Final,
            };
        }
    }

    /// Gives up on the value under way for want of an end to it.
    fn cut<T>(&mut self) -> Result<T, Halt> {
        self.fault = Fault::Cut;
        Err(Halt)
    }

    /// Counts a request. The limit is on requests rather than on time, so that
    /// it falls on the same one every time.
    fn spend(&mut self) -> Result<(), Halt> {
        if self.events >= MAX_EVENTS {
            return self.cut();
        }
        self.events += 1;
        Ok(())
    }

    /// Records a leaf and tells which of its samples to offer.
    fn leaf(
        &mut self,
        place: Place,
        request: u128,
        visitor: &str,
        samples: usize,
    ) -> Result<(NodeId, usize), Halt> {
        self.spend()?;
        let (leaf, sample) = self.graph.leaf((place.node, place.slot), request, visitor, samples);
        self.graph.link(place.node, place.slot, leaf);
        self.leaves += 1;
        self.last_leaf = Some(leaf);
        Ok((leaf, sample))
    }

    /// Records a container, chooses among its alternatives, and lets `fill`
    /// produce the value for the one that was chosen.
    fn container<T>(
        &mut self,
        place: Place,
        request: u128,
        visitor: &str,
        alternatives: Alternatives,
        fill: impl FnOnce(&mut Walk, NodeId, Option<u32>) -> Result<T, Halt>,
    ) -> Result<T, Halt> {
        self.spend()?;
        let node = self.graph.container(request, visitor, alternatives);
        self.graph.link(place.node, place.slot, node);
        if self.depth >= MAX_DEPTH {
            return self.cut();
        }
        // Whatever a recursion leads to is also reached without it, and there
        // it gets explored; here it only has to end.
        let reentered = self.graph.is_reentered(node);
        let short = reentered || self.reentries > 0 || self.depth >= SHORT_DEPTH;
        let choice = self.graph.choose(node, short, self.route);
        if choice.is_none() && matches!(alternatives, Alternatives::OneOf(_)) {
            return self.cut();
        }

        self.depth += 1;
        self.reentries += u32::from(reentered);
        self.graph.begin(node, choice);
        let leaves = self.leaves;
        let value = fill(self, node, choice);
        self.settle(leaves, value.is_err());
        self.graph.end(node, choice, self.outcome(value.is_ok()));
        self.reentries -= u32::from(reentered);
        self.depth -= 1;
        value
    }

    fn outcome(&self, success: bool) -> Outcome {
        match self.fault {
            _ if success => Outcome::Done,
            Fault::Retry => Outcome::Unsettled,
            Fault::Cut => Outcome::Deferred,
            Fault::None | Fault::Final => Outcome::Failed,
        }
    }
}

/// The shape that `find` finds, worked out once. Functions that the linker merged are the
/// same code over the same names, so they find the same.
///
/// `find` runs the type's own `Deserialize` on made-up values. Where that panics, nothing
/// is known of the type, and only a format that describes itself may hold it.
pub(crate) fn remembered(find: fn() -> Shape) -> Shape {
    type Known = RwLock<HashMap<fn() -> Shape, Shape>>;
    static KNOWN: LazyLock<Known> = LazyLock::new(Known::default);
    const UNKNOWN: Shape = Shape { fingerprint: 0, self_describing_only: true };
    let known = KNOWN.read().unwrap_or_else(PoisonError::into_inner).get(&find).copied();
    known.unwrap_or_else(|| {
        let shape = catch_unwind(find).unwrap_or(UNKNOWN);
        KNOWN.write().unwrap_or_else(PoisonError::into_inner).insert(find, shape);
        shape
    })
}
