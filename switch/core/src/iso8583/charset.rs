//! Character sets and the classes of characters that elements may hold.
//!
//! Owns the EBCDIC tables and [`Content`]. EBCDIC is code page 1047; what it shares with code page 500 (every printable ASCII
//! character but `!`, `[`, `]` and `|`) reads the same from either. Deliberately absent: any other code page.

use super::role::words;

words! {
    /// What the characters of an element may be (ISO 8583:1987, 4.1).
    pub enum Content {
        /// Decimal digits.
        Digits = "n",
        /// Letters and spaces.
        Letters = "a",
        /// Letters, digits and spaces.
        Alphanumeric = "an",
        /// Letters, digits and pad spaces: the same set as `an`.
        Padded = "anp",
        /// Printable ASCII.
        Printable = "ans",
        /// Printable ASCII and line ends.
        Lines = "text",
        /// The 16 characters of tracks 2 and 3 (ISO/IEC 7813), `D` standing for `=` too.
        Track = "z",
        /// `C` or `D`, then decimal digits.
        Signed = "x+n",
        /// Any bytes.
        Bytes = "b",
    }
}

impl Content {
    /// Whether canonical characters are all of this class.
    #[inline]
    pub fn holds(self, ascii: &[u8]) -> bool {
        match self {
            Content::Digits => all_digits(ascii),
            Content::Printable => all_printable(ascii),
            Content::Alphanumeric | Content::Padded => all_alphanumeric(ascii),
            _ => self.holds_each(ascii),
        }
    }

    /// As [`Content::holds`], of a number of characters that the compiler knows.
    #[inline(always)]
    pub(super) fn holds_all<const N: usize>(self, ascii: &[u8; N]) -> bool {
        match self {
            Content::Digits => all_words(ascii, are_digits),
            Content::Printable => all_words(ascii, are_printable),
            Content::Alphanumeric | Content::Padded => all_words(ascii, are_alphanumeric),
            _ => self.holds_each(ascii),
        }
    }

    /// Whether it is a set of characters, the digits among them: then values one behind the other are of it when both are.
    #[inline]
    pub(super) const fn has_digits(self) -> bool {
        !matches!(self, Content::Letters | Content::Signed)
    }

    #[inline(never)]
    fn holds_each(self, ascii: &[u8]) -> bool {
        match self {
            Content::Digits => ascii.iter().all(u8::is_ascii_digit),
            Content::Printable => ascii.iter().all(|b| matches!(b, b' '..=b'~')),
            Content::Alphanumeric | Content::Padded => {
                ascii.iter().all(|b| b.is_ascii_alphanumeric() || *b == b' ')
            }
            Content::Letters => ascii.iter().all(|b| b.is_ascii_alphabetic() || *b == b' '),
            Content::Lines => ascii.iter().all(|b| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t')),
            Content::Track => ascii.iter().all(|b| matches!(b, b'0'..=b'?' | b'D')),
            Content::Signed => {
                matches!(ascii, [b'C' | b'D' | b'c' | b'd', digits @ ..] if digits.iter().all(u8::is_ascii_digit))
            }
            Content::Bytes => true,
        }
    }
}

// Each a function of its own, so that it needs no more registers than its test.

#[inline(never)]
fn all_digits(ascii: &[u8]) -> bool {
    all_words(ascii, are_digits)
}

#[inline(never)]
fn all_printable(ascii: &[u8]) -> bool {
    all_words(ascii, are_printable)
}

#[inline(never)]
fn all_alphanumeric(ascii: &[u8]) -> bool {
    all_words(ascii, are_alphanumeric)
}

/// Whether the test, which looks at eight bytes at a time, holds for all bytes. Words may overlap and bytes come twice in one,
/// so that there is no rest to go through byte by byte.
#[inline(always)]
fn all_words(bytes: &[u8], test: impl Fn(u64) -> bool) -> bool {
    if let Some(last) = bytes.last_chunk::<8>() {
        let (words, _) = bytes.as_chunks::<8>();
        return test(u64::from_le_bytes(*last)) && words.iter().all(|word| test(u64::from_le_bytes(*word)));
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return test(u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last)));
    }
    match *bytes {
        [] => true,
        [a] => test(EACH_BYTE * u64::from(a)),
        [a, b] => test(u64::from_le_bytes([a, b, a, b, a, b, a, b])),
        [a, b, c, ..] => test(u64::from_le_bytes([a, b, c, a, b, c, a, b])),
    }
}

const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
const HIGH_BITS: u64 = EACH_BYTE * 0x80;

/// Eight digits: each byte is 0x3X, and still is when 6 is added.
#[inline(always)]
fn are_digits(word: u64) -> bool {
    const UPPER_NIBBLES: u64 = EACH_BYTE * 0xF0;
    const THREES: u64 = EACH_BYTE * 0x30;
    word & UPPER_NIBBLES == THREES && word.wrapping_add(EACH_BYTE * 6) & UPPER_NIBBLES == THREES
}

/// Eight printable characters: below 0x80, still so when 1 is added (not 0x7F), and at least 0x20.
#[inline(always)]
fn are_printable(word: u64) -> bool {
    (word | word.wrapping_add(EACH_BYTE)) & HIGH_BITS == 0
        && (word | HIGH_BITS).wrapping_sub(EACH_BYTE * 0x20) & HIGH_BITS == HIGH_BITS
}

/// Eight letters, digits or spaces.
#[inline(always)]
fn are_alphanumeric(word: u64) -> bool {
    let small = word | (EACH_BYTE * 0x20);
    let good = in_range(word, b'0', b'9') | in_range(small, b'a', b'z') | in_range(word, b' ', b' ');
    word & HIGH_BITS == 0 && good == HIGH_BITS
}

/// The high bit of each byte that lies in the range; all bytes are below 0x80, or the result means nothing.
#[inline(always)]
fn in_range(word: u64, first: u8, last: u8) -> u64 {
    let reaches = word.wrapping_add(EACH_BYTE * u64::from(0x80 - first));
    let passes = word.wrapping_add(EACH_BYTE * u64::from(0x7F - last));
    reaches & !passes & HIGH_BITS
}

/// The value of a hex digit, either case; 0xFF for anything else.
pub(super) const fn hex_value(byte: u8) -> u8 {
    HEX[byte as usize]
}

/// The number that sixteen hex digits are, either case.
#[inline]
pub(super) fn hex_number(ascii: [u8; 16]) -> Option<u64> {
    let (high, low) = ascii.split_first_chunk::<8>()?;
    Some(u64::from(hex_half(*high)?) << 32 | u64::from(hex_half(*low.first_chunk()?)?))
}

/// Eight hex digits, all at once: the low nibbles, 9 more for each letter, pushed together two by two.
#[inline]
fn hex_half(ascii: [u8; 8]) -> Option<u32> {
    let word = u64::from_be_bytes(ascii);
    let good = in_range(word, b'0', b'9') | in_range(word | (EACH_BYTE * 0x20), b'a', b'f');
    if word & HIGH_BITS != 0 || good != HIGH_BITS {
        return None;
    }
    let nibbles = (word & (EACH_BYTE * 0x0F)) + (word >> 6 & EACH_BYTE) * 9;
    let pairs = (nibbles | nibbles >> 4) & 0x00FF_00FF_00FF_00FF;
    let quads = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF;
    Some((quads | quads >> 16) as u32)
}

/// The upper-case hex digit of the low four bits.
pub(super) const fn hex_digit(value: u8) -> u8 {
    b"0123456789ABCDEF"[(value & 0x0F) as usize]
}

const HEX: [u8; 256] = {
    let mut table = [0xFF; 256];
    let mut value = 0;
    while value < 16 {
        table[hex_digit(value).to_ascii_lowercase() as usize] = value;
        table[hex_digit(value) as usize] = value;
        value += 1;
    }
    table
};

/// ASCII of an EBCDIC byte; 0x80 where there is none, which is in no class of characters.
pub(super) const fn from_ebcdic(byte: u8) -> u8 {
    TO_ASCII[byte as usize]
}

/// EBCDIC of an ASCII byte; the substitute character 0x3F for what EBCDIC text cannot hold.
pub(super) const fn to_ebcdic(byte: u8) -> u8 {
    TO_EBCDIC[byte as usize]
}

const NO_CHARACTER: u8 = 0x80;

/// Runs of code page 1047: first EBCDIC byte, then the ASCII characters from there on.
const RUNS: &[(u8, &[u8])] = &[
    (0x05, b"\t"),
    (0x0D, b"\r"),
    (0x25, b"\n"),
    (0x40, b" "),
    (0x4B, b".<(+|&"),
    (0x5A, b"!$*);^-/"),
    (0x6B, b",%_>?"),
    (0x79, b"`:#@'=\""),
    (0x81, b"abcdefghi"),
    (0x91, b"jklmnopqr"),
    (0xA1, b"~stuvwxyz"),
    (0xAD, b"["),
    (0xBD, b"]"),
    (0xC0, b"{ABCDEFGHI"),
    (0xD0, b"}JKLMNOPQR"),
    (0xE0, b"\\"),
    (0xE2, b"STUVWXYZ"),
    (0xF0, b"0123456789"),
];

const TO_ASCII: [u8; 256] = {
    let mut table = [NO_CHARACTER; 256];
    let mut run = 0;
    while run < RUNS.len() {
        let (first, characters) = RUNS[run];
        let mut index = 0;
        while index < characters.len() {
            table[first as usize + index] = characters[index];
            index += 1;
        }
        run += 1;
    }
    table
};

const TO_EBCDIC: [u8; 256] = {
    let mut table = [0x3F; 256];
    let mut byte = 0;
    while byte < 256 {
        if TO_ASCII[byte] != NO_CHARACTER {
            table[TO_ASCII[byte] as usize] = byte as u8;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{Content, from_ebcdic, hex_number, hex_value, to_ebcdic};

    #[test]
    fn printable_ascii_survives_ebcdic() {
        for byte in (b' '..=b'~').chain(*b"\r\n\t") {
            assert_eq!(from_ebcdic(to_ebcdic(byte)), byte);
        }
        assert_eq!((to_ebcdic(b'0'), to_ebcdic(b'A'), to_ebcdic(b'z')), (0xF0, 0xC1, 0xA9));
        assert_eq!(
            (to_ebcdic(b'&'), to_ebcdic(b'-'), to_ebcdic(b'/'), to_ebcdic(b'=')),
            (0x50, 0x60, 0x61, 0x7E)
        );
    }

    #[test]
    fn classes_hold_what_they_say_at_any_length() {
        for content in [Content::Digits, Content::Printable, Content::Alphanumeric] {
            for length in 1..=20 {
                for (place, byte) in (0..length).flat_map(|place| (0..=255).map(move |byte| (place, byte))) {
                    let mut text = vec![b'0'; length];
                    text[place] = byte;
                    assert_eq!(
                        content.holds(&text),
                        content.holds_each(&[byte]),
                        "{content:?} {length} {place} {byte}"
                    );
                }
            }
        }
    }

    #[test]
    fn unassigned_ebcdic_is_in_no_class() {
        for content in [Content::Printable, Content::Lines, Content::Digits, Content::Track, Content::Letters]
        {
            assert!(!content.holds(&[from_ebcdic(0xFF)]));
        }
    }

    #[test]
    fn hex_digits_have_either_case() {
        assert_eq!([b'0', b'9', b'a', b'F', b'g'].map(hex_value), [0, 9, 10, 15, 0xFF]);
        assert_eq!(hex_number(*b"0123456789abcDEF"), Some(0x0123_4567_89AB_CDEF));
        for (place, byte) in (0..16).flat_map(|place| (0..=255).map(move |byte| (place, byte))) {
            let mut digits = [b'7'; 16];
            digits[place] = byte;
            let expected = (hex_value(byte) < 16).then(|| {
                let (shift, value) = (60 - 4 * place, u64::from(hex_value(byte)));
                0x7777_7777_7777_7777 & !(0x0F << shift) | value << shift
            });
            assert_eq!(hex_number(digits), expected, "{place} {byte}");
        }
    }
}
