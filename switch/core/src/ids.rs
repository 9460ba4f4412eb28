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
/// It begins with the second in which the process started, so that a number is never given twice.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlightNo(pub u64);

/// 2026-01-01 in Unix seconds: flight numbers count from here.
const BEGINNING_S: u64 = 1_767_225_600;

impl FlightNo {
    /// Bits below the second of a start.
    const SECOND_BITS: u32 = 28;
    /// Of these, the bits below the journal's epoch.
    const EPOCH_BITS: u32 = 24;
    /// The bit that tells messages refused at a conduit from flights.
    const REFUSAL_BIT: u64 = 1 << 58;
    /// Attempts that one flight may have; the RRN carries the attempt in three bits.
    pub const ATTEMPTS_MAX: u8 = 8;

    /// The first number of a start: its second, then its epoch. No two starts share one, even when the data folder is lost or the undurable end of
    /// the log was cut off, unless more than 268 million flights a second were made or the clock went back.
    pub fn first(epoch: u32, wall_ms: u64) -> Self {
        let second = (wall_ms / 1_000).saturating_sub(BEGINNING_S);
        Self((second << Self::SECOND_BITS) + (u64::from(epoch & 15) << Self::EPOCH_BITS))
    }

    /// The first number for messages that a conduit refuses: a range of its own.
    pub fn first_refusal(epoch: u32, wall_ms: u64) -> Self {
        Self(Self::first(epoch, wall_ms).0 | Self::REFUSAL_BIT)
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

    /// The flight that an RRN of the switch (of any attempt) leads back to; `None` where it is none.
    pub fn of_rrn(rrn: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(u64::from(byte - b'0')),
            b'A'..=b'Z' => Some(u64::from(byte - b'A') + 10),
            _ => None,
        };
        let number = rrn.bytes().try_fold(0u64, |number, byte| {
            number.checked_mul(36)?.checked_add(digit(byte.to_ascii_uppercase())?)
        })?;
        (rrn.len() == 12).then_some(Self(number >> 3))
    }

    /// An approval code (DE38, an6) for approvals that a supplier gave none for.
    pub fn approval(self) -> crate::text::Text<6> {
        base36::<6>(self.0 % 36u64.pow(6))
    }
}

/// Two digits of base 36 for each number that two of them make.
const PAIRS: [[u8; 2]; 36 * 36] = {
    const DIGITS: [u8; 36] = *b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut pairs = [[0; 2]; 36 * 36];
    let mut number = 0;
    while number < pairs.len() {
        pairs[number] = [DIGITS[number / 36], DIGITS[number % 36]];
        number += 1;
    }
    pairs
};

/// `number` in base 36, upper case, zero-padded to `N` characters, an even number of them.
fn base36<const N: usize>(mut number: u64) -> crate::text::Text<N> {
    let mut digits = [b'0'; N];
    for pair in digits.as_chunks_mut::<2>().0.iter_mut().rev() {
        *pair = PAIRS[(number % 1_296) as usize];
        number /= 1_296;
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
