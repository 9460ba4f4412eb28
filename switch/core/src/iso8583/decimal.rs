//! Numbers as decimal digits, and back.
//!
//! Owns the two conversions that are on the path of every message, without a loop over digits where there are many. Invariants: what is written reads back.
//! Deliberately absent: padding and lengths, which the field knows.

/// Decimal digits of the greatest 64-bit number.
pub(super) const NUMBER_DIGITS: usize = 20;

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
    let halves = number / 10_000 | (number % 10_000) << 32;
    let hundreds = (halves * 10_486) >> 20 & 0x0000_007F_0000_007F;
    let quarters = hundreds | (halves - hundreds * 100) << 16;
    let tens = (quarters * 103) >> 10 & 0x000F_000F_000F_000F;
    let digits = tens | (quarters - tens * 10) << 8;
    (digits | 0x3030_3030_3030_3030).to_le_bytes()
}

/// The number that ASCII digits are; `None` where there are none or so many that it could pass 64 bits, or something else among them.
#[inline]
pub(super) fn short_number(ascii: &[u8]) -> Option<u64> {
    const DIGITS_MAX: usize = 19;
    let (number, highest) = ascii.iter().take(DIGITS_MAX).fold((0_u64, 0_u8), |(number, highest), byte| {
        let digit = byte.wrapping_sub(b'0');
        // What is no digit makes the number meaningless, not the sum too large: 19 times 255 at most in each place.
        (number.wrapping_mul(10).wrapping_add(u64::from(digit)), highest.max(digit))
    });
    (highest < 10 && (1..=DIGITS_MAX).contains(&ascii.len())).then_some(number)
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
            if number < 10_u64.pow(19) {
                prop_assert_eq!(short_number(&digits[1..]), Some(number));
            }
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
        for ascii in [&b""[..], b"12 4", b"/", b":", b"1\xFF", b"00000000000000000001"] {
            assert_eq!(short_number(ascii), None);
        }
    }
}
