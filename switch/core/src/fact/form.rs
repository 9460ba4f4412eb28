//! Facts as bytes: a number, then the fields in order.
//!
//! Invariants: a fact reads back as it was written; numbers are never used again for anything else.
//! Deliberately absent: frames and checksums around a fact (`log`).

use super::{Cause, Fact, NameKind, Proof, Settlement};
use crate::account::Account;
use crate::adapter::LocalEffect;
use crate::flight::{Attempt, Flight};
use crate::operate::{Act, Action};
use crate::outcome::Outcome;
use crate::pack::{Pack, Unpack, Unreadable};
use crate::reversal::{Reversal, Undone};
use crate::stock::StockBatch;

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
                out.push(approved.map_or(2, u8::from));
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
            Self::Stray { at_ms, flight, supplier, code, approved, details, sealed } => {
                let is_bare = details.is_empty() && sealed.is_empty();
                out.push(if is_bare { 38 } else { 39 });
                at_ms.pack(out);
                flight.pack(out);
                supplier.pack(out);
                code.pack(out);
                approved.pack(out);
                if !is_bare {
                    details.pack(out);
                    sealed.pack(out);
                }
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
                approved: said(from.byte()?)?,
                details: from.bytes()?,
                sealed: from.bytes()?,
                stan: stan(from, number == 36)?,
            },
            38 | 39 => Self::Stray {
                at_ms: from.u64()?,
                flight: from.flight()?,
                supplier: from.supplier()?,
                code: from.text()?,
                approved: from.flag()?,
                details: if number == 39 { from.bytes()? } else { &[] },
                sealed: if number == 39 { from.bytes()? } else { &[] },
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

fn said(number: u8) -> Result<Option<bool>, Unreadable> {
    match number {
        0 | 1 => Ok(Some(number == 1)),
        2 => Ok(None),
        _ => Err(Unreadable),
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
