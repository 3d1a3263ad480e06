//! What a batch is about: its elements, and the map that its function returns.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use serde::Serialize;

use crate::codec::ChosenCodec;
use crate::encode::{self, Buffer};
use crate::value::{Cacheable, Fallible, Ops, Unboxed, ValueOf, Whole};

/// What a function under `#[tagged_cache(batch)]` returns: a map from element to value.
///
/// Implemented for `HashMap` and `BTreeMap`. For another map, implement it in your crate:
///
/// ```
/// # use fragkeys_runtime::BatchMap;
/// #[derive(Default)]
/// struct Users(Vec<(u64, String)>);
///
/// impl BatchMap for Users {
///     type Key = u64;
///     type Value = String;
///
///     fn get(&self, key: &u64) -> Option<&String> {
///         self.0.iter().find(|(id, _)| id == key).map(|(_, name)| name)
///     }
///
///     fn insert(&mut self, key: u64, value: String) {
///         self.0.push((key, value));
///     }
/// }
/// ```
///
/// Its `Default` is the empty map.
pub trait BatchMap: Default {
    /// What a value is asked for by: the batch's element.
    type Key;
    /// What each entry holds.
    type Value;

    /// The value of an element, if the function gave one.
    fn get(&self, key: &Self::Key) -> Option<&Self::Value>;

    /// Adds the value of an element that the map has none for.
    fn insert(&mut self, key: Self::Key, value: Self::Value);
}

#[diagnostic::do_not_recommend]
impl<K: Eq + Hash, V, S: BuildHasher + Default> BatchMap for HashMap<K, V, S> {
    type Key = K;
    type Value = V;

    fn get(&self, key: &K) -> Option<&V> {
        HashMap::get(self, key)
    }

    fn insert(&mut self, key: K, value: V) {
        HashMap::insert(self, key, value);
    }
}

#[diagnostic::do_not_recommend]
impl<K: Ord, V> BatchMap for BTreeMap<K, V> {
    type Key = K;
    type Value = V;

    fn get(&self, key: &K) -> Option<&V> {
        BTreeMap::get(self, key)
    }

    fn insert(&mut self, key: K, value: V) {
        BTreeMap::insert(self, key, value);
    }
}

/// Maps that a batch of `K` can return. (A type of their values that is asked for by its name would
/// keep the compiler from saying this about what is no map.)
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "a batch of `{K}` cannot return `{Self}`",
    label = "not a map from `{K}` to a value",
    note = "return `HashMap<{K}, V>` or `BTreeMap<{K}, V>` with the value of each element that was found, or a `Result` of it",
    note = "what a `HashMap` is asked for by is `Eq + Hash`, in a `BTreeMap` it is `Ord`; for another map, implement `fragkeys::BatchMap`"
)]
pub trait BatchOf<K, V>: BatchMap<Key = K, Value = V> {}

#[diagnostic::do_not_recommend]
impl<K, V, M: BatchMap<Key = K, Value = V>> BatchOf<K, V> for M {}

/// Elements of a batch.
#[doc(hidden)]
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an element of a batch",
    label = "each of these has an entry of its own",
    note = "an element is a part of its entry's key, and the function gets it cloned: implement `Clone`, `Eq` and `serde::Serialize` for it"
)]
pub trait BatchElement: Clone + Eq + Serialize {}

#[diagnostic::do_not_recommend]
impl<K: Clone + Eq + Serialize> BatchElement for K {}

/// What can be done with an element, chosen where its type is known, as [`Ops`] are.
pub(crate) struct ElementOps<K> {
    /// Appends it to the bytes of an identity; `false` if its `Serialize` fails.
    pub(crate) encode: fn(&K, &mut Buffer) -> bool,
    pub(crate) is_same: fn(&K, &K) -> bool,
    pub(crate) clone: fn(&K) -> K,
}

/// The elements that a batch was called with.
#[doc(hidden)]
pub struct Elements<'a, K> {
    pub(crate) all: &'a [K],
    pub(crate) ops: ElementOps<K>,
}

impl<K> Clone for ElementOps<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for ElementOps<K> {}

impl<'a, K> Elements<'a, K> {
    pub fn of(all: &'a [K]) -> Self
    where
        K: BatchElement,
    {
        let ops = ElementOps {
            encode: |element, bytes| encode::append(element, bytes).is_ok(),
            is_same: K::eq,
            clone: K::clone,
        };
        Elements { all, ops }
    }
}

/// How to get from a function's output `R` to the map `M` in it, from that to the values `V` of
/// elements `K`, and back.
#[doc(hidden)]
pub struct BatchPlan<R, M, K, V> {
    /// The map, or the output that has none.
    pub(crate) split: fn(R) -> Result<M, R>,
    pub(crate) join: fn(M) -> R,
    /// An output out of its box, if its type can be told apart from others.
    pub(crate) take: Option<Unboxed<R>>,
    pub(crate) map: MapOps<M, K, V>,
    pub(crate) ops: Ops<V>,
}

pub(crate) struct MapOps<M, K, V> {
    pub(crate) empty: fn() -> M,
    pub(crate) get: for<'a> fn(&'a M, &K) -> Option<&'a V>,
    pub(crate) insert: fn(&mut M, K, V),
}

impl<M, K, V> MapOps<M, K, V> {
    fn new() -> Self
    where
        M: BatchMap<Key = K, Value = V>,
    {
        MapOps { empty: M::default, get: M::get, insert: M::insert }
    }
}

impl<R> Whole<R> {
    pub fn batched<C, K, V>(self) -> BatchPlan<R, R, K, V>
    where
        C: ChosenCodec,
        R: BatchOf<K, V>,
        V: Cacheable,
    {
        BatchPlan {
            split: Ok,
            join: |map| map,
            take: None,
            map: MapOps::new(),
            ops: Ops::new::<C>(),
        }
    }
}

impl<M, E> Fallible<M, E> {
    pub fn batched<C, K, V>(self) -> BatchPlan<Result<M, E>, M, K, V>
    where
        C: ChosenCodec,
        M: BatchOf<K, V>,
        V: Cacheable,
    {
        let split = |output: Result<M, E>| output.map_err(Err);
        BatchPlan { split, join: Ok, take: None, map: MapOps::new(), ops: Ops::new::<C>() }
    }
}

impl<M> Whole<M> {
    /// The values in the map, for what is said of them.
    pub fn value_in_map(&self) -> ValueOf<M::Value>
    where
        M: BatchMap,
    {
        ValueOf::new()
    }
}

impl<M, E> Fallible<M, E> {
    pub fn value_in_map(&self) -> ValueOf<M::Value>
    where
        M: BatchMap,
    {
        ValueOf::new()
    }
}

impl<R, M, K, V> BatchPlan<R, M, K, V> {
    pub fn primable(mut self) -> Self
    where
        R: 'static,
    {
        self.take = Some(|offer| offer.downcast().ok().map(|output| *output));
        self
    }
}
