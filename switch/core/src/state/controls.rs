//! What operators' acts and cut-overs change.
//!
//! Owns: the fold of `Operated` and `CutOver`. Invariants: those of `state`; money only moves between two accounts (`money-conserved`); a parked reversal that an
//! operator has settled is over: nothing that is heard of it later opens it again.
//! Deliberately absent: the form of acts (`operate`).

use super::payment::{pay, pay_back};
use super::{Day, Misfit, State};
use crate::account::Account;
use crate::flight::{Held, Phase};
use crate::ids::{FlightNo, NetworkId};
use crate::operate::{Act, Action, Controls, LastCutOver, Party, Payer};

impl State {
    /// What operators and networks have set.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    pub(super) fn operated(&mut self, action: &Action) -> Result<(), Misfit> {
        match action.act {
            Act::Credited { amount, .. } => {
                let account = action.act.account().unwrap_or(Account::Contra);
                self.accounts.transfer(Account::Contra, account, amount)?;
            }
            Act::Debited { amount, .. } => {
                let account = action.act.account().unwrap_or(Account::Contra);
                self.accounts.transfer(account, Account::Contra, amount)?;
            }
            Act::Terminal { terminal, blocked } => self.controls.set_blocked(terminal, blocked),
            Act::Supplier { supplier, drained } => self.controls.set_drained(supplier, drained),
            Act::DayClosed { network, date, until_ms } => {
                self.days.set(network.0, Day { date, until_ms });
            }
            // The batch's own fact made it stock.
            Act::Loaded { .. } => {}
            Act::KeysRotated { new, .. } => self.controls.set_key(new),
            Act::Retried { flight, stan } => self.retried(flight, stan)?,
            Act::Settled { flight, payer, to } => self.settled_by_hand(action.at_ms, flight, payer, to)?,
        }
        Ok(())
    }

    fn retried(&mut self, number: FlightNo, stan: u32) -> Result<(), Misfit> {
        let flight = self.open(number)?;
        (flight.phase, flight.reversal_stan) = (Phase::Doubt, stan);
        let supplier = flight.attempt.supplier;
        self.stans.set(supplier.0, stan);
        self.parked.remove(supplier);
        Ok(())
    }

    fn settled_by_hand(
        &mut self,
        at_ms: u64,
        number: FlightNo,
        payer: Payer,
        to: Party,
    ) -> Result<(), Misfit> {
        let phase = match to {
            Party::Network => Phase::Void,
            Party::Supplier => Phase::Stands,
        };
        let flight = self.end_doubt(number, phase, Held::Nothing)?;
        self.ended(at_ms, number, 0);
        let supplier = flight.attempt.supplier;
        self.parked.remove(supplier);
        let (suspense, supplier) = (Account::Suspense(supplier), Account::Supplier(supplier));
        match (payer, to) {
            (Payer::Nobody, _) | (Payer::Network, Party::Network) => Ok(()),
            (Payer::Network, Party::Supplier) => Ok(pay(&mut self.accounts, &flight, supplier)?),
            (Payer::Suspense, Party::Network) => Ok(pay_back(&mut self.accounts, &flight, suspense)?),
            (Payer::Suspense, Party::Supplier) => {
                Ok(self.accounts.transfer(suspense, supplier, flight.amount)?)
            }
        }
    }

    pub(super) fn cut_over(&mut self, network: NetworkId, day: Day, stan: u32, transmission: [u8; 10]) {
        self.days.set(network.0, day);
        self.controls.set_cut_over(network, LastCutOver { stan, transmission, date: day.date });
    }
}
