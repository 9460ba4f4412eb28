//! The message type indicator.
//!
//! Owns [`Mti`] and [`Version`]. Deliberately absent: which message types a dialect serves.

use std::fmt;

/// Edition of ISO 8583 that the first digit of an MTI names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// ISO 8583:1987, first digit 0.
    Iso1987,
    /// ISO 8583:1993, first digit 1.
    Iso1993,
    /// ISO 8583:2003, first digit 2.
    Iso2003,
}

impl Version {
    /// First digit of the MTIs of this edition.
    pub const fn digit(self) -> u16 {
        match self {
            Version::Iso1987 => 0,
            Version::Iso1993 => 1,
            Version::Iso2003 => 2,
        }
    }

    /// The edition's year.
    pub const fn year(self) -> u16 {
        match self {
            Version::Iso1987 => 1987,
            Version::Iso1993 => 1993,
            Version::Iso2003 => 2003,
        }
    }
}

/// Message type indicator: four decimal digits, version, class, function and origin (ISO 8583, 5.1). `0200` is 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mti(u16);

impl Mti {
    /// The MTI of this number; digits beyond the fourth are cut off.
    pub const fn new(number: u16) -> Self {
        Self(number % 10_000)
    }

    /// The MTI as a number, 0 to 9999.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Edition of the standard; `None` when the first digit names none.
    pub const fn version(self) -> Option<Version> {
        match self.0 / 1000 {
            0 => Some(Version::Iso1987),
            1 => Some(Version::Iso1993),
            2 => Some(Version::Iso2003),
            _ => None,
        }
    }

    /// Second digit: 1 authorisation, 2 financial, 4 reversal, 5 reconciliation, 8 network management.
    pub const fn class_digit(self) -> u8 {
        (self.0 / 100 % 10) as u8
    }

    /// Third digit: even asks or tells, odd answers.
    pub const fn function_digit(self) -> u8 {
        (self.0 / 10 % 10) as u8
    }

    /// Whether this asks for something: request, advice or notification.
    pub const fn is_request(self) -> bool {
        self.function_digit().is_multiple_of(2)
    }

    /// Whether this answers a request or an advice.
    pub const fn is_response(self) -> bool {
        !self.is_request()
    }

    /// Whether this is a repeat: its last digit is odd.
    pub const fn is_repeat(self) -> bool {
        self.0 % 2 == 1
    }

    /// Whether it comes from the acquirer's side, as what terminals ask does: its last digit is 0, or 1 for a repeat.
    pub const fn is_acquirers(self) -> bool {
        self.0 % 10 < 2
    }

    /// The MTI with the repeat digit cleared: 0201 is 0200.
    pub const fn first(self) -> Mti {
        Mti(self.0 - self.0 % 2)
    }

    /// The MTI of the answer: 0200 and 0201 give 0210, 0420 and 0421 give 0430; `None` for what is never answered
    /// (responses, and the functions from 4 on, notifications and instructions).
    pub const fn response(self) -> Option<Mti> {
        match self.function_digit() {
            0 | 2 => Some(Mti(self.first().0 + 10)),
            _ => None,
        }
    }

    /// The four digits.
    pub const fn digits(self) -> [u8; 4] {
        let number = self.0;
        [
            b'0' + (number / 1000) as u8,
            b'0' + (number / 100 % 10) as u8,
            b'0' + (number / 10 % 10) as u8,
            b'0' + (number % 10) as u8,
        ]
    }
}

impl fmt::Display for Mti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Mti, Version};

    #[test]
    fn responses_are_those_of_the_standard() {
        let table = [
            (100, Some(110)),
            (101, Some(110)),
            (200, Some(210)),
            (201, Some(210)),
            (220, Some(230)),
            (221, Some(230)),
            (400, Some(410)),
            (401, Some(410)),
            (420, Some(430)),
            (421, Some(430)),
            (500, Some(510)),
            (520, Some(530)),
            (800, Some(810)),
            (1200, Some(1210)),
            (2421, Some(2430)),
            (210, None),
            (430, None),
            (240, None),
        ];
        for (asked, answered) in table {
            assert_eq!(Mti::new(asked).response(), answered.map(Mti::new), "{asked:04}");
        }
    }

    #[test]
    fn digits_have_their_meaning() {
        let repeat = Mti::new(1421);
        assert_eq!(repeat.version(), Some(Version::Iso1993));
        assert_eq!(repeat.class_digit(), 4);
        assert!(repeat.is_request() && repeat.is_repeat());
        assert_eq!(repeat.first(), Mti::new(1420));
        assert_eq!(Mti::new(210).to_string(), "0210");
        assert_eq!(Mti::new(8000).version(), None);
    }
}
