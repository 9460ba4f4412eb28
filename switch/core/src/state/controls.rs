//! What operators' acts and cut-overs change.
//!
//! Owns: the fold of `Operated` and `CutOver`. Invariants: those of `state`; a credit and a debit are moves between two accounts (`money-conserved`).
//! Deliberately absent: the form of acts (`operate`).

use super::{Day, Misfit, State};
use crate::account::Account;
use crate::ids::NetworkId;
use crate::operate::{Act, Action, Controls, LastCutOver};

impl State {
    /// What operators and networks have set.
    pub fn controls(&self) -> &Controls {
        &self.controls
    }

    pub(super) fn operated(&mut self, action: &Action) -> Result<(), Misfit> {
        match action.act {
            Act::Credited { network, amount } => {
                self.accounts.transfer(Account::Contra, Account::Network(network), amount)?;
            }
            Act::Debited { network, amount } => {
                self.accounts.transfer(Account::Network(network), Account::Contra, amount)?;
            }
            Act::Terminal { terminal, blocked } => self.controls.set_blocked(terminal, blocked),
            Act::Supplier { supplier, drained } => self.controls.set_drained(supplier, drained),
            Act::DayClosed { network, date, until_ms } => {
                self.days.insert(network, Day { date, until_ms });
            }
            // The batch's own fact made it stock.
            Act::Loaded { .. } => {}
        }
        Ok(())
    }

    pub(super) fn cut_over(&mut self, network: NetworkId, day: Day, stan: u32, transmission: [u8; 10]) {
        self.days.insert(network, day);
        self.controls.set_cut_over(network, LastCutOver { stan, transmission, date: day.date });
    }
}
