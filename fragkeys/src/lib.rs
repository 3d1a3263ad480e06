//! placeholder
pub use fragkeys_macros::{invalidate, tag, tagged_cache};
#[doc(hidden)]
pub use fragkeys_runtime::private as __private;
pub use fragkeys_runtime::*;
