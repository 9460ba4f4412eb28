//! What an accepted reversal changes: its entry, its original's, the money, and the voucher (S-4 to S-10).

use super::payment::pay_back;
use super::{Misfit, State};
use crate::account::Account;
use crate::adapter::LinkNo;
use crate::flight::{Flight, Held, Phase};
use crate::ids::FlightNo;
use crate::index::{Entry, Standing};
use crate::log::Lsn;
use crate::outcome::Outcome;
use crate::reversal::{Named, Original, Reversal, Taken, Undone};

impl State {
    /// A reversal: its own entry, then what it undid.
    pub(super) fn undo(
        &mut self,
        at: Lsn,
        at_ms: u64,
        reversal: &Reversal,
        outcome: &Outcome<'_>,
        undone: &Undone,
    ) -> Result<(), Misfit> {
        self.last_flight = self.last_flight.max(reversal.number);
        self.index.add(Entry {
            key: reversal.key,
            named: reversal.named,
            contents: reversal.contents,
            flight: reversal.number,
            admitted_ms: at_ms,
            intent_at: at,
            outcome_at: at,
            standing: Standing::Answered,
            secret: false,
        });
        match undone {
            Undone::Blocked(named) => self.block(at, at_ms, reversal, *named),
            undone => self.undone(at, at_ms, outcome.day, undone)?,
        }
        // Not before: what was decided on may be what is forgotten now.
        self.forget(at_ms);
        Ok(())
    }

    /// What became of an original that was there.
    pub(super) fn undone(
        &mut self,
        at: Lsn,
        at_ms: u64,
        day: [u8; 4],
        undone: &Undone,
    ) -> Result<(), Misfit> {
        match undone {
            Undone::Again | Undone::Blocked(_) => {}
            Undone::Nothing(original) => self.index.cancel(&original.cancelled(at)),
            Undone::Open(original) => {
                self.index.cancel(&original.cancelled(at));
                self.open(original.flight)?.cancelled = true;
            }
            Undone::Sold { flight, link, taken } => {
                self.index.cancel(&Original::from(&**flight).cancelled(at));
                self.take_back(at, at_ms, day, flight, *link, *taken)?;
            }
        }
        Ok(())
    }

    /// An original that was never seen gets an entry, so that it is found when it comes.
    fn block(&mut self, at: Lsn, at_ms: u64, reversal: &Reversal, named: Named) {
        // A key that the reversal does not give is one that nothing else has: not one of the reversal's own, which another reversal of the same STAN and local time shares.
        let given = named.key.or(named.named).unwrap_or_default();
        let (key, named) = (named.key.unwrap_or(!given), named.named.unwrap_or(!given));
        self.index.add(blocked(at, at_ms, reversal.number, key, named));
    }

    /// Takes an approved sale back (S-10, S-15).
    fn take_back(
        &mut self,
        at: Lsn,
        at_ms: u64,
        day: [u8; 4],
        flight: &Flight,
        link: LinkNo,
        taken: Taken,
    ) -> Result<(), Misfit> {
        let supplier = flight.attempt.supplier;
        let cancelled = Flight { cancelled: true, intent_at: at, ..*flight };
        match taken {
            Taken::Asked { stan } => {
                self.accounts.transfer(
                    Account::Supplier(supplier),
                    Account::Suspense(supplier),
                    flight.amount,
                )?;
                self.stans.set(supplier.0, stan);
                self.keep(&Flight {
                    phase: Phase::Doubt,
                    held: Held::Suspense,
                    performed: true,
                    link: Some(link),
                    reversal_stan: stan,
                    ..cancelled
                });
            }
            Taken::Withdrawn { credited } => {
                self.withdraw(at_ms, flight, true);
                if credited {
                    pay_back(&mut self.accounts, flight, Account::Supplier(supplier))?;
                    self.withdrawn.credit(flight.terminal, day);
                } else {
                    let (owed, suspense) = (Account::Supplier(supplier), Account::Suspense(supplier));
                    self.accounts.transfer(owed, suspense, flight.amount)?;
                    self.keep(&Flight { phase: Phase::Parked, held: Held::Suspense, ..cancelled });
                    self.parked.add(supplier);
                }
            }
            Taken::Unloaded => {
                pay_back(&mut self.accounts, flight, Account::Wallet(flight.account))?;
            }
            Taken::Spent => {
                self.keep(&Flight { phase: Phase::Parked, ..cancelled });
                self.parked.add(supplier);
            }
        }
        Ok(())
    }
}

/// An entry that blocks what comes under its keys.
pub(super) fn blocked(at: Lsn, at_ms: u64, by: FlightNo, key: u128, named: u128) -> Entry {
    Entry {
        key,
        named,
        contents: 0,
        flight: by,
        admitted_ms: at_ms,
        intent_at: at,
        outcome_at: at,
        standing: Standing::Blocked,
        secret: false,
    }
}
