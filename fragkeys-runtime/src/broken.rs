//! A build that breaks a promise on purpose: the checker of the tests must find it. It takes
//! `--cfg fragkeys_broken`, and `FRAGKEYS_BROKEN` then says which; no other build has any of this.

/// Is this left out?
///
/// - `guard`: to look at the cells again when an entry has come (I2).
/// - `trust`: to ask a near hit for trust (I2).
/// - `fence`: to store under the versions from before the run (I1).
#[cfg(fragkeys_broken)]
pub(crate) fn leaves_out(what: &str) -> bool {
    static WHAT: std::sync::LazyLock<Option<String>> =
        std::sync::LazyLock::new(|| std::env::var("FRAGKEYS_BROKEN").ok());
    WHAT.as_deref() == Some(what)
}

/// Nothing is.
#[cfg(not(fragkeys_broken))]
pub(crate) const fn leaves_out(_: &str) -> bool {
    false
}
