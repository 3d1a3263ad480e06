//! How a token travels: in a cookie, or in a header.

use std::time::Duration;

use http::header::{COOKIE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};

use crate::version::Bumped;

/// Of one request. More are none of ours: somebody tries what happens.
const MOST_TOKENS: usize = 8;

#[derive(Clone, Debug)]
pub(super) enum Carrier {
    Cookie { name: String, is_secure: bool },
    Header(HeaderName),
}

/// Can a cookie be called so? (A token of RFC 9110.)
pub(super) fn is_cookie_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_plain)
}

impl Carrier {
    /// What the sender of a request has seen bumped. All that is there and can be read counts: one that was
    /// put beside the honest one, by another site of the same domain, adds misses and takes nothing away.
    pub(super) fn read(&self, headers: &HeaderMap) -> Bumped {
        let mut seen = Bumped::default();
        let mut take = |text: &[u8]| {
            let text = std::str::from_utf8(text).ok();
            if let Some(bumped) = text.and_then(|text| text.trim().parse().ok()) {
                seen.merge(bumped);
            }
        };
        match self {
            Carrier::Header(name) => {
                let values = headers.get_all(name).iter().take(MOST_TOKENS);
                values.for_each(|value| take(value.as_bytes()));
            }
            Carrier::Cookie { name, .. } => {
                let headers = headers.get_all(COOKIE).iter();
                let pairs = headers.flat_map(|it| it.as_bytes().split(|byte| *byte == b';'));
                let value = |pair: &'_ [u8]| {
                    let start = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
                    Some(start.strip_prefix(b"=")?.to_vec())
                };
                pairs.filter_map(value).take(MOST_TOKENS).for_each(|value| take(&value));
            }
        }
        seen
    }

    /// Sends it along with a response, for so long as it matters.
    pub(super) fn write(&self, bumped: &Bumped, max_age: Duration, headers: &mut HeaderMap) {
        let token = bumped.to_string();
        if token.is_empty() {
            return;
        }
        match self {
            Carrier::Header(name) => {
                if let Ok(value) = HeaderValue::try_from(token) {
                    headers.insert(name, value);
                }
            }
            Carrier::Cookie { name, is_secure } => {
                let secure = if *is_secure { "; Secure" } else { "" };
                let seconds = max_age.as_secs();
                let cookie = format!(
                    "{name}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}"
                );
                if let Ok(value) = HeaderValue::try_from(cookie) {
                    headers.append(SET_COOKIE, value);
                }
            }
        }
    }
}
