//! placeholder
pub use fragkeys_macros::{invalidate, tag, tagged_cache};
pub use fragkeys_runtime::*;
#[doc(hidden)]
pub use fragkeys_runtime::private as __private;
