//! The `Deserializer` that records each request and answers with a sample.
//!
//! It answers the way a compact binary format does: structs are sequences of
//! their fields, variants are numbers, nothing is human readable. It does not
//! look at the values a type builds from the answers.

use serde::de::{Deserializer, Visitor};
use xxhash_rust::xxh3::xxh3_128;

use super::access::{Elements, Entry, Variant};
use super::graph::{Alternatives, NodeId};
use super::{Halt, Place, Walk};

/// What text may have to look like; the plain ones come first.
const STRINGS: [&str; 22] = [
    "",
    "1",
    "a",
    "1970-01-01T00:00:00Z",
    "1970-01-01",
    "00:00:00",
    "1970-01-01T00:00:00",
    "00000000-0000-0000-0000-000000000000",
    "127.0.0.1",
    "::1",
    "127.0.0.1:80",
    "1.0.0",
    "http://a.example/",
    "a@a.example",
    "UTC",
    "January",
    "Monday",
    "true",
    "en",
    "EUR",
    "1s",
    "00000000000000000000000000000000",
];

/// Lengths that binary identifiers, digests and keys have, after the empty one.
const BYTES: [&[u8]; 10] =
    [&[], &[0; 16], &[0; 1], &[0; 4], &[0; 8], &[0; 12], &[0; 20], &[0; 24], &[0; 32], &[0; 64]];

#[derive(Clone, Copy)]
enum AnyValue {
    Unit,
    Number(u64),
    Text(&'static str),
    Flag(bool),
}

const ANY: [AnyValue; 4] =
    [AnyValue::Unit, AnyValue::Number(1), AnyValue::Text("1"), AnyValue::Flag(true)];

/// The kinds of requests. The numbers are part of every fingerprint.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(super) enum Kind {
    Bool = 1,
    I8 = 2,
    I16 = 3,
    I32 = 4,
    I64 = 5,
    I128 = 6,
    U8 = 7,
    U16 = 8,
    U32 = 9,
    U64 = 10,
    U128 = 11,
    F32 = 12,
    F64 = 13,
    Char = 14,
    Str = 15,
    String = 16,
    Bytes = 17,
    ByteBuf = 18,
    Unit = 19,
    UnitStruct = 20,
    Any = 21,
    IgnoredAny = 22,
    Identifier = 23,
    Option = 24,
    Seq = 25,
    Map = 26,
    NewtypeStruct = 27,
    Tuple = 28,
    TupleStruct = 29,
    Struct = 30,
    Enum = 31,
    UnitVariant = 32,
    NewtypeVariant = 33,
    TupleVariant = 34,
    StructVariant = 35,
}

/// Hashes a request. Lengths go before what they measure, so that no two
/// requests are written alike.
pub(super) fn request(kind: Kind, name: &str, len: usize, entries: &[&str]) -> u128 {
    let mut bytes = Vec::with_capacity(64);
    bytes.push(kind as u8);
    bytes.extend((len as u64).to_le_bytes());
    bytes.extend((entries.len() as u64).to_le_bytes());
    for text in std::iter::once(&name).chain(entries) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    xxh3_128(&bytes)
}

/// Answers the request for one value.
pub(super) struct Probe<'w> {
    walk: &'w mut Walk,
    place: Place,
}

impl<'w> Probe<'w> {
    pub(super) fn new(walk: &'w mut Walk, place: Place) -> Self {
        Probe { walk, place }
    }

    fn leaf<'de, V: Visitor<'de>, S: Copy>(
        self,
        request: u128,
        samples: &[S],
        visitor: V,
        visit: impl FnOnce(V, S) -> Result<V::Value, Halt>,
    ) -> Result<V::Value, Halt> {
        let visitor_name = std::any::type_name::<V>();
        let (leaf, sample) = self.walk.leaf(self.place, request, visitor_name, samples.len())?;
        let Some(sample) = samples.get(sample) else {
            return Err(Halt);
        };
        let value = visit(visitor, *sample);
        if value.is_err() {
            self.walk.graph.visitor_refused(leaf);
        }
        value
    }

    fn container<'de, V: Visitor<'de>>(
        self,
        request: u128,
        alternatives: Alternatives,
        visitor: V,
        fill: impl FnOnce(V, &mut Walk, NodeId, Option<u32>) -> Result<V::Value, Halt>,
    ) -> Result<V::Value, Halt> {
        let visitor_name = std::any::type_name::<V>();
        self.walk.container(
            self.place,
            request,
            visitor_name,
            alternatives,
            |walk, node, choice| fill(visitor, walk, node, choice),
        )
    }

    /// A container of a fixed number of values in order.
    fn elements<'de, V: Visitor<'de>>(
        self,
        request: u128,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Halt> {
        self.container(request, Alternatives::Fixed, visitor, |v, walk, node, _| {
            v.visit_seq(Elements::new(walk, node, len))
        })
    }
}

macro_rules! leaves {
    ($($method:ident, $visit:ident, $kind:ident, $samples:expr;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
            let request = request(Kind::$kind, "", 0, &[]);
            self.leaf(request, &$samples, visitor, |v, sample| v.$visit(sample))
        }
    )*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Halt;

    // One comes before zero, for the sake of the types that exclude zero.
    leaves! {
        deserialize_bool, visit_bool, Bool, [true, false];
        deserialize_i8, visit_i8, I8, [1, 0, 2, 10, 100];
        deserialize_i16, visit_i16, I16, [1, 0, 2, 10, 100];
        deserialize_i32, visit_i32, I32, [1, 0, 2, 10, 100];
        deserialize_i64, visit_i64, I64, [1, 0, 2, 10, 100];
        deserialize_i128, visit_i128, I128, [1, 0, 2, 10, 100];
        deserialize_u8, visit_u8, U8, [1, 0, 2, 10, 100];
        deserialize_u16, visit_u16, U16, [1, 0, 2, 10, 100];
        deserialize_u32, visit_u32, U32, [1, 0, 2, 10, 100];
        deserialize_u64, visit_u64, U64, [1, 0, 2, 10, 100];
        deserialize_u128, visit_u128, U128, [1, 0, 2, 10, 100];
        deserialize_f32, visit_f32, F32, [1.0, 0.0, 0.5];
        deserialize_f64, visit_f64, F64, [1.0, 0.0, 0.5];
        deserialize_char, visit_char, Char, ['a', '0', 'A'];
        deserialize_str, visit_borrowed_str, Str, STRINGS;
        deserialize_string, visit_borrowed_str, String, STRINGS;
        deserialize_bytes, visit_borrowed_bytes, Bytes, BYTES;
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let request = request(Kind::ByteBuf, "", 0, &[]);
        self.leaf(request, &BYTES, visitor, |v, sample| v.visit_byte_buf(sample.to_vec()))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let request = request(Kind::Unit, "", 0, &[]);
        self.leaf(request, &[()], visitor, |v, ()| v.visit_unit())
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let request = request(Kind::UnitStruct, name, 0, &[]);
        self.leaf(request, &[()], visitor, |v, ()| v.visit_unit())
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        self.walk.needs_description = true;
        let request = request(Kind::Any, "", 0, &[]);
        self.leaf(request, &ANY, visitor, |v, sample| match sample {
            AnyValue::Unit => v.visit_unit(),
            AnyValue::Number(number) => v.visit_u64(number),
            AnyValue::Text(text) => v.visit_borrowed_str(text),
            AnyValue::Flag(flag) => v.visit_bool(flag),
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let request = request(Kind::IgnoredAny, "", 0, &[]);
        self.leaf(request, &[()], visitor, |v, ()| v.visit_unit())
    }

    /// Asked for by types that look at the names of fields themselves, as they
    /// do to flatten or to read a tag. Compact formats have no names to give.
    /// One that the type does not know leads to what it does with the rest.
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        self.walk.needs_description = true;
        let request = request(Kind::Identifier, "", 0, &[]);
        let samples = [AnyValue::Text(""), AnyValue::Number(0)];
        self.leaf(request, &samples, visitor, |v, sample| match sample {
            AnyValue::Number(number) => v.visit_u64(number),
            AnyValue::Text(text) => v.visit_borrowed_str(text),
            AnyValue::Unit | AnyValue::Flag(_) => Err(Halt),
        })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let request = request(Kind::Option, "", 0, &[]);
        self.container(request, Alternatives::MayBeEmpty, visitor, |v, walk, node, choice| {
            match choice {
                Some(slot) => v.visit_some(Probe::new(walk, Place { node, slot })),
                None => v.visit_none(),
            }
        })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let request = request(Kind::Seq, "", 0, &[]);
        self.container(request, Alternatives::MayBeEmpty, visitor, |v, walk, node, choice| {
            v.visit_seq(Elements::new(walk, node, usize::from(choice.is_some())))
        })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Halt> {
        let request = request(Kind::Map, "", 0, &[]);
        self.container(request, Alternatives::MayBeEmpty, visitor, |v, walk, node, choice| {
            let more = choice.is_some();
            v.visit_map(Entry::new(walk, node, more))
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let request = request(Kind::NewtypeStruct, name, 0, &[]);
        self.container(request, Alternatives::Fixed, visitor, |v, walk, node, _| {
            v.visit_newtype_struct(Probe::new(walk, Place { node, slot: 0 }))
        })
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Halt> {
        self.elements(request(Kind::Tuple, "", len, &[]), len, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Halt> {
        self.elements(request(Kind::TupleStruct, name, len, &[]), len, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let request = request(Kind::Struct, name, 0, fields);
        self.elements(request, fields.len(), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Halt> {
        let request = request(Kind::Enum, name, 0, variants);
        let count = u32::try_from(variants.len()).unwrap_or(u32::MAX).max(1);
        self.container(request, Alternatives::OneOf(count), visitor, |v, walk, node, choice| {
            v.visit_enum(Variant::new(walk, node, choice.unwrap_or(0)))
        })
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
