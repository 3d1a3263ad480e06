//! How the recorder hands out the parts of a container.
//!
//! Sequences and maps have one element at most: more would say nothing new.

use serde::de::value::U32Deserializer;
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::graph::NodeId;
use super::probe::{Kind, request};
use super::{Halt, Place, Walk};

/// The values of a sequence, tuple or struct.
pub(super) struct Elements<'w> {
    walk: &'w mut Walk,
    node: NodeId,
    next: u32,
    left: usize,
}

impl<'w> Elements<'w> {
    pub(super) fn new(walk: &'w mut Walk, node: NodeId, left: usize) -> Self {
        Elements { walk, node, next: 0, left }
    }
}

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Halt;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Halt> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let (node, slot) = (self.node, self.next);
        self.next = slot.saturating_add(1);
        self.walk.child(Place { node, slot }, seed).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The only entry of a map.
pub(super) struct Entry<'w> {
    walk: &'w mut Walk,
    node: NodeId,
    more: bool,
}

impl<'w> Entry<'w> {
    pub(super) fn new(walk: &'w mut Walk, node: NodeId, more: bool) -> Self {
        Entry { walk, node, more }
    }
}

impl<'de> MapAccess<'de> for Entry<'_> {
    type Error = Halt;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Halt> {
        if !std::mem::take(&mut self.more) {
            return Ok(None);
        }
        let node = self.node;
        self.walk.child(Place { node, slot: 0 }, seed).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Halt> {
        let node = self.node;
        self.walk.child(Place { node, slot: 1 }, seed)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(usize::from(self.more))
    }
}

/// The chosen variant of an enum.
pub(super) struct Variant<'w> {
    walk: &'w mut Walk,
    node: NodeId,
    index: u32,
}

impl<'w> Variant<'w> {
    pub(super) fn new(walk: &'w mut Walk, node: NodeId, index: u32) -> Self {
        Variant { walk, node, index }
    }

    /// Records what kind of variant it turned out to be.
    fn payload(&mut self, kind: Kind, len: usize, fields: &[&str]) -> NodeId {
        let request = request(kind, "", len, fields);
        let payload = self.walk.graph.payload(self.node, self.index, request);
        self.walk.graph.link(self.node, self.index, payload);
        payload
    }
}

impl<'de> EnumAccess<'de> for Variant<'_> {
    type Error = Halt;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Halt> {
        let index: U32Deserializer<Halt> = self.index.into_deserializer();
        Ok((seed.deserialize(index)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'_> {
    type Error = Halt;

    fn unit_variant(mut self) -> Result<(), Halt> {
        self.payload(Kind::UnitVariant, 0, &[]);
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(mut self, seed: T) -> Result<T::Value, Halt> {
        let node = self.payload(Kind::NewtypeVariant, 0, &[]);
        self.walk.child(Place { node, slot: 0 }, seed)
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, len: usize, visitor: V) -> Result<V::Value, Halt> {
        let node = self.payload(Kind::TupleVariant, len, &[]);
        visitor.visit_seq(Elements::new(self.walk, node, len))
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let node = self.payload(Kind::StructVariant, 0, fields);
        visitor.visit_seq(Elements::new(self.walk, node, fields.len()))
    }
}
