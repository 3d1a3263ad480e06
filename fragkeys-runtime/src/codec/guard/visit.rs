//! The visitor, accesses and seeds through which nested values stay guarded.
//!
//! Every way from a format back into a type leads through one of these. Levels
//! are counted where a format turns out to have something nested, and elements
//! where it hands over one that exists.

use std::fmt;

use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::{Guard, Level};

/// Passes on what a format found, with anything nested in it guarded.
pub(super) struct Watch<'b, V> {
    visitor: V,
    level: Level<'b>,
    /// The input, not the type, decides how many elements there are.
    counted: bool,
    /// The type asked for an owned buffer, and is to get one.
    owning: bool,
}

impl<'b, V> Watch<'b, V> {
    pub(super) fn counting(visitor: V, level: Level<'b>) -> Self {
        Watch { visitor, level, counted: true, owning: false }
    }

    pub(super) fn fixed(visitor: V, level: Level<'b>) -> Self {
        Watch { counted: false, ..Watch::counting(visitor, level) }
    }

    pub(super) fn owning(visitor: V, level: Level<'b>) -> Self {
        Watch { owning: true, ..Watch::counting(visitor, level) }
    }
}

macro_rules! forward_visits {
    ($($method:ident($($arg:ident: $type:ty)?);)*) => {$(
        #[inline]
        fn $method<E: Error>(self, $($arg: $type)?) -> Result<V::Value, E> {
            self.visitor.$method($($arg)?)
        }
    )*};
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watch<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    forward_visits! {
        visit_bool(value: bool);
        visit_i8(value: i8);
        visit_i16(value: i16);
        visit_i32(value: i32);
        visit_i64(value: i64);
        visit_i128(value: i128);
        visit_u8(value: u8);
        visit_u16(value: u16);
        visit_u32(value: u32);
        visit_u64(value: u64);
        visit_u128(value: u128);
        visit_f32(value: f32);
        visit_f64(value: f64);
        visit_char(value: char);
        visit_string(value: String);
        visit_byte_buf(value: Vec<u8>);
        visit_none();
        visit_unit();
    }

    #[inline]
    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        match self.owning {
            true => self.visitor.visit_string(value.to_owned()),
            false => self.visitor.visit_str(value),
        }
    }

    #[inline]
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        match self.owning {
            true => self.visitor.visit_string(value.to_owned()),
            false => self.visitor.visit_borrowed_str(value),
        }
    }

    #[inline]
    fn visit_bytes<E: Error>(self, value: &[u8]) -> Result<V::Value, E> {
        match self.owning {
            true => self.visitor.visit_byte_buf(value.to_owned()),
            false => self.visitor.visit_bytes(value),
        }
    }

    #[inline]
    fn visit_borrowed_bytes<E: Error>(self, value: &'de [u8]) -> Result<V::Value, E> {
        match self.owning {
            true => self.visitor.visit_byte_buf(value.to_owned()),
            false => self.visitor.visit_borrowed_bytes(value),
        }
    }

    #[inline]
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let level = self.level.deeper()?;
        self.visitor.visit_some(Guard { inner, level })
    }

    #[inline]
    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        let level = self.level.deeper()?;
        self.visitor.visit_newtype_struct(Guard { inner, level })
    }

    #[inline]
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let level = self.level.deeper()?;
        let counted = self.counted;
        self.visitor.visit_seq(Access { inner, level, counted })
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let level = self.level.deeper()?;
        let counted = true;
        self.visitor.visit_map(Access { inner, level, counted })
    }

    #[inline]
    fn visit_enum<A: EnumAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let level = self.level.deeper()?;
        self.visitor.visit_enum(Guard { inner, level })
    }
}

/// Carries the level into the next nested value.
struct Seed<'b, S> {
    seed: S,
    level: Level<'b>,
    counted: bool,
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, S> {
    type Value = S::Value;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        if self.counted {
            self.level.take_element()?;
        }
        let level = self.level;
        self.seed.deserialize(Guard { inner, level })
    }
}

/// The elements of a sequence or the entries of a map.
struct Access<'b, A> {
    inner: A,
    level: Level<'b>,
    counted: bool,
}

impl<'b, A> Access<'b, A> {
    #[inline]
    fn seed<S>(&self, seed: S, counted: bool) -> Seed<'b, S> {
        Seed { seed, level: self.level, counted }
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.seed(seed, self.counted);
        self.inner.next_element_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.level.cap_hint(self.inner.size_hint(), self.counted)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Access<'_, A> {
    type Error = A::Error;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        let seed = self.seed(seed, self.counted);
        self.inner.next_key_seed(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        let seed = self.seed(seed, false);
        self.inner.next_value_seed(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.level.cap_hint(self.inner.size_hint(), self.counted)
    }
}

impl<'de, 'b, A: EnumAccess<'de>> EnumAccess<'de> for Guard<'b, A> {
    type Error = A::Error;
    type Variant = Guard<'b, A::Variant>;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Self::Variant), A::Error> {
        let level = self.level;
        let counted = false;
        let (value, inner) = self.inner.variant_seed(Seed { seed, level, counted })?;
        Ok((value, Guard { inner, level }))
    }
}

impl<'de, A: VariantAccess<'de>> VariantAccess<'de> for Guard<'_, A> {
    type Error = A::Error;

    #[inline]
    fn unit_variant(self) -> Result<(), A::Error> {
        self.inner.unit_variant()
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, A::Error> {
        let level = self.level;
        let counted = false;
        self.inner.newtype_variant_seed(Seed { seed, level, counted })
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, A::Error> {
        let watch = Watch::fixed(visitor, self.level);
        self.inner.tuple_variant(len, watch)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        let watch = Watch::fixed(visitor, self.level);
        self.inner.struct_variant(fields, watch)
    }
}
