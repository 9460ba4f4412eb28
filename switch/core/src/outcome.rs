//! What became of a request: the part of an answer that the switch invents or the supplier gave.
//!
//! Owns: `Outcome`, in memory and packed, and the sealed form of its secrets.
//! Invariants: three verdicts, never two; everything that the answer shows and the request did not have is a field here, so that an answer can be built
//! again from the request's frame and the outcome alone (S-2); no clear secret is in it (S-18).
//! Deliberately absent: dialects (`answer`).

use crate::code::Code;
use crate::details::{self, Detail};
use crate::ids::FlightNo;
use crate::pack::{Fields, Pack, Unpack, Unreadable};
use crate::seal::{DataKey, KeyId, Keyring, Nonce};
use crate::secret::Secret;
use crate::text::Text;

/// What became of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Verdict {
    /// Performed.
    Approved = 1,
    /// Not performed, with a reason.
    #[default]
    Declined = 2,
    /// Not known; being reversed (S-13).
    Unknown = 3,
    /// Reversed by the terminal before it was answered (S-4).
    Cancelled = 4,
}

impl Verdict {
    fn of(number: u8) -> Result<Self, Unreadable> {
        Ok(match number {
            1 => Self::Approved,
            2 => Self::Declined,
            3 => Self::Unknown,
            4 => Self::Cancelled,
            _ => return Err(Unreadable),
        })
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome<'a> {
    /// Whose.
    pub flight: FlightNo,
    /// What became of it.
    pub verdict: Verdict,
    /// DE39.
    pub code: Code,
    /// The business day it counts in, MMDD digits (DE15, S-16).
    pub day: [u8; 4],
    /// DE37: the request's, or ours.
    pub rrn: Text<12>,
    /// DE38; empty unless approved.
    pub approval: Text<6>,
    /// Clear details, in the form of `details`.
    pub details: &'a [u8],
    /// Secret details, sealed: see [`seal_details`]; empty where there are none.
    pub sealed: &'a [u8],
}

impl Default for Code {
    fn default() -> Self {
        Code::FAULT
    }
}

impl<'a> Outcome<'a> {
    /// Reads a packed outcome.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'a>) -> Result<Self, Unreadable> {
        Ok(Self {
            flight: from.flight()?,
            verdict: Verdict::of(from.byte()?)?,
            code: Code(from.array()?),
            day: from.array()?,
            rrn: from.text()?,
            approval: from.text()?,
            details: from.bytes()?,
            sealed: from.bytes()?,
        })
    }
}

impl Outcome<'_> {
    /// What an inquiry is told of an outcome that is not open any more: no secret, and an unknown has been reversed meanwhile (S-13).
    #[must_use]
    pub fn status(&self) -> Self {
        match self.verdict {
            Verdict::Unknown => Self {
                verdict: Verdict::Cancelled,
                code: Code::CANCELLED,
                details: &[],
                sealed: &[],
                ..*self
            },
            _ => Self { sealed: &[], ..*self },
        }
    }
}

/// More than an outcome takes, packed, up to the length of its details.
const OUTCOME_BYTES_MAX: usize = size_of::<Outcome<'_>>();

impl Pack for Outcome<'_> {
    fn pack(&self, out: &mut Vec<u8>) {
        let mut fields = Fields::<OUTCOME_BYTES_MAX>::default();
        fields.put(self.flight.0.to_le_bytes());
        fields.put([self.verdict as u8]);
        fields.put(self.code.0);
        fields.put(self.day);
        fields.text(&self.rrn);
        fields.text(&self.approval);
        fields.append_with(self.details, out);
        self.sealed.pack(out);
    }
}

/// Bytes before the ciphertext in the sealed form: key id and nonce.
pub const SEALED_HEAD_BYTES: usize = 16;

/// Appends the sealed form of `plain`: key id (4, big-endian), nonce (12), ciphertext and tag.
///
/// Bound to `flight`: it opens only together with that number.
///
/// # Errors
/// The library refused; nothing was appended that could be read.
pub fn seal_details(
    key: &DataKey,
    id: KeyId,
    nonce: Nonce,
    flight: FlightNo,
    plain: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), crate::seal::SealError> {
    out.extend_from_slice(&id.0.to_be_bytes());
    out.extend_from_slice(&nonce.0);
    key.seal(nonce, &flight.0.to_be_bytes(), plain, out)
}

/// Opens the secret details of an outcome into `into`. What came from stock is bound to its serial, the rest to its flight.
///
/// # Errors
/// The key is not in the ring, or the bytes are not what was sealed.
pub fn open_details(outcome: &Outcome<'_>, keyring: &Keyring, into: &mut Secret) -> Result<(), Unopenable> {
    into.clear();
    open(outcome.sealed, outcome.flight, details::find(outcome.details, Detail::Serial), keyring, into)
}

/// Opens a sealed form that is bound to a flight.
///
/// # Errors
/// As [`open_details`].
pub fn open_bound(
    sealed: &[u8],
    flight: FlightNo,
    keyring: &Keyring,
    into: &mut Secret,
) -> Result<(), Unopenable> {
    into.clear();
    open(sealed, flight, None, keyring, into)
}

/// The key that a sealed form was made with; none where there is no sealed form.
pub fn sealed_with(sealed: &[u8]) -> Option<KeyId> {
    sealed.first_chunk::<4>().map(|id| KeyId(u32::from_be_bytes(*id)))
}

fn open(
    sealed: &[u8],
    flight: FlightNo,
    serial: Option<&[u8]>,
    keyring: &Keyring,
    into: &mut Secret,
) -> Result<(), Unopenable> {
    let (id, rest) = sealed.split_first_chunk::<4>().ok_or(Unopenable)?;
    let (nonce, bytes) = rest.split_first_chunk::<12>().ok_or(Unopenable)?;
    let id = KeyId(u32::from_be_bytes(*id));
    let key = keyring.key(id).ok_or(Unopenable)?;
    let flight = flight.0.to_be_bytes();
    let bound: &[u8] = if id.is_stock() { serial.ok_or(Unopenable)? } else { &flight };
    key.open(Nonce(*nonce), bound, bytes, into.buffer()).map_err(|_| Unopenable)
}

/// A sealed value does not open: its key is not here, or it was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a sealed value does not open: its key is missing, or it was changed")]
pub struct Unopenable;
