//! The networks' business days, as the gate shows them to conduits (S-16).
//!
//! Owns: a number for each network, date and end in one, so that nobody reads half of a change.
//! Invariants: one writer, the gate; readers never wait; what is shown is durable.
//! Deliberately absent: which day it is when the shown one is over (`stamp::day_at`), and how days are closed (the core's gate).

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use switchyard_core::ids::NetworkId;
use switchyard_core::state::Day;

/// Bits of the end, in seconds since 1970, which last until the year 4147; above them lies the date.
const UNTIL_BITS: u32 = 36;
const UNTIL_MAX: u64 = (1 << UNTIL_BITS) - 1;

/// The last business day of each network that has one on record.
#[derive(Debug, Default)]
pub struct Days(Box<[AtomicU64]>);

impl Days {
    /// For networks with ids below `networks`; none of them has a day yet.
    pub fn new(networks: u16) -> Self {
        Self((0..networks).map(|_| AtomicU64::new(0)).collect())
    }

    /// Shows a network's day. Its end is cut to whole seconds; days end at whole minutes.
    pub fn show(&self, network: NetworkId, day: Day) {
        if let Some(place) = self.0.get(usize::from(network.0)) {
            let until_s = (day.until_ms / 1_000).min(UNTIL_MAX);
            place.store(u64::from(day.date) << UNTIL_BITS | until_s, Relaxed);
        }
    }

    /// A network's day; none before its first one.
    pub fn of(&self, network: NetworkId) -> Option<Day> {
        let shown = self.0.get(usize::from(network.0))?.load(Relaxed);
        let date = u32::try_from(shown >> UNTIL_BITS).ok().filter(|date| *date != 0)?;
        Some(Day { date, until_ms: (shown & UNTIL_MAX) * 1_000 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_as_it_was_shown() {
        let days = Days::new(2);
        let [one, other] = [NetworkId(0), NetworkId(1)];
        for (date, until_ms) in [(20_261_122, 1_795_392_000_000), (29_991_231, 32_503_680_000_000)] {
            let day = Day { date, until_ms };
            days.show(one, day);
            assert_eq!((days.of(one), days.of(other)), (Some(day), None));
        }
        days.show(NetworkId(2), Day { date: 20_261_122, until_ms: 0 });
        assert_eq!(days.of(NetworkId(2)), None, "a network that nobody knows");
    }
}
