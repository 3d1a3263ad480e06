//! Log events, through the `tracing` facade where the feature is on.

/// An event that somebody on call should see.
macro_rules! warning {
    ($($message:tt)*) => {{
        #[cfg(feature = "tracing")]
        ::tracing::warn!(target: "fragkeys", $($message)*);
        #[cfg(not(feature = "tracing"))]
        let _ = ::std::format_args!($($message)*);
    }};
}

/// A change of state that explains later events.
macro_rules! notice {
    ($($message:tt)*) => {{
        #[cfg(feature = "tracing")]
        ::tracing::info!(target: "fragkeys", $($message)*);
        #[cfg(not(feature = "tracing"))]
        let _ = ::std::format_args!($($message)*);
    }};
}

pub(crate) use {notice, warning};
