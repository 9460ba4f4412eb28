//! Operators of the simulated world: they pay in and take out, block terminals, drain suppliers, close days, and see to what is parked.

use super::World;
use crate::story::Stand;
use crate::support::books::text;
use switchyard_core::ids::{FlightNo, NetworkId, SupplierId};
use switchyard_core::money::Minor;
use switchyard_core::operate::{Instruction, Operator, Party, reason};

impl World {
    /// Someone gives an instruction; it may be refused.
    pub(super) fn operate(&mut self) {
        let network = NetworkId(self.random.below(2) as u16);
        let merchant = self.random.chance(300).then(|| text("MERCHANT0000001"));
        let amount = Minor(self.random.below(20_000) as i64);
        let instruction = match self.random.below(20) {
            0..2 => Instruction::Credit { network, merchant, amount },
            2..4 => Instruction::Debit { network, merchant, amount },
            4..7 => self.drain(),
            7..11 => self.block(),
            11 => Instruction::CloseDay { network, again: self.random.chance(500) },
            12..16 => Instruction::Retry { flight: self.parked() },
            _ => {
                let to = if self.random.chance(500) { Party::Network } else { Party::Supplier };
                Instruction::Settle { flight: self.parked(), to }
            }
        };
        self.instruct(&instruction);
    }

    /// Mostly what is not as usual becomes usual again.
    fn drain(&mut self) -> Instruction {
        let drained = self.stories.drained.iter().min().copied();
        match drained.filter(|_| self.random.chance(700)) {
            Some(supplier) => Instruction::Supplier { supplier, drained: false },
            None => {
                Instruction::Supplier { supplier: SupplierId(self.random.below(5) as u16), drained: true }
            }
        }
    }

    fn block(&mut self) -> Instruction {
        let blocked = self.stories.blocked_terminals.iter().min().copied();
        match blocked.filter(|_| self.random.chance(700)) {
            Some(terminal) => Instruction::Terminal { terminal, blocked: false },
            None => {
                let terminal = text(&format!("T{:07}", self.random.between(1, 9)));
                Instruction::Terminal { terminal, blocked: true }
            }
        }
    }

    /// A flight whose reversal is parked, or any other one.
    fn parked(&mut self) -> FlightNo {
        let anything = self.random.chance(100);
        let fits = |stand| anything || stand == Stand::Parked;
        let flights = self.stories.flights.iter().filter(|(_, story)| fits(story.stand));
        let mut flights: Vec<FlightNo> = flights.map(|(number, _)| *number).collect();
        flights.sort_unstable();
        self.random.pick(&flights).copied().unwrap_or_default()
    }

    /// Everything that operators have set is as usual again.
    pub(super) fn back_to_usual(&mut self) {
        for terminal in self.process.gate.state().controls().blocked().clone().iter() {
            self.instruct(&Instruction::Terminal { terminal: *terminal, blocked: false });
        }
        let suppliers: Vec<_> = self.process.gate.catalogue().suppliers.iter().map(|s| s.id).collect();
        for supplier in suppliers {
            self.instruct(&Instruction::Supplier { supplier, drained: false });
        }
    }

    fn instruct(&mut self, instruction: &Instruction) {
        let now = self.now();
        let why = reason("simulated").unwrap_or_default();
        let done = self.process.gate.operate(now, Operator::default(), why, instruction);
        if let Ok((act, at)) = done {
            self.process.acts.insert(at, act);
            *self.counted.entry("acts").or_default() += 1;
        }
        self.note(format_args!("operator: {instruction:?}, {done:?}"));
    }
}
