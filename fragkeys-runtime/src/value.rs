//! What of a function's output is cached, and how it becomes bytes.
//!
//! The macro knows the output's type only as tokens, and `Result` may be shadowed or
//! aliased. So the choice is made by types: [`Returns::output`] is an inherent method for
//! a `Result` and a trait's for all else, and the inherent one wins.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{ChosenCodec, CodecError, Format, OfCache};
use crate::encode;
use crate::shape::{Shape, remembered, shape_of};

/// A function that returns `R`.
pub struct Returns<R>(PhantomData<fn() -> R>);

/// All of `R` is the value.
pub struct Whole<R>(PhantomData<fn() -> R>);

/// `Ok` holds the value; an `Err` is not cached.
pub struct Fallible<T, E>(PhantomData<fn() -> (T, E)>);

impl<R> Returns<R> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Returns(PhantomData)
    }
}

impl<T, E> Returns<Result<T, E>> {
    pub fn output(self) -> Fallible<T, E> {
        Fallible(PhantomData)
    }
}

/// Reached only where `Returns` is not about a `Result`.
pub trait OutputOfAnythingElse {
    type Output;
    fn output(self) -> Whole<Self::Output>;
}

impl<R> OutputOfAnythingElse for Returns<R> {
    type Output = R;

    fn output(self) -> Whole<R> {
        Whole(PhantomData)
    }
}

impl<R> Whole<R> {
    pub fn coded<C, Via>(self) -> Plan<R, R>
    where
        C: ChosenCodec,
        R: Cacheable<Via>,
    {
        Plan { split: Ok, join: |value| value, ops: Ops::new::<C, Via>() }
    }
}

impl<T, E> Fallible<T, E> {
    pub fn coded<C, Via>(self) -> Plan<Result<T, E>, T>
    where
        C: ChosenCodec,
        T: Cacheable<Via>,
    {
        Plan { split: |output| output.map_err(Err), join: Ok, ops: Ops::new::<C, Via>() }
    }
}

/// How to get from a function's output `R` to the value `T` that is stored, and back.
pub struct Plan<R, T> {
    /// The value to store, or the output that has none.
    pub(crate) split: fn(R) -> Result<T, R>,
    pub(crate) join: fn(T) -> R,
    pub(crate) ops: Ops<T>,
}

/// What can be done with a value, chosen where its type is known, so that a missing
/// `Serialize` is one error at the return type and not one in each place that uses it.
pub(crate) struct Ops<T> {
    pub(crate) reading: Reading<T>,
    pub(crate) encode: fn(Format, &T) -> Result<Vec<u8>, CodecError>,
}

/// The half that needs no `Serialize`.
pub(crate) struct Reading<T> {
    pub(crate) decode: fn(Format, &[u8]) -> Result<T, CodecError>,
    pub(crate) codec: fn(Format) -> &'static str,
    pub(crate) is_self_describing: fn(Format) -> bool,
    /// Works the shape out; [`Reading::shape`] remembers it.
    pub(crate) find_shape: fn() -> Shape,
}

impl<T> Ops<T> {
    pub(crate) fn new<C, Via>() -> Self
    where
        C: ChosenCodec,
        T: Cacheable<Via>,
    {
        Ops {
            reading: Reading {
                decode: T::decode::<C>,
                codec: C::name,
                is_self_describing: C::is_self_describing,
                find_shape: T::shape,
            },
            encode: |format, value| value.encode::<C>(format),
        }
    }
}

impl<T> Reading<T> {
    /// For a value in the cache's own codec.
    pub(crate) fn of_cache() -> Self
    where
        T: DeserializeOwned,
    {
        Reading {
            decode: OfCache::decode,
            codec: OfCache::name,
            is_self_describing: OfCache::is_self_describing,
            find_shape: shape_of::<T>,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        remembered(self.find_shape)
    }
}

/// Values that can be stored: `Serialize + DeserializeOwned`.
///
/// `Via` has two blanket implementations, one of which never applies. With only one, the
/// compiler would report what that one lacks, in serde's words; with two, it reports this
/// trait, in ours.
#[diagnostic::on_unimplemented(
    message = "a cached function cannot return `{Self}`: it cannot be stored",
    label = "cannot be stored and read back",
    note = "the value (of a `Result`, the `Ok` value) must own its data and implement `serde::Serialize` and `serde::Deserialize`"
)]
#[allow(private_interfaces)]
pub trait Cacheable<Via>: Sized {
    fn encode<C: ChosenCodec>(&self, format: Format) -> Result<Vec<u8>, CodecError>;
    fn decode<C: ChosenCodec>(format: Format, bytes: &[u8]) -> Result<Self, CodecError>;
    fn shape() -> Shape;
}

/// The implementation that applies.
pub enum BySerde {}

#[allow(private_interfaces)]
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Cacheable<BySerde> for T {
    fn encode<C: ChosenCodec>(&self, format: Format) -> Result<Vec<u8>, CodecError> {
        C::encode(format, self)
    }

    fn decode<C: ChosenCodec>(format: Format, bytes: &[u8]) -> Result<Self, CodecError> {
        C::decode(format, bytes)
    }

    fn shape() -> Shape {
        shape_of::<T>()
    }
}

/// The implementation that never applies: nothing is [`Never`].
pub enum ByNothing {}

/// Has no implementation.
pub trait Never {
    fn never<A>() -> A;
}

#[allow(private_interfaces)]
#[diagnostic::do_not_recommend]
impl<T: Never> Cacheable<ByNothing> for T {
    fn encode<C: ChosenCodec>(&self, _: Format) -> Result<Vec<u8>, CodecError> {
        T::never()
    }

    fn decode<C: ChosenCodec>(_: Format, _: &[u8]) -> Result<Self, CodecError> {
        T::never()
    }

    fn shape() -> Shape {
        T::never()
    }
}

/// Arguments that can be part of a key: `Serialize`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a cache key",
    label = "this argument cannot be part of the key",
    note = "implement `serde::Serialize` for it, or name the arguments that the result depends on: `vary_on = [..]`"
)]
pub trait KeyPart<Via> {
    fn append(&self, bytes: &mut Vec<u8>) -> bool;
}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> KeyPart<BySerde> for T {
    /// Says whether it could.
    fn append(&self, bytes: &mut Vec<u8>) -> bool {
        encode::append(self, bytes).is_ok()
    }
}

#[diagnostic::do_not_recommend]
impl<T: Never + ?Sized> KeyPart<ByNothing> for T {
    fn append(&self, _: &mut Vec<u8>) -> bool {
        T::never()
    }
}

/// Values that can stand in a tag: `Display`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in a tag",
    label = "a placeholder's value must implement `Display`",
    note = "a tag is text; use a field that has one, such as `<user.id>`, or implement `std::fmt::Display`"
)]
pub trait TagPart<Via> {
    fn put(&self, text: &mut crate::tag::TagText);
}

#[diagnostic::do_not_recommend]
impl<T: fmt::Display + ?Sized> TagPart<BySerde> for T {
    fn put(&self, text: &mut crate::tag::TagText) {
        text.placeholder(self);
    }
}

#[diagnostic::do_not_recommend]
impl<T: Never + ?Sized> TagPart<ByNothing> for T {
    fn put(&self, _: &mut crate::tag::TagText) {
        T::never()
    }
}
