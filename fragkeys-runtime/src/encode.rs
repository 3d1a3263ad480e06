//! Arguments as bytes: an injective encoding of whatever serde shows of them (I4).
//!
//! Each item begins with a mark of its kind and says its own length, so no two
//! different rows of arguments give the same bytes. It is never decoded.
//! Maps keep their order: sorting would make two ordered maps that differ only
//! in order one argument, and that could be a wrong answer. A `HashMap` may
//! therefore miss where a `BTreeMap` hits.

use std::fmt;

use serde::ser::{self, Serialize};

mod buffer;
#[cfg(test)]
mod tests;

pub(crate) use buffer::Buffer;

/// Appends `value` to `bytes`.
pub(crate) fn append<T: Serialize + ?Sized, S: Sink>(
    value: &T,
    bytes: &mut S,
) -> Result<(), Unencodable> {
    value.serialize(&mut Encoder { sink: bytes, is_human_readable: false })
}

/// Appends a text with its length.
pub(crate) fn append_text<S: Sink>(text: &str, bytes: &mut S) {
    bytes.put(&(text.len() as u64).to_le_bytes());
    bytes.put(text.as_bytes());
}

/// Takes a text with its length off the front of bytes.
pub(crate) fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<8>()?;
    let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

/// What of a value some codecs write without complaint and read back as something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pitfalls {
    /// Fields are left out (`skip_serializing_if`): lost where no field names are written.
    pub(crate) skipped_fields: bool,
    /// `Some(None)` or `Some(())`: `None`, where both are written as nothing.
    pub(crate) some_of_nothing: bool,
    /// NaN or an infinity, which JSON has no number for.
    pub(crate) non_finite: bool,
}

/// Walks through a value for its pitfalls, as a format shows it that is readable for people
/// (JSON), or one that is not.
pub(crate) fn pitfalls<T: Serialize + ?Sized>(value: &T, is_human_readable: bool) -> Pitfalls {
    let pitfalls = Pitfalls::default();
    let mut walk = Walk { pitfalls, is_in_some: false, is_human_readable };
    // A value that cannot be serialized is found out by its codec.
    let _ = value.serialize(&mut Encoder { sink: &mut walk, is_human_readable });
    walk.pitfalls
}

/// A value's own `Serialize` refused. It keeps no text: that could hold the value.
#[derive(Debug)]
pub(crate) struct Unencodable;

impl fmt::Display for Unencodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the value's `Serialize` returned an error")
    }
}

impl std::error::Error for Unencodable {}

impl ser::Error for Unencodable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Unencodable
    }
}

/// Where the encoding goes.
pub(crate) trait Sink {
    /// The kind of the item that follows.
    fn mark(&mut self, kind: u8);
    fn put(&mut self, bytes: &[u8]);
    fn skipped_field(&mut self) {}
    fn non_finite(&mut self) {}
}

impl Sink for Vec<u8> {
    fn mark(&mut self, kind: u8) {
        self.push(kind);
    }

    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Keeps nothing but what is noteworthy.
struct Walk {
    pitfalls: Pitfalls,
    is_in_some: bool,
    is_human_readable: bool,
}

impl Sink for Walk {
    fn mark(&mut self, kind: u8) {
        // MessagePack writes a unit struct as an empty row, JSON as nothing.
        let is_nothing =
            matches!(kind, NONE | UNIT) || (kind == UNIT_STRUCT && self.is_human_readable);
        self.pitfalls.some_of_nothing |= self.is_in_some && is_nothing;
        // A newtype is written as what it holds.
        self.is_in_some = kind == SOME || (self.is_in_some && kind == NEWTYPE);
    }

    fn put(&mut self, _: &[u8]) {}

    fn skipped_field(&mut self) {
        self.pitfalls.skipped_fields = true;
    }

    fn non_finite(&mut self) {
        self.pitfalls.non_finite = true;
    }
}

struct Encoder<'a, S> {
    sink: &'a mut S,
    is_human_readable: bool,
}

/// Ends a row of items; no item begins with it.
const END: u8 = 0;
const NONE: u8 = b'n';
const SOME: u8 = b'o';
const UNIT: u8 = b'u';
const UNIT_STRUCT: u8 = b'U';
const NEWTYPE: u8 = b'w';

impl<S: Sink> Encoder<'_, S> {
    fn row(&mut self) -> Row<'_, S> {
        Row(Encoder { sink: self.sink, is_human_readable: self.is_human_readable })
    }

    fn mark(&mut self, kind: u8) {
        self.sink.mark(kind);
    }

    fn fixed(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Unencodable> {
        self.mark(kind);
        self.sink.put(bytes);
        Ok(())
    }

    fn sized(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Unencodable> {
        self.mark(kind);
        self.sink.put(&(bytes.len() as u64).to_le_bytes());
        self.sink.put(bytes);
        Ok(())
    }

    fn variant(&mut self, kind: u8, index: u32, name: &str) -> Result<(), Unencodable> {
        self.fixed(kind, &index.to_le_bytes())?;
        self.sized(b'#', name.as_bytes())
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
        value.serialize(&mut *self)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Unencodable> {
        self.sized(b'.', name.as_bytes())?;
        self.item(value)
    }

    fn end(self) -> Result<(), Unencodable> {
        self.sink.mark(END);
        Ok(())
    }
}

macro_rules! fixed {
    ($($method:ident: $type:ty = $kind:literal),* $(,)?) => {$(
        fn $method(self, value: $type) -> Result<(), Unencodable> {
            self.fixed($kind, &value.to_le_bytes())
        }
    )*};
}

impl<'a, S: Sink> ser::Serializer for &'a mut Encoder<'_, S> {
    type Ok = ();
    type Error = Unencodable;
    type SerializeSeq = Row<'a, S>;
    type SerializeTuple = Row<'a, S>;
    type SerializeTupleStruct = Row<'a, S>;
    type SerializeTupleVariant = Row<'a, S>;
    type SerializeMap = Row<'a, S>;
    type SerializeStruct = Row<'a, S>;
    type SerializeStructVariant = Row<'a, S>;

    fixed! {
        serialize_i8: i8 = b'1', serialize_i16: i16 = b'2', serialize_i32: i32 = b'4',
        serialize_i64: i64 = b'8', serialize_i128: i128 = b'6',
        serialize_u8: u8 = b'a', serialize_u16: u16 = b'b', serialize_u32: u32 = b'd',
        serialize_u64: u64 = b'h', serialize_u128: u128 = b'p',
    }

    fn is_human_readable(&self) -> bool {
        self.is_human_readable
    }

    fn serialize_bool(self, value: bool) -> Result<(), Unencodable> {
        self.fixed(b'?', &[u8::from(value)])
    }

    fn serialize_f32(self, value: f32) -> Result<(), Unencodable> {
        if !value.is_finite() {
            self.sink.non_finite();
        }
        self.fixed(b'f', &value.to_bits().to_le_bytes())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Unencodable> {
        if !value.is_finite() {
            self.sink.non_finite();
        }
        self.fixed(b'F', &value.to_bits().to_le_bytes())
    }

    fn serialize_char(self, value: char) -> Result<(), Unencodable> {
        self.fixed(b'c', &u32::from(value).to_le_bytes())
    }

    fn serialize_str(self, value: &str) -> Result<(), Unencodable> {
        self.sized(b's', value.as_bytes())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Unencodable> {
        self.sized(b'y', value)
    }

    fn serialize_none(self) -> Result<(), Unencodable> {
        self.fixed(NONE, &[])
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Unencodable> {
        self.mark(SOME);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Unencodable> {
        self.fixed(UNIT, &[])
    }

    fn serialize_unit_struct(self, name: &'static str) -> Result<(), Unencodable> {
        self.sized(UNIT_STRUCT, name.as_bytes())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
    ) -> Result<(), Unencodable> {
        self.variant(b'v', index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Unencodable> {
        self.mark(NEWTYPE);
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Unencodable> {
        self.variant(b'W', index, variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Row<'a, S>, Unencodable> {
        self.mark(b'[');
        Ok(self.row())
    }

    fn serialize_tuple(self, _: usize) -> Result<Row<'a, S>, Unencodable> {
        self.mark(b'(');
        Ok(self.row())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Row<'a, S>, Unencodable> {
        self.mark(b'T');
        Ok(self.row())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Row<'a, S>, Unencodable> {
        self.variant(b'V', index, variant)?;
        Ok(self.row())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Row<'a, S>, Unencodable> {
        self.mark(b'm');
        Ok(self.row())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Row<'a, S>, Unencodable> {
        self.mark(b'{');
        Ok(self.row())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        index: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Row<'a, S>, Unencodable> {
        self.variant(b'}', index, variant)?;
        Ok(self.row())
    }
}

/// The items of anything that has several.
struct Row<'a, S>(Encoder<'a, S>);

macro_rules! row_of_items {
    ($($trait:ident :: $method:ident),* $(,)?) => {$(
        impl<S: Sink> ser::$trait for Row<'_, S> {
            type Ok = ();
            type Error = Unencodable;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
                self.0.item(value)
            }

            fn end(self) -> Result<(), Unencodable> {
                self.0.end()
            }
        }
    )*};
}

macro_rules! row_of_fields {
    ($($trait:ident),* $(,)?) => {$(
        impl<S: Sink> ser::$trait for Row<'_, S> {
            type Ok = ();
            type Error = Unencodable;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Unencodable> {
                self.0.field(name, value)
            }

            fn skip_field(&mut self, _: &'static str) -> Result<(), Unencodable> {
                self.0.sink.skipped_field();
                Ok(())
            }

            fn end(self) -> Result<(), Unencodable> {
                self.0.end()
            }
        }
    )*};
}

row_of_items! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

row_of_fields! { SerializeStruct, SerializeStructVariant }

impl<S: Sink> ser::SerializeMap for Row<'_, S> {
    type Ok = ();
    type Error = Unencodable;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Unencodable> {
        self.0.item(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Unencodable> {
        self.0.item(value)
    }

    fn end(self) -> Result<(), Unencodable> {
        self.0.end()
    }
}
