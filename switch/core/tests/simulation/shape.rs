//! What a seed decides once for its whole run: how narrow things are.

use crate::keeper::TIGHT_BYTES;
use crate::support::random::Random;
use switchyard_core::gate::STAN_MAX;

/// The shape of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Reversals that may be open at a time.
    pub(crate) reversals_max: usize,
    /// Reversals of one supplier that may be parked at a time.
    pub(crate) parked_max: usize,
    /// Bytes that the index may take.
    pub(crate) duplicate_bytes_max: usize,
    /// Requests that were there before the run, to be spilled.
    pub(crate) requests_before: u64,
    /// STANs of a supplier's requests.
    pub(crate) stan_max: u32,
    /// STANs of a terminal.
    pub(crate) terminal_stan_max: u32,
    /// Of a thousand answers of a supplier, those that it contradicts later.
    pub(crate) thoughts_permille: usize,
}

impl Shape {
    /// In some runs reversals of approved sales find no room; in some, requests spill to runs, the first ones of the run itself soon; in some, STANs come round several
    /// times; in some, suppliers contradict themselves often.
    pub(crate) fn of(seed: u64, random: &mut Random) -> Self {
        let spills = seed.is_multiple_of(3);
        let wraps = seed % 5 < 2;
        Self {
            reversals_max: if seed.is_multiple_of(8) { 12 } else { 100_000 },
            parked_max: if seed.is_multiple_of(8) { 3 } else { 100_000 },
            duplicate_bytes_max: if spills { TIGHT_BYTES } else { usize::MAX },
            requests_before: if spills { random.between(930, 1_015) } else { 0 },
            stan_max: if wraps { random.between(4, 14) as u32 } else { STAN_MAX },
            terminal_stan_max: if wraps { random.between(4, 9) as u32 } else { STAN_MAX },
            thoughts_permille: if seed % 4 == 1 { 400 } else { 40 },
        }
    }

    /// Whether nothing is narrow: then no reversal is refused, and no sale left standing, for want of room.
    pub(crate) fn is_roomy(&self) -> bool {
        self.reversals_max > 12 && self.duplicate_bytes_max == usize::MAX && self.stan_max == STAN_MAX
    }
}
