//! An entry's bytes: the value, and the proof that it answers this very call.
//!
//! ```text
//! 0   format    1 byte
//! 1   flags     1 byte, none yet
//! 2   created   8 bytes, ms since 1970 by the writer's clock
//! 10  expires   8 bytes, the same: when the value is due (the store may keep it longer)
//! 18  checksum  8 bytes, xxh3 of what follows, seeded with that of what precedes
//! 26  address   4 bytes of length, then the bytes: identity and versions
//! ..  payload   the rest, as the codec wrote it
//! ```
//!
//! Whatever does not verify is a miss: a stranger's bytes, a cut or flipped entry,
//! an entry of another call under the same hash (I4).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

#[cfg(test)]
mod tests;

/// Changes with this layout or with the bytes of an address.
const FORMAT: u8 = 0xF1;
const CHECKSUM: std::ops::Range<usize> = 18..26;
const ADDRESS_LENGTH: std::ops::Range<usize> = 26..30;
const HEAD: usize = ADDRESS_LENGTH.end;

/// The bytes to store. `None` if the address is too long to be written down.
pub(crate) fn seal(address: &[u8], payload: &[u8], timeout: Duration) -> Option<Vec<u8>> {
    let address_length = u32::try_from(address.len()).ok()?;
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut bytes = Vec::with_capacity(HEAD + address.len() + payload.len());
    bytes.extend_from_slice(&[FORMAT, 0]);
    bytes.extend_from_slice(&millis(created).to_le_bytes());
    bytes.extend_from_slice(&millis(created.saturating_add(timeout)).to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&address_length.to_le_bytes());
    bytes.extend_from_slice(address);
    bytes.extend_from_slice(payload);
    let checksum = checksum(&bytes)?;
    bytes.get_mut(CHECKSUM)?.copy_from_slice(&checksum);
    Some(bytes)
}

/// The payload of an entry that was sealed for exactly this address.
pub(crate) fn open<'a>(bytes: &'a [u8], address: &[u8]) -> Option<&'a [u8]> {
    if *bytes.first()? != FORMAT || *bytes.get(1)? != 0 {
        return None;
    }
    let address_length = u32::from_le_bytes(bytes.get(ADDRESS_LENGTH)?.try_into().ok()?);
    let (sealed_for, payload) =
        bytes.get(HEAD..)?.split_at_checked(usize::try_from(address_length).ok()?)?;
    let is_intact = || checksum(bytes).is_some_and(|sum| bytes.get(CHECKSUM) == Some(&sum));
    (sealed_for == address && is_intact()).then_some(payload)
}

/// One hash is the seed of the other: a hasher that takes both parts has half a kilobyte to
/// set up, which costs a small entry more than its hash.
fn checksum(bytes: &[u8]) -> Option<[u8; 8]> {
    let head = xxh3_64(bytes.get(..CHECKSUM.start)?);
    Some(xxh3_64_with_seed(bytes.get(CHECKSUM.end..)?, head).to_le_bytes())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
