//! Errors that are values: functions with `cache_err`.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Cacheable, Fallible, Ops, Plan, Reading, Whole};
use crate::codec::{ChosenCodec, CodecError, Format};
use crate::shape::{Shape, shape_of};

/// Errors that can be stored.
#[diagnostic::on_unimplemented(
    message = "`cache_err` cannot cache a `{Self}`: it cannot be stored",
    label = "its error cannot be stored and read back",
    note = "`cache_err` wants an error that owns its data and implements `serde::Serialize` and `serde::Deserialize`"
)]
pub trait CacheableError: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<E: Serialize + DeserializeOwned> CacheableError for E {}

/// What a function with `cache_err` must return, asked of what is no `Result`: so nothing is it.
#[diagnostic::on_unimplemented(
    message = "`cache_err` is about functions that return a `Result`, and not `{Self}`",
    label = "there is no error in this",
    note = "leave `cache_err` off, or return a `Result`"
)]
pub trait IsResult: Sized {
    fn plan() -> Plan<Self, Self>;
}

/// Values that may be nothing.
#[diagnostic::on_unimplemented(
    message = "`timeout_none` is about functions that return an `Option`, and not `{Self}`",
    label = "this is never `None`",
    note = "leave `timeout_none` off; for another value, write `timeout = |value| ..`"
)]
pub trait MaybeNone {
    fn is_nothing(&self) -> bool;
}

#[diagnostic::do_not_recommend]
impl<T> MaybeNone for Option<T> {
    fn is_nothing(&self) -> bool {
        self.is_none()
    }
}

/// The types of a function's value and error, for closures that are about them.
pub struct ErrorsOf<T, E>(PhantomData<fn() -> (T, E)>);

impl<T, E> Fallible<T, E> {
    pub fn errors(&self) -> ErrorsOf<T, E> {
        ErrorsOf(PhantomData)
    }

    /// All of the `Result` is the value. An error is kept only if it is chosen.
    pub fn coded_with_errors<C>(self) -> Plan<Result<T, E>, Result<T, E>>
    where
        C: ChosenCodec,
        T: Cacheable,
        E: CacheableError,
    {
        let reading = Reading {
            decode: decode::<C, T, E>,
            codec: C::name,
            is_self_describing: C::is_self_describing,
            find_shape: shape::<T, E>,
            nearby: None,
        };
        let ops = Ops { reading, encode: encode::<C, T, E> };
        Plan { split: Ok, join: |output| output, take: None, ops }
    }
}

/// Asked of what is no `Result`, it is one mistake, in our words. (A return type that depends on the
/// bound would have it in the compiler's.)
impl<R> Whole<R> {
    pub fn errors<T, E>(&self) -> ErrorsOf<T, E> {
        ErrorsOf(PhantomData)
    }

    pub fn coded_with_errors<C>(self) -> Plan<R, R>
    where
        R: IsResult,
    {
        R::plan()
    }
}

/// What a payload ends with: which of the two it is. Not serde's own `Result`, so that the two
/// shapes are each as well known as if it stood alone.
const OK: u8 = 0;
const ERR: u8 = 1;

fn encode<C: ChosenCodec, T: Serialize, E: Serialize>(
    format: Format,
    output: &Result<T, E>,
) -> Result<Vec<u8>, CodecError> {
    let (mut bytes, kind) = match output {
        Ok(value) => (C::encode(format, value)?, OK),
        Err(error) => (C::encode(format, error)?, ERR),
    };
    bytes.push(kind);
    Ok(bytes)
}

fn decode<C: ChosenCodec, T: DeserializeOwned, E: DeserializeOwned>(
    format: Format,
    bytes: &[u8],
) -> Result<Result<T, E>, CodecError> {
    match bytes.split_last() {
        Some((&OK, value)) => C::decode(format, value).map(Ok),
        Some((&ERR, error)) => C::decode(format, error).map(Err),
        _ => Err(CodecError::new("it is neither a value nor an error")),
    }
}

fn shape<T: DeserializeOwned, E: DeserializeOwned>() -> Shape {
    shape_of::<T>().or(shape_of::<E>())
}
