use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::error::DecodeError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::guard::{GuardedSeed, Limits};
use super::sealed::HasFormat;
use super::{Codec, CodecError, Format};
use crate::encode::pitfalls;

/// Small and fast, and the default. It writes no field names: the shape of a type is
/// part of an entry's identity instead, so another shape is a miss and not a wrong value.
///
/// It cannot hold what must be seen to be understood: `serde_json::Value`, untagged and
/// internally tagged enums, `flatten`, `skip_serializing_if`. Such a function runs
/// uncached and says so once; give it `codec = Json` or `codec = MessagePack`.
#[derive(Debug)]
pub enum Bincode {}

/// What one decoded value may claim to need, so that a few bytes cannot ask for gigabytes.
const CLAIM_LIMIT: usize = 64 << 20;

type Settings = Configuration<LittleEndian, Varint, Limit<CLAIM_LIMIT>>;

const SETTINGS: Settings = bincode::config::standard().with_limit::<CLAIM_LIMIT>();

impl Codec for Bincode {
    const NAME: &'static str = "bincode2";

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
        if pitfalls(value, false).skipped_fields {
            return Err(CodecError::new(
                "it leaves fields out (`skip_serializing_if`), and bincode writes no field names",
            ));
        }
        // The error can quote the value, so it is not kept.
        bincode::serde::encode_to_vec(value, SETTINGS)
            .map_err(|_| CodecError::new("bincode cannot hold this value"))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        let seed = GuardedSeed::<T>::new(Limits::for_input(bytes.len()));
        match bincode::serde::seed_decode_from_slice(seed, bytes, SETTINGS) {
            Ok((value, read)) if read == bytes.len() => Ok(value),
            Ok(_) => Err(CodecError::new("bytes are left over")),
            // Serde's own texts can quote the value, so only the class is kept.
            Err(error) => Err(CodecError::new(match error {
                DecodeError::UnexpectedEnd { .. } => "the bytes end too early",
                DecodeError::LimitExceeded => "the bytes claim too large a value",
                DecodeError::Serde(_) => "bincode cannot read values of this type",
                _ => "the bytes are not a value of this type",
            })),
        }
    }
}

impl HasFormat for Bincode {
    #[allow(private_interfaces)]
    const FORMAT: Format = Format::Bincode;
}
