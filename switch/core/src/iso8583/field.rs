//! One row of a compiled dialect: how an element lies on the wire.
//!
//! Owns [`Field`] and its parts: format, encoding, length prefix, padding. Invariants: a field's maximum fits its prefix; the
//! bytes of a value follow from its encoding and its number of units (characters, digits, or bytes for `b`). Deliberately
//! absent: names, roles and masks, which the walk of a message does not need.

use super::charset::{Content, from_ebcdic, hex_value};
use super::error::Rule;
use super::role::{Role, words};
use super::value::Value;

words! {
    /// How a value's units become bytes.
    pub(super) enum Encoding {
        /// One ASCII character a byte.
        Ascii = "ascii",
        /// One EBCDIC character a byte.
        Ebcdic = "ebcdic",
        /// Two digits a byte, an odd number right-justified behind a zero nibble.
        Bcd = "bcd",
        /// Two digits a byte, an odd number left-justified before a filler nibble.
        BcdLeft = "bcd-left",
        /// A sign in ASCII, then digits as `bcd`.
        SignedBcd = "signed-bcd",
        /// Bytes as they are.
        Binary = "binary",
        /// Two ASCII hex digits a byte.
        Hex = "hex",
        /// Two EBCDIC hex digits a byte.
        EbcdicHex = "ebcdic-hex",
    }
}

impl Encoding {
    /// Bytes on the wire of so many units.
    #[inline(always)]
    pub(super) const fn bytes(self, units: usize) -> usize {
        match self {
            Encoding::Ascii => units,
            _ => self.bytes_packed(units),
        }
    }

    const fn bytes_packed(self, units: usize) -> usize {
        match self {
            Encoding::Ascii | Encoding::Ebcdic | Encoding::Binary => units,
            Encoding::Bcd | Encoding::BcdLeft => units.div_ceil(2),
            Encoding::SignedBcd if units == 0 => 0,
            Encoding::SignedBcd => 1 + (units - 1).div_ceil(2),
            Encoding::Hex | Encoding::EbcdicHex => units * 2,
        }
    }

    /// Nibbles to pass over before the first digit.
    pub(super) const fn skip(self, units: usize) -> u8 {
        match self {
            Encoding::Bcd => (units % 2) as u8,
            Encoding::SignedBcd => (units.saturating_sub(1) % 2) as u8,
            _ => 0,
        }
    }
}

words! {
    /// How the number in a length prefix is written.
    pub(super) enum PrefixEncoding {
        /// One ASCII digit a byte.
        Ascii = "ascii",
        /// One EBCDIC digit a byte.
        Ebcdic = "ebcdic",
        /// Two digits a byte, right-justified: one byte for L and LL, two for LLL and LLLL.
        Bcd = "bcd",
        /// A big-endian number: one byte for L and LL, two for LLL and LLLL.
        Binary = "binary",
    }
}

/// A length prefix; `width` 0 means a fixed length.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefix {
    pub(super) encoding: PrefixEncoding,
    pub(super) width: u8,
}

impl Prefix {
    pub(super) const NONE: Prefix = Prefix { encoding: PrefixEncoding::Ascii, width: 0 };

    /// The prefix of so many length digits (the Ls of the format).
    pub(super) const fn new(encoding: PrefixEncoding, digits: u8) -> Prefix {
        let width = match encoding {
            PrefixEncoding::Ascii | PrefixEncoding::Ebcdic => digits,
            PrefixEncoding::Bcd | PrefixEncoding::Binary => digits.div_ceil(2),
        };
        Prefix { encoding, width }
    }

    pub(super) fn width(self) -> usize {
        usize::from(self.width)
    }

    /// The number in the prefix; `None` when its bytes are not digits.
    #[inline]
    pub(super) fn read(self, bytes: &[u8]) -> Option<usize> {
        match self.encoding {
            PrefixEncoding::Ascii => self.read_ascii(bytes),
            _ => self.read_slowly(bytes),
        }
    }

    /// As [`Prefix::read`], of a prefix of ASCII digits: the two usual widths by hand, for this is on the path of every message.
    #[inline(always)]
    pub(super) fn read_ascii(self, bytes: &[u8]) -> Option<usize> {
        match bytes {
            [tens, ones] => ascii_digits([b'0', *tens, *ones]),
            [hundreds, tens, ones] => ascii_digits([*hundreds, *tens, *ones]),
            _ => self.read_slowly(bytes),
        }
    }

    #[inline(never)]
    fn read_slowly(self, bytes: &[u8]) -> Option<usize> {
        match self.encoding {
            PrefixEncoding::Ascii => digits(bytes.iter().map(|b| b.wrapping_sub(b'0'))),
            PrefixEncoding::Ebcdic => digits(bytes.iter().map(|b| b.wrapping_sub(0xF0))),
            PrefixEncoding::Bcd => digits(bytes.iter().flat_map(|b| [b >> 4, b & 0x0F])),
            PrefixEncoding::Binary => Some(bytes.iter().fold(0, |n, &b| n << 8 | usize::from(b))),
        }
    }

    /// Appends the number as ASCII digits, as many as the prefix is wide. The caller has checked that it fits.
    #[inline(always)]
    pub(super) fn write_ascii(self, number: usize, out: &mut Vec<u8>) {
        let digit = |unit: usize| b'0' + (number / unit % 10) as u8;
        match self.width {
            0 => {}
            2 => out.extend_from_slice(&[digit(10), digit(1)]),
            3 => out.extend_from_slice(&[digit(100), digit(10), digit(1)]),
            _ => self.write_slowly(number, out),
        }
    }

    #[inline(never)]
    fn write_slowly(self, number: usize, out: &mut Vec<u8>) {
        let at = out.len();
        out.resize(at + self.width(), 0);
        self.write(number, &mut out[at..]);
    }

    /// Writes the number into the prefix's bytes. The caller has checked that it fits.
    pub(super) fn write(self, number: usize, bytes: &mut [u8]) {
        let mut rest = number;
        for byte in bytes.iter_mut().rev() {
            match self.encoding {
                PrefixEncoding::Ascii => *byte = b'0' + next_digit(&mut rest),
                PrefixEncoding::Ebcdic => *byte = 0xF0 + next_digit(&mut rest),
                PrefixEncoding::Bcd => *byte = next_digit(&mut rest) | next_digit(&mut rest) << 4,
                PrefixEncoding::Binary => {
                    *byte = rest as u8;
                    rest >>= 8;
                }
            }
        }
    }
}

/// Three ASCII digits as a number.
#[inline]
pub(super) fn ascii_digits(ascii: [u8; 3]) -> Option<usize> {
    let [hundreds, tens, ones] = ascii;
    let (hundreds, tens, ones) =
        (hundreds.wrapping_sub(b'0'), tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    let good = (hundreds < 10) & (tens < 10) & (ones < 10);
    good.then_some(usize::from(hundreds) * 100 + usize::from(tens) * 10 + usize::from(ones))
}

fn digits(values: impl Iterator<Item = u8>) -> Option<usize> {
    let (number, good) = values
        .fold((0, true), |(number, good), digit| (number * 10 + usize::from(digit), good & (digit < 10)));
    good.then_some(number)
}

fn next_digit(rest: &mut usize) -> u8 {
    let digit = (*rest % 10) as u8;
    *rest /= 10;
    digit
}

words! {
    /// What fills a fixed element when the value is shorter.
    pub(super) enum Pad {
        /// Zeros before the value.
        ZeroLeft = "zero-left",
        /// Zeros (for `b`, zero bytes) after the value.
        ZeroRight = "zero-right",
        /// Spaces before the value.
        SpaceLeft = "space-left",
        /// Spaces after the value.
        SpaceRight = "space-right",
        /// Nothing: a shorter value is an error.
        Never = "never",
    }
}

impl Pad {
    /// The padding of ISO 8583 for this content: digits right-justified with zeros, text left-justified with spaces, bytes
    /// left-justified with zeros.
    pub(super) const fn standard(content: Content) -> Pad {
        match content {
            Content::Digits => Pad::ZeroLeft,
            Content::Bytes => Pad::ZeroRight,
            Content::Signed | Content::Track => Pad::Never,
            _ => Pad::SpaceRight,
        }
    }

    pub(super) const fn is_left(self) -> bool {
        matches!(self, Pad::ZeroLeft | Pad::SpaceLeft)
    }

    pub(super) const fn byte(self, content: Content) -> u8 {
        match (self, content) {
            (Pad::ZeroLeft | Pad::ZeroRight, Content::Bytes) => 0,
            (Pad::ZeroLeft | Pad::ZeroRight, _) => b'0',
            _ => b' ',
        }
    }
}

words! {
    /// What lies inside an element.
    pub(super) enum Nested {
        /// Nothing that the codec looks into.
        Plain = "plain",
        /// A sequence of elements: two-character tag, three-digit length, value.
        Tags = "tags",
        /// BER-TLV (ISO/IEC 8825-1), as chip data.
        Ber = "ber-tlv",
    }
}

/// A format as written in a dialect: `n6`, `n..19 LL`, `x+n8`, `b8`; `b` counts bytes, `x+n` counts the digits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) content: Content,
    pub(super) units_max: u16,
    pub(super) is_variable: bool,
    /// Number of Ls; 0 when there is no prefix.
    pub(super) length_digits: u8,
}

impl Format {
    /// Parses a format; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Format, &'static str> {
        let (shape, prefix) = text.split_once(' ').unwrap_or((text, ""));
        let class_end = shape
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .ok_or("a format ends with its length, as in `n6`")?;
        let (class, length) = shape.split_at(class_end);
        let content =
            Content::parse(class).ok_or("the class is one of n, a, an, anp, ans, text, z, x+n, b")?;
        let (length, is_variable) = length.strip_prefix("..").map_or((length, false), |rest| (rest, true));
        let written: u16 = length.parse().map_err(|_| "the length is a number from 1 to 9999")?;
        if !(1..=9999).contains(&written) {
            return Err("the length is a number from 1 to 9999");
        }
        if !prefix.bytes().all(|b| b == b'L') || prefix.len() > 4 {
            return Err("the length prefix is L, LL, LLL or LLLL");
        }
        let length_digits = prefix.len() as u8;
        if !is_variable && length_digits != 0 {
            return Err("a fixed length has no prefix; a variable one is written as in `n..19 LL`");
        }
        if length_digits != 0 && u32::from(written) >= 10_u32.pow(u32::from(length_digits)) {
            return Err("the longest value does not fit the digits of its length prefix");
        }
        let units_max = if matches!(content, Content::Signed) { written + 1 } else { written };
        Ok(Format { content, units_max, is_variable, length_digits })
    }
}

/// How an element lies on the wire; `None` in a dialect's table for what it does not define.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) content: Content,
    pub(super) encoding: Encoding,
    pub(super) prefix: Prefix,
    /// Units of a fixed element, most units of a variable one.
    pub(super) units_max: u16,
    pub(super) pad: Pad,
    pub(super) nested: Nested,
    /// Nibble after an odd number of left-justified digits: 0 or 15.
    pub(super) filler: u8,
    /// What it means to the switch, if anything.
    pub(super) role: Option<Role>,
    /// The bit of that role, or of none ([`Role::NONE_BIT`]).
    pub(super) role_bit: u64,
    /// Whether characters that fit are written as they are: ASCII without a form within, behind ASCII digits where its length varies.
    pub(super) plain: bool,
    /// Whether neighbours of the same class may be looked at together with it: it is plain, and its prefix is of its class too.
    pub(super) joins: bool,
}

impl Field {
    pub(super) fn is_fixed(&self) -> bool {
        self.prefix.width == 0
    }

    /// Whether these characters are written as they are, without padding or conversion, behind a prefix of ASCII digits.
    #[inline]
    pub(super) fn takes_as_is(&self, ascii: &[u8]) -> bool {
        self.plain && self.fits(ascii.len()) && self.content.holds(ascii)
    }

    /// As [`Field::takes_as_is`], of a number of characters that the compiler knows.
    #[inline(always)]
    pub(super) fn takes_all<const N: usize>(&self, ascii: &[u8; N]) -> bool {
        self.plain && self.fits(N) && self.content.holds_all(ascii)
    }

    /// As [`Field::takes_as_is`], of so many digits.
    #[inline]
    pub(super) fn takes_digits(&self, length: usize) -> bool {
        self.plain && self.fits(length) && self.content.has_digits()
    }

    /// Whether so many characters need no padding and are not too many.
    #[inline]
    fn fits(&self, length: usize) -> bool {
        let most = usize::from(self.units_max);
        if self.is_fixed() { length == most } else { length <= most }
    }

    /// The value of so many units that these bytes are.
    pub(super) fn value<'a>(&self, bytes: &'a [u8], units: usize) -> Value<'a> {
        Value::new(bytes, units, self.encoding, self.encoding.skip(units))
    }

    /// Checks the value's bytes against the content, without the nested part.
    #[inline]
    pub(super) fn check(&self, bytes: &[u8], units: usize) -> Result<(), Rule> {
        if self.encoding == Encoding::Ascii && self.content.holds(bytes) {
            return Ok(());
        }
        self.check_encoded(bytes, units)
    }

    fn check_encoded(&self, bytes: &[u8], units: usize) -> Result<(), Rule> {
        let good = match self.encoding {
            Encoding::Ascii => self.content.holds(bytes),
            Encoding::Ebcdic => holds_ebcdic(self.content, bytes),
            Encoding::Binary => true,
            Encoding::Hex => bytes.iter().all(|&b| hex_value(b) < 16),
            Encoding::EbcdicHex => bytes.iter().all(|&b| hex_value(from_ebcdic(b)) < 16),
            Encoding::Bcd | Encoding::BcdLeft => return self.check_nibbles(bytes, units),
            Encoding::SignedBcd => return self.check_signed(bytes, units),
        };
        if good { Ok(()) } else { Err(Rule::Content(self.content)) }
    }

    fn check_signed(&self, bytes: &[u8], units: usize) -> Result<(), Rule> {
        match bytes {
            [b'C' | b'D' | b'c' | b'd', nibbles @ ..] => self.check_nibbles(nibbles, units - 1),
            _ => Err(Rule::Content(self.content)),
        }
    }

    fn check_nibbles(&self, bytes: &[u8], units: usize) -> Result<(), Rule> {
        let mut digits = bytes;
        if units % 2 == 1 {
            digits = match (self.encoding, bytes) {
                (Encoding::BcdLeft, [rest @ .., last]) if matches!(last & 0x0F, 0 | 0x0F) => {
                    self.check_digit(last >> 4)?;
                    rest
                }
                (Encoding::Bcd | Encoding::SignedBcd, [first, rest @ ..]) if first >> 4 == 0 => {
                    self.check_digit(*first)?;
                    rest
                }
                _ => return Err(Rule::Filler),
            };
        }
        // Track data uses all sixteen values of a nibble.
        let good = matches!(self.content, Content::Track)
            || digits.iter().fold(true, |good, b| good & (b & 0x0F < 10) & (b >> 4 < 10));
        if good { Ok(()) } else { Err(Rule::Content(self.content)) }
    }

    fn check_digit(&self, nibble: u8) -> Result<(), Rule> {
        let good = nibble < 10 || matches!(self.content, Content::Track);
        if good { Ok(()) } else { Err(Rule::Content(self.content)) }
    }
}

/// Checks EBCDIC characters in pieces, so that no copy of the value is made.
fn holds_ebcdic(content: Content, bytes: &[u8]) -> bool {
    if content == Content::Signed {
        let Some((sign, digits)) = bytes.split_first() else { return false };
        return matches!(from_ebcdic(*sign), b'C' | b'D' | b'c' | b'd')
            && holds_ebcdic(Content::Digits, digits);
    }
    bytes.chunks(16).all(|piece| {
        let mut ascii = [0; 16];
        for (character, byte) in ascii.iter_mut().zip(piece) {
            *character = from_ebcdic(*byte);
        }
        content.holds(&ascii[..piece.len()])
    })
}

#[cfg(test)]
mod tests {
    use super::{Format, Prefix, PrefixEncoding};
    use crate::iso8583::charset::Content;

    #[test]
    fn formats_are_those_of_the_standard() {
        let table = [
            ("n6", Some((Content::Digits, 6, 0))),
            ("n..19 LL", Some((Content::Digits, 19, 2))),
            ("ans..999 LLL", Some((Content::Printable, 999, 3))),
            ("x+n8", Some((Content::Signed, 9, 0))),
            ("b..9999 LLLL", Some((Content::Bytes, 9999, 4))),
            ("an..20", Some((Content::Alphanumeric, 20, 0))),
            ("n..100 LL", None),
            ("n0", None),
            ("q6", None),
            ("n6 LL", None),
            ("n", None),
            ("n..6 LLLLL", None),
        ];
        for (text, expected) in table {
            let parsed = Format::parse(text).ok().map(|f| (f.content, f.units_max, f.length_digits));
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn prefixes_read_what_they_write() {
        for (encoding, digits, number, wire) in [
            (PrefixEncoding::Ascii, 3, 42, &b"042"[..]),
            (PrefixEncoding::Ebcdic, 2, 19, &[0xF1, 0xF9]),
            (PrefixEncoding::Bcd, 3, 999, &[0x09, 0x99]),
            (PrefixEncoding::Bcd, 2, 37, &[0x37]),
            (PrefixEncoding::Binary, 4, 9999, &[0x27, 0x0F]),
        ] {
            let prefix = Prefix::new(encoding, digits);
            let mut bytes = vec![0; prefix.width()];
            prefix.write(number, &mut bytes);
            assert_eq!(bytes, wire);
            assert_eq!(prefix.read(&bytes), Some(number));
        }
        assert_eq!(Prefix::new(PrefixEncoding::Ascii, 2).read(b"1x"), None);
    }
}
