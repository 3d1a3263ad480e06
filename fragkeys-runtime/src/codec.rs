//! Values as bytes, and back.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

mod bincode;
mod guard;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;

pub use self::bincode::Bincode;
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "msgpack")]
pub use self::msgpack::MessagePack;

/// Turns values into bytes and back.
///
/// A function chooses one with `codec = …`, a cache with `Config::codec`. One of
/// your own needs no instance, only a type:
///
/// ```
/// # use fragkeys_runtime::{Bincode, Codec, CodecError};
/// # use serde::{Serialize, de::DeserializeOwned};
/// /// Bincode behind a byte that says which key it was encrypted with.
/// struct Sealed;
///
/// impl Codec for Sealed {
///     const NAME: &'static str = "sealed-1";
///
///     fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
///         let mut bytes = Bincode::encode(value)?;
///         bytes.insert(0, 1);
///         Ok(bytes)
///     }
///
///     fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
///         match bytes {
///             [1, rest @ ..] => Bincode::decode(rest),
///             _ => Err(CodecError::new("the key is not known")),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a codec",
    label = "not a codec",
    note = "write `codec = fragkeys::Bincode`, or a type of yours that implements `fragkeys::Codec`"
)]
pub trait Codec: Send + Sync + 'static {
    /// Names the format in each entry's identity: change it when the bytes change.
    const NAME: &'static str;

    /// Do the bytes say their own shape, as JSON's do? Otherwise types that must see the
    /// data to understand it (`serde_json::Value`, untagged enums) are not even tried.
    const SELF_DESCRIBING: bool = false;

    /// The bytes of `value`, from which `decode` makes an equal one.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if the value cannot be written in this format, or would be read back
    /// as another one.
    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError>;

    /// The value that all of `bytes` stand for. The bytes may be anybody's: it must
    /// neither panic nor allocate beyond reason.
    ///
    /// # Errors
    ///
    /// [`CodecError`] if these are not the bytes of a `T`, or if some are left over.
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError>;
}

/// Why a value could not be encoded or decoded. It holds a fixed text and never a part of the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecError {
    reason: &'static str,
}

impl CodecError {
    /// An error with this reason.
    #[must_use]
    pub const fn new(reason: &'static str) -> Self {
        CodecError { reason }
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason)
    }
}

impl std::error::Error for CodecError {}

/// The codecs that a whole cache can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Bincode,
    #[cfg(feature = "json")]
    Json,
    #[cfg(feature = "msgpack")]
    MessagePack,
}

/// A codec that [`Config::codec`](crate::Config::codec) takes: [`Bincode`] and, with their
/// features, `Json` and `MessagePack`. One of your own goes on the function: `codec = …`.
pub trait CacheCodec: Codec + sealed::HasFormat {}

impl<C: Codec + sealed::HasFormat> CacheCodec for C {}

pub(crate) mod sealed {
    use super::Format;

    /// Keeps the set of a cache's codecs closed: a cache cannot call a generic one that it does not know.
    pub trait HasFormat {
        #[doc(hidden)]
        #[allow(private_interfaces)]
        const FORMAT: Format;
    }
}

/// The name of a cache's codec, as it stands in identities.
pub(crate) fn name_of(format: Format) -> &'static str {
    <OfCache as ChosenCodec>::name(format)
}

/// The codec of one function: named by it, or its cache's.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a codec",
    label = "not a codec",
    note = "write `codec = fragkeys::Bincode`, or a type of yours that implements `fragkeys::Codec`"
)]
#[doc(hidden)]
#[allow(private_interfaces)]
pub trait ChosenCodec: 'static {
    fn name(cache: Format) -> &'static str;
    fn is_self_describing(cache: Format) -> bool;
    fn encode<T: Serialize + ?Sized>(cache: Format, value: &T) -> Result<Vec<u8>, CodecError>;
    fn decode<T: DeserializeOwned>(cache: Format, bytes: &[u8]) -> Result<T, CodecError>;
}

#[allow(private_interfaces)]
impl<C: Codec> ChosenCodec for C {
    fn name(_: Format) -> &'static str {
        C::NAME
    }

    fn is_self_describing(_: Format) -> bool {
        C::SELF_DESCRIBING
    }

    fn encode<T: Serialize + ?Sized>(_: Format, value: &T) -> Result<Vec<u8>, CodecError> {
        <C as Codec>::encode(value)
    }

    fn decode<T: DeserializeOwned>(_: Format, bytes: &[u8]) -> Result<T, CodecError> {
        <C as Codec>::decode(bytes)
    }
}

/// Stands for the cache's codec where a function names none.
#[doc(hidden)]
#[derive(Debug)]
pub enum OfCache {}

macro_rules! for_format {
    ($format:expr, $codec:ident => $body:expr) => {
        match $format {
            Format::Bincode => {
                type $codec = Bincode;
                $body
            }
            #[cfg(feature = "json")]
            Format::Json => {
                type $codec = Json;
                $body
            }
            #[cfg(feature = "msgpack")]
            Format::MessagePack => {
                type $codec = MessagePack;
                $body
            }
        }
    };
}

#[allow(private_interfaces)]
impl ChosenCodec for OfCache {
    fn name(cache: Format) -> &'static str {
        for_format!(cache, C => C::NAME)
    }

    fn is_self_describing(cache: Format) -> bool {
        for_format!(cache, C => C::SELF_DESCRIBING)
    }

    fn encode<T: Serialize + ?Sized>(cache: Format, value: &T) -> Result<Vec<u8>, CodecError> {
        for_format!(cache, C => <C as Codec>::encode(value))
    }

    fn decode<T: DeserializeOwned>(cache: Format, bytes: &[u8]) -> Result<T, CodecError> {
        for_format!(cache, C => <C as Codec>::decode(bytes))
    }
}
