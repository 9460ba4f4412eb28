//! What operators may do, and what follows from it.
//!
//! Owns: the gate's half from an instruction to its fact. Invariants: an instruction that is refused changes nothing; a debit takes only what is free, so that no
//! reservation is left without its money (S-15).
//! Deliberately absent: who gave it, which names are known (the shell's), and when it is answered: once its position is durable, even where conduits are relaxed (S-17).

use super::Gate;
use crate::account::Account;
use crate::catalogue::{Funding, Network};
use crate::fact::Fact;
use crate::flight::{Flight, Held, Phase};
use crate::ids::{FlightNo, NetworkId, Now, SupplierId};
use crate::log::Lsn;
use crate::money::Minor;
use crate::operate::{Act, Action, Instruction, Operator, Party, Payer, Reason};
use crate::state::Day;
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
    /// The network's business day has begun early already: it was closed by hand or by a 201, or a wrong clock began it.
    #[error("its business day was closed early already")]
    ClosedEarly {
        /// The day that is open.
        open: Day,
    },
    /// The configuration blocks the terminal.
    #[error("the configuration blocks that terminal: change its status there")]
    Configured,
    /// A network, merchant, terminal or supplier that the configuration in force does not have.
    #[error("the configuration in force does not have it")]
    NotThere,
    /// A merchant without a position of its own.
    #[error("that merchant has no position of its own: its network's pays for its sales")]
    NoPosition,
    /// A flight that has no parked reversal.
    #[error("no reversal of that number is parked")]
    NotParked,
    /// A parked reversal of a sale that the switch decided itself.
    #[error("the switch sold that itself, so there is no supplier to ask again: settle it")]
    NobodyToAsk,
    /// All STANs of the supplier are in use.
    #[error("all STANs of the supplier are in use: try again later")]
    NoStan,
    /// The value of a sale is no longer on its account, so that it cannot go to the network.
    #[error(
        "its value is no longer on the account that it was loaded to: settle it to the supplier, and credit the network by `position credit` where it is to be paid"
    )]
    Spent,
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
        match act {
            Act::Supplier { supplier, drained } => {
                self.supplies[usize::from(supplier.0)].drain(drained);
            }
            Act::Retried { flight, .. } | Act::Settled { flight, .. } => {
                let supplier = self.state.flight(flight).map(|flight| flight.attempt.supplier);
                if let Some(supplier) = supplier {
                    self.count_parked(now, supplier);
                }
                if let (Act::Retried { .. }, Some(supplier)) = (act, supplier) {
                    self.advise(at, supplier, flight);
                }
            }
            Act::DayClosed { .. } => self.counters.days += 1,
            _ => {}
        }
        Ok((act, at))
    }

    fn judge(&mut self, now: Now, instruction: &Instruction) -> Result<Act, NotDone> {
        match *instruction {
            Instruction::Credit { network, merchant, amount } => self.credit(network, merchant, amount),
            Instruction::Debit { network, merchant, amount } => self.debit(network, merchant, amount),
            Instruction::Terminal { terminal, blocked } => self.block_terminal(terminal, blocked),
            Instruction::Supplier { supplier, drained } => self.drain(supplier, drained),
            Instruction::CloseDay { network, again } => self.close_day(now, network, again),
            Instruction::Load { product, batch, count } => Ok(Act::Loaded { product, batch, count }),
            Instruction::RotateKeys { old, new, since_ms, retired } => {
                Ok(Act::KeysRotated { old, new, since_ms, retired })
            }
            Instruction::Retry { flight } => self.retry(now, flight),
            Instruction::Settle { flight, to } => {
                let payer = payer(self.parked(flight)?, to)?;
                Ok(Act::Settled { flight, payer, to })
            }
        }
    }

    /// Closing is given twice sooner than it is meant twice, and is not taken back.
    fn close_day(&self, now: Now, id: NetworkId, again: bool) -> Result<Act, NotDone> {
        let network = self.network(id)?;
        if !again && self.is_day_ahead(now, network) {
            return Err(NotDone::ClosedEarly { open: self.day_at(now, network) });
        }
        let next = self.day_after(now, network);
        Ok(Act::DayClosed { network: id, date: next.date, until_ms: next.until_ms })
    }

    fn network(&self, id: NetworkId) -> Result<&Network, NotDone> {
        self.catalogue.network_of(id).map(|(_, network)| network).ok_or(NotDone::NotThere)
    }

    /// What an account can still spend or be debited: posted, plus its credit line, less what is reserved (S-15).
    pub fn free(&self, account: Account, funding: Funding) -> Option<Minor> {
        let balance = self.state.accounts.balance(account);
        balance.posted.plus(funding.line())?.minus(balance.reserved)
    }

    /// The account that is meant, and how it is funded: a network's, or the own one of one of its merchants.
    fn position(
        &self,
        network: NetworkId,
        merchant: Option<Text<15>>,
    ) -> Result<(Account, Funding), NotDone> {
        let (at, _) = self.catalogue.network_of(network).ok_or(NotDone::NotThere)?;
        let Some(code) = merchant else {
            return Ok((Account::Network(network), self.network(network)?.funding));
        };
        let known = self.catalogue.merchant(code).filter(|(_, merchant)| merchant.network == at);
        let (_, merchant) = known.ok_or(NotDone::NotThere)?;
        Ok((Account::Merchant(code), merchant.funding.ok_or(NotDone::NoPosition)?))
    }

    fn credit(&self, network: NetworkId, merchant: Option<Text<15>>, amount: Minor) -> Result<Act, NotDone> {
        let (account, funding) = self.position(network, merchant)?;
        let line = funding.line();
        if amount <= Minor::ZERO {
            return Err(NotDone::Nothing);
        }
        let posted = self.state.accounts.balance(account).posted;
        let contra = self.state.accounts.balance(Account::Contra).posted;
        // With its line too: what is free must be a number as well.
        let after = posted.plus(amount).and_then(|after| after.plus(line));
        after.and(contra.minus(amount)).ok_or(NotDone::OutOfRange)?;
        Ok(Act::Credited { network, merchant, amount })
    }

    fn debit(&self, network: NetworkId, merchant: Option<Text<15>>, amount: Minor) -> Result<Act, NotDone> {
        if amount <= Minor::ZERO {
            return Err(NotDone::Nothing);
        }
        let (account, funding) = self.position(network, merchant)?;
        let free = self.free(account, funding).ok_or(NotDone::OutOfRange)?;
        if free < amount {
            return Err(NotDone::Short { free });
        }
        let contra = self.state.accounts.balance(Account::Contra).posted;
        contra.plus(amount).ok_or(NotDone::OutOfRange)?;
        Ok(Act::Debited { network, merchant, amount })
    }

    fn block_terminal(&self, terminal: Text<8>, blocked: bool) -> Result<Act, NotDone> {
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

    fn parked(&self, number: FlightNo) -> Result<&Flight, NotDone> {
        self.state.flight(number).filter(|flight| flight.phase == Phase::Parked).ok_or(NotDone::NotParked)
    }

    /// A parked reversal goes out under a STAN of its own: the one before may long be in use again.
    fn retry(&mut self, now: Now, number: FlightNo) -> Result<Act, NotDone> {
        let flight = self.parked(number)?;
        let supplier = flight.attempt.supplier;
        if is_local(flight) {
            return Err(NotDone::NobodyToAsk);
        }
        if self.catalogue.supplier_of(supplier).is_none() {
            return Err(NotDone::NotThere);
        }
        let stan = self.undo_stan(now, supplier).ok_or(NotDone::NoStan)?;
        Ok(Act::Retried { flight: number, stan })
    }
}

/// Whether the sale was decided by the switch itself: no supplier can be asked to reverse it.
fn is_local(flight: &Flight) -> bool {
    flight.attempt.stan == 0
}

/// Where the amount of a parked reversal comes from, when it is settled.
fn payer(flight: &Flight, to: Party) -> Result<Payer, NotDone> {
    match (flight.held, is_local(flight), to) {
        (Held::Suspense, ..) => Ok(Payer::Suspense),
        // Value that was loaded here and is spent: the sale can only stand.
        (_, true, Party::Network) => Err(NotDone::Spent),
        (_, true, Party::Supplier) | (_, false, Party::Network) => Ok(Payer::Nobody),
        // Reversed, and performed late all the same.
        (_, false, Party::Supplier) => Ok(Payer::Network),
    }
}
