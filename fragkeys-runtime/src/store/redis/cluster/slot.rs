//! In which slot of a cluster a key stands.

use std::collections::BTreeMap;

/// How many there are.
pub(in crate::store::redis) const SLOTS: usize = 16_384;

/// The slot of a key: a hash of what stands between its first braces, or of all of it.
pub(in crate::store::redis) fn slot_of(key: &[u8]) -> u16 {
    crc16(between_braces(key).unwrap_or(key)) % SLOTS as u16
}

/// A key in the slot of another one, which nothing of ours has that is no such key: in a tag's text,
/// no `\` stands before a `g`.
pub(in crate::store::redis) fn beside(key: &str, prefix: &str) -> String {
    if !key.contains(['{', '}']) {
        return format!("{prefix}{{{key}}}");
    }
    // Mostly the first will do: it has the same text between its first braces. Where there is none, one in
    // 16,384 will.
    let slot = slot_of(key.as_bytes());
    let in_slot = (0..1 << 20).map(|number| format!("{key}\\g{number}"));
    let mut in_slot = in_slot.filter(|beside| slot_of(beside.as_bytes()) == slot);
    in_slot.next().unwrap_or_else(|| format!("{key}\\g"))
}

/// Items in groups whose keys stand in one slot.
pub(in crate::store::redis) fn by_slot<T>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> String,
) -> Vec<Vec<T>> {
    let mut by_slot: BTreeMap<u16, Vec<T>> = BTreeMap::new();
    for item in items {
        by_slot.entry(slot_of(key(&item).as_bytes())).or_default().push(item);
    }
    by_slot.into_values().collect()
}

/// What stands between the first `{` and the `}` that follows it, unless that is nothing.
fn between_braces(key: &[u8]) -> Option<&[u8]> {
    let open = key.iter().position(|byte| *byte == b'{')?;
    let rest = key.get(open + 1..)?;
    let close = rest.iter().position(|byte| *byte == b'}')?;
    rest.get(..close).filter(|between| !between.is_empty())
}

/// CRC-16/XMODEM, which the protocol asks for.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        let index = (crc >> 8) ^ u16::from(*byte);
        (crc << 8) ^ TABLE[usize::from(index & 0xff)]
    })
}

const TABLE: [u16; 256] = {
    const POLYNOMIAL: u16 = 0x1021;
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = (index as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    /// As `CLUSTER KEYSLOT` of Redis 7 tells.
    #[test]
    fn slots_are_those_of_redis() {
        let told: [(&str, u16); 8] = [
            ("", 0),
            ("foo", 12182),
            ("123456789", 12739),
            ("fragkeys:t:User:42", 10510),
            ("{foo}bar", 12182),
            ("bar{foo}{other}", 12182),
            ("foo{}{bar}", 8363),
            ("{{foo}", 13308),
        ];
        for (key, slot) in told {
            assert_eq!(slot_of(key.as_bytes()), slot, "{key}");
        }
    }
}
