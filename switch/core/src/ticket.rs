//! A ticket: one message on its way through the switch, from the frame to its answer.
//!
//! Owns: the recycled box that travels conduit → gate → conduit, and where it belongs (`Place`).
//! Invariants: a ticket has one owner at any moment; it is answered once, by being handed back to its
//! conduit with an `outcome`; `frame` holds no PAN, track, PIN block or chip data (R-22, S-18).
//! Deliberately absent: what the gate remembers of a flight (`state`), and connections themselves.

use crate::catalogue::Catalogue;
use crate::iso8583::{Layout, Mti};
use crate::request::Request;
use crate::reversal::Recalled;
use crate::secret::Secret;
use crate::seek::Seek;
use std::sync::Arc;

/// Where an answer goes: a connection of a conduit. A stale generation means that it was closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// Index of the conduit.
    pub conduit: u16,
    /// Slot of the connection in its conduit.
    pub slot: u32,
    /// Which connection had the slot.
    pub generation: u32,
}

/// What the gate asks of whoever holds a ticket next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errand {
    /// A request on its way to the gate.
    #[default]
    Ask,
    /// Write the answer that `outcome` describes.
    Answer,
    /// The keeper reads the stored records first (`intent_at`, `outcome_at`), then it is an answer.
    Recall,
    /// The keeper reads how the stored request stood (`outcome_at`), without secrets, then it is the answer to an inquiry.
    Status,
    /// The keeper reads the stored sale that a reversal names, and hands the ticket back to the gate with `recalled`.
    Original,
    /// The keeper reads the stored sale of a repeat that gets 17, for its business day, and hands the ticket back to the gate with `recalled`.
    Cancelled,
    /// The keeper looks for `seek` in the runs, and gives the ticket back to the gate.
    Seek,
}

/// One message. Boxed and recycled: at rest its buffers are empty and keep their room.
#[derive(Debug, Default)]
pub struct Ticket {
    /// Where the answer goes.
    pub place: Place,
    /// Index of the dialect in which the message came and the answer goes.
    pub dialect: u16,
    /// Index of the dialect of `original`, where that is another message's frame.
    pub original_dialect: u16,
    /// What is to be done with it.
    pub errand: Errand,
    /// The MTI as received.
    pub mti: Mti,
    /// When the frame was complete, monotonic microseconds.
    pub received_us: u64,
    /// When its answer is due (the conduit's deadline), monotonic microseconds.
    pub deadline_us: u64,
    /// Whether its conduit relaxes durability (S-17).
    pub relaxed: bool,
    /// The connection's window, in requests; a supplier may hold half of it (S-19).
    pub window: u16,
    /// What was asked, as values.
    pub request: Request,
    /// The frame header as received (TPDU, fixed header), to be mirrored.
    pub header: Vec<u8>,
    /// The message without its secrets, in its dialect.
    pub frame: Vec<u8>,
    /// Where everything lies in `frame`, when it is the message as it came.
    pub layout: Option<Layout>,
    /// The frame that the stored answer was made for; empty where that is `frame` itself.
    pub original: Vec<u8>,
    /// The card number, from DE2 or the track; empty where there is none.
    pub pan: Secret,
    /// Whether the gate refused it before anything was performed (S-2).
    pub refused: bool,
    /// The outcome that the answer is made of, in the form of `Outcome`.
    pub outcome: Vec<u8>,
    /// Where the stored intent lies, for `Errand::Recall`.
    pub intent_at: crate::log::Lsn,
    /// Where the stored outcome lies, for `Errand::Recall`.
    pub outcome_at: crate::log::Lsn,
    /// What the keeper found of the sale that a reversal names, or that a repeat is of; none where it cannot be read.
    pub recalled: Option<Box<Recalled>>,
    /// What the keeper looks for, for `Errand::Seek`, and what it found.
    pub seek: Seek,
    /// The snapshot that it was admitted with.
    pub catalogue: Option<Arc<Catalogue>>,
}

/// What one supplier may hold of a connection's window, in requests: half of it, and one at the least (S-19).
pub const fn share_of(window: u32) -> u32 {
    if window < 2 { 1 } else { window / 2 }
}

impl Ticket {
    /// Room of its buffers, in bytes.
    pub fn room_bytes(&self) -> usize {
        let buffers = [&self.header, &self.frame, &self.original, &self.outcome];
        buffers.into_iter().map(Vec::capacity).sum::<usize>() + self.pan.room_bytes()
    }

    /// Empties it for its next message; secrets are wiped, buffers kept.
    pub fn clear(&mut self) {
        self.header.clear();
        self.frame.clear();
        self.layout = None;
        self.original.clear();
        self.pan.clear();
        self.outcome.clear();
        self.errand = Errand::Ask;
        self.refused = false;
        if self.seek.upto > 0 {
            self.seek = Seek::default();
        }
        self.recalled = None;
        self.catalogue = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supplier_has_half_of_a_window_and_one_request_at_the_least() {
        assert_eq!([1, 2, 3, 8, 128].map(share_of), [1, 1, 1, 4, 64]);
    }
}
