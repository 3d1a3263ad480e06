//! Which late tags a value has; with early cutoff, also what it was made of.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::call::Request;
use crate::encode::{append_text, take_text};
use crate::envelope;
use crate::inherit::{MOST_LATE_TAGS, MOST_PARTS, Parts};
use crate::key::{Identity, Place};
use crate::tag::{Kind, Tag};
use crate::version::Version;

/// Tells a list from an entry of the same address, and what is remembered from the bytes of a call,
/// which begin with a hash.
const LIST: &[u8] = b"tags of a result";

/// What stands beside a value.
pub(super) struct List {
    pub(super) late: Vec<Tag>,
    /// With early cutoff.
    pub(super) recipe: Option<Recipe>,
}

/// What a value was made of, and where it stands.
pub(super) struct Recipe {
    /// Of the late tags.
    pub(super) versions: Vec<Version>,
    /// A hash of its bytes.
    pub(super) value: u128,
    pub(super) parts: Parts,
}

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
        #[cfg(feature = "redis")]
        ready: arc_swap::ArcSwapOption::const_empty(),
        tags: identity.tags.iter().chain(late).cloned().collect(),
        key_base: identity.key_base.clone(),
        bytes,
    }
}

/// What a process remembers the call with all of its tags by.
fn remembered_by(identity: &Identity) -> Vec<u8> {
    [LIST, &identity.bytes].concat()
}

/// The call with all tags that it had the last time, if this process knows.
pub(super) fn recall(request: &Request) -> Option<Arc<Identity>> {
    let cache = &request.cache;
    cache.recall(&cache.access(), &remembered_by(&request.identity))
}

pub(super) fn remember(request: &Request, all: &Arc<Identity>) {
    let cache = &request.cache;
    cache.remember(&cache.access(), &remembered_by(&request.identity), all);
}

pub(super) fn seal(request: &Request, place: &Place, list: &List) -> Option<Vec<u8>> {
    envelope::seal(&address(place), &list.encode(), request.timeout)
}

/// The list of this call; whatever is no such list is none.
pub(super) fn open(place: &Place, entry: &[u8]) -> Option<List> {
    List::decode(envelope::open(entry, &address(place))?)
}

fn address(place: &Place) -> Vec<u8> {
    [&place.address, LIST].concat()
}

fn encode(late: &[Tag]) -> Vec<u8> {
    let mut bytes = Vec::new();
    late.iter().for_each(|tag| append_text(tag.as_str(), &mut bytes));
    bytes
}

/// A call, and what it gave.
const PART: usize = 2 * size_of::<u128>();

impl List {
    /// How many tags, and these. With early cutoff the value's hash, the tags' versions, the
    /// parts' seed, the parts.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.late.len() as u64).to_le_bytes().to_vec();
        bytes.extend(encode(&self.late));
        if let Some(Recipe { versions, value, parts }) = &self.recipe {
            bytes.extend_from_slice(&value.to_le_bytes());
            bytes.extend(versions.iter().flat_map(|version| version.to_le_bytes()));
            bytes.extend_from_slice(&parts.seed.to_le_bytes());
            for (call, value) in parts.known().into_iter().flatten() {
                bytes.extend_from_slice(&call.to_le_bytes());
                bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<List> {
        let (number, mut bytes) = bytes.split_first_chunk()?;
        let number = usize::try_from(u64::from_le_bytes(*number)).ok()?;
        if number > MOST_LATE_TAGS {
            return None;
        }
        let late = (0..number).map(|_| Some(Tag::from(take_text(&mut bytes)?)));
        let late = late.collect::<Option<_>>()?;
        let recipe = match bytes {
            [] => None,
            recipe => Some(Recipe::decode(recipe, number)?),
        };
        Some(List { late, recipe })
    }
}

impl Recipe {
    fn decode(bytes: &[u8], number: usize) -> Option<Recipe> {
        let (value, bytes) = bytes.split_first_chunk()?;
        let (versions, bytes) = bytes.split_at_checked(number * size_of::<u64>())?;
        let (seed, parts) = bytes.split_first_chunk()?;
        let (versions, _) = versions.as_chunks();
        let versions = versions.iter().copied().map(Version::from_le_bytes).collect();
        let (parts, rest) = parts.as_chunks::<PART>();
        if !rest.is_empty() || parts.len() > MOST_PARTS {
            return None;
        }
        let part = |part: &[u8; PART]| {
            let (call, value) = part.split_first_chunk()?;
            Some((u128::from_le_bytes(*call), u128::from_le_bytes(value.try_into().ok()?)))
        };
        let parts = parts.iter().map(part).collect::<Option<_>>()?;
        let parts = Parts::of(u64::from_le_bytes(*seed), parts);
        Some(Recipe { versions, value: u128::from_le_bytes(*value), parts })
    }
}
