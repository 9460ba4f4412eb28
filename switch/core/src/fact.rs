//! Facts: what the journal says happened. Results, never commands.
//!
//! Owns: the list of facts; their form on disk is in `form`.
//! Invariants: no clear secret is in a fact (S-18).
//! Deliberately absent: what a fact changes (`State::apply`), and positions (`log`).

mod form;

use crate::account::Account;
use crate::adapter::{LinkNo, LocalEffect};
use crate::flight::{Attempt, Flight};
use crate::ids::{FlightNo, NetworkId, SupplierId};
use crate::money::Minor;
use crate::operate::Action;
use crate::outcome::Outcome;
use crate::reversal::{Reversal, Undone};
use crate::stock::StockBatch;
use crate::text::Text;

/// What a `Named` fact names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum NameKind {
    /// A retail network, by DE32.
    Network = 1,
    /// A product, by its code.
    Product = 2,
    /// A supplier, by its code.
    Supplier = 3,
    /// A dialect, by its name.
    Dialect = 4,
}

impl NameKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Network, Self::Product, Self::Supplier, Self::Dialect];
}

/// Why another supplier may be asked: the one before certainly performed nothing (S-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// No byte of the request was handed to a socket.
    NeverSent,
    /// It answered with a code that is mapped not-performed.
    Refused(Text<4>),
}

/// Why an outcome is unknown (S-13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// No answer in time.
    TimedOut = 1,
    /// The link was lost after sending.
    LinkLost = 2,
    /// The switch went down in between.
    Crash = 3,
    /// The supplier answered with a code that is not in its table.
    Unmapped = 4,
    /// The supplier approved what its terminal had reversed meanwhile (S-7).
    Cancelled = 5,
}

/// How a doubt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Settlement {
    /// The supplier confirmed the reversal.
    Reversed = 1,
    /// The supplier does not know the original, and that ends it there (S-8).
    NotFound = 2,
    /// The supplier said, when asked, that it had not performed it.
    NotPerformed = 3,
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<'a> {
    /// A name got an id.
    Named {
        /// What it names.
        kind: NameKind,
        /// The id, from 0 in order.
        id: u16,
        /// The name.
        name: Text<30>,
    },
    /// Money came in, against the contra account.
    Deposit {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Into which account.
        account: Account,
        /// How much, minor units.
        amount: Minor,
        /// Why.
        reason: Text<60>,
    },
    /// A network's business day began.
    Day {
        /// Whose.
        network: NetworkId,
        /// YYYYMMDD.
        date: u32,
        /// When it ends, Unix milliseconds.
        until_ms: u64,
    },
    /// A batch of vouchers was loaded.
    Stock(StockBatch),
    /// An item was admitted and is asked of a supplier.
    Intent {
        /// The item.
        flight: Flight,
        /// Id of the dialect that `frame` is in.
        dialect: u16,
        /// The request, scrubbed.
        frame: &'a [u8],
    },
    /// Another supplier is asked.
    Moved {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose.
        flight: FlightNo,
        /// Why that is allowed.
        proof: Proof,
        /// The new try.
        attempt: Attempt,
    },
    /// An item has its outcome.
    Outcome {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// The link that the answer came on: a reversal goes there (S-8).
        link: LinkNo,
        /// The attempt that the outcome is of, where it is not the first: with the intent it is all that a reversal needs.
        moved: Option<Attempt>,
        /// The outcome.
        outcome: Outcome<'a>,
    },
    /// An item's outcome is unknown, or is not wanted any more; it is being reversed.
    Doubt {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Why.
        cause: Cause,
        /// The answer: 68, or 17 where the terminal has reversed it.
        outcome: Outcome<'a>,
    },
    /// An item of a local supplier: intent, outcome and effect in one.
    Sale {
        /// The item.
        flight: Flight,
        /// Id of the dialect that `frame` is in.
        dialect: u16,
        /// The request, scrubbed.
        frame: &'a [u8],
        /// The outcome.
        outcome: Outcome<'a>,
        /// What it changed.
        effect: LocalEffect,
    },
    /// A doubt is over.
    Settled {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose.
        flight: FlightNo,
        /// How.
        settlement: Settlement,
    },
    /// A reversal was refused or expired; an operator settles it (S-9).
    Parked {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose.
        flight: FlightNo,
        /// The supplier's code, empty when it expired.
        code: Text<4>,
    },
    /// An answer came after the outcome was unknown.
    Late {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose.
        flight: FlightNo,
        /// The supplier's code.
        code: Text<4>,
        /// Whether it is an approval: it must be reversed (again). None where the code is not in the supplier's table: what it said before stands (S-11).
        approved: Option<bool>,
        /// What it brought beside its code, in the form of `details`.
        details: &'a [u8],
        /// The secret part of that, sealed; a PIN that comes late is withdrawn (S-10).
        sealed: &'a [u8],
        /// Our STAN for the reversal that begins with it; 0: none begins, or none is free and it is parked.
        stan: u32,
    },
    /// A second answer said otherwise than the one that was in time; the first one stands.
    Contradicted {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose.
        flight: FlightNo,
        /// The code of the second answer.
        code: Text<4>,
        /// What must be undone, where the second answer approves what the first one had not: a flight of its own.
        undo: Option<Flight>,
        /// Our STAN for its reversal; 0: there is none, or none is free and it is parked.
        stan: u32,
    },
    /// An answer came to a sale of which its session knew nothing any more: its RRN leads to the flight. It changes nothing.
    Stray {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose, by its RRN.
        flight: FlightNo,
        /// The supplier that it came from.
        supplier: SupplierId,
        /// The supplier's code.
        code: Text<4>,
        /// Whether it is an approval.
        approved: bool,
        /// What it brought beside its code, in the form of `details`; empty where it brought nothing secret, and in what earlier releases wrote.
        details: &'a [u8],
        /// The secret part of that, sealed: the PIN of a voucher, which nobody was given by this answer (S-10).
        sealed: &'a [u8],
    },
    /// A stored answer with a secret was given again (S-18).
    Replayed {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose.
        flight: FlightNo,
    },
    /// A reversal was accepted.
    Undo {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// It.
        reversal: Reversal,
        /// Id of the dialect that `frame` is in.
        dialect: u16,
        /// The request, scrubbed.
        frame: &'a [u8],
        /// The answer: 00.
        outcome: Outcome<'a>,
        /// What it undid.
        undone: Undone,
    },
    /// A repeat had a transmission time of its own; a reversal may name its original by it (S-5).
    Seen {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// The original's key of S-1, hashed.
        key: u128,
        /// The repeat's key of S-5, hashed.
        named: u128,
    },
    /// An original came under a key of S-5 that a reversal had blocked before; its key of S-1 is blocked too, for its repeats have transmission times of their own (S-4).
    Blocked {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Its key of S-1, hashed.
        key: u128,
        /// Its key of S-5, hashed.
        named: u128,
    },
    /// A message came by a key of S-5 that a reversal had blocked, and it belongs to a sale that is there under another one: the reversal meant that sale (S-4).
    Recognised {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// The business day in which it is undone, MMDD digits.
        day: [u8; 4],
        /// What was undone.
        undone: Undone,
    },
    /// An operator did something.
    Operated(Action),
    /// A network closed its business day by a message (201), and the next one began.
    CutOver {
        /// When, Unix milliseconds.
        at_ms: u64,
        /// Whose.
        network: NetworkId,
        /// The day that began, YYYYMMDD.
        date: u32,
        /// When it ends, Unix milliseconds.
        until_ms: u64,
        /// DE11 of the message.
        stan: u32,
        /// DE7 of the message.
        transmission: [u8; 10],
    },
}

impl<'a> Fact<'a> {
    /// The outcome that the fact gives its request; none where it gives none.
    pub fn outcome(&self) -> Option<Outcome<'a>> {
        match self {
            Self::Outcome { outcome, .. }
            | Self::Doubt { outcome, .. }
            | Self::Sale { outcome, .. }
            | Self::Undo { outcome, .. } => Some(*outcome),
            _ => None,
        }
    }
}
