//! Which tags a value has, beside those that are known before.

use std::sync::Arc;

use crate::call::Request;
use crate::encode::{append_text, take_text};
use crate::envelope;
use crate::key::{Identity, Place};
use crate::tag::{Kind, Tag};

/// With more tags of its own, a value is not stored.
pub(super) const MOST: usize = 1_000;
/// Tells a list from an entry of the same address, and what is remembered from the bytes of a call,
/// which begin with a hash.
const LIST: &[u8] = b"tags of a result";

/// The tags that a value has for itself, in an order of their own; or why it cannot be stored with them.
pub(super) fn own(tags: Vec<Tag>, identity: &Identity) -> Result<Vec<Tag>, String> {
    let mut own = tags;
    own.retain(|tag| !tag.is_constant() && !identity.tags.contains(tag));
    own.sort_unstable();
    own.dedup();
    if own.len() > MOST {
        return Err(format!(
            "`tags_from` gave {} tags; with more than {MOST}, a value is not stored",
            own.len()
        ));
    }
    match own.iter().find(|tag| tag.kind() != Kind::Own || tag.check_bumpable().is_err()) {
        Some(tag) => Err(format!(
            "`tags_from` gave `{tag}`, which has no version of the cache's own: the value is not stored"
        )),
        None => Ok(own),
    }
}

/// A call with all of its tags.
pub(super) fn with(identity: &Identity, own: &[Tag]) -> Identity {
    let mut bytes = identity.bytes.clone();
    bytes.extend_from_slice(LIST);
    bytes.extend_from_slice(&encode(own));
    Identity {
        key_base: identity.key_base.clone(),
        bytes,
        tags: identity.tags.iter().chain(own).cloned().collect(),
        #[cfg(feature = "redis")]
        ready: arc_swap::ArcSwapOption::const_empty(),
    }
}

/// What a process remembers the call with all of its tags by.
fn remembered_by(identity: &Identity) -> Vec<u8> {
    [LIST, &identity.bytes].concat()
}

/// The call with all tags that it had the last time, if this process knows.
pub(super) fn recall(request: &Request) -> Option<Arc<Identity>> {
    request.cache.recall(&remembered_by(&request.identity))
}

pub(super) fn remember(request: &Request, all: &Arc<Identity>) {
    request.cache.remember(&remembered_by(&request.identity), all);
}

pub(super) fn seal(request: &Request, place: &Place, own: &[Tag]) -> Option<Vec<u8>> {
    envelope::seal(&address(place), &encode(own), request.timeout)
}

/// The tags in a list of this call; whatever is no such list is none.
pub(super) fn open(place: &Place, entry: &[u8]) -> Option<Vec<Tag>> {
    let mut bytes = envelope::open(entry, &address(place))?;
    let mut own = Vec::new();
    while !bytes.is_empty() {
        own.push(Tag::from(take_text(&mut bytes)?));
        if own.len() > MOST {
            return None;
        }
    }
    Some(own)
}

fn address(place: &Place) -> Vec<u8> {
    [&place.address, LIST].concat()
}

fn encode(own: &[Tag]) -> Vec<u8> {
    let mut bytes = Vec::new();
    own.iter().for_each(|tag| append_text(tag.as_str(), &mut bytes));
    bytes
}
