//! Checkpoints in files: written beside the log, read at a start.
//!
//! Owns: the form of the file, the way it becomes valid, and that two are kept.
//!
//! Invariants:
//! - A file with the name of a checkpoint is whole and on disk, and so is the log up to its position: it is renamed into place after both were synced.
//! - Every block is checked on its own before a byte of it is believed; its checksum depends on the position, so that a block of another checkpoint is noticed.
//! - What a checkpoint says is never more than the log says: one that does not read is passed over, and costs time only.
//!
//! Deliberately absent: what an image means (`state` of the core), and when one is due (`checkpointer`).
//!
//! ```text
//! checkpoint-POSITION   block · block · …, each 64 KiB
//! block                 crc32c of position and rest 4 · magic 4 · number 4 · kind 1 · nothing 1 · length 2 · a piece of the image · zeros
//! ```

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use switchyard_core::log::Lsn;
use switchyard_core::state::{ImageFault, PIECE_BYTES_MAX, Piece, Restoring, Snapshot, State};

use super::error::{JournalError, io_error};
use super::folder::{Folder, Window};

/// Length of a block.
const BLOCK_BYTES: usize = 64 << 10;
/// Length of what precedes a piece.
const HEAD_BYTES: usize = BLOCK_BYTES - PIECE_BYTES_MAX;
const MAGIC: [u8; 4] = *b"SYck";

/// How many checkpoints are kept: should the newest not read, there is the one before.
pub const CHECKPOINTS_KEPT: usize = 2;

/// So many bytes are written before they are synced: the log's own syncs then never wait for more than these.
const SYNC_BYTES: u64 = 4 << 20;

/// Why a checkpoint does not read. A start goes on with an older one, or with the whole log.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointFault {
    /// The system failed to read it.
    #[error("{0}")]
    Journal(#[from] JournalError),
    /// A block is not as it was written.
    #[error("{} is damaged at byte {offset}: {what}", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Offset of the block, in bytes.
        offset: u64,
        /// What is there.
        what: &'static str,
    },
    /// The blocks are sound, but make no state.
    #[error("{} cannot be used: {fault}", file.display())]
    Image {
        /// The file.
        file: PathBuf,
        /// Why.
        fault: ImageFault,
    },
}

/// Writes checkpoints, and retires segments (`retire`).
pub struct CheckpointFiles {
    pub(super) folder: Arc<Folder>,
    pub(super) segment_bytes: u64,
}

impl CheckpointFiles {
    /// Writes and syncs the file of a snapshot under a name that is not yet a checkpoint's. Once the log is durable beyond the snapshot's position,
    /// [`CheckpointFiles::adopt`] makes it one. What is written the gate need not copy any more when it changes it.
    ///
    /// # Errors
    /// [`JournalError::Io`]; the log is not concerned.
    pub fn write(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        let path = self.folder.checkpoint_making_path(snapshot.last());
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o600);
        let file = open.open(&path).map_err(io_error("make", &path))?;
        let mut blocks = Blocks::new(file, snapshot.last());
        let written = snapshot.write(|piece, bytes| blocks.put(piece, bytes)).and_then(|()| blocks.end());
        written.map_err(io_error("write", &path))
    }

    /// Gives the file its name, makes that durable, and removes all but the newest two. The log must be durable beyond this position.
    ///
    /// # Errors
    /// [`JournalError::Io`]; the log is not concerned.
    pub fn adopt(&self, at: Lsn) -> Result<(), JournalError> {
        let path = self.folder.checkpoint_path(at);
        std::fs::rename(self.folder.checkpoint_making_path(at), &path).map_err(io_error("name", &path))?;
        self.folder.sync()?;
        for older in self.folder.checkpoints()?.into_iter().skip(CHECKPOINTS_KEPT) {
            let path = self.folder.checkpoint_path(older);
            std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
        }
        Ok(())
    }

    /// Removes a file that did not become a checkpoint.
    pub fn discard(&self, at: Lsn) {
        // It is only waste, and the next start removes it.
        let _ = std::fs::remove_file(self.folder.checkpoint_making_path(at));
    }

    /// When the checkpoint at that position was made, Unix milliseconds; none where there is none, or the system does not say.
    pub fn made_at(&self, at: Lsn) -> Option<u64> {
        let made = std::fs::metadata(self.folder.checkpoint_path(at)).ok()?.modified().ok()?;
        u64::try_from(made.duration_since(UNIX_EPOCH).ok()?.as_millis()).ok()
    }

    /// The positions of the checkpoints, the newest first.
    ///
    /// # Errors
    /// [`JournalError::Io`].
    pub fn positions(&self) -> Result<Vec<Lsn>, JournalError> {
        self.folder.checkpoints()
    }
}

/// Blocks on their way into a file.
struct Blocks {
    file: File,
    at: Lsn,
    number: u32,
    unsynced: u64,
    block: Vec<u8>,
}

impl Blocks {
    fn new(file: File, at: Lsn) -> Self {
        Self { file, at, number: 0, unsynced: 0, block: vec![0; BLOCK_BYTES] }
    }

    fn put(&mut self, piece: Piece, bytes: &[u8]) -> std::io::Result<()> {
        let (head, body) = self.block.split_at_mut(HEAD_BYTES);
        head[4..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&self.number.to_le_bytes());
        head[12] = piece as u8;
        head[14..16].copy_from_slice(&(bytes.len() as u16).to_le_bytes());
        body[..bytes.len()].copy_from_slice(bytes);
        body[bytes.len()..].fill(0);
        let crc = checksum(self.at, &self.block);
        self.block[..4].copy_from_slice(&crc.to_le_bytes());
        self.file.write_all(&self.block)?;
        self.number += 1;
        self.unsynced += BLOCK_BYTES as u64;
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn end(&mut self) -> std::io::Result<()> {
        self.file.sync_all()
    }
}

fn checksum(at: Lsn, block: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&at.0.to_le_bytes()), &block[4..])
}

/// The state of the checkpoint at that position. All of it is checked.
pub(super) fn load(folder: &Folder, at: Lsn) -> Result<State, CheckpointFault> {
    let path = folder.checkpoint_path(at);
    let mut window = Window::new();
    window.open(&path, u64::MAX)?;
    let mut restoring = Restoring::default();
    let (mut offset, mut number) = (0, 0);
    while offset < window.bytes() {
        let damaged = |what| CheckpointFault::Damaged { file: path.clone(), offset, what };
        let (piece, bytes) = read_block(window.at(offset, BLOCK_BYTES)?, at, number).map_err(damaged)?;
        let image = |fault| CheckpointFault::Image { file: path.clone(), fault };
        restoring.piece(piece, bytes).map_err(image)?;
        offset += BLOCK_BYTES as u64;
        number += 1;
    }
    let state = restoring.finish().map_err(|fault| CheckpointFault::Image { file: path.clone(), fault })?;
    if state.last != at {
        let what = "it stands for another position than its name says";
        return Err(CheckpointFault::Damaged { file: path, offset: 0, what });
    }
    Ok(state)
}

/// What a block holds; what is wrong with it, if something is.
fn read_block(block: &[u8], at: Lsn, number: u32) -> Result<(Piece, &[u8]), &'static str> {
    let Some((head, body)) = block.split_first_chunk::<HEAD_BYTES>().filter(|_| block.len() == BLOCK_BYTES)
    else {
        return Err("a block is cut off");
    };
    let [c0, c1, c2, c3, m0, m1, m2, m3, n0, n1, n2, n3, kind, _, l0, l1] = *head;
    if u32::from_le_bytes([c0, c1, c2, c3]) != checksum(at, block) {
        return Err("the checksum of a block does not fit");
    }
    if [m0, m1, m2, m3] != MAGIC || u32::from_le_bytes([n0, n1, n2, n3]) != number {
        return Err("a block is of another place");
    }
    let piece = Piece::of(kind).ok_or("a block is of a kind that is not known")?;
    let bytes = body.get(..usize::from(u16::from_le_bytes([l0, l1]))).ok_or("a block is too long")?;
    Ok((piece, bytes))
}
