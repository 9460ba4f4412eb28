//! Identifiers: small, typed, `Copy`.
//!
//! Owns: the ids that facts carry, and the moment (`Now`) that the shell passes in.
//! Invariants: an id of a network, product or supplier is given once, by a `Named` fact, and never
//! used again for anything else; the order of a configuration file means nothing to it.
//! Deliberately absent: ids for terminals and merchants. Facts name those by their codes (DE41, DE42).

use std::fmt;

/// A moment, as the shell reads it once a turn. The core never reads a clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Microseconds of the monotonic clock since the process started. Deadlines use only this.
    pub mono_us: u64,
    /// Milliseconds since 1970-01-01 UTC. What people and messages see; may jump.
    pub wall_ms: u64,
}

macro_rules! id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u16);
    };
}

id!(
    /// A retail network, as interned by a `Named` fact.
    NetworkId
);
id!(
    /// A product, as interned by a `Named` fact.
    ProductId
);
id!(
    /// A supplier, as interned by a `Named` fact.
    SupplierId
);

/// The number of a flight: one prepaid item on its way, from admission to its end.
///
/// The upper bits are the journal's epoch, so that a number is never given twice, even when the
/// undurable end of a log was cut off.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightNo(pub u64);

impl FlightNo {
    /// Bits that count within one epoch.
    const COUNTER_BITS: u32 = 40;
    /// Attempts that one flight may have; the RRN carries the attempt in three bits.
    pub const ATTEMPTS_MAX: u8 = 8;

    /// The first number of an epoch.
    pub fn first(epoch: u32) -> Self {
        Self(u64::from(epoch) << Self::COUNTER_BITS)
    }

    /// The first number for messages that a conduit refuses, in the same epoch: the upper half of its numbers.
    pub fn first_refusal(epoch: u32) -> Self {
        Self(Self::first(epoch).0 + (1 << (Self::COUNTER_BITS - 1)))
    }

    /// The number after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The RRN (DE37, an12) of attempt `attempt`: base 36, unique per attempt for as long as the
    /// journal's epochs count up (S-14: unique per attempt; dialect: unique for 400 days).
    pub fn rrn(self, attempt: u8) -> crate::text::Text<12> {
        base36::<12>((self.0 << 3) | u64::from(attempt & 7))
    }

    /// An approval code (DE38, an6) for approvals that a supplier gave none for.
    pub fn approval(self) -> crate::text::Text<6> {
        base36::<6>(self.0 % 36u64.pow(6))
    }
}

/// `number` in base 36, upper case, zero-padded to `N` characters.
fn base36<const N: usize>(mut number: u64) -> crate::text::Text<N> {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize];
        number /= 36;
    }
    crate::text::Text::new(&digits).unwrap_or_default()
}

impl fmt::Debug for FlightNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flight {}", self.rrn(0))
    }
}

impl fmt::Display for FlightNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rrn(0).as_str())
    }
}
