//! Runs on disk: the part of the duplicate index that memory has given away (S-3).
//!
//! Owns: the folder `DATA/runs`, one immutable file a run, and the list of runs that seeks look into.
//! Invariants: a run has its name only when it is whole and synced; a run that the state relies on is there and passes its checks, or the start is refused; files
//! that the state does not rely on are removed at a start, because what is in them is in memory again; none is read whole.
//! Deliberately absent: what a run looks like and how it is searched (`index::run`, `seek`), and which entries go into one (`index`).

mod writer;

#[cfg(test)]
mod tests;

pub use writer::{RunWish, RunWork, write_runs};

use arc_swap::ArcSwap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use switchyard_core::index::run::{BLOCK_BYTES, Block, RunError, RunWriter};
use switchyard_core::index::{Run, RunHead, RunMark, Spill};
use switchyard_core::seek::{Found, Seek};
use switchyard_core::state::State;

const SUFFIX: &str = "run";
const MAKING_SUFFIX: &str = "making";
/// Most run files that one thread keeps open.
const FILES_MAX: usize = 64;
/// What is written at a time.
pub(crate) const WRITE_BYTES: usize = 64 * BLOCK_BYTES;
/// So many bytes are written before they are synced: the journal's own syncs then never wait for more than these.
const SYNC_BYTES: usize = 4 << 20;
/// Entries that leave memory at a time while a log is replayed, when nobody waits for anything else.
const LEAVE_AT_ONCE: usize = 1 << 16;

/// Why runs cannot be used. At a start nothing was changed; later the entries concerned stay in memory.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// The system failed. A retry is safe once the cause is gone.
    #[error("cannot {doing} {}: {error}", file.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file or folder.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A run does not pass its checks. A retry gives the same answer until it is restored.
    #[error("the run of duplicates {} cannot be used: {error}. Without it a request could be performed twice. Restore the file from a copy; where the whole journal is there, moving the checkpoints away makes all runs again", file.display())]
    Bad {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        error: RunError,
    },
    /// A run is missing, or is another one.
    #[error("the checkpoint relies on the run of duplicates {}, {what}. Without it a request could be performed twice. Restore the file from a copy; where the whole journal is there, moving the checkpoints away makes all runs again", file.display())]
    Missing {
        /// Which.
        file: PathBuf,
        /// Missing, or another one.
        what: &'static str,
    },
}

fn io_error(doing: &'static str, file: &Path) -> impl FnOnce(io::Error) -> RunsError {
    move |error| RunsError::Io { doing, file: file.to_owned(), error }
}

/// How far back runs are needed, Unix milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// Requests admitted since may be repeated: their runs have filters.
    pub repeatable_ms: u64,
    /// Requests admitted since may be reversed: their runs are needed.
    pub reversible_ms: u64,
}

/// The folder.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    list: ArcSwap<Vec<Arc<RunHead>>>,
}

impl RunFolder {
    /// Opens the runs that `relied` names, and removes what else lies there. The journal's folder is locked by then, so nobody else works here.
    ///
    /// # Errors
    /// A run is missing, or cannot be used: see [`RunsError`].
    pub fn open(path: &Path, relied: &[RunMark], reach: Reach) -> Result<(Self, Vec<Run>), RunsError> {
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io_error("make folder", path))?;
        let folder = Self { path: path.to_owned(), list: ArcSwap::default() };
        let mut runs = Vec::new();
        for mark in relied {
            if let Some(run) = folder.open_run(mark, reach)? {
                runs.push(run);
            }
        }
        folder.remove_others(&runs)?;
        folder.list.store(Arc::new(runs.iter().map(|run| Arc::clone(&run.head)).collect()));
        Ok((folder, runs))
    }

    fn file(&self, number: u32) -> PathBuf {
        self.path.join(format!("{number:010}.{SUFFIX}"))
    }

    fn open_run(&self, mark: &RunMark, reach: Reach) -> Result<Option<Run>, RunsError> {
        let path = self.file(mark.number);
        let file = match File::open(&path) {
            Ok(file) => file,
            // It was removed for its age after the checkpoint was written.
            Err(error) if error.kind() == io::ErrorKind::NotFound && mark.newest_ms < reach.reversible_ms => {
                return Ok(None);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(RunsError::Missing { file: path, what: "which is not there" });
            }
            Err(error) => return Err(io_error("open", &path)(error)),
        };
        let bad = |error| RunsError::Bad { file: path.clone(), error };
        let mut block = [0; BLOCK_BYTES];
        read_block(&file, 0, &mut block).map_err(io_error("read", &path))?;
        let head = RunHead::decode(&block).map_err(bad)?;
        if head.mark != *mark {
            return Err(RunsError::Missing { file: path, what: "and another one is in its place" });
        }
        let bytes = file.metadata().map_err(io_error("look at", &path))?.len();
        if bytes != head.bytes() {
            return Err(bad(RunError::Damaged((bytes / BLOCK_BYTES as u64) as u32)));
        }
        let repeatable = mark.newest_ms >= reach.repeatable_ms;
        let filter = || head.filter(|number, block| read_block(&file, number, block)).map_err(bad);
        let filter = if repeatable { Some(Arc::new(filter()?)) } else { None };
        Ok(Some(Run { head: Arc::new(head), filter }))
    }

    fn remove_others(&self, runs: &[Run]) -> Result<(), RunsError> {
        let kept: Vec<_> = runs.iter().map(|run| self.file(run.head.mark.number)).collect();
        for entry in std::fs::read_dir(&self.path).map_err(io_error("list", &self.path))? {
            let path = entry.map_err(io_error("list", &self.path))?.path();
            let ours = path.extension().is_some_and(|suffix| suffix == SUFFIX || suffix == MAKING_SUFFIX);
            if ours && !kept.contains(&path) {
                std::fs::remove_file(&path).map_err(io_error("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Writes a run. When this returns it is durable, and seeks look into it.
    ///
    /// # Errors
    /// The disk did not take it: nothing has its name.
    pub fn write(&self, spill: &Spill, writer: &mut RunWriter) -> Result<Run, RunsError> {
        let path = self.file(spill.number);
        let making = path.with_extension(MAKING_SUFFIX);
        let mut open = OpenOptions::new();
        open.write(true).create(true).truncate(true).mode(0o600);
        let file = open.open(&making).map_err(io_error("make", &making))?;
        let mut pieces = Pieces::new(&file);
        let written = writer.write(spill, |number, block| pieces.put(number, block));
        let written = written.and_then(|written| pieces.end().map(|()| written));
        let (head, filter) = written.map_err(io_error("write", &making))?;
        std::fs::rename(&making, &path).map_err(io_error("rename", &making))?;
        let synced = File::open(&self.path).and_then(|folder| folder.sync_all());
        synced.map_err(io_error("sync folder", &self.path))?;
        let head = Arc::new(head);
        self.change(|list| list.push(Arc::clone(&head)));
        Ok(Run { head, filter: Some(Arc::new(filter)) })
    }

    /// Removes a run that nothing needs any more. A file that stays is removed at the next start.
    pub fn remove(&self, number: u32) {
        self.change(|list| list.retain(|head| head.mark.number != number));
        let path = self.file(number);
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), %error, "an old run of duplicates cannot be removed");
        }
    }

    /// Only one thread writes and removes at a time: the replay of a start, then the writer.
    fn change(&self, change: impl FnOnce(&mut Vec<Arc<RunHead>>)) {
        let mut list = Vec::clone(&self.list.load());
        change(&mut list);
        self.list.store(Arc::new(list));
    }

    /// Looks for what `seek` wants, in every run that there is now.
    pub fn seek(&self, seek: &mut Seek, files: &mut RunFiles) {
        let list = self.list.load();
        let looked = seek.look(&list, |run, number, block| {
            let path = || self.file(run.mark.number);
            files.block(run.mark.number, path, number, block)
        });
        if let Err((run, error)) = looked {
            let file = self.file(run);
            tracing::error!(file = %file.display(), %error, "a run of duplicates cannot be read; what may lie in it gets 96");
            seek.found = Found { unreadable: true, ..Found::default() };
        }
    }

    /// Gives what is too much for memory to runs, at once: while a log is replayed nobody waits for anything else.
    ///
    /// # Errors
    /// A run cannot be written.
    pub fn make_room(
        &self,
        state: &mut State,
        bytes_max: usize,
        repeatable_ms: u64,
    ) -> Result<(), RunsError> {
        let Some(spill) = state.spill(bytes_max) else { return Ok(()) };
        state.index.spilled(self.write(&spill, &mut RunWriter::default())?);
        drop(spill);
        let comes_ms = state.aged_ms().saturating_sub(repeatable_ms);
        while state.index.has_leavers() {
            state.index.leave(LEAVE_AT_ONCE, comes_ms);
        }
        Ok(())
    }
}

fn read_block(file: &File, number: u32, block: &mut Block) -> io::Result<()> {
    file.read_exact_at(block, u64::from(number) * BLOCK_BYTES as u64)
}

/// Blocks on their way into a file, many at a time.
struct Pieces<'f> {
    file: &'f File,
    piece: Vec<u8>,
    /// Number of the first block of the piece.
    from: u64,
    unsynced: usize,
}

impl<'f> Pieces<'f> {
    fn new(file: &'f File) -> Self {
        Self { file, piece: Vec::with_capacity(WRITE_BYTES), from: 0, unsynced: 0 }
    }

    fn put(&mut self, number: u32, block: &Block) -> io::Result<()> {
        let next = self.from + (self.piece.len() / BLOCK_BYTES) as u64;
        if u64::from(number) != next || self.piece.len() == WRITE_BYTES {
            self.write()?;
            self.from = u64::from(number);
        }
        self.piece.extend_from_slice(block);
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.piece, self.from * BLOCK_BYTES as u64)?;
        self.unsynced += self.piece.len();
        self.piece.clear();
        if self.unsynced >= SYNC_BYTES {
            self.unsynced = 0;
            self.file.sync_data()?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync_all()
    }
}

/// Run files that a thread holds open, the one used last at the end.
#[derive(Debug, Default)]
pub struct RunFiles(Vec<(u32, File)>);

impl RunFiles {
    fn block(
        &mut self,
        run: u32,
        path: impl FnOnce() -> PathBuf,
        number: u32,
        block: &mut Block,
    ) -> io::Result<()> {
        let place = match self.0.iter().position(|(held, _)| *held == run) {
            Some(place) => place,
            None => {
                let file = File::open(path())?;
                if self.0.len() == FILES_MAX {
                    self.0.remove(0);
                }
                self.0.push((run, file));
                self.0.len() - 1
            }
        };
        self.0[place..].rotate_left(1);
        let (_, file) = &self.0[self.0.len() - 1];
        read_block(file, number, block)
    }
}
