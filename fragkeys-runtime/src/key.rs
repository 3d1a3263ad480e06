//! Keys, by pure computation: no I/O, no clock.
//!
//! An *address* is everything that an entry must match: the identity, and a hash of the versions of
//! its tags. The key is its hash; the entry holds the address itself, so that a collision of hashes
//! is a miss (I4). Versions are hashed there too, as nobody can choose them: sixteen tags make an
//! entry no larger than one.

use std::sync::Arc;

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_128;

use crate::near::Grounds;
use crate::tag::Tag;
use crate::version::Version;

/// Which entry a call asks for, but for the versions of its tags.
///
/// What a hit needs comes first: its memory is mostly cold, and what stands together is fetched at
/// once.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Identity {
    /// Where the last look went, with the next one made ready.
    #[cfg(feature = "redis")]
    pub(crate) ready: arc_swap::ArcSwapOption<Place>,
    /// The tags that have versions; the root first.
    pub(crate) tags: Box<[Tag]>,
    /// How the key begins: prefix and function in clear, so that a person can find its entries.
    pub(crate) key_base: String,
    /// The injective encoding of all that tells two calls apart.
    pub(crate) bytes: Vec<u8>,
}

/// On the heap only if it is long, so that an entry is compared with what is at hand.
type Address = SmallVec<[u8; 96]>;

impl Identity {
    /// Where the entry stands under these versions, one for each of `tags`.
    pub(crate) fn at(&self, versions: &[Version]) -> Place {
        let versions_hash = xxh3_128(&to_bytes(versions)).to_le_bytes();
        // As many as are needed: by itself it would take twice as many.
        let mut address = Address::with_capacity(self.bytes.len() + versions_hash.len());
        address.extend_from_slice(&self.bytes);
        address.extend_from_slice(&versions_hash);
        let key = format!("{}:{:032x}", self.key_base, xxh3_128(&address));
        Place::new(key, address, versions)
    }

    /// Where the way to the last good value stands, whatever the versions are.
    pub(crate) fn pointer(&self, prefix: &str) -> Place {
        let name = self.key_base.get(prefix.len() + ENTRY.len()..).unwrap_or_default();
        let key = format!("{prefix}{POINTER}{name}:{:032x}", xxh3_128(&self.bytes));
        Place::new(key, Address::from_slice(&self.bytes), &[])
    }

    /// The place that a pointer leads to; `None` if it holds something else than versions.
    pub(crate) fn pointed_at(&self, versions: &[u8]) -> Option<Place> {
        let (versions, rest) = versions.as_chunks();
        let is_whole = versions.len() == self.tags.len() && rest.is_empty();
        let versions = versions.iter().copied().map(Version::from_le_bytes);
        is_whole.then(|| self.at(&versions.collect::<Vec<_>>()))
    }
}

fn to_bytes(versions: &[Version]) -> Vec<u8> {
    versions.iter().flat_map(|version| version.to_le_bytes()).collect()
}

/// One entry's key in the store, and the address that it must have been sealed for.
#[derive(Debug)]
#[repr(C)] // as in `Identity`
pub(crate) struct Place {
    /// A look at it that is ready to be sent, if all its versions were known.
    #[cfg(feature = "redis")]
    pub(crate) ready: Option<crate::store::redis::Ready>,
    /// Where the near tier finds out for how long what stands here is right. `None` if there is no
    /// near tier, or nobody would tell.
    pub(crate) grounds: Option<Arc<Grounds>>,
    pub(crate) address: Address,
    pub(crate) key: String,
    /// The versions that it is about, one for each tag of its identity; none of a pointer.
    pub(crate) versions: Box<[Version]>,
}

impl Place {
    fn new(key: String, address: Address, versions: &[Version]) -> Self {
        Place {
            key,
            address,
            versions: versions.into(),
            grounds: None,
            #[cfg(feature = "redis")]
            ready: None,
        }
    }

    /// What a pointer to this place holds.
    pub(crate) fn pointed_to(&self) -> Vec<u8> {
        to_bytes(&self.versions)
    }
}

/// How the keys of all entries of one function, or of one name, begin.
pub(crate) fn key_base(prefix: &str, key_name: &str) -> String {
    format!("{prefix}{ENTRY}{key_name}")
}

/// What stands between prefix and name in the keys of entries, and of pointers.
const ENTRY: &str = ":v:";
const POINTER: &str = ":p:";

/// Where a tag's version stands.
#[cfg(feature = "redis")]
pub(crate) fn version_key(prefix: &str, tag: &Tag) -> String {
    match tag.key_of_others() {
        Some(key) => key.to_owned(),
        None => [prefix, ":t:", tag.as_str()].concat(),
    }
}
