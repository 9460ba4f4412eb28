//! Reading single facts, and facts in order, from segments that are on disk: for the keeper thread.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use switchyard_core::log::{
    FACT_BYTES_MAX, FRAME_BYTES, FactError, HeaderError, Lsn, SEGMENT_HEADER_BYTES, SegmentHeader, Step,
    read_fact, step,
};

use super::error::{JournalError, io_error};
use super::folder::{Folder, Window};

/// Most segments that are kept open.
const FILES_MAX: usize = 16;

/// What is read of a fact before its length is known. Most facts end within.
const FIRST_READ_BYTES: usize = 1024;

/// Reads the log while it is being written. Each fact is checked.
pub struct JournalReader {
    pub(super) folder: Arc<Folder>,
    pub(super) segment_bytes: u64,
    files: RefCell<Files>,
}

/// The files used last, the newest at the end, and the buffer they are read into.
struct Files {
    open: Vec<(u64, File)>,
    buffer: Vec<u8>,
}

impl JournalReader {
    pub(super) fn new(folder: Arc<Folder>, segment_bytes: u64) -> JournalReader {
        let files =
            Files { open: Vec::with_capacity(FILES_MAX), buffer: vec![0; FRAME_BYTES + FACT_BYTES_MAX] };
        JournalReader { folder, segment_bytes, files: RefCell::new(files) }
    }

    /// Puts the fact at a position, which must be written, into `out` in place of what was there.
    ///
    /// # Errors
    /// [`JournalError::NoFact`], [`JournalError::Io`].
    pub fn fact(&self, lsn: Lsn, out: &mut Vec<u8>) -> Result<(), JournalError> {
        out.clear();
        let mut files = self.files.borrow_mut();
        let Files { open, buffer } = &mut *files;
        let number = lsn.segment(self.segment_bytes);
        let file = open_file(open, number, &self.folder.segment_path(number))?;
        let offset = lsn.offset(self.segment_bytes);
        let mut want = FIRST_READ_BYTES;
        loop {
            let filled = read_up_to(file, &mut buffer[..want], offset)
                .map_err(|error| io_error("read", &self.folder.segment_path(number))(error))?;
            match read_fact(&buffer[..filled], lsn) {
                Ok(fact) => {
                    out.extend_from_slice(fact);
                    return Ok(());
                }
                Err(FactError::Short(needed)) if needed > want && filled == want => want = needed,
                Err(error) => return Err(self.no_fact(lsn, error)),
            }
        }
    }

    /// Hands over, in order, the facts behind `after` (a fact's position, or 0 for all) and below `upto`,
    /// which is at most the journal's durable position, and answers the position of the last one (`after` if
    /// there was none). So a projection or a checkpoint goes on from where it stood.
    ///
    /// # Errors
    /// [`JournalError::NoFact`], [`JournalError::Damaged`], [`JournalError::Io`], and
    /// [`JournalError::Refused`] with what `each` said.
    pub fn facts_after(
        &self,
        after: Lsn,
        upto: Lsn,
        mut each: impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Lsn, JournalError> {
        let mut window = Window::new();
        let mut open = None;
        let mut last = after;
        let mut at = Lsn(after.0.max(SEGMENT_HEADER_BYTES as u64));
        while at < upto {
            let number = at.segment(self.segment_bytes);
            if open != Some(number) {
                window.open(&self.folder.segment_path(number), self.segment_bytes)?;
                open = Some(number);
            }
            let bytes = window.at(at.offset(self.segment_bytes), FRAME_BYTES + FACT_BYTES_MAX)?;
            match step(bytes, at).map_err(|error| self.no_fact(at, error))? {
                Step::Batch(whole) => at.0 += whole as u64,
                Step::Fact(fact, whole) => {
                    if at > after {
                        each(at, fact).map_err(|reason| JournalError::Refused { lsn: at, reason })?;
                        last = at;
                    }
                    at.0 += whole as u64;
                }
                Step::End => {
                    window.open(&self.folder.segment_path(number + 1), self.segment_bytes)?;
                    open = Some(number + 1);
                    at = self.enter(&mut window, number + 1, at, upto)?;
                }
            }
        }
        Ok(last)
    }

    /// The beginning of the next segment, if it says that the log went on there from this position.
    fn enter(&self, window: &mut Window, number: u64, end: Lsn, upto: Lsn) -> Result<Lsn, JournalError> {
        let header = SegmentHeader::decode(window.at(0, SEGMENT_HEADER_BYTES)?);
        let what = match header {
            Ok(header) if header.number == number && header.follows == end => {
                return Ok(Lsn(number * self.segment_bytes + SEGMENT_HEADER_BYTES as u64));
            }
            Ok(_) => "a segment does not follow the one before",
            Err(HeaderError::Version(version)) => {
                return Err(JournalError::Version { file: window.path().to_owned(), version });
            }
            Err(HeaderError::Nothing) => "the header of a segment is missing",
            Err(HeaderError::Damaged) => "the header of a segment is damaged",
        };
        Err(JournalError::Damaged { file: window.path().to_owned(), offset: 0, what, durable_upto: upto })
    }

    pub(super) fn no_fact(&self, lsn: Lsn, error: FactError) -> JournalError {
        let file = self.folder.segment_path(lsn.segment(self.segment_bytes));
        JournalError::NoFact { lsn, file, offset: lsn.offset(self.segment_bytes), error }
    }
}

/// The open file of a segment, which becomes the one used last.
fn open_file<'a>(open: &'a mut Vec<(u64, File)>, number: u64, path: &Path) -> Result<&'a File, JournalError> {
    let place = match open.iter().position(|(held, _)| *held == number) {
        Some(place) => place,
        None => {
            let file = File::open(path).map_err(io_error("open", path))?;
            if open.len() == FILES_MAX {
                open.remove(0);
            }
            open.push((number, file));
            open.len() - 1
        }
    };
    open[place..].rotate_left(1);
    Ok(&open[open.len() - 1].1)
}

/// Fills the buffer, or as much of it as the file has.
fn read_up_to(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
