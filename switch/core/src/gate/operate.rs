//! What operators may do, and what follows from it.
//!
//! Owns: the gate's half from an instruction to its fact. Invariants: an instruction that is refused changes nothing; a debit takes only what is free, so that no
//! reservation is left without its money (S-15).
//! Deliberately absent: who gave it, which names are known (the shell's), and when it is answered: once its position is durable, even where conduits are relaxed (S-17).

use super::Gate;
use crate::account::Account;
use crate::catalogue::Network;
use crate::fact::Fact;
use crate::ids::{NetworkId, Now, SupplierId};
use crate::log::Lsn;
use crate::money::Minor;
use crate::operate::{Act, Action, Instruction, Operator, Reason};
use crate::text::Text;

/// Why an instruction was not carried out. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDone {
    /// An amount of nothing, or less.
    #[error("the amount must be more than zero")]
    Nothing,
    /// The position would leave the range of amounts.
    #[error("the position would leave the range of amounts")]
    OutOfRange,
    /// A debit of more than is free.
    #[error("no more than what is free may be debited")]
    Short {
        /// Posted and credit line less what is reserved, minor units.
        free: Minor,
    },
    /// It is as the instruction wants it already.
    #[error("that is so already")]
    Already,
    /// The configuration blocks the terminal.
    #[error("the configuration blocks that terminal: change its status there")]
    Configured,
    /// A network, terminal or supplier that the configuration in force does not have.
    #[error("the configuration in force does not have it")]
    NotThere,
}

impl Gate {
    /// Carries out an operator's instruction: the act, and the position at which it is durable.
    ///
    /// # Errors
    /// See [`NotDone`].
    pub fn operate(
        &mut self,
        now: Now,
        by: Operator,
        reason: Reason,
        instruction: &Instruction,
    ) -> Result<(Act, Lsn), NotDone> {
        let act = self.judge(now, instruction)?;
        let at = self.record(&Fact::Operated(Action { at_ms: now.wall_ms, by, reason, act }));
        if let Act::Supplier { supplier, drained } = act {
            self.supplies[usize::from(supplier.0)].health.drained = drained;
        }
        Ok((act, at))
    }

    fn judge(&self, now: Now, instruction: &Instruction) -> Result<Act, NotDone> {
        match *instruction {
            Instruction::Credit { network, amount } => self.credit(network, amount),
            Instruction::Debit { network, amount } => self.debit(network, amount),
            Instruction::Terminal { terminal, blocked } => self.block(terminal, blocked),
            Instruction::Supplier { supplier, drained } => self.drain(supplier, drained),
            Instruction::CloseDay { network } => {
                let next = self.day_after(now, self.network(network)?);
                Ok(Act::DayClosed { network, date: next.date, until_ms: next.until_ms })
            }
            Instruction::Load { product, batch, count } => Ok(Act::Loaded { product, batch, count }),
        }
    }

    fn network(&self, id: NetworkId) -> Result<&Network, NotDone> {
        self.catalogue.network_of(id).map(|(_, network)| network).ok_or(NotDone::NotThere)
    }

    /// What a network can still spend or be debited: posted, plus its credit line, less what is reserved (S-15).
    pub fn free(&self, network: &Network) -> Option<Minor> {
        let balance = self.state.accounts.balance(Account::Network(network.id));
        balance.posted.plus(network.funding.line())?.minus(balance.reserved)
    }

    fn credit(&self, network: NetworkId, amount: Minor) -> Result<Act, NotDone> {
        let line = self.network(network)?.funding.line();
        if amount <= Minor::ZERO {
            return Err(NotDone::Nothing);
        }
        let posted = self.state.accounts.balance(Account::Network(network)).posted;
        let contra = self.state.accounts.balance(Account::Contra).posted;
        // With its line too: what is free must be a number as well.
        let after = posted.plus(amount).and_then(|after| after.plus(line));
        after.and(contra.minus(amount)).ok_or(NotDone::OutOfRange)?;
        Ok(Act::Credited { network, amount })
    }

    fn debit(&self, network: NetworkId, amount: Minor) -> Result<Act, NotDone> {
        if amount <= Minor::ZERO {
            return Err(NotDone::Nothing);
        }
        let free = self.free(self.network(network)?).ok_or(NotDone::OutOfRange)?;
        if free < amount {
            return Err(NotDone::Short { free });
        }
        let contra = self.state.accounts.balance(Account::Contra).posted;
        contra.plus(amount).ok_or(NotDone::OutOfRange)?;
        Ok(Act::Debited { network, amount })
    }

    fn block(&self, terminal: Text<8>, blocked: bool) -> Result<Act, NotDone> {
        let known = self.catalogue.terminal(terminal);
        let by_operator = self.state.controls().blocked().contains(&terminal);
        match known {
            _ if by_operator && blocked => Err(NotDone::Already),
            // One that has left the configuration may still be unblocked.
            _ if by_operator => Ok(Act::Terminal { terminal, blocked }),
            None => Err(NotDone::NotThere),
            Some((_, known)) if known.blocked => Err(NotDone::Configured),
            Some(_) if blocked => Ok(Act::Terminal { terminal, blocked }),
            Some(_) => Err(NotDone::Already),
        }
    }

    fn drain(&self, supplier: SupplierId, drained: bool) -> Result<Act, NotDone> {
        if self.catalogue.supplier_of(supplier).is_none() {
            return Err(NotDone::NotThere);
        }
        if self.state.controls().is_drained(supplier) == drained {
            return Err(NotDone::Already);
        }
        Ok(Act::Supplier { supplier, drained })
    }
}
