//! What of a function's output is cached, and how it becomes bytes.
//!
//! The macro knows the output's type only as tokens, and `Result` may be shadowed or
//! aliased. So the choice is made by types: [`Returns::output`] is an inherent method for
//! a `Result` and a trait's for all else, and the inherent one wins.

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec::{ChosenCodec, CodecError, Format, OfCache};
use crate::shape::{Shape, remembered, shape_of};

mod errors;
mod near;

pub(crate) use errors::{ErrorsOf, MaybeNone};
pub(crate) use near::Nearby;
pub use near::{NearOfAnythingElse, NearValue};

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
    pub fn coded<C>(self) -> Plan<R, R>
    where
        C: ChosenCodec,
        R: Cacheable,
    {
        Plan { split: Ok, join: |value| value, take: None, ops: Ops::new::<C>() }
    }
}

impl<T, E> Fallible<T, E> {
    pub fn coded<C>(self) -> Plan<Result<T, E>, T>
    where
        C: ChosenCodec,
        T: Cacheable,
    {
        Plan { split: |output| output.map_err(Err), join: Ok, take: None, ops: Ops::new::<C>() }
    }
}

/// An output out of its box, if it is what is in there.
pub(crate) type Unboxed<R> = fn(Box<dyn Any>) -> Option<R>;

/// How to get from a function's output `R` to the value `T` that is stored, and back.
pub struct Plan<R, T> {
    /// The value to store, or the output that has none.
    pub(crate) split: fn(R) -> Result<T, R>,
    pub(crate) join: fn(T) -> R,
    /// An output out of its box, if its type can be told apart from others.
    pub(crate) take: Option<Unboxed<R>>,
    pub(crate) ops: Ops<T>,
}

impl<R, T> Plan<R, T> {
    /// The function's output for a value of the near tier.
    pub fn output(&self, value: T) -> R {
        (self.join)(value)
    }

    /// Lets [`prime`](crate::prime) give it an output, which comes as [`Any`].
    pub fn primable(mut self) -> Self
    where
        R: 'static,
    {
        self.take = Some(|offer| offer.downcast().ok().map(|output| *output));
        self
    }
}

/// The type of a function's value, for closures that are about it.
pub struct ValueOf<T>(PhantomData<fn() -> T>);

impl<T> ValueOf<T> {
    pub(crate) fn new() -> Self {
        ValueOf(PhantomData)
    }
}

impl<R> Whole<R> {
    pub fn value(&self) -> ValueOf<R> {
        ValueOf::new()
    }
}

impl<T, E> Fallible<T, E> {
    pub fn value(&self) -> ValueOf<T> {
        ValueOf::new()
    }
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
    /// Unless its values stay out of the near tier.
    pub(crate) nearby: Option<Nearby<T>>,
}

impl<T> Ops<T> {
    pub(crate) fn new<C>() -> Self
    where
        C: ChosenCodec,
        T: Cacheable,
    {
        Ops {
            reading: Reading {
                decode: C::decode,
                codec: C::name,
                is_self_describing: C::is_self_describing,
                find_shape: shape_of::<T>,
                nearby: None,
            },
            encode: C::encode,
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
            nearby: None,
        }
    }

    pub(crate) fn shape(&self) -> Shape {
        remembered(self.find_shape)
    }
}

/// Values that can be stored.
///
/// The blanket implementation is not recommended to the compiler, here and below: so it
/// reports the lack of this trait, in our words, and not that of a serde trait behind it.
#[diagnostic::on_unimplemented(
    message = "a cached function cannot return `{Self}`: it cannot be stored",
    label = "cannot be stored and read back",
    note = "the value (of a `Result`, the `Ok` value) must own its data and implement `serde::Serialize` and `serde::Deserialize`"
)]
pub trait Cacheable: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Cacheable for T {}

/// Arguments that can be part of a key.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be part of a cache key",
    label = "this argument cannot be part of the key",
    note = "implement `serde::Serialize` for it, or name the arguments that the result depends on: `vary_on = [..]`"
)]
pub trait KeyPart: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + ?Sized> KeyPart for T {}

/// Values that can stand in a tag.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot stand in a tag",
    label = "a placeholder's value must implement `Display`",
    note = "a tag is text; use a field that has one, such as `<user.id>`, or implement `std::fmt::Display`"
)]
pub trait TagPart: fmt::Display {}

#[diagnostic::do_not_recommend]
impl<T: fmt::Display + ?Sized> TagPart for T {}
