use std::io::Cursor;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::{Limits, guarded};
use super::sealed::HasFormat;
use super::{Codec, CodecError, Format};
use crate::encode::pitfalls;

/// MessagePack with field names: smaller than JSON, and holds nearly all that
/// JSON can (feature `msgpack`).
///
/// It cannot hold `Some(None)` or `Some(())`; such a value is not stored.
#[derive(Debug)]
pub enum MessagePack {}

impl Codec for MessagePack {
    const NAME: &'static str = "msgpack";
    const SELF_DESCRIBING: bool = true;

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
        if pitfalls(value, false).some_of_nothing {
            return Err(CodecError::new(
                "MessagePack cannot tell its `Some(None)` or `Some(())` from `None`",
            ));
        }
        rmp_serde::to_vec_named(value)
            .map_err(|_| CodecError::new("MessagePack cannot hold this value"))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let mut deserializer = rmp_serde::Deserializer::new(Cursor::new(bytes));
        // Its errors can quote the value, so none is kept.
        let value = guarded(&mut deserializer, Limits::for_input(bytes.len()))
            .map_err(|_| CodecError::new("the bytes are not a value of this type"))?;
        if deserializer.get_ref().position() != bytes.len() as u64 {
            return Err(CodecError::new("bytes are left over"));
        }
        Ok(value)
    }
}

impl HasFormat for MessagePack {
    #[allow(private_interfaces)]
    const FORMAT: Format = Format::MessagePack;
}
