//! Amounts of money in minor units.
//!
//! Owns: `Minor`, an amount in the smallest unit of some currency, and checked arithmetic on it.
//! Invariants: arithmetic that would leave the range answers `None`; nothing wraps, nothing is rounded.
//! Deliberately absent: the currency (the account or product knows it) and floating point.

use std::fmt;

/// An amount in minor units (cents for EUR). Range: all of `i64`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Minor(pub i64);

impl Minor {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The sum, or `None` where it leaves the range.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference, or `None` where it leaves the range.
    #[must_use]
    pub fn minus(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The opposite amount, or `None` for the one value that has none.
    #[must_use]
    pub fn negated(self) -> Option<Self> {
        self.0.checked_neg().map(Self)
    }

    /// The amount as people write it, with `exponent` decimal places (2 for EUR, 0 for JPY).
    pub fn display(self, exponent: u8) -> impl fmt::Display {
        Decimal { amount: self, exponent }
    }
}

struct Decimal {
    amount: Minor,
    exponent: u8,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10u64.pow(u32::from(self.exponent.min(18)));
        let magnitude = self.amount.0.unsigned_abs();
        let sign = if self.amount.0 < 0 { "-" } else { "" };
        if self.exponent == 0 {
            return write!(f, "{sign}{magnitude}");
        }
        let width = usize::from(self.exponent);
        write!(f, "{sign}{}.{:0width$}", magnitude / unit, magnitude % unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_as_people_write_them() {
        assert_eq!(Minor(1_000).display(2).to_string(), "10.00");
        assert_eq!(Minor(-5).display(2).to_string(), "-0.05");
        assert_eq!(Minor(7).display(0).to_string(), "7");
        assert_eq!(Minor(1_234).display(3).to_string(), "1.234");
    }

    #[test]
    fn arithmetic_never_wraps() {
        assert_eq!(Minor(i64::MAX).plus(Minor(1)), None);
        assert_eq!(Minor(i64::MIN).minus(Minor(1)), None);
        assert_eq!(Minor(i64::MIN).negated(), None);
    }
}
