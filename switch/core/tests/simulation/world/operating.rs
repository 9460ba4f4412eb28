//! Operators of the simulated world: they pay in and take out, drain suppliers, close days.

use super::World;
use switchyard_core::ids::{NetworkId, SupplierId};
use switchyard_core::money::Minor;
use switchyard_core::operate::{Instruction, Operator, reason};

impl World {
    /// Someone gives an instruction; it may be refused.
    pub(super) fn operate(&mut self) {
        let network = NetworkId(self.random.below(2) as u16);
        let amount = Minor(self.random.below(20_000) as i64);
        let instruction = match self.random.below(6) {
            0 | 1 => Instruction::Credit { network, merchant: None, amount },
            2 | 3 => Instruction::Debit { network, merchant: None, amount },
            4 => {
                // Drained and resumed at once: what lies between is for the rules; here the facts must fold.
                let supplier = SupplierId(self.random.below(5) as u16);
                self.instruct(&Instruction::Supplier { supplier, drained: true });
                Instruction::Supplier { supplier, drained: false }
            }
            _ => Instruction::CloseDay { network },
        };
        self.instruct(&instruction);
    }

    fn instruct(&mut self, instruction: &Instruction) {
        let now = self.now();
        let why = reason("simulated").unwrap_or_default();
        let done = self.process.gate.operate(now, Operator::default(), why, instruction);
        self.note(format_args!("operator: {instruction:?}, {done:?}"));
    }
}
