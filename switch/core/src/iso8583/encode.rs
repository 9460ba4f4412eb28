//! Canonical bytes written as a field wants them: padding, packing, character sets, length prefixes, bitmaps.
//!
//! Owns the encodings in the direction of the wire; `field` and `value` own the other one. Invariants: what is written passes
//! the field's own check; nothing is allocated but the growth of the output. Deliberately absent: the order of elements.

use super::charset::{Content, hex_digit, hex_value, to_ebcdic};
use super::error::Rule;
use super::field::{Encoding, Field, Pad};
use super::mti::Mti;
use super::tags::TAG_LENGTH_DIGITS;
use super::value::Value;

/// Where canonical bytes come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'s> {
    Slice(&'s [u8]),
    Value(&'s Value<'s>),
}

impl Source<'_> {
    pub(super) fn len(&self) -> usize {
        match self {
            Source::Slice(bytes) => bytes.len(),
            Source::Value(value) => value.len(),
        }
    }

    pub(super) fn byte(&self, index: usize) -> u8 {
        match self {
            Source::Slice(bytes) => bytes[index],
            Source::Value(value) => value.character(index),
        }
    }
}

/// Writes prefix and value of an element.
pub(super) fn write_field(field: &Field, source: Source<'_>, out: &mut Vec<u8>) -> Result<(), Rule> {
    let given = source.len();
    let most = usize::from(field.units_max);
    if given > most {
        return Err(Rule::TooLong(field.units_max));
    }
    if !field.is_fixed() {
        let at = out.len();
        out.resize(at + field.prefix.width(), 0);
        field.prefix.write(given, &mut out[at..]);
    }
    let units = if field.is_fixed() { most } else { given };
    if units > given && field.pad == Pad::Never {
        return Err(Rule::TooShort(field.units_max));
    }
    match source {
        Source::Value(value) if is_written_alike(field, value, units) => {
            field.check(value.raw(), units)?;
            out.extend_from_slice(value.raw());
            Ok(())
        }
        Source::Slice(bytes)
            if units == given && matches!(field.encoding, Encoding::Ascii | Encoding::Binary) =>
        {
            if !field.content.holds(bytes) {
                return Err(Rule::Content(field.content));
            }
            out.extend_from_slice(bytes);
            Ok(())
        }
        _ => write_units(field, source, units, out),
    }
}

/// Whether the field would write this value as the bytes that it is.
fn is_written_alike(field: &Field, value: &Value<'_>, units: usize) -> bool {
    let would_be = field.value(value.raw(), units);
    would_be.len() == value.len()
        && would_be.encoding() == value.encoding()
        && would_be.skip() == value.skip()
}

/// Writes padded units one by one, in any encoding.
fn write_units(field: &Field, source: Source<'_>, units: usize, out: &mut Vec<u8>) -> Result<(), Rule> {
    let given = source.len();
    let before = if field.pad.is_left() { units - given } else { 0 };
    let pad = field.pad.byte(field.content);
    let unit = |index: usize| match index.checked_sub(before) {
        Some(index) if index < given => source.byte(index),
        _ => pad,
    };
    let at = out.len();
    match field.encoding {
        Encoding::Ascii | Encoding::Ebcdic | Encoding::Binary => {
            out.extend((0..units).map(|index| in_charset(field.encoding, unit(index))));
        }
        Encoding::Hex | Encoding::EbcdicHex => {
            let digits = (0..units).flat_map(|index| [hex_digit(unit(index) >> 4), hex_digit(unit(index))]);
            out.extend(digits.map(|digit| in_charset(field.encoding, digit)));
        }
        Encoding::Bcd | Encoding::BcdLeft => write_nibbles(field, units, &unit, out)?,
        Encoding::SignedBcd if units == 0 => {}
        Encoding::SignedBcd => {
            out.push(unit(0));
            write_nibbles(field, units - 1, &|index| unit(index + 1), out)?;
        }
    }
    field.check(&out[at..], units)
}

/// Packs digits two a byte, an odd number of them justified as the encoding says.
fn write_nibbles(
    field: &Field,
    units: usize,
    unit: &dyn Fn(usize) -> u8,
    out: &mut Vec<u8>,
) -> Result<(), Rule> {
    let odd = units % 2;
    let (before, filler) = if field.encoding == Encoding::BcdLeft { (0, field.filler) } else { (odd, 0) };
    for index in (0..units + odd).step_by(2) {
        let nibble = |index: usize| match index.checked_sub(before) {
            Some(index) if index < units => to_nibble(field.content, unit(index)),
            _ => Ok(filler),
        };
        out.push(nibble(index)? << 4 | nibble(index + 1)?);
    }
    Ok(())
}

fn to_nibble(content: Content, byte: u8) -> Result<u8, Rule> {
    match byte {
        b'0'..=b'9' => Ok(byte & 0x0F),
        b':'..=b'?' if content == Content::Track => Ok(byte & 0x0F),
        b'D' if content == Content::Track => Ok(hex_value(b'D')),
        _ => Err(Rule::Content(content)),
    }
}

pub(super) fn in_charset(encoding: Encoding, ascii: u8) -> u8 {
    match encoding {
        Encoding::Ebcdic | Encoding::EbcdicHex => to_ebcdic(ascii),
        _ => ascii,
    }
}

pub(super) fn tag_length(length: usize) -> [u8; TAG_LENGTH_DIGITS] {
    // Three digits at most, so that 16 bits are enough, which are divided with less.
    let length = length as u16;
    [b'0' + (length / 100 % 10) as u8, b'0' + (length / 10 % 10) as u8, b'0' + (length % 10) as u8]
}

#[inline]
pub(super) fn write_mti(encoding: Encoding, mti: Mti, out: &mut Vec<u8>) {
    let digits = mti.digits();
    match encoding {
        Encoding::Bcd => {
            let [a, b, c, d] = digits;
            let (a, b, c, d) = (a & 0x0F, b & 0x0F, c & 0x0F, d & 0x0F);
            out.extend_from_slice(&[a << 4 | b, c << 4 | d]);
        }
        Encoding::Ascii => out.extend_from_slice(&digits),
        _ => out.extend(digits.iter().map(|digit| in_charset(encoding, *digit))),
    }
}

#[inline]
pub(super) fn write_bitmap(encoding: Encoding, bitmap: u64, bytes: &mut [u8]) {
    match encoding {
        Encoding::Binary => bytes.copy_from_slice(&bitmap.to_be_bytes()),
        _ => {
            let (high, low) = bytes.split_at_mut(8);
            high.copy_from_slice(&hex_digits((bitmap >> 32) as u32));
            low.copy_from_slice(&hex_digits(bitmap as u32));
            if encoding == Encoding::EbcdicHex {
                bytes.iter_mut().for_each(|byte| *byte = to_ebcdic(*byte));
            }
        }
    }
}

/// The eight hex digits of a number, all at once: its nibbles spread over bytes, then 7 more for each that passes 9.
fn hex_digits(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let spread = u64::from(number);
    let spread = (spread << 16 | spread) & 0x0000_FFFF_0000_FFFF;
    let spread = (spread << 8 | spread) & 0x00FF_00FF_00FF_00FF;
    let nibbles = (spread << 4 | spread) & (ONES * 0x0F);
    let letters = (nibbles + ONES * 6) >> 4 & ONES;
    (nibbles + ONES * u64::from(b'0') + letters * 7).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bitmaps_are_hex_digits() {
        for (bitmap, hex) in [
            (0x0123_4567_89AB_CDEF, b"0123456789ABCDEF"),
            (u64::MAX, b"FFFFFFFFFFFFFFFF"),
            (0x9A09_A09A_0000_0001, b"9A09A09A00000001"),
        ] {
            let mut written = [0; 16];
            write_bitmap(Encoding::Hex, bitmap, &mut written);
            assert_eq!(&written, hex);
            write_bitmap(Encoding::EbcdicHex, bitmap, &mut written);
            assert_eq!(written, hex.map(to_ebcdic));
        }
    }
}
