//! Requests that leave memory for runs, and checkpoints that rely on them.

use super::World;

impl World {
    /// Some of what may happen to runs in a turn: one is begun, or ends, or cannot be written; entries leave memory; a checkpoint is taken.
    pub(super) fn spill(&mut self) {
        let process = &mut self.process;
        match self.random.below(8) {
            0 if process.keeper.writing.is_none() => process.keeper.writing = process.gate.spill(),
            1 => {
                let Some(spill) = process.keeper.writing.take() else { return };
                let run = process.keeper.write(&spill);
                process.gate.spilled(run);
            }
            2 if self.random.chance(200) && process.keeper.writing.take().is_some() => {
                process.gate.not_spilled();
            }
            3 if self.random.chance(300) => assert_eq!(process.gate.age(), None, "no run is too old here"),
            4 if self.random.chance(100) => process.keeper.checkpoint(process.gate.state()),
            _ => {}
        }
    }
}
