use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::sealed::HasFormat;
use super::{Codec, CodecError, Format};
use crate::encode::pitfalls;

/// JSON: readable in `redis-cli`, and holds what bincode cannot (feature `json`).
///
/// It cannot hold `Some(None)`, `Some(())`, NaN or an infinity; such a value is not stored.
#[derive(Debug)]
pub enum Json {}

impl Codec for Json {
    const NAME: &'static str = "json";
    const SELF_DESCRIBING: bool = true;

    fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
        let found = pitfalls(value, true);
        if found.some_of_nothing {
            return Err(CodecError::new(
                "JSON cannot tell its `Some(None)` or `Some(())` from `None`",
            ));
        }
        if found.non_finite {
            return Err(CodecError::new("JSON has no number for its NaN or infinity"));
        }
        serde_json::to_vec(value).map_err(|_| CodecError::new("JSON cannot hold this value"))
    }

    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
        // Its errors quote the value, so only the class is kept.
        serde_json::from_slice(bytes).map_err(|error| {
            CodecError::new(match error.classify() {
                Category::Eof => "the JSON ends too early",
                Category::Data => "the JSON is not a value of this type",
                Category::Syntax | Category::Io => "the bytes are not JSON",
            })
        })
    }
}

impl HasFormat for Json {
    #[allow(private_interfaces)]
    const FORMAT: Format = Format::Json;
}
