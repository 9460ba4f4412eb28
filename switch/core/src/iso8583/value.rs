//! The value of an element, borrowed from its message.
//!
//! Owns [`Value`]: bytes as they lie in the message and how to read them. A value's *canonical* form is what other dialects can
//! be given: ASCII characters, and for `b` the bytes themselves. Invariants: reading never allocates; `Debug` shows no content.
//! Deliberately absent: what the value means, and who may see it ([`super::Mask`]).

use std::fmt;

use super::charset::{from_ebcdic, hex_digit, hex_value};
use super::decimal::short_number;
use super::field::Encoding;
use super::tags::{Ber, Tags};
use crate::text::Text;

/// An element's value, borrowed. Comparing two values compares canonical forms.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    bytes: &'a [u8],
    units: u16,
    encoding: Encoding,
    /// Nibbles before the first digit, for packed digits: 0 or 1.
    skip: u8,
}

impl<'a> Value<'a> {
    /// The view and the tag walk make values; `bytes` are exactly those that hold `units` behind `skip` nibbles.
    #[inline]
    pub(super) fn new(bytes: &'a [u8], units: usize, encoding: Encoding, skip: u8) -> Self {
        // Left-justified digits differ from the others in the nibbles to skip alone.
        let encoding = if encoding == Encoding::BcdLeft { Encoding::Bcd } else { encoding };
        Self { bytes, units: units as u16, encoding, skip }
    }

    /// The value as it lies in the message.
    pub fn raw(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the canonical form is the bytes as they lie in the message.
    pub fn lies_canonical(&self) -> bool {
        matches!(self.encoding, Encoding::Ascii | Encoding::Binary)
    }

    /// Length in characters or digits; in bytes for `b`.
    pub fn len(&self) -> usize {
        usize::from(self.units)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.units == 0
    }

    /// Whether the value is bytes (`b`) and not characters.
    pub fn is_binary(&self) -> bool {
        matches!(self.encoding, Encoding::Binary | Encoding::Hex | Encoding::EbcdicHex)
    }

    /// The value as a decimal number; `None` when it is empty, holds anything but digits, or passes 64 bits.
    #[inline]
    pub fn number(&self) -> Option<u64> {
        if self.is_empty() || self.is_binary() {
            return None;
        }
        if self.encoding == Encoding::Ascii {
            return short_number(self.bytes).or_else(|| number(self.bytes.iter().copied()));
        }
        number((0..self.len()).map(|index| self.character(index)))
    }

    /// The value as short text; `None` when it is longer than `N` or not ASCII.
    #[inline]
    pub fn text<const N: usize>(&self) -> Option<Text<N>> {
        if self.encoding == Encoding::Ascii {
            return Text::new(self.bytes);
        }
        let mut ascii = [0; N];
        let ascii = ascii.get_mut(..self.len())?;
        for (index, byte) in ascii.iter_mut().enumerate() {
            *byte = self.character(index);
        }
        Text::new(ascii)
    }

    /// The characters of a value of so many; `None` when it has more or less, or is no characters but bytes (`b`).
    #[inline]
    pub fn characters<const N: usize>(&self) -> Option<[u8; N]> {
        if self.encoding == Encoding::Ascii {
            return self.bytes.try_into().ok();
        }
        (self.len() == N && !self.is_binary()).then(|| std::array::from_fn(|index| self.character(index)))
    }

    /// Appends the canonical form: ASCII characters, `b` as its bytes.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Ascii | Encoding::Binary => out.extend_from_slice(self.bytes),
            _ => out.extend((0..self.len()).map(|index| self.character(index))),
        }
    }

    /// Appends the canonical form for people: as [`Value::append_to`], but `b` as upper-case hex digits.
    pub fn append_readable_to(&self, out: &mut Vec<u8>) {
        if !self.is_binary() {
            return self.append_to(out);
        }
        for index in 0..self.len() {
            let byte = self.character(index);
            out.extend_from_slice(&[hex_digit(byte >> 4), hex_digit(byte)]);
        }
    }

    /// Whether the canonical form is these bytes.
    pub fn is(&self, canonical: &[u8]) -> bool {
        match self.encoding {
            Encoding::Ascii | Encoding::Binary => self.bytes == canonical,
            _ => {
                self.len() == canonical.len()
                    && (0..self.len()).all(|index| self.character(index) == canonical[index])
            }
        }
    }

    /// The tagged elements in it, in order: the prepaid data and its items. Ends early where the form is broken, which in a
    /// value of a complete view cannot be.
    pub fn tags(&self) -> Tags<'a> {
        Tags::new(self.bytes, self.encoding)
    }

    /// The BER-TLV elements in it. Ends early where the form is broken.
    pub fn ber(&self) -> Ber<'a> {
        Ber::new(*self)
    }

    /// The canonical byte at this index, below [`Value::len`].
    pub fn character(&self, index: usize) -> u8 {
        match self.encoding {
            Encoding::Ascii | Encoding::Binary => self.bytes[index],
            Encoding::Ebcdic => from_ebcdic(self.bytes[index]),
            Encoding::Bcd | Encoding::BcdLeft => self.nibble(index),
            Encoding::SignedBcd if index == 0 => self.bytes[0],
            // The sign takes two nibbles and is one character, so the digit at `index` is one nibble further on.
            Encoding::SignedBcd => self.nibble(index + 1),
            Encoding::Hex => hex_value(self.bytes[2 * index]) << 4 | hex_value(self.bytes[2 * index + 1]),
            Encoding::EbcdicHex => {
                hex_value(from_ebcdic(self.bytes[2 * index])) << 4
                    | hex_value(from_ebcdic(self.bytes[2 * index + 1]))
            }
        }
    }

    /// Part of the value; `None` when it does not reach that far or cannot be divided.
    pub(super) fn part(&self, from: usize, units: usize) -> Option<Value<'a>> {
        if from + units > self.len() {
            return None;
        }
        let (start, end, skip) = match self.encoding {
            Encoding::Ascii | Encoding::Ebcdic | Encoding::Binary => (from, from + units, 0),
            Encoding::Hex | Encoding::EbcdicHex => (2 * from, 2 * (from + units), 0),
            Encoding::Bcd | Encoding::BcdLeft => {
                let first = from + usize::from(self.skip);
                (first / 2, (first + units).div_ceil(2), (first % 2) as u8)
            }
            Encoding::SignedBcd => return None,
        };
        Some(Value::new(self.bytes.get(start..end)?, units, self.encoding, skip))
    }

    pub(super) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(super) fn skip(&self) -> u8 {
        self.skip
    }

    /// Digits are 0x30 to 0x39; the nibbles above 9 are the other characters of tracks 2 and 3, D being `=` (ISO/IEC 7813).
    fn nibble(&self, index: usize) -> u8 {
        let at = index + usize::from(self.skip);
        let byte = self.bytes[at / 2];
        0x30 + if at.is_multiple_of(2) { byte >> 4 } else { byte & 0x0F }
    }
}

/// Folds decimal digits into a number.
fn number(ascii: impl Iterator<Item = u8>) -> Option<u64> {
    ascii.into_iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

impl PartialEq for Value<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.is_binary() == other.is_binary()
            && self.len() == other.len()
            && (0..self.len()).all(|index| self.character(index) == other.character(index))
    }
}

impl Eq for Value<'_> {}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value(***, {})", self.units)
    }
}

#[cfg(test)]
mod tests {
    use super::Value;
    use crate::iso8583::field::Encoding;

    #[test]
    fn numbers_are_digits_of_at_most_64_bits() {
        let table = [
            (&b"000000001500"[..], Some(1500)),
            (b"9999999999999999999", Some(9_999_999_999_999_999_999)),
            (b"18446744073709551615", Some(u64::MAX)),
            (b"18446744073709551616", None),
            (b"000000000000000000000000000000000000000042", Some(42)),
            (b"", None),
            (b"12 4", None),
            (b"-1", None),
        ];
        for (ascii, expected) in table {
            assert_eq!(Value::new(ascii, ascii.len(), Encoding::Ascii, 0).number(), expected);
        }
        assert_eq!(Value::new(&[0x01, 0x23], 3, Encoding::Bcd, 1).number(), Some(123));
        assert_eq!(Value::new(&[0x12], 1, Encoding::Binary, 0).number(), None);
    }
}
