//! What the log says of STANs at suppliers: what is open under one, and when it may be given again (S-14).

use super::Stories;
use std::collections::HashMap;
use switchyard_core::ids::{FlightNo, SupplierId};

/// How long a STAN is given to nobody after its doubt ended: the late window of every supplier here, milliseconds.
const QUARANTINE_MS: u64 = 20_000;

/// The STANs.
#[derive(Default)]
pub(super) struct Stans {
    /// What is open under each.
    open: HashMap<(SupplierId, u32), FlightNo>,
    /// Until when each is given to nobody, and whether a restart remembers that.
    quarantine: HashMap<(SupplierId, u32), (u64, bool)>,
    /// STANs given.
    given: u64,
}

impl Stories {
    /// A STAN is given to a flight, and to nothing else; 0: none was free.
    pub(super) fn claim(&mut self, at_ms: u64, supplier: SupplierId, stan: u32, flight: FlightNo) {
        if stan == 0 {
            return;
        }
        self.stans.given += 1;
        let until_ms = self.stans.quarantine.remove(&(supplier, stan)).map_or(0, |(until_ms, _)| until_ms);
        assert!(at_ms >= until_ms, "STAN {stan} is given to {flight}, and is in quarantine");
        let before = self.stans.open.insert((supplier, stan), flight);
        assert_eq!(before, None, "STAN {stan} of {flight} is open for another one");
    }

    /// Nothing of a flight is open under its STAN, and nothing will come.
    pub(super) fn free(&mut self, supplier: SupplierId, stan: u32, flight: FlightNo) {
        let before = self.stans.open.remove(&(supplier, stan));
        assert_eq!(before, (stan != 0).then_some(flight), "STAN {stan} is not open for its flight");
    }

    /// Nothing is open under it, but something may come. `settled`: a start remembers that.
    pub(super) fn keep_back(
        &mut self,
        at_ms: u64,
        supplier: SupplierId,
        stan: u32,
        flight: FlightNo,
        settled: bool,
    ) {
        self.free(supplier, stan, flight);
        if stan != 0 {
            self.stans.quarantine.insert((supplier, stan), (at_ms + QUARANTINE_MS, settled));
        }
    }

    /// A restart does not know when a reversal was parked.
    pub(crate) fn restarted(&mut self) {
        self.stans.quarantine.retain(|_, (_, settled)| *settled);
    }

    /// How many STANs were given.
    pub(crate) fn stans_given(&self) -> u64 {
        self.stans.given
    }
}
