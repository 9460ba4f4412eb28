//! Retiring segments that nobody reads any more.
//!
//! Owns: which segments may go. Invariants: a segment goes only when it is older than everything that is kept, lies below the older of two checkpoints, and neither
//! a request of the window nor an open flight names a place in it; the oldest go first, so that what is left has no gap.
//! Deliberately absent: copies elsewhere. Who wants the log for longer takes it away before, or sets `keep_days`.

use std::time::{Duration, SystemTime};

use switchyard_core::log::Lsn;

use super::checkpoint::{CHECKPOINTS_KEPT, CheckpointFiles};
use super::error::{JournalError, io_error};

impl CheckpointFiles {
    /// Removes the segments that were written to the end more than `keep` before `now`, lie wholly below `needs_from`, and below the older checkpoint; nothing as long as
    /// there are not two. Answers how many.
    ///
    /// # Errors
    /// [`JournalError::Io`]; what was removed was not needed.
    pub fn retire(&self, needs_from: Lsn, keep: Duration, now: SystemTime) -> Result<u64, JournalError> {
        let positions = self.positions()?;
        let Some(older) = positions.get(CHECKPOINTS_KEPT - 1) else { return Ok(0) };
        let first_kept = needs_from.min(*older).segment(self.segment_bytes);
        let mut retired = 0;
        for found in self.folder.segments()?.iter().take_while(|found| found.number < first_kept) {
            let written = std::fs::metadata(&found.path).and_then(|meta| meta.modified());
            let written = written.map_err(io_error("look at", &found.path))?;
            // A file of the future has no age: a clock was set back, and nobody knows.
            if now.duration_since(written).is_ok_and(|age| age > keep) {
                std::fs::remove_file(&found.path).map_err(io_error("remove", &found.path))?;
                retired += 1;
            } else {
                break;
            }
        }
        if retired > 0 {
            self.folder.sync()?;
        }
        Ok(retired)
    }
}
