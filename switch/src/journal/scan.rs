//! Reading the log back in time, segment by segment: for questions of people.
//!
//! Owns: which segments there are below a position, newest first, and the facts of one. Invariants: each fact is checked against its checksum; nothing here
//! writes, and nothing waits for it. Deliberately absent: what facts mean (`history`), and the chain from batch to batch, which a start checks.

use super::error::JournalError;
use super::folder::{Folder, Window};
use super::reader::JournalReader;
use std::sync::Arc;
use switchyard_core::log::{
    FACT_BYTES_MAX, FRAME_BYTES, HeaderError, Lsn, SEGMENT_HEADER_BYTES, SegmentHeader, Step, step,
};

impl JournalReader {
    /// The numbers of the segments that hold something below `upto`, newest first.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn segments_back(&self, upto: Lsn) -> Result<Vec<u64>, JournalError> {
        let below = |number: u64| number * self.segment_bytes + (SEGMENT_HEADER_BYTES as u64) < upto.0;
        let numbers = self.folder.segments()?.into_iter().map(|found| found.number);
        let mut numbers: Vec<_> = numbers.filter(|number| below(*number)).collect();
        numbers.reverse();
        Ok(numbers)
    }

    /// Hands over the facts of a segment below `upto` (at most the durable position), in order, until `each` answers false. A segment that was retired meanwhile has
    /// none.
    ///
    /// # Errors
    /// [`JournalError::NoFact`], [`JournalError::Damaged`], [`JournalError::Io`].
    pub fn facts_of(
        &self,
        number: u64,
        upto: Lsn,
        mut each: impl FnMut(Lsn, &[u8]) -> bool,
    ) -> Result<(), JournalError> {
        let path = self.folder.segment_path(number);
        let mut window = Window::new();
        match window.open(&path, self.segment_bytes) {
            Err(JournalError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(());
            }
            opened => opened?,
        }
        match SegmentHeader::decode(window.at(0, SEGMENT_HEADER_BYTES)?) {
            Ok(header) if header.number == number => {}
            Err(HeaderError::Version(version)) => return Err(JournalError::Version { file: path, version }),
            _ => {
                let what = "the header of a segment is damaged";
                return Err(JournalError::Damaged { file: path, offset: 0, what, durable_upto: upto });
            }
        }
        let mut at = Lsn(number * self.segment_bytes + SEGMENT_HEADER_BYTES as u64);
        while at < upto && at.segment(self.segment_bytes) == number {
            let bytes = window.at(at.offset(self.segment_bytes), FRAME_BYTES + FACT_BYTES_MAX)?;
            match step(bytes, at).map_err(|error| self.no_fact(at, error))? {
                Step::Batch(whole) => at.0 += whole as u64,
                Step::Fact(fact, whole) => {
                    if !each(at, fact) {
                        return Ok(());
                    }
                    at.0 += whole as u64;
                }
                Step::End => return Ok(()),
            }
        }
        Ok(())
    }

    /// The number of the segment that holds a position.
    pub fn segment_of(&self, at: Lsn) -> u64 {
        at.segment(self.segment_bytes)
    }

    /// The journal that it reads, to make readers for other threads of.
    pub fn place(&self) -> JournalPlace {
        JournalPlace { folder: Arc::clone(&self.folder), segment_bytes: self.segment_bytes }
    }
}

/// A journal that can be read, by any number of readers.
#[derive(Clone)]
pub struct JournalPlace {
    folder: Arc<Folder>,
    segment_bytes: u64,
}

impl JournalPlace {
    /// A reader for one thread.
    pub fn reader(&self) -> JournalReader {
        JournalReader::new(Arc::clone(&self.folder), self.segment_bytes)
    }
}
