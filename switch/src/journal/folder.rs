//! The folder of the journal: its lock, the names of its files, and reading them piece by piece.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use switchyard_core::log::{Lsn, SEGMENT_HEADER_BYTES};

use super::error::{JournalError, io_error};

const LOCK: &str = "lock";
const SEGMENT_SUFFIX: &str = ".segment";
const MAKING_SUFFIX: &str = ".making";
const CHECKPOINT_PREFIX: &str = "checkpoint-";

/// How much of a segment is read at a time. Two of the longest batches and more, so that reading goes on in
/// large pieces.
pub(super) const WINDOW_BYTES: usize = 4 << 20;

/// The folder, locked as long as this lives.
pub(super) struct Folder {
    path: PathBuf,
    _lock: Option<Flock<File>>,
}

/// A segment file as it was found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
}

impl Found {
    /// The first bytes of the file, as long as a segment's header; zeros where the file is shorter.
    pub(super) fn head(&self) -> Result<[u8; SEGMENT_HEADER_BYTES], JournalError> {
        let mut head = [0; SEGMENT_HEADER_BYTES];
        if self.bytes >= SEGMENT_HEADER_BYTES as u64 {
            let file = File::open(&self.path).map_err(io_error("open", &self.path))?;
            file.read_exact_at(&mut head, 0).map_err(io_error("read", &self.path))?;
        }
        Ok(head)
    }
}

impl Folder {
    /// Locks the folder, making it (mode 0700) where it is missing.
    pub(super) fn lock(path: &Path) -> Result<Folder, JournalError> {
        if !path.is_dir() {
            make_folder(path)?;
        }
        let file = path.join(LOCK);
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false).mode(0o600);
        let opened = open.open(&file).map_err(io_error("open", &file))?;
        Ok(Folder { path: path.to_owned(), _lock: Some(lock(path, &file, opened)?) })
    }

    /// Locks the folder without writing to it. One that has no lock file was never opened by a switch, or is a copy: nobody works in it.
    pub(super) fn lock_to_read(path: &Path) -> Result<Folder, JournalError> {
        let file = path.join(LOCK);
        let lock = match File::open(&file) {
            Ok(opened) => Some(lock(path, &file, opened)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(io_error("open", &file)(error)),
        };
        Ok(Folder { path: path.to_owned(), _lock: lock })
    }

    /// The folder as it is, beside whoever works in it.
    pub(super) fn beside(path: &Path) -> Folder {
        Folder { path: path.to_owned(), _lock: None }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:014}{SEGMENT_SUFFIX}"))
    }

    /// The name of a segment while it is prewritten.
    pub(super) fn making_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:014}{MAKING_SUFFIX}"))
    }

    /// The file of the checkpoint at that position.
    pub(super) fn checkpoint_path(&self, at: Lsn) -> PathBuf {
        self.path.join(format!("{CHECKPOINT_PREFIX}{:020}", at.0))
    }

    /// The same while it is written.
    pub(super) fn checkpoint_making_path(&self, at: Lsn) -> PathBuf {
        self.path.join(format!("{CHECKPOINT_PREFIX}{:020}{MAKING_SUFFIX}", at.0))
    }

    /// The positions of the checkpoints, the newest first.
    pub(super) fn checkpoints(&self) -> Result<Vec<Lsn>, JournalError> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let name = entry.map_err(io_error("list", &self.path))?.file_name();
            found.extend(checkpoint_position(&name.to_string_lossy()));
        }
        found.sort_unstable_by(|a, b| b.cmp(a));
        Ok(found)
    }

    /// The segments by number. Files left over from an interrupted preparation are not among them.
    pub(super) fn segments(&self) -> Result<Vec<Found>, JournalError> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let entry = entry.map_err(io_error("list", &self.path))?;
            let Some(number) = segment_number(&entry.file_name().to_string_lossy()) else { continue };
            let path = entry.path();
            let bytes = entry.metadata().map_err(io_error("look at", &path))?.len();
            found.push(Found { number, path, bytes });
        }
        found.sort_by_key(|segment| segment.number);
        Ok(found)
    }

    /// Removes what an interrupted preparation left.
    pub(super) fn remove_unfinished(&self) -> Result<(), JournalError> {
        for entry in std::fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let path = entry.map_err(io_error("list", &self.path))?.path();
            if path.to_string_lossy().ends_with(MAKING_SUFFIX) {
                std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Makes the names of the files durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .map_err(io_error("sync folder", &self.path))
    }
}

/// Makes the folder and its name durable.
fn make_folder(path: &Path) -> Result<(), JournalError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("make folder", path))?;
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(io_error("sync folder", parent))
}

fn lock(folder: &Path, file: &Path, opened: File) -> Result<Flock<File>, JournalError> {
    match Flock::lock(opened, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => Ok(lock),
        Err((_, Errno::EWOULDBLOCK)) => Err(JournalError::Locked { folder: folder.to_owned() }),
        Err((_, errno)) => Err(io_error("lock", file)(io::Error::from(errno))),
    }
}

fn segment_number(name: &str) -> Option<u64> {
    number(name.strip_suffix(SEGMENT_SUFFIX)?)
}

fn checkpoint_position(name: &str) -> Option<Lsn> {
    number(name.strip_prefix(CHECKPOINT_PREFIX)?).map(Lsn)
}

fn number(digits: &str) -> Option<u64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// A segment that is read from front to back in large pieces, through one buffer for all segments.
pub(super) struct Window {
    file: Option<File>,
    path: PathBuf,
    /// Length of the file, or of a segment where the file is longer.
    bytes: u64,
    start: u64,
    filled: usize,
    buffer: Vec<u8>,
}

impl Window {
    pub(super) fn new() -> Window {
        Window {
            file: None,
            path: PathBuf::new(),
            bytes: 0,
            start: 0,
            filled: 0,
            buffer: vec![0; WINDOW_BYTES],
        }
    }

    /// Turns to another file, of which at most `bytes_max` are read.
    pub(super) fn open(&mut self, path: &Path, bytes_max: u64) -> Result<(), JournalError> {
        let file = File::open(path).map_err(io_error("open", path))?;
        self.bytes = file.metadata().map_err(io_error("look at", path))?.len().min(bytes_max);
        self.file = Some(file);
        self.path = path.to_owned();
        self.start = 0;
        self.filled = 0;
        Ok(())
    }

    /// Length of what can be read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The bytes from `offset` on: `want` of them (at most 4 MiB), fewer at the end of the file.
    pub(super) fn at(&mut self, offset: u64, want: usize) -> Result<&[u8], JournalError> {
        let want = (self.bytes.saturating_sub(offset)).min(want as u64) as usize;
        let held = offset >= self.start && offset + want as u64 <= self.start + self.filled as u64;
        if !held {
            self.fill(offset)?;
        }
        let from = (offset - self.start) as usize;
        Ok(&self.buffer[from..from + want])
    }

    fn fill(&mut self, offset: u64) -> Result<(), JournalError> {
        let Some(file) = &self.file else { return Ok(()) };
        let filled = (self.bytes - offset).min(WINDOW_BYTES as u64) as usize;
        file.read_exact_at(&mut self.buffer[..filled], offset).map_err(io_error("read", &self.path))?;
        self.start = offset;
        self.filled = filled;
        Ok(())
    }
}

/// Whether there is nothing but zeros, in words of which many are looked at in one step.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().all(|block| block.iter().fold(0, |seen, &byte| seen | byte) == 0)
        && rest.iter().all(|&byte| byte == 0)
}
