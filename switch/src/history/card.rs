//! A card number that transactions are looked for by.
//!
//! Owns: `CardNumber`, and whether a flight's sealed number is it.
//! Invariants: it comes from standard input, never from a command line that others may see; it goes to the switch over the operators' socket alone; it does not print; of what it
//! finds at most the last four digits are shown.
//! Deliberately absent: an index of card numbers. Each sealed number of the time that is looked through is opened and compared.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io::BufRead;
use switchyard_core::flight::Flight;
use switchyard_core::outcome::open_bound;
use switchyard_core::seal::Keyring;
use switchyard_core::secret::Secret;
use zeroize::{Zeroize, Zeroizing};

/// Digits that a card number has (ISO/IEC 7812).
const DIGITS: std::ops::RangeInclusive<usize> = 8..=19;
/// Longest line that is read.
const LINE_BYTES_MAX: u64 = 64;

/// A card number. Does not print; wiped when dropped.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CardNumber(String);

impl Drop for CardNumber {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for CardNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl CardNumber {
    /// The number on the first line of `input`; spaces within it do not count.
    ///
    /// # Errors
    /// It cannot be read, or there is none.
    pub fn read(input: impl BufRead) -> Result<Self, String> {
        let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_MAX as usize));
        let read = input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        read.map_err(|error| format!("standard input cannot be read: {error}"))?;
        let mut digits = Self(String::with_capacity(line.len()));
        digits.0.extend(line.iter().filter(|byte| !byte.is_ascii_whitespace()).map(|byte| char::from(*byte)));
        let sound = DIGITS.contains(&digits.0.len()) && digits.0.bytes().all(|byte| byte.is_ascii_digit());
        if sound {
            Ok(digits)
        } else {
            Err("standard input has no card number: 8 to 19 digits on its first line".to_owned())
        }
    }

    /// Whether the flight was for that card. One without a card, or whose key is gone, was not.
    pub(super) fn is_of(&self, flight: &Flight, keyring: &Keyring) -> bool {
        let sealed = flight.pan.as_bytes();
        let mut number = Secret::new();
        !sealed.is_empty()
            && open_bound(sealed, flight.number, keyring, &mut number).is_ok()
            && number.expose() == self.0.as_bytes()
    }

    /// As people may see it.
    pub(super) fn masked(&self) -> String {
        super::masked(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_is_read_and_never_shown() {
        let number = CardNumber::read(&b"6006 4912 3456 7890\r\nmore"[..]).expect("a number");
        assert_eq!((format!("{number:?}"), number.masked().as_str()), ("***".to_owned(), "************7890"));
        for wrong in ["", "\n", "1234567", "60064912345678901234", "6006491234x67890"] {
            let error = CardNumber::read(wrong.as_bytes()).expect_err(wrong);
            assert!(wrong.trim().is_empty() || !error.contains(wrong), "{error}");
        }
    }
}
