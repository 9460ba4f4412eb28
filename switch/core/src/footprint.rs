//! How many bytes the core's tables take for each of their entries.
//!
//! Owns: sizes of types that nobody outside sees, for the sheet of limits, and the arithmetic of hash tables. Invariants: a size is asked of the compiler, never written down.
//! Deliberately absent: how many entries there may be (settings say), and what the shell holds.

use crate::adapter::Order;
use crate::flight::Flight;
use crate::gate;
use crate::ids::FlightNo;
use crate::log::Lsn;
use crate::session;
use crate::shelf::Voucher;
use crate::slab::slab_bytes;
use crate::ticket::Ticket;

/// A ticket without what is in its buffers.
pub const TICKET_BYTES: usize = size_of::<Ticket>();
/// An order without what is in its buffers.
pub const ORDER_BYTES: usize = size_of::<Order>();
/// Room of its buffers that an order may have before it is answered: that of the one it was before.
pub const ORDER_KEPT_BYTES: usize = gate::ORDER_BYTES_KEPT;
/// Orders that are kept for the next attempt.
pub const ORDERS_KEPT: usize = gate::ORDERS_KEPT;
/// A voucher on a tray.
pub const VOUCHER_BYTES: usize = size_of::<Voucher>();
/// A reversal that waits for a place at its supplier.
pub const BACKLOG_BYTES: usize = size_of::<(Lsn, FlightNo)>();
/// An effect that waits for the log.
pub const RELEASE_BYTES: usize = size_of::<(Lsn, u64, u64)>();
/// What every session may take beside that.
pub const SESSION_BYTES: usize = session::FIXED_BYTES;
/// Choices of routes that are remembered, all of them.
pub const EXPLANATIONS_BYTES: usize = gate::EXPLANATIONS_BYTES;

/// What so many flights in the state take.
pub fn flights_bytes(flights: usize) -> usize {
    slab_bytes::<FlightNo, Flight>(flights)
}

/// What the places of so many tickets take while these wait for their flights.
pub fn waiting_bytes(tickets: usize) -> usize {
    gate::waiting_bytes(tickets)
}

/// What a session holds under so many STANs, their deadlines (sale, reversal, late window) among it; of these there may be twice as many before they are swept.
pub fn open_bytes(stans: usize) -> usize {
    session::open_bytes(stans) + stans.saturating_mul(2 * 3 * session::DUE_BYTES)
}

/// What a hash table takes that holds `entries` of `entry_bytes`: a power of two of places, of which an eighth stays free, and a byte of control for each.
pub fn table_bytes(entries: usize, entry_bytes: usize) -> usize {
    if entries == 0 {
        return 0;
    }
    let places = (entries.saturating_mul(8) / 7 + 1).next_power_of_two().max(4);
    places.saturating_mul(entry_bytes + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_what_is_said() {
        for entries in [1, 7, 28, 29, 1_000, 100_000] {
            let measured = allocation_counter::measure(|| {
                let mut table = rustc_hash::FxHashMap::<u64, [u64; 4]>::default();
                table.extend((0..entries).map(|entry| (entry as u64, [0; 4])));
            });
            let (held, said) = (measured.bytes_max, table_bytes(entries, size_of::<(u64, [u64; 4])>()));
            // While it grows, the old table is there beside the new one of twice its size.
            assert!(held as usize <= said + said / 2 + 64, "{entries}: {held} of {said}");
            assert!(said / 4 <= held as usize, "{entries}: {held} of {said}");
        }
    }
}
