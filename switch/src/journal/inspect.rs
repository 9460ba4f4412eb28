//! A folder that is looked at and not changed.
//!
//! Owns: `Inspection`, for commands. Invariants: nothing here writes; the length of segments is the folder's own, whatever is configured.
//! Deliberately absent: what is made of the facts (`cli::journal`), and starting anything (`Opening`).

use std::path::{Path, PathBuf};

use switchyard_core::log::{Lsn, SegmentHeader};
use switchyard_core::seal::Keyring;
use switchyard_core::state::State;

use super::JournalOptions;
use super::checkpoint::{self, CheckpointFault};
use super::error::JournalError;
use super::folder::{Folder, Found};
use super::replay::{Replayed, Walk};
use crate::keys::Kek;

/// The segments and checkpoints of a folder, as they are.
pub struct Inspection {
    folder: Folder,
    options: JournalOptions,
    segments: Vec<Found>,
}

impl Inspection {
    /// Looks at the folder beside whoever works in it.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn beside(path: &Path) -> Result<Inspection, JournalError> {
        Inspection::of(Folder::beside(path))
    }

    /// Looks at the folder while nobody may work in it.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::Io`].
    pub fn alone(path: &Path) -> Result<Inspection, JournalError> {
        Inspection::of(Folder::lock_to_read(path)?)
    }

    fn of(folder: Folder) -> Result<Inspection, JournalError> {
        let segments = folder.segments()?;
        let mut options = JournalOptions::default();
        // A header that does not read is told when the log is followed.
        let header = segments.first().and_then(|first| SegmentHeader::decode(&first.head().ok()?).ok());
        options.segment_bytes = header.map_or(options.segment_bytes, |header| header.segment_bytes);
        Ok(Inspection { folder, options, segments })
    }

    /// The position that the folder begins with, 0 when nothing was retired.
    pub fn first(&self) -> Lsn {
        Lsn(self.segments.first().map_or(0, |first| first.number * self.options.segment_bytes))
    }

    /// The position behind the last byte of the last segment that anything is written in.
    pub fn limit(&self) -> Lsn {
        let written = |found: &&Found| found.head().is_ok_and(|head| head.iter().any(|byte| *byte != 0));
        let last = self.segments.iter().rev().find(written);
        Lsn(last.map_or(0, |last| last.number * self.options.segment_bytes + last.bytes))
    }

    /// The file and the offset in it, in bytes, of a position.
    pub fn place(&self, at: Lsn) -> (PathBuf, u64) {
        let segment_bytes = self.options.segment_bytes;
        (self.folder.segment_path(at.segment(segment_bytes)), at.offset(segment_bytes))
    }

    /// The positions of the checkpoints, the newest first.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn checkpoints(&self) -> Result<Vec<Lsn>, JournalError> {
        self.folder.checkpoints()
    }

    /// The state of the checkpoint at that position.
    ///
    /// # Errors
    /// [`CheckpointFault`].
    pub fn checkpoint(&self, at: Lsn) -> Result<State, CheckpointFault> {
        checkpoint::load(&self.folder, at)
    }

    /// Hands over the facts from the segment on that holds `from`, up to where the log ends or does not read; then where and why.
    ///
    /// # Errors
    /// [`JournalError::Io`], [`JournalError::Version`], and [`JournalError::Refused`] with what `each` said.
    pub fn read(
        &self,
        from: Lsn,
        mut each: impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Option<(Lsn, &'static str)>, JournalError> {
        let number = from.segment(self.options.segment_bytes);
        let rest = &self.segments[self.segments.partition_point(|found| found.number < number)..];
        Walk::new(&self.options, None, Lsn(0)).read(rest, &mut each)
    }

    /// Hands over every fact, and checks everything that a start would check if there were no checkpoint: epochs, chain, checksums, that nothing is missing; and with the
    /// key-encryption key, that every key of the log opens.
    ///
    /// # Errors
    /// [`JournalError`]: what is wrong, and where.
    pub fn verify(
        &self,
        kek: Option<&Kek>,
        mut each: impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Replayed, JournalError> {
        let keyring = Keyring::new();
        let walk = Walk::new(&self.options, kek.map(|kek| (kek, &keyring)), Lsn(0));
        walk.run(&self.segments, &mut each).map(|(replayed, _)| replayed)
    }
}
