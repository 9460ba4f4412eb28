//! Retiring segments that nobody reads any more.
//!
//! Owns: which segments may go. Invariants: a segment goes only when it is older than everything that is kept, lies below the older of two checkpoints, and neither
//! a request of the window nor an open flight names a place in it, nor its key; the oldest go first, so that what is left has no gap.
//! Deliberately absent: copies elsewhere. Who wants the log for longer takes it away before, or sets `keep_days`.

use std::time::{Duration, SystemTime};

use switchyard_core::log::{HeaderError, Lsn, SegmentHeader};
use switchyard_core::state::Snapshot;

use super::checkpoint::{CHECKPOINTS_KEPT, CheckpointFiles};
use super::error::{JournalError, io_error};

/// What is still needed of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Everything from this position on.
    pub from: Lsn,
    /// The keys from this epoch on; none: no key of a segment that is not needed itself.
    pub epoch: Option<u32>,
}

impl Needs {
    /// What a snapshot names.
    pub fn of(snapshot: &Snapshot) -> Needs {
        Needs { from: snapshot.needs_from(), epoch: snapshot.needs_epoch() }
    }

    /// Whether the key in that header is needed. What cannot be read is kept: it is for people to look at.
    fn key_of(&self, header: Result<SegmentHeader, HeaderError>) -> bool {
        header.is_err() || self.epoch.zip(header.ok()).is_some_and(|(epoch, header)| header.epoch >= epoch)
    }
}

impl CheckpointFiles {
    /// Removes the segments that were written to the end more than `keep` before `now`, lie wholly below what is needed, and below the older checkpoint; nothing as long as
    /// there are not two. Answers how many.
    ///
    /// # Errors
    /// [`JournalError::Io`]; what was removed was not needed.
    pub fn retire(&self, needs: Needs, keep: Duration, now: SystemTime) -> Result<u64, JournalError> {
        let positions = self.positions()?;
        let Some(older) = positions.get(CHECKPOINTS_KEPT - 1) else { return Ok(0) };
        let first_kept = needs.from.min(*older).segment(self.segment_bytes);
        let mut retired = 0;
        for found in self.folder.segments()?.iter().take_while(|found| found.number < first_kept) {
            let written = std::fs::metadata(&found.path).and_then(|meta| meta.modified());
            let written = written.map_err(io_error("look at", &found.path))?;
            // A file of the future has no age: a clock was set back, and nobody knows.
            let is_old = now.duration_since(written).is_ok_and(|age| age > keep);
            if !is_old || needs.key_of(SegmentHeader::decode(&found.head()?)) {
                break;
            }
            std::fs::remove_file(&found.path).map_err(io_error("remove", &found.path))?;
            retired += 1;
        }
        if retired > 0 {
            self.folder.sync()?;
        }
        Ok(retired)
    }
}
