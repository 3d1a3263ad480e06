//! An entry's bytes: the value, and the proof that it answers this very call.
//!
//! ```text
//! 0   checksum  8 bytes, xxh3 of all that follows
//! 8   format    1 byte
//! 9   flags     1 byte: 1 if the store keeps it past its time, for grace
//! 10  created   8 bytes, ms since 1970 by the writer's clock
//! 18  expires   8 bytes, the same: when the value is due (the store may keep it longer)
//! 26  address   4 bytes of length, then the bytes: identity and a hash of the versions
//! ..  payload   the rest, as the codec wrote it; with the flag, 4 bytes behind it: how many ms the
//!               run took
//! ```
//!
//! Whatever does not verify is a miss: a stranger's bytes, a cut or flipped entry,
//! an entry of another call under the same hash (I4).

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_64;

use crate::grace::Age;

#[cfg(test)]
mod tests;

/// Changes with this layout or with the bytes of an address.
const FORMAT: u8 = 0xF3;
/// Of an entry that is kept past its time. Who knows nothing of grace takes it for a stranger's.
const KEPT_LONGER: u8 = 1;
const RUN_TIME: usize = size_of::<u32>();
const CHECKSUM: Range<usize> = 0..8;
const FORMAT_AT: usize = 8;
const FLAGS_AT: usize = 9;
const CREATED: Range<usize> = 10..18;
const EXPIRES: Range<usize> = 18..26;
const ADDRESS_LENGTH: Range<usize> = 26..30;
const HEAD: usize = ADDRESS_LENGTH.end;

/// The bytes to store. `None` if the address is too long to be written down.
pub(crate) fn seal(address: &[u8], payload: &[u8], timeout: Duration) -> Option<Vec<u8>> {
    let created = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let times = [created, created.saturating_add(timeout)];
    write(0, times, address, [payload, &[]])
}

/// The bytes of a value that is kept past its time.
pub(crate) fn seal_aged(address: &[u8], payload: &[u8], age: &Age) -> Option<Vec<u8>> {
    let ran_for = u32::try_from(age.ran_for.as_millis()).unwrap_or(u32::MAX);
    let times = [age.created, age.expires];
    write(KEPT_LONGER, times, address, [payload, &ran_for.to_le_bytes()])
}

fn write(flags: u8, times: [Duration; 2], address: &[u8], payload: [&[u8]; 2]) -> Option<Vec<u8>> {
    let address_length = u32::try_from(address.len()).ok()?;
    let length = HEAD + address.len() + payload.iter().map(|part| part.len()).sum::<usize>();
    let mut bytes = Vec::with_capacity(length);
    bytes.extend_from_slice(&[0; CHECKSUM.end]);
    bytes.extend_from_slice(&[FORMAT, flags]);
    times.iter().for_each(|time| bytes.extend_from_slice(&millis(*time).to_le_bytes()));
    bytes.extend_from_slice(&address_length.to_le_bytes());
    bytes.extend_from_slice(address);
    payload.iter().for_each(|part| bytes.extend_from_slice(part));
    let checksum = checksum(&bytes)?;
    bytes.get_mut(CHECKSUM)?.copy_from_slice(&checksum);
    Some(bytes)
}

/// The payload of an entry that was sealed for exactly this address.
pub(crate) fn open<'a>(bytes: &'a [u8], address: &[u8]) -> Option<&'a [u8]> {
    if *bytes.get(FLAGS_AT)? != 0 {
        return None;
    }
    verified(bytes, address)
}

/// The payload of an entry that may be old, and how old it is.
pub(crate) fn open_aged<'a>(bytes: &'a [u8], address: &[u8]) -> Option<(&'a [u8], Age)> {
    let flags = *bytes.get(FLAGS_AT)?;
    let payload = verified(bytes, address).filter(|_| flags & !KEPT_LONGER == 0)?;
    let (payload, ran_for) = match flags {
        0 => (payload, Duration::ZERO),
        _ => {
            let (payload, millis) =
                payload.split_at_checked(payload.len().checked_sub(RUN_TIME)?)?;
            let millis = u32::from_le_bytes(millis.try_into().ok()?);
            (payload, Duration::from_millis(millis.into()))
        }
    };
    let time = |range: Range<usize>| {
        let bytes: [u8; 8] = bytes.get(range)?.try_into().ok()?;
        Some(Duration::from_millis(u64::from_le_bytes(bytes)))
    };
    Some((payload, Age { created: time(CREATED)?, expires: time(EXPIRES)?, ran_for }))
}

fn verified<'a>(bytes: &'a [u8], address: &[u8]) -> Option<&'a [u8]> {
    if *bytes.get(FORMAT_AT)? != FORMAT {
        return None;
    }
    let address_length = u32::from_le_bytes(bytes.get(ADDRESS_LENGTH)?.try_into().ok()?);
    let (sealed_for, payload) =
        bytes.get(HEAD..)?.split_at_checked(usize::try_from(address_length).ok()?)?;
    let is_intact = || checksum(bytes).is_some_and(|sum| bytes.get(CHECKSUM) == Some(&sum));
    (sealed_for == address && is_intact()).then_some(payload)
}

/// What tells an entry from any other that was stored: its times and its checksum are in it.
pub(crate) fn head(bytes: &[u8]) -> &[u8] {
    bytes.get(..HEAD).unwrap_or(bytes)
}

/// How long an entry is right yet, by this machine's clock.
pub(crate) fn left(bytes: &[u8]) -> Duration {
    let expires =
        bytes.get(EXPIRES).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(expires.unwrap_or_default()).saturating_sub(now)
}

/// In one go, and without a seed: from 240 bytes on, each seed has a secret to be made.
fn checksum(bytes: &[u8]) -> Option<[u8; 8]> {
    Some(xxh3_64(bytes.get(CHECKSUM.end..)?).to_le_bytes())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
