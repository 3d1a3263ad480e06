//! Limits on what hostile or damaged input can make a deserializer do.
//!
//! Compact binary formats trust their input in two ways that cost the reader
//! far more than the writer: a recursive type nests as deep as the input says,
//! until the stack overflows and the process aborts, and a sequence of values
//! without content (`Vec<()>`) has as many elements as the input claims. The
//! wrapper here stands between a type and any `Deserializer` and ends both.
//!
//! What this module refuses to do:
//! * nest deeper than [`Limits::max_depth`];
//! * yield more sequence and map elements than [`Limits::max_elements`];
//! * pass on a size hint that would make a collection reserve much memory;
//! * put anything about the input into its errors.
//!
//! It does not limit the length of a single string or byte buffer. It asks the
//! format to lend them, so one that reads from a slice checks their length
//! against the input; one that reads from a stream needs a limit of its own.

#[cfg(test)]
mod tests;
mod visit;

use std::cell::Cell;
use std::marker::PhantomData;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, Visitor};

use visit::Watch;

/// Levels of nesting that [`Limits::DEFAULT`] allows.
const MAX_DEPTH: u32 = 128;
/// Elements [`Limits::for_input`] allows on top of one per byte, for honest
/// values with elements that take no bytes.
const FREE_ELEMENTS: u64 = 1 << 16;
/// The largest size hint passed on.
const MAX_SIZE_HINT: usize = 4096;

/// How much a value may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Levels of nesting: sequences, maps, tuples, structs, present options,
    /// newtype structs, enums, and the fields of an enum's variant count as
    /// one level each.
    pub(crate) max_depth: u32,
    /// Elements of all sequences and entries of all maps together. Fields of
    /// structs and tuples do not count, as the input has no say in them.
    pub(crate) max_elements: u64,
}

impl Limits {
    /// For input of a known length in a format where an element with any
    /// content takes at least one byte: never rejects what was honestly
    /// written, unless it nests too deep or has more than
    /// [`FREE_ELEMENTS`] elements without content.
    pub(crate) fn for_input(bytes: usize) -> Limits {
        Limits { max_depth: MAX_DEPTH, max_elements: FREE_ELEMENTS.saturating_add(bytes as u64) }
    }
}

/// Deserializes a `T` from `inner` within `limits`.
#[cfg(any(test, feature = "msgpack"))]
pub(crate) fn guarded<'de, T, D>(inner: D, limits: Limits) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    GuardedSeed::<T>::new(limits).deserialize(inner)
}

/// Deserializes a `T` within limits known at run time, where a format takes a
/// seed.
pub(crate) struct GuardedSeed<T> {
    limits: Limits,
    value: PhantomData<fn() -> T>,
}

impl<T> GuardedSeed<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        GuardedSeed { limits, value: PhantomData }
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for GuardedSeed<T> {
    type Value = T;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T, D::Error> {
        let elements = Cell::new(self.limits.max_elements);
        let level = Level { depth: self.limits.max_depth, elements: &elements };
        T::deserialize(Guard { inner, level })
    }
}

/// What is left of the limits: depth for this branch, elements for all.
#[derive(Clone, Copy)]
struct Level<'b> {
    depth: u32,
    elements: &'b Cell<u64>,
}

impl Level<'_> {
    /// The level below this one.
    #[inline]
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Level { depth, ..self }),
            None => Err(E::custom("value is nested too deeply")),
        }
    }

    #[inline]
    fn take_element<E: Error>(self) -> Result<(), E> {
        match self.elements.get().checked_sub(1) {
            Some(left) => {
                self.elements.set(left);
                Ok(())
            }
            None => Err(E::custom("value has too many elements")),
        }
    }

    #[inline]
    fn cap_hint(self, hint: Option<usize>, counted: bool) -> Option<usize> {
        let left = match counted {
            true => usize::try_from(self.elements.get()).unwrap_or(usize::MAX),
            false => usize::MAX,
        };
        hint.map(|hint| hint.min(left).min(MAX_SIZE_HINT))
    }
}

/// Forwards every request, with the visitor being watched.
struct Guard<'b, D> {
    inner: D,
    level: Level<'b>,
}

macro_rules! forward {
    ($($method:ident $(($($arg:ident: $type:ty),*))? => $inner:ident, $watch:ident;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(
            self,
            $($($arg: $type,)*)?
            visitor: V,
        ) -> Result<V::Value, D::Error> {
            self.inner.$inner($($($arg,)*)? Watch::$watch(visitor, self.level))
        }
    )*};
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Guard<'_, D> {
    type Error = D::Error;

    forward! {
        deserialize_any => deserialize_any, counting;
        deserialize_bool => deserialize_bool, counting;
        deserialize_i8 => deserialize_i8, counting;
        deserialize_i16 => deserialize_i16, counting;
        deserialize_i32 => deserialize_i32, counting;
        deserialize_i64 => deserialize_i64, counting;
        deserialize_i128 => deserialize_i128, counting;
        deserialize_u8 => deserialize_u8, counting;
        deserialize_u16 => deserialize_u16, counting;
        deserialize_u32 => deserialize_u32, counting;
        deserialize_u64 => deserialize_u64, counting;
        deserialize_u128 => deserialize_u128, counting;
        deserialize_f32 => deserialize_f32, counting;
        deserialize_f64 => deserialize_f64, counting;
        deserialize_char => deserialize_char, counting;
        deserialize_str => deserialize_str, counting;
        // A format asked for an owned buffer may reserve what the input claims
        // to need before it looks how much input there is.
        deserialize_string => deserialize_str, owning;
        deserialize_bytes => deserialize_bytes, counting;
        deserialize_byte_buf => deserialize_bytes, owning;
        deserialize_option => deserialize_option, counting;
        deserialize_unit => deserialize_unit, counting;
        deserialize_unit_struct(name: &'static str) => deserialize_unit_struct, counting;
        deserialize_newtype_struct(name: &'static str) => deserialize_newtype_struct, counting;
        deserialize_seq => deserialize_seq, counting;
        deserialize_tuple(len: usize) => deserialize_tuple, fixed;
        deserialize_tuple_struct(name: &'static str, len: usize)
            => deserialize_tuple_struct, fixed;
        deserialize_map => deserialize_map, counting;
        deserialize_struct(name: &'static str, fields: &'static [&'static str])
            => deserialize_struct, fixed;
        deserialize_enum(name: &'static str, variants: &'static [&'static str])
            => deserialize_enum, counting;
        deserialize_identifier => deserialize_identifier, counting;
        deserialize_ignored_any => deserialize_ignored_any, counting;
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}
