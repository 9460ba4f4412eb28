//! What ends a journal.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use switchyard_core::log::{BatchError, FORMAT_VERSION, FactError, Lsn};

use crate::keys::KeyError;

/// Why the journal can not go on. Each of them stops the process, which answers nothing more, except where a
/// variant says otherwise; a start after it finds out again what stands (S-17).
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// An option is out of its range. The configuration's fault.
    #[error("journal option {0}")]
    Options(&'static str),
    /// Another process works in the folder. A retry is safe.
    #[error("{} is in use by another process; stop that one, or give this one a folder of its own", folder.display())]
    Locked {
        /// The journal's folder.
        folder: PathBuf,
    },
    /// The system failed to read, write or sync. A start is safe once the cause is gone; going on is not.
    /// Only [`SegmentMaker::prepare`](super::SegmentMaker::prepare) may be called again.
    #[error("cannot {doing} {}: {error}", file.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file or folder.
        file: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// Something that had been synced is no longer there as it was written. Nothing was changed. A retry is
    /// safe and gives the same answer until the folder is restored from a copy.
    #[error("the journal is damaged in {} at byte {offset}: {what}. Everything below position {durable_upto} was once safely on disk, so this is not a torn tail. Nothing was changed; restore the folder from a copy", file.display())]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// Offset in the segment, in bytes.
        offset: u64,
        /// What is there.
        what: &'static str,
        /// How far the log is known to have been on disk.
        durable_upto: Lsn,
    },
    /// The first segments are missing, and nothing that was asked for makes up for them. Nothing was changed.
    #[error("the journal begins with segment {first} in {}, but is asked for from position {after} on; restore the earlier segments, or the checkpoint that stands for them", folder.display())]
    Beheaded {
        /// The journal's folder.
        folder: PathBuf,
        /// Number of the first segment there is.
        first: u64,
        /// The position that was asked for.
        after: Lsn,
    },
    /// The log has no fact where a checkpoint says that its last one lies: the checkpoint is of another journal. Nothing was changed.
    #[error("the log in {} has no fact at position {at}, for which there is a checkpoint; the folder was put together from two. Nothing was changed; restore it from one copy", folder.display())]
    Astray {
        /// The journal's folder.
        folder: PathBuf,
        /// The checkpoint's position.
        at: Lsn,
    },
    /// Another release wrote this. Nothing was changed.
    #[error("{} has version {version} of the format, this release reads version {FORMAT_VERSION}; start the release that wrote it", file.display())]
    Version {
        /// The segment.
        file: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The configured length of segments is not the one that the folder was begun with. Nothing was changed.
    #[error("{} was made with segments of {found} bytes, configured are {configured}; positions depend on it, so set it back to {found}", file.display())]
    SegmentBytes {
        /// The segment.
        file: PathBuf,
        /// Length in its header, in bytes.
        found: u64,
        /// Length in the configuration, in bytes.
        configured: u64,
    },
    /// A key of the journal does not open, or cannot be made. Nothing was changed.
    #[error("{}: {error}", file.display())]
    Key {
        /// The segment.
        file: PathBuf,
        /// What is wrong.
        error: KeyError,
    },
    /// The key ring has a key of the epoch that is to begin: it belongs to another folder. A fault of the
    /// switch.
    #[error("the key ring already holds a key of epoch {0}; it belongs to another journal")]
    Keyring(u32),
    /// Whoever was given a fact could not use it.
    #[error("the fact at position {lsn} was refused: {reason}")]
    Refused {
        /// Position of the fact.
        lsn: Lsn,
        /// What was said of it.
        reason: String,
    },
    /// A position was read at which there is no sound fact. When the position came from this journal, it is
    /// damaged.
    #[error("no fact at position {lsn} ({}, byte {offset}): {error}", file.display())]
    NoFact {
        /// The position.
        lsn: Lsn,
        /// The segment.
        file: PathBuf,
        /// Offset in the segment, in bytes.
        offset: u64,
        /// What is there.
        error: FactError,
    },
    /// The log must enter the next segment and none is prepared: the disk is full, or too slow.
    #[error("the journal is full: no segment is prepared for it to go on in")]
    NoSegment,
    /// The disk takes no syncs: as many segments wait for theirs as may.
    #[error("the disk does not keep up: {0} segments wait to be synced")]
    SyncBehind(usize),
    /// Closing took longer than it may. What was answered stands; the last batches may be unsynced.
    #[error("the journal was not synced within {0} ms while closing")]
    CloseTimeout(u128),
}

impl JournalError {
    /// What to do when this has ended a process that ran.
    pub fn advice(&self) -> &'static str {
        use std::io::ErrorKind;
        const ROOM: &str =
            "Make room on the disk of the data folder, then start it again: it recovers by itself.";
        const DISK: &str =
            "Look at the disk and at the system's log, then start it again: it recovers by itself.";
        match self {
            Self::NoSegment => ROOM,
            Self::Io { error, .. } => match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => ROOM,
                _ => DISK,
            },
            _ => DISK,
        }
    }
}

/// Makes an error of the system one of the journal.
pub(super) fn io_error(doing: &'static str, file: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |error| JournalError::Io { doing, file: file.to_owned(), error: Arc::new(error) }
}

/// What to say of damage that reads as this.
pub(super) fn describe(error: BatchError) -> &'static str {
    match error {
        BatchError::Nothing => "a batch is missing",
        BatchError::NotABatch => "no batch begins here",
        BatchError::Header => "the header of a batch is damaged",
        BatchError::Version(_) => "a batch is of another version",
        BatchError::Stale => "a batch is of another place, epoch or chain",
        BatchError::Length => "a batch is cut off",
        BatchError::Body => "the facts of a batch are damaged",
        BatchError::Frames => "the facts of a batch do not fill it",
    }
}
