//! Facts: what the journal says happened. Results, never commands.
//!
//! Owns: the list of facts and their form on disk: a number, then the fields in order.
//! Invariants: a fact reads back as it was written; numbers are never used again for anything else; no clear secret is in a fact (S-18).
//! Deliberately absent: what a fact changes (`State::apply`), and positions (`log`).

use crate::account::Account;
use crate::adapter::{LinkNo, LocalEffect};
use crate::flight::{Attempt, Flight};
use crate::ids::{FlightNo, NetworkId};
use crate::money::Minor;
use crate::operate::{Act, Action};
use crate::outcome::Outcome;
use crate::pack::{Pack, Unpack, Unreadable};
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
        /// Whether it is an approval: it must be reversed (again).
        approved: bool,
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

impl Pack for LocalEffect {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Voucher { product, batch, index } => {
                1u8.pack(out);
                product.pack(out);
                batch.pack(out);
                index.pack(out);
            }
            Self::Load { account, amount } => {
                2u8.pack(out);
                account.pack(out);
                amount.pack(out);
            }
        }
    }
}

fn effect(from: &mut Unpack<'_>) -> Result<LocalEffect, Unreadable> {
    Ok(match from.byte()? {
        1 => LocalEffect::Voucher { product: from.product()?, batch: from.u32()?, index: from.u32()? },
        2 => LocalEffect::Load { account: from.text()?, amount: from.minor()? },
        _ => return Err(Unreadable),
    })
}

/// A STAN that stands at the end of facts of that number, and of no others.
fn pack_stan(stan: u32, out: &mut Vec<u8>) {
    if stan != 0 {
        stan.pack(out);
    }
}

fn stan(from: &mut Unpack<'_>, is_there: bool) -> Result<u32, Unreadable> {
    match is_there.then(|| from.u32()).transpose()? {
        Some(0) => Err(Unreadable),
        stan => Ok(stan.unwrap_or(0)),
    }
}

impl Pack for Fact<'_> {
    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Named { kind, id, name } => {
                out.extend_from_slice(&[1, *kind as u8]);
                id.pack(out);
                name.pack(out);
            }
            Self::Deposit { at_ms, account, amount, reason } => {
                out.push(2);
                at_ms.pack(out);
                account.pack(out);
                amount.pack(out);
                reason.pack(out);
            }
            Self::Day { network, date, until_ms } => {
                out.push(3);
                network.pack(out);
                date.pack(out);
                until_ms.pack(out);
            }
            Self::Stock(batch) => {
                out.push(4);
                batch.pack(out);
            }
            Self::Intent { flight, dialect, frame } => {
                out.push(5);
                flight.pack(out);
                dialect.pack(out);
                frame.pack(out);
            }
            Self::Moved { at_ms, flight, proof, attempt } => {
                out.push(6);
                at_ms.pack(out);
                flight.pack(out);
                match proof {
                    Proof::NeverSent => out.push(1),
                    Proof::Refused(code) => {
                        out.push(2);
                        code.pack(out);
                    }
                }
                attempt.pack(out);
            }
            Self::Outcome { at_ms, link, moved, outcome } => {
                out.push(7);
                at_ms.pack(out);
                out.extend_from_slice(&[*link, u8::from(moved.is_some())]);
                if let Some(attempt) = moved {
                    attempt.pack(out);
                }
                outcome.pack(out);
            }
            Self::Doubt { at_ms, cause, outcome } => {
                out.push(8);
                at_ms.pack(out);
                out.push(*cause as u8);
                outcome.pack(out);
            }
            Self::Sale { flight, dialect, frame, outcome, effect } => {
                out.push(9);
                flight.pack(out);
                dialect.pack(out);
                frame.pack(out);
                outcome.pack(out);
                effect.pack(out);
            }
            Self::Settled { at_ms, flight, settlement } => {
                out.push(10);
                at_ms.pack(out);
                flight.pack(out);
                out.push(*settlement as u8);
            }
            Self::Parked { at_ms, flight, code } => {
                out.push(11);
                at_ms.pack(out);
                flight.pack(out);
                code.pack(out);
            }
            Self::Late { at_ms, flight, code, approved, details, sealed, stan } => {
                out.push(if *stan == 0 { 12 } else { 36 });
                at_ms.pack(out);
                flight.pack(out);
                code.pack(out);
                out.push(u8::from(*approved));
                details.pack(out);
                sealed.pack(out);
                pack_stan(*stan, out);
            }
            Self::Contradicted { at_ms, flight, code, undo, stan } => {
                out.push(if *stan == 0 { 30 } else { 37 });
                at_ms.pack(out);
                flight.pack(out);
                code.pack(out);
                out.push(u8::from(undo.is_some()));
                if let Some(undo) = undo {
                    undo.pack(out);
                }
                pack_stan(*stan, out);
            }
            Self::Replayed { at_ms, flight } => {
                out.push(13);
                at_ms.pack(out);
                flight.pack(out);
            }
            Self::Undo { at_ms, reversal, dialect, frame, outcome, undone } => {
                out.push(14);
                at_ms.pack(out);
                reversal.pack(out);
                dialect.pack(out);
                frame.pack(out);
                outcome.pack(out);
                undone.pack(out);
            }
            Self::Seen { at_ms, key, named } => {
                out.push(15);
                at_ms.pack(out);
                key.pack(out);
                named.pack(out);
            }
            Self::Blocked { at_ms, key, named } => {
                out.push(16);
                at_ms.pack(out);
                key.pack(out);
                named.pack(out);
            }
            Self::Recognised { at_ms, day, undone } => {
                out.push(31);
                at_ms.pack(out);
                day.pack(out);
                undone.pack(out);
            }
            Self::Operated(action) => action.pack(out),
            Self::CutOver { at_ms, network, date, until_ms, stan, transmission } => {
                out.push(28);
                at_ms.pack(out);
                network.pack(out);
                date.pack(out);
                until_ms.pack(out);
                stan.pack(out);
                transmission.pack(out);
            }
        }
    }
}

impl<'a> Fact<'a> {
    /// Reads a fact.
    ///
    /// # Errors
    /// The bytes are none, or of a later version.
    pub fn unpack(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let mut from = Unpack(bytes);
        let fact = Self::fields(from.byte()?, &mut from)?;
        if from.0.is_empty() { Ok(fact) } else { Err(Unreadable) }
    }

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

    fn fields(number: u8, from: &mut Unpack<'a>) -> Result<Self, Unreadable> {
        Ok(match number {
            1 => Self::Named { kind: name_kind(from.byte()?)?, id: from.u16()?, name: from.text()? },
            2 => Self::Deposit {
                at_ms: from.u64()?,
                account: Account::unpack(from)?,
                amount: from.minor()?,
                reason: from.text()?,
            },
            3 => Self::Day { network: from.network()?, date: from.u32()?, until_ms: from.u64()? },
            4 => Self::Stock(StockBatch::unpack(from)?),
            5 => Self::Intent { flight: Flight::unpack(from)?, dialect: from.u16()?, frame: from.bytes()? },
            6 => Self::Moved {
                at_ms: from.u64()?,
                flight: from.flight()?,
                proof: proof(from)?,
                attempt: Attempt::unpack(from)?,
            },
            7 => Self::Outcome {
                at_ms: from.u64()?,
                link: from.byte()?,
                moved: if from.byte()? != 0 { Some(Attempt::unpack(from)?) } else { None },
                outcome: Outcome::unpack(from)?,
            },
            8 => Self::Doubt {
                at_ms: from.u64()?,
                cause: cause(from.byte()?)?,
                outcome: Outcome::unpack(from)?,
            },
            9 => Self::Sale {
                flight: Flight::unpack(from)?,
                dialect: from.u16()?,
                frame: from.bytes()?,
                outcome: Outcome::unpack(from)?,
                effect: effect(from)?,
            },
            10 => Self::Settled {
                at_ms: from.u64()?,
                flight: from.flight()?,
                settlement: settlement(from.byte()?)?,
            },
            11 => Self::Parked { at_ms: from.u64()?, flight: from.flight()?, code: from.text()? },
            12 | 36 => Self::Late {
                at_ms: from.u64()?,
                flight: from.flight()?,
                code: from.text()?,
                approved: from.byte()? != 0,
                details: from.bytes()?,
                sealed: from.bytes()?,
                stan: stan(from, number == 36)?,
            },
            13 => Self::Replayed { at_ms: from.u64()?, flight: from.flight()? },
            30 | 37 => Self::Contradicted {
                at_ms: from.u64()?,
                flight: from.flight()?,
                code: from.text()?,
                undo: match from.byte()? {
                    0 => None,
                    1 => Some(Flight::unpack(from)?),
                    _ => return Err(Unreadable),
                },
                stan: stan(from, number == 37)?,
            },
            14 => Self::Undo {
                at_ms: from.u64()?,
                reversal: Reversal::unpack(from)?,
                dialect: from.u16()?,
                frame: from.bytes()?,
                outcome: Outcome::unpack(from)?,
                undone: Undone::unpack(from)?,
            },
            15 => Self::Seen { at_ms: from.u64()?, key: from.u128()?, named: from.u128()? },
            16 => Self::Blocked { at_ms: from.u64()?, key: from.u128()?, named: from.u128()? },
            31 => Self::Recognised { at_ms: from.u64()?, day: from.array()?, undone: Undone::unpack(from)? },
            28 => Self::CutOver {
                at_ms: from.u64()?,
                network: from.network()?,
                date: from.u32()?,
                until_ms: from.u64()?,
                stan: from.u32()?,
                transmission: from.array()?,
            },
            act if Act::is_number(act) => Self::Operated(Action::unpack(act, from)?),
            _ => return Err(Unreadable),
        })
    }
}

fn name_kind(number: u8) -> Result<NameKind, Unreadable> {
    NameKind::ALL.into_iter().find(|kind| *kind as u8 == number).ok_or(Unreadable)
}

fn proof(from: &mut Unpack<'_>) -> Result<Proof, Unreadable> {
    match from.byte()? {
        1 => Ok(Proof::NeverSent),
        2 => Ok(Proof::Refused(from.text()?)),
        _ => Err(Unreadable),
    }
}

fn cause(number: u8) -> Result<Cause, Unreadable> {
    [Cause::TimedOut, Cause::LinkLost, Cause::Crash, Cause::Unmapped, Cause::Cancelled]
        .into_iter()
        .find(|cause| *cause as u8 == number)
        .ok_or(Unreadable)
}

fn settlement(number: u8) -> Result<Settlement, Unreadable> {
    [Settlement::Reversed, Settlement::NotFound, Settlement::NotPerformed]
        .into_iter()
        .find(|settlement| *settlement as u8 == number)
        .ok_or(Unreadable)
}
