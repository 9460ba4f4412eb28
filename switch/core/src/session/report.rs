//! What a session tells the gate, and what it counts.

use super::Stray;
use crate::adapter::{Answer, Order};
use crate::ids::FlightNo;

/// What the session tells the gate.
#[derive(Debug)]
pub enum Report {
    /// A sale was answered; `answer.sale` says what that means.
    Answered(Box<Order>),
    /// No answer in time.
    TimedOut(Box<Order>),
    /// The link was lost after bytes of the request had been handed to its socket.
    Cut(Box<Order>),
    /// No byte was handed to a socket (S-12).
    NotSent(Box<Order>),
    /// A reversal came to its end; `answer.reversal` says how, none: it expired.
    Undone(Box<Order>),
    /// An answer to a sale came after its outcome was unknown. The first one, each that says otherwise than the one before, and the first one after a
    /// reversal's end; the rest are counted as duplicates.
    Late {
        /// Whose.
        flight: FlightNo,
        /// Which attempt of it.
        attempt: u8,
        /// What it says: code, meaning (`sale`), details, and the PIN of a voucher that came too late (S-10).
        answer: Box<Answer>,
    },
    /// A second answer says otherwise than the one that was in time. The first one stands.
    Contradicted {
        /// Whose.
        flight: FlightNo,
        /// Which attempt of it.
        attempt: u8,
        /// What the second one says.
        answer: Box<Answer>,
        /// The sale, without its card number, where the second answer approves what the first one had not: it must be undone.
        undo: Option<Box<Order>>,
    },
    /// An answer to a sale of which nothing is known any more: a duplicate of one long over, or one that says otherwise.
    Stray {
        /// Which.
        stray: Box<Stray>,
        /// What it says, with the PIN of a voucher that somebody may be waiting for, or have (S-10).
        answer: Box<Answer>,
    },
    /// Whether orders can be sent at all changed.
    Ready(bool),
}

/// What the session counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sales handed to a link.
    pub asked: u64,
    /// Sales answered in time.
    pub answered: u64,
    /// Sales without an answer in time.
    pub timed_out: u64,
    /// Sales whose link was lost.
    pub cut: u64,
    /// Sales never sent.
    pub not_sent: u64,
    /// Reversals sent, repeats too.
    pub reversals_sent: u64,
    /// Questions for a sale's status sent, repeats too.
    pub status_asked: u64,
    /// Reversals that came to their end.
    pub undone: u64,
    /// Answers after the time-out.
    pub late: u64,
    /// Answers to something answered before.
    pub duplicate: u64,
    /// Answers that say otherwise than the one before.
    pub contradictory: u64,
    /// Answers to nothing that is known.
    pub unmatched: u64,
    /// Those of them that approve a sale.
    pub unmatched_approved: u64,
    /// Frames that are no message.
    pub garbage: u64,
    /// Messages that were not expected.
    pub unexpected: u64,
}
