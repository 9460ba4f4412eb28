//! Operators' instructions at the gate's actor, and what they want to see.
//!
//! Owns: the control messages of operators' commands. Invariants: who waits for an act is told once it is durable, even where conduits are relaxed (S-17), and is
//! dropped when the journal fails.
//! Deliberately absent: what is allowed (the core's gate), names and texts (`control::operate`).

use super::GateActor;
use crate::history::Names;
use actix::{Handler, Message, MessageResult};
use std::sync::Arc;
use switchyard_core::account::Account;
use switchyard_core::catalogue::{Catalogue, Funding, Network};
use switchyard_core::flight::{Flight, Phase};
use switchyard_core::gate::NotDone;
use switchyard_core::ids::SupplierId;
use switchyard_core::log::Lsn;
use switchyard_core::money::Minor;
use switchyard_core::operate::{Act, Blocked, Instruction, Operator, Reason};
use switchyard_core::state::Day;
use tokio::sync::oneshot;

/// Carry out an instruction.
#[derive(Debug)]
pub struct Operate {
    /// What.
    pub instruction: Instruction,
    /// Who wants it.
    pub by: Operator,
    /// Why.
    pub reason: Reason,
    /// Told when it is durable; dropped when it is not done, or the journal fails.
    pub durable: oneshot::Sender<()>,
}

/// What was done, not yet durable.
#[derive(Clone, Debug)]
pub struct Operated {
    /// What.
    pub act: Act,
    /// The terminals that operators have blocked, with this act.
    pub blocked: Arc<Blocked>,
}

impl Message for Operate {
    type Result = Result<Operated, NotDone>;
}

impl Handler<Operate> for GateActor {
    type Result = Result<Operated, NotDone>;

    fn handle(&mut self, operate: Operate, _: &mut Self::Context) -> Self::Result {
        let Operate { instruction, by, reason, durable } = operate;
        let (act, at) = self.gate.operate(self.clock.now(), by, reason, &instruction)?;
        self.arrivals.push((at, durable));
        self.rings.requests.wake();
        Ok(Operated { act, blocked: Arc::clone(self.gate.state().controls().blocked()) })
    }
}

/// Asks for what commands name and read: the catalogue, the journal's names, how far the journal is durable.
#[derive(Debug)]
pub struct Look;

/// The answer to [`Look`].
#[derive(Clone, Debug)]
pub struct Sight {
    /// The snapshot in force.
    pub catalogue: Arc<Catalogue>,
    /// The names of the journal's ids.
    pub names: Names,
    /// Everything below is durable.
    pub durable: Lsn,
}

impl Message for Look {
    type Result = Sight;
}

impl Handler<Look> for GateActor {
    type Result = MessageResult<Look>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        MessageResult(Sight {
            catalogue: Arc::clone(self.gate.catalogue()),
            names: Names::of(self.gate.state(), self.gate.catalogue()),
            durable: self.journal.as_ref().map_or(Lsn(0), |journal| journal.durable()),
        })
    }
}

/// Asks the positions of all configured networks, in the order of the catalogue.
#[derive(Debug)]
pub struct NetworkPositions;

/// Asks the own position of a merchant, by its index in the catalogue; none where it has none.
#[derive(Debug)]
pub struct MerchantPosition(pub u32);

/// A position, minor units.
#[derive(Clone, Copy, Debug)]
pub struct PositionNow {
    /// What it has with us.
    pub posted: Minor,
    /// What open sales have reserved.
    pub reserved: Minor,
    /// What it can still spend: posted and credit line, less what is reserved; none where that leaves the range.
    pub free: Option<Minor>,
    /// The network's business day.
    pub day: Day,
}

impl Message for NetworkPositions {
    type Result = Vec<PositionNow>;
}

impl Handler<NetworkPositions> for GateActor {
    type Result = Vec<PositionNow>;

    fn handle(&mut self, _: NetworkPositions, _: &mut Self::Context) -> Self::Result {
        let networks = &self.gate.catalogue().networks;
        let position =
            |network: &Network| self.position(Account::Network(network.id), network.funding, network);
        networks.iter().map(position).collect()
    }
}

impl Message for MerchantPosition {
    type Result = Option<PositionNow>;
}

impl Handler<MerchantPosition> for GateActor {
    type Result = Option<PositionNow>;

    fn handle(&mut self, MerchantPosition(at): MerchantPosition, _: &mut Self::Context) -> Self::Result {
        let catalogue = self.gate.catalogue();
        let merchant = catalogue.merchants.get(at as usize)?;
        let network = catalogue.networks.get(merchant.network as usize)?;
        Some(self.position(Account::Merchant(merchant.code), merchant.funding?, network))
    }
}

impl GateActor {
    fn position(&self, account: Account, funding: Funding, network: &Network) -> PositionNow {
        let balance = self.gate.state().accounts.balance(account);
        PositionNow {
            posted: balance.posted,
            reserved: balance.reserved,
            free: self.gate.free(account, funding),
            day: self.gate.day_at(self.clock.now(), network),
        }
    }
}

/// Asks what is open at a supplier: attempts, and with them reversals not at their end.
#[derive(Debug)]
pub struct OpenAt(pub SupplierId);

impl Message for OpenAt {
    type Result = (u32, u32);
}

impl Handler<OpenAt> for GateActor {
    type Result = MessageResult<OpenAt>;

    fn handle(&mut self, OpenAt(supplier): OpenAt, _: &mut Self::Context) -> Self::Result {
        let supply = self.gate.supply(supplier);
        MessageResult(supply.map_or((0, 0), |supply| (supply.in_flight(), supply.advices())))
    }
}

/// Asks for the reversals that are open: parked ones first, each kind oldest first, at most so many.
#[derive(Debug)]
pub struct OpenAdvices(pub usize);

/// The answer to [`OpenAdvices`].
#[derive(Clone, Debug)]
pub struct AdviceList {
    /// The first so many.
    pub flights: Vec<Flight>,
    /// How many are parked, of all.
    pub parked: usize,
    /// How many are on their way, of all.
    pub under_way: usize,
}

impl Message for OpenAdvices {
    type Result = AdviceList;
}

impl Handler<OpenAdvices> for GateActor {
    type Result = MessageResult<OpenAdvices>;

    fn handle(&mut self, OpenAdvices(limit): OpenAdvices, _: &mut Self::Context) -> Self::Result {
        let mut parked = Vec::new();
        let mut under_way = Vec::new();
        for flight in self.gate.state().flights() {
            match flight.phase {
                Phase::Parked => parked.push(flight.number),
                Phase::Doubt => under_way.push(flight.number),
                Phase::Asked | Phase::Settled | Phase::Void | Phase::Stands => {}
            }
        }
        parked.sort_unstable();
        under_way.sort_unstable();
        let numbers = parked.iter().chain(&under_way).take(limit);
        let flights = numbers.filter_map(|number| self.gate.state().flight(*number).copied()).collect();
        MessageResult(AdviceList { flights, parked: parked.len(), under_way: under_way.len() })
    }
}
