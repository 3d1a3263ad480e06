//! The bytes of a call's identity, on the stack for as long as they are few: so that a hit of the
//! near tier allocates nothing.

use std::fmt;

use super::Sink;

/// A fingerprint, some numbers, and a text or two.
const IN_PLACE: usize = 128;
/// Of a decimal number, in a register.
const DIGITS: usize = size_of::<u64>();
const EIGHT_DIGITS: u64 = 10_u64.pow(DIGITS as u32);

pub(crate) struct Buffer {
    in_place: [u8; IN_PLACE],
    len: usize,
    /// All of them, once they are too many.
    spilled: Vec<u8>,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Buffer { in_place: [0; IN_PLACE], len: 0, spilled: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u8] {
        // Spilled bytes are more than there is room for in place.
        self.in_place.get(..self.len).unwrap_or(&self.spilled)
    }

    #[inline]
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.in_place.get_mut(self.len..end) {
            Some(room) => room.copy_from_slice(bytes),
            None => self.spill(bytes),
        }
        self.len = end;
    }

    #[cold]
    fn spill(&mut self, bytes: &[u8]) {
        if let Some(in_place) = self.in_place.get(..self.len)
            && self.spilled.is_empty()
        {
            self.spilled.reserve(2 * (self.len + bytes.len()));
            self.spilled.extend_from_slice(in_place);
        }
        self.spilled.extend_from_slice(bytes);
    }

    /// Appends how a value is displayed, with its length. One whose `Display` fails midway leaves
    /// what it wrote.
    pub(crate) fn append_display(&mut self, value: impl fmt::Display) {
        let length_at = self.len;
        self.extend(&0_u64.to_le_bytes());
        let begin = self.len;
        let _ = fmt::write(self, format_args!("{value}"));
        let length = ((self.len - begin) as u64).to_le_bytes();
        let bytes = self.in_place.get_mut(..self.len).unwrap_or(&mut self.spilled);
        if let Some(room) = bytes.get_mut(length_at..begin) {
            room.copy_from_slice(&length);
        }
    }

    /// The same of a number. Its digits are put together in registers, and written eight at a time:
    /// bytes that are written one by one keep a processor waiting that reads them all at once.
    pub(crate) fn append_number(&mut self, is_negative: bool, number: u64) {
        let (high, low) = (number / EIGHT_DIGITS, number % EIGHT_DIGITS);
        let sign = if is_negative { "-" } else { "" };
        if high >= EIGHT_DIGITS {
            return self.append_display(format_args!("{sign}{number}"));
        }
        let (first, rest) = if high == 0 { (low, None) } else { (high, Some(low)) };
        let digits = 1 + first.checked_ilog10().unwrap_or(0) as usize;
        let length = sign.len() + digits + rest.map_or(0, |_| DIGITS);
        self.extend(&(length as u64).to_le_bytes());
        if is_negative {
            self.extend(b"-");
        }
        self.put_digits(first, digits);
        if let Some(rest) = rest {
            self.put_digits(rest, DIGITS);
        }
    }

    /// So many digits of a number, at most eight.
    #[inline]
    fn put_digits(&mut self, mut number: u64, digits: usize) {
        let mut text = 0_u64;
        for _ in 0..digits {
            text = text << 8 | (u64::from(b'0') + number % 10);
            number /= 10;
        }
        let text = text.to_le_bytes();
        match self.in_place.get_mut(self.len..self.len + DIGITS) {
            // What is too much is written over, or left out.
            Some(room) => {
                room.copy_from_slice(&text);
                self.len += digits;
            }
            None => self.extend(text.get(..digits).unwrap_or_default()),
        }
    }
}

impl Sink for Buffer {
    #[inline]
    fn mark(&mut self, kind: u8) {
        self.extend(&[kind]);
    }

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend(bytes);
    }
}

impl fmt::Write for Buffer {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.extend(part.as_bytes());
        Ok(())
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Buffer").field(&self.as_slice()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In place, at the brink, and spilled in one piece or in many: the same bytes.
    #[test]
    fn it_holds_what_was_appended_whatever_the_pieces() {
        for total in [0, 1, IN_PLACE - 1, IN_PLACE, IN_PLACE + 1, 3 * IN_PLACE] {
            for piece in [1, 7, IN_PLACE, 2 * IN_PLACE + 1] {
                let bytes: Vec<u8> = (0..total).map(|at| at as u8).collect();
                let mut buffer = Buffer::new();
                bytes.chunks(piece).for_each(|piece| buffer.extend(piece));
                assert_eq!((buffer.as_slice(), buffer.len()), (&bytes[..], total), "{piece}");
            }
        }
    }

    #[test]
    fn a_number_is_what_its_display_is() {
        let check = |before: usize, is_negative, digits: u64| {
            let (mut plain, mut displayed) = (Buffer::new(), Buffer::new());
            for buffer in [&mut plain, &mut displayed] {
                buffer.extend(&vec![7; before]);
            }
            plain.append_number(is_negative, digits);
            let sign = if is_negative { "-" } else { "" };
            displayed.append_display(format_args!("{sign}{digits}"));
            // What follows does not stand behind what was too much.
            for buffer in [&mut plain, &mut displayed] {
                buffer.extend(b"and on");
            }
            assert_eq!(plain.as_slice(), displayed.as_slice(), "{before}: {sign}{digits}");
        };
        let brinks = (0..=19).map(|digits| 10_u64.pow(digits));
        let numbers = brinks.flat_map(|brink| [brink - 1, brink]).chain([1 << 63, u64::MAX]);
        for digits in numbers {
            for before in (0..2).chain(IN_PLACE - 40..IN_PLACE + 2) {
                check(before, false, digits);
                check(before, true, digits);
            }
        }
    }

    #[test]
    fn a_display_has_its_length_before_it_also_across_the_brink() {
        for before in [0, IN_PLACE - 12, IN_PLACE - 4, IN_PLACE, 2 * IN_PLACE] {
            let mut buffer = Buffer::new();
            buffer.extend(&vec![7; before]);
            buffer.append_display("twelve bytes");
            let (length, text) = buffer.as_slice()[before..].split_at(8);
            assert_eq!((length, text), (&12_u64.to_le_bytes()[..], &b"twelve bytes"[..]));
        }
    }
}
