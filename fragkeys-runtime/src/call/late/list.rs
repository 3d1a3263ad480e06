//! Which late tags a value has.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::call::Request;
use crate::encode::{append_text, take_text};
use crate::envelope;
use crate::inherit::MOST_LATE_TAGS;
use crate::key::{Identity, Place};
use crate::tag::{Kind, Tag};
use crate::version::Version;

/// Tells a list from an entry of the same address, and what is remembered from the bytes of a call,
/// which begin with a hash.
const LIST: &[u8] = b"tags of a result";

/// What of the tags that the value tells is not known before; or why it cannot be stored with them.
pub(super) fn told(mut tags: Vec<Tag>, identity: &Identity) -> Result<HashSet<Tag>, String> {
    tags.retain(|tag| !tag.is_constant() && !identity.tags.contains(tag));
    match tags.iter().find(|tag| tag.kind() != Kind::Own || tag.check_bumpable().is_err()) {
        Some(tag) => Err(format!(
            "`tags_from` gave `{tag}`, which has no version of the cache's own: the value is not stored"
        )),
        None => Ok(tags.into_iter().collect()),
    }
}

/// All late tags, in an order of their own; or why a value cannot be stored with them.
pub(super) fn late(
    told: &HashSet<Tag>,
    inherited: &HashMap<Tag, Version>,
    identity: &Identity,
) -> Result<Vec<Tag>, String> {
    let inherited = inherited.keys().filter(|tag| !identity.tags.contains(tag));
    let mut late: Vec<Tag> = told.iter().chain(inherited).cloned().collect();
    late.sort_unstable();
    late.dedup();
    match late.len() > MOST_LATE_TAGS {
        true => Err(format!(
            "`tags_from` gave {} tags, and the calls in it have {} others; with more than \
             {MOST_LATE_TAGS}, a value is not stored",
            told.len(),
            late.len() - told.len()
        )),
        false => Ok(late),
    }
}

/// A call with all of its tags.
pub(super) fn with(identity: &Identity, late: &[Tag]) -> Identity {
    let mut bytes = identity.bytes.clone();
    bytes.extend_from_slice(LIST);
    bytes.extend_from_slice(&encode(late));
    Identity {
        key_base: identity.key_base.clone(),
        bytes,
        tags: identity.tags.iter().chain(late).cloned().collect(),
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

pub(super) fn seal(request: &Request, place: &Place, late: &[Tag]) -> Option<Vec<u8>> {
    envelope::seal(&address(place), &encode(late), request.timeout)
}

/// The tags in a list of this call; whatever is no such list is none.
pub(super) fn open(place: &Place, entry: &[u8]) -> Option<Vec<Tag>> {
    let mut bytes = envelope::open(entry, &address(place))?;
    let mut late = Vec::new();
    while !bytes.is_empty() {
        late.push(Tag::from(take_text(&mut bytes)?));
        if late.len() > MOST_LATE_TAGS {
            return None;
        }
    }
    Some(late)
}

fn address(place: &Place) -> Vec<u8> {
    [&place.address, LIST].concat()
}

fn encode(late: &[Tag]) -> Vec<u8> {
    let mut bytes = Vec::new();
    late.iter().for_each(|tag| append_text(tag.as_str(), &mut bytes));
    bytes
}
