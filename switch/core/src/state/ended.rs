//! Ends of reversals, for as long as answers to their sales may still come.
//!
//! Owns: `Ended` and its packed form. Invariants: one for each end, so that a flight whose reversal began again has several, each with the STAN that it closed.
//! Deliberately absent: how long they are kept (`state`), and what is matched (the sessions').

use crate::flight::Flight;
use crate::ids::FlightNo;
use crate::pack::{Pack, Unpack, Unreadable};

/// A reversal came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// When, in the time that has certainly passed by then.
    pub(super) passed_ms: u64,
    /// Whose.
    pub flight: FlightNo,
    /// The STAN under which it was open until then; 0 where an operator ended it, after it was parked.
    pub stan: u32,
}

impl Ended {
    /// Whether no later end of its flight can be there: each reversal that begins again has another STAN.
    pub(super) fn is_last_of(&self, flight: &Flight) -> bool {
        self.stan == 0 || self.stan == flight.undo_stan()
    }

    /// Reads a packed one.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self { at_ms: from.u64()?, passed_ms: from.u64()?, flight: from.flight()?, stan: from.u32()? })
    }
}

impl Pack for Ended {
    fn pack(&self, out: &mut Vec<u8>) {
        self.at_ms.pack(out);
        self.passed_ms.pack(out);
        self.flight.pack(out);
        self.stan.pack(out);
    }
}
