//! Numbers as decimal digits, and back.
//!
//! Owns the two conversions that are on the path of every message, without a loop over digits where there are many. Invariants: what is written reads back.
//! Deliberately absent: padding and lengths, which the field knows.

/// Decimal digits of the greatest 64-bit number.
pub(super) const NUMBER_DIGITS: usize = 20;

/// How many digits a number is written with, at least so many.
#[inline]
pub(super) fn length(number: u64, least: usize) -> usize {
    match LIMITS.get(least) {
        Some(limit) if number < *limit => least,
        _ => least.max(number.checked_ilog10().map_or(1, |log| log as usize + 1)),
    }
}

/// The first number that takes more digits than the index says; every number takes more than none.
const LIMITS: [u64; NUMBER_DIGITS] = {
    let mut limits = [0; NUMBER_DIGITS];
    let mut digits = 1;
    while digits < NUMBER_DIGITS {
        limits[digits] = 10_u64.pow(digits as u32);
        digits += 1;
    }
    limits
};

/// Eight digits and what they count to.
const EIGHT: usize = 8;
const EIGHT_DIGITS: u64 = 100_000_000;

/// The digits of a number, zeros before them.
#[inline]
pub(super) fn decimal(number: u64) -> [u8; NUMBER_DIGITS] {
    let mut digits = [b'0'; NUMBER_DIGITS];
    let (before, last) = (number / EIGHT_DIGITS, number % EIGHT_DIGITS);
    digits[NUMBER_DIGITS - EIGHT..].copy_from_slice(&eight(last));
    if before > 0 {
        let (first, middle) = (before / EIGHT_DIGITS, before % EIGHT_DIGITS);
        digits[NUMBER_DIGITS - 2 * EIGHT..NUMBER_DIGITS - EIGHT].copy_from_slice(&eight(middle));
        digits[..NUMBER_DIGITS - 2 * EIGHT].copy_from_slice(&eight(first)[EIGHT / 2..]);
    }
    digits
}

/// The digits of a number below 10^8, all at once: halves, quarters and digits side by side in one word, the first in the lowest bits. A quotient of each is a
/// product, cut off where its neighbour begins.
#[inline]
fn eight(number: u64) -> [u8; EIGHT] {
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x0000_007F_0000_007F;
    let quarters = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((quarters * 103) >> 10) & 0x000F_000F_000F_000F;
    let digits = tens | ((quarters - tens * 10) << 8);
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

/// The number that ASCII digits are; `None` where there are none or more than sixteen, or something else among them.
#[inline]
pub(super) fn short_number(ascii: &[u8]) -> Option<u64> {
    if ascii.len() <= EIGHT {
        return number_of_eight(ascii);
    }
    let (before, last) = ascii.split_last_chunk::<EIGHT>()?;
    let before = if before.len() <= EIGHT { number_of_eight(before)? } else { return None };
    Some(before * EIGHT_DIGITS + number_of_eight(last)?)
}

/// The number that one to eight ASCII digits are: tens, hundreds and ten thousands are put together side by side in one word, the last digit in the highest bits.
#[inline]
fn number_of_eight(ascii: &[u8]) -> Option<u64> {
    const EACH_BYTE: u64 = 0x0101_0101_0101_0101;
    let spare_bits = 8 * EIGHT.checked_sub(ascii.len())? as u32;
    let digits = eight_bytes(ascii)? ^ ((EACH_BYTE * 0x30) << spare_bits);
    if (digits | digits.wrapping_add(EACH_BYTE * 0x06)) & (EACH_BYTE * 0xF0) != 0 {
        return None;
    }
    let tens = (digits * 10 + (digits >> 8)) & 0x00FF_00FF_00FF_00FF;
    let hundreds = (tens * 100 + (tens >> 16)) & 0x0000_FFFF_0000_FFFF;
    Some((hundreds * 10_000 + (hundreds >> 32)) & 0xFFFF_FFFF)
}

/// One to eight bytes at the end of a word, zeros before them. Where two pieces overlap they are the same.
#[inline]
fn eight_bytes(ascii: &[u8]) -> Option<u64> {
    if let (Some(first), Some(last)) = (ascii.first_chunk::<4>(), ascii.last_chunk::<4>()) {
        let (first, last) = (u64::from(u32::from_le_bytes(*first)), u64::from(u32::from_le_bytes(*last)));
        return Some(first << (8 * (EIGHT - ascii.len())) | last << 32);
    }
    match *ascii {
        [a] => Some(u64::from_le_bytes([0, 0, 0, 0, 0, 0, 0, a])),
        [a, b] => Some(u64::from_le_bytes([0, 0, 0, 0, 0, 0, a, b])),
        [a, b, c] => Some(u64::from_le_bytes([0, 0, 0, 0, 0, a, b, c])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn digits_are_those_of_the_number(number: u64, shift in 0_u32..64) {
            let number = number >> shift;
            let digits = decimal(number);
            let expected = format!("{number:020}");
            prop_assert_eq!(&digits[..], expected.as_bytes());
        }

        #[test]
        fn a_number_has_as_many_digits_as_it_is_written_with(number: u64, shift in 0_u32..64, least in 0_usize..25) {
            for number in [number >> shift, 0, 9, 10] {
                prop_assert_eq!(length(number, least), format!("{number:0least$}").len());
            }
        }

        #[test]
        fn the_number_is_that_of_the_digits(number: u64, length in 1_usize..=16) {
            let number = number % 10_u64.pow(length as u32);
            prop_assert_eq!(short_number(&decimal(number)[NUMBER_DIGITS - length..]), Some(number));
        }
    }

    #[test]
    fn every_quarter_of_a_number_has_its_digits() {
        for number in 0..10_000 {
            for number in [number, number * 10_000, number * 10_001] {
                assert_eq!(eight(number)[..], *format!("{number:08}").as_bytes());
            }
        }
    }

    #[test]
    fn what_is_no_digit_is_no_number() {
        assert_eq!(short_number(b""), None);
        assert_eq!(short_number(b"00000000000000001"), None);
        for length in 1..=16 {
            for (place, byte) in (0..length).flat_map(|place| (0..=255_u8).map(move |byte| (place, byte))) {
                let mut ascii = vec![b'7'; length];
                ascii[place] = byte;
                assert_eq!(short_number(&ascii).is_some(), byte.is_ascii_digit(), "{length} {place} {byte}");
            }
        }
    }
}
