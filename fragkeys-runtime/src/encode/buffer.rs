//! The bytes of a call's identity, on the stack for as long as they are few: so that a hit of the
//! near tier allocates nothing.

use std::fmt;

use super::Sink;

/// A fingerprint, some numbers, and a text or two.
const IN_PLACE: usize = 128;

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
}

impl Buffer {
    /// The same of a number.
    pub(crate) fn append_number(&mut self, is_negative: bool, mut number: u64) {
        const MOST: usize = "-18446744073709551615".len();
        let (mut text, mut begin) = ([b'-'; MOST], MOST);
        for digit in text.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            begin -= 1;
            if number == 0 {
                break;
            }
        }
        // What stands before the digits is a sign.
        begin -= usize::from(is_negative);
        let text = text.get(begin..).unwrap_or_default();
        self.extend(&(text.len() as u64).to_le_bytes());
        self.extend(text);
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
        for number in [0, 7, 10, 999, i64::MAX, -1, -10, i64::MIN] {
            let (mut plain, mut displayed) = (Buffer::new(), Buffer::new());
            plain.append_number(number < 0, number.unsigned_abs());
            displayed.append_display(number);
            assert_eq!(plain.as_slice(), displayed.as_slice());
        }
        let (mut plain, mut displayed) = (Buffer::new(), Buffer::new());
        plain.append_number(false, u64::MAX);
        displayed.append_display(u64::MAX);
        assert_eq!(plain.as_slice(), displayed.as_slice());
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
