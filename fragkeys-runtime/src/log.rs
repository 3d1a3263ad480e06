//! Log events, through the `tracing` facade where the feature is on.
//!
//! Fields stand in braces before the text: `warning!({ cache = name } "reading fails")`.

/// An event that somebody on call should see.
macro_rules! warning {
    ($($event:tt)*) => { $crate::log::event!(warn, $($event)*) };
}

/// A change of state that explains later events.
macro_rules! notice {
    ($($event:tt)*) => { $crate::log::event!(info, $($event)*) };
}

#[cfg(feature = "tracing")]
macro_rules! event {
    ($level:ident, { $($field:ident = $value:expr),* } $($text:tt)*) => {
        ::tracing::$level!(target: "fragkeys", { $($field = %$value),* }, $($text)*)
    };
    ($level:ident, $($text:tt)*) => { ::tracing::$level!(target: "fragkeys", $($text)*) };
}

#[cfg(not(feature = "tracing"))]
macro_rules! event {
    ($level:ident, { $($field:ident = $value:expr),* } $($text:tt)*) => {{
        let _ = ($(&$value,)* ::std::format_args!($($text)*));
    }};
    ($level:ident, $($text:tt)*) => {{ let _ = ::std::format_args!($($text)*); }};
}

pub(crate) use {event, notice, warning};
