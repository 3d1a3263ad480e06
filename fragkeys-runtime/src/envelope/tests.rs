use proptest::prelude::*;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

proptest! {
    #[test]
    fn what_is_sealed_opens_for_its_address_alone(
        address: Vec<u8>,
        payload: Vec<u8>,
        other: Vec<u8>,
    ) {
        let sealed = seal(&address, &payload, MINUTE).unwrap();
        prop_assert_eq!(open(&sealed, &address), Some(&payload[..]));
        prop_assert_eq!(open(&sealed, &other).is_some(), other == address);
    }

    #[test]
    fn strangers_bytes_do_not_open(bytes: Vec<u8>, address: Vec<u8>) {
        prop_assert_eq!(open(&bytes, &address), None);
    }
}

/// Each single bit and each shorter length, of one entry.
#[test]
fn damage_does_not_open() {
    let sealed = seal(b"address", b"payload", MINUTE).unwrap();
    for position in 0..sealed.len() {
        assert_eq!(open(&sealed[..position], b"address"), None);
        for bit in 0..8 {
            let mut flipped = sealed.clone();
            flipped[position] ^= 1 << bit;
            assert_eq!(open(&flipped, b"address"), None, "bit {bit} of byte {position}");
        }
    }
    let longer = [&sealed[..], b"x"].concat();
    assert_eq!(open(&longer, b"address"), None);
}

#[test]
fn an_endless_timeout_is_no_overflow() {
    let sealed = seal(b"a", b"p", Duration::MAX).unwrap();
    assert_eq!(open(&sealed, b"a"), Some(&b"p"[..]));
}
