//! From a folder to a journal that may be written: lock, replay, cut, sync, new epoch.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use switchyard_core::log::{
    Log, LogStart, Lsn, SEGMENT_BYTES_MIN, SEGMENT_BYTES_STEP, SEGMENT_HEADER_BYTES, SegmentHeader,
};
use switchyard_core::seal::{KeyId, Keyring};
use switchyard_core::state::State;

use super::checkpoint::{self, CheckpointFault};
use super::error::{JournalError, io_error};
use super::folder::{Folder, Found, Window};
use super::reader::JournalReader;
use super::replay::{KEY_PURPOSE, LogEnd, Replayed, Walk, is_fresh};
use super::segment::{PREPARED_MAX, SegmentMaker, Stock};
use super::sync::{Entered, Shared, SyncCall, SyncThread};
use super::{Journal, JournalOptions, ROOM_PREPARED_MIN};
use crate::keys::{Kek, KeyError, random_data_key};

/// A locked folder, of which nothing was changed yet.
pub struct Opening {
    folder: Arc<Folder>,
    options: JournalOptions,
    kek: Arc<Kek>,
    segments: Vec<Found>,
    end: Option<LogEnd>,
}

impl Opening {
    /// Locks the folder, which is made where it is missing, and lists its segments.
    ///
    /// # Errors
    /// [`JournalError::Options`], [`JournalError::Locked`], [`JournalError::Io`].
    pub fn new(dir: &Path, options: JournalOptions, kek: Arc<Kek>) -> Result<Opening, JournalError> {
        check(&options)?;
        let folder = Arc::new(Folder::lock(dir)?);
        let segments = folder.segments()?;
        Ok(Opening { folder, options, kek, segments, end: None })
    }

    /// Hands over every fact of the log with its position, in order, and puts the data keys of all its epochs
    /// on the ring. A key is on the ring before the first fact of its epoch is handed over.
    ///
    /// # Errors
    /// Every [`JournalError`] that says "nothing was changed", [`JournalError::Io`], and
    /// [`JournalError::Refused`] with what `each` said.
    pub fn replay(
        &mut self,
        keyring: &Keyring,
        each: impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Replayed, JournalError> {
        self.replay_after(Lsn(0), keyring, each)
    }

    /// As [`Opening::replay`], but hands over only the facts behind this position, that of a checkpoint. Of the segments before the one that holds it only
    /// the headers are read, for their keys.
    ///
    /// # Errors
    /// As [`Opening::replay`], [`JournalError::Beheaded`] and [`JournalError::Astray`].
    pub fn replay_after(
        &mut self,
        after: Lsn,
        keyring: &Keyring,
        mut each: impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Replayed, JournalError> {
        let first = self.segments.first().map_or(0, |first| first.number);
        let holds = after.segment(self.options.segment_bytes);
        if holds < first {
            return Err(JournalError::Beheaded { folder: self.folder.path().to_owned(), first, after });
        }
        let (before, rest) =
            self.segments.split_at(self.segments.partition_point(|found| found.number < holds));
        let mut walk = Walk::new(&self.options, Some((&self.kek, keyring)), after);
        walk.pass(before)?;
        let follows = before.last().is_none_or(|last| last.number + 1 == holds);
        if !follows || (after > Lsn(0) && rest.first().is_none_or(|found| found.number != holds)) {
            let file = self.folder.segment_path(holds);
            let what = "the segment is missing";
            return Err(JournalError::Damaged { file, offset: 0, what, durable_upto: Lsn(after.0 + 1) });
        }
        let (replayed, end) = walk.run(rest, &mut each)?;
        self.end = Some(end);
        Ok(replayed)
    }

    /// A reader of the folder as it is, which nothing is changed by.
    pub fn reader(&self) -> JournalReader {
        JournalReader::new(Arc::clone(&self.folder), self.options.segment_bytes)
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
    /// [`CheckpointFault`]; an older one, or the whole log, may still do.
    pub fn checkpoint(&self, at: Lsn) -> Result<State, CheckpointFault> {
        checkpoint::load(&self.folder, at)
    }

    /// Whether the log is there from its very beginning.
    pub fn is_whole(&self) -> bool {
        self.segments.first().is_none_or(|first| first.number == 0)
    }

    /// Cuts the torn tail, syncs what was read, and begins a new epoch in a new segment with a new data key,
    /// which goes on the ring. Reads the log first if that was not done. When this returns, everything that
    /// was replayed is durable.
    ///
    /// # Errors
    /// [`JournalError`]; a start may be tried again.
    pub fn start(
        self,
        keyring: &Keyring,
    ) -> Result<(Journal, Log, JournalReader, SegmentMaker), JournalError> {
        self.start_with(keyring, Box::new(File::sync_data))
    }

    pub(super) fn start_with(
        mut self,
        keyring: &Keyring,
        call: SyncCall,
    ) -> Result<(Journal, Log, JournalReader, SegmentMaker), JournalError> {
        let end = match self.end {
            Some(end) => end,
            None => {
                self.replay(keyring, |_, _| Ok(()))?;
                self.end.expect("replay sets it")
            }
        };
        self.folder.remove_unfinished()?;
        let stock = Arc::new(Stock::new());
        let mut maker = self.clear_behind(&end, &stock)?;
        make_room(&mut maker, &stock)?;
        let header = self.header_of(&end, keyring)?;
        let first = stock.take().ok_or(JournalError::NoSegment)?;
        let entered = Entered { file: first.file, path: first.path };
        write_header(&entered, &header)?;
        entered.file.sync_data().map_err(io_error("sync", &entered.path))?;
        let at = Lsn(header.number * self.options.segment_bytes + SEGMENT_HEADER_BYTES as u64);
        let start = LogStart {
            epoch: header.epoch,
            at,
            chain: header.chain,
            segment_bytes: self.options.segment_bytes,
        };
        let reader = JournalReader::new(Arc::clone(&self.folder), self.options.segment_bytes);
        let journal = self.begin(at, header, entered, stock, call)?;
        Ok((journal, Log::new(start), reader, maker))
    }

    /// Makes the folder end where the log ends: the tail of the last segment is cut off, files that the log
    /// entered behind it are removed, and those that it never entered become the first prepared segments.
    fn clear_behind(&self, end: &LogEnd, stock: &Arc<Stock>) -> Result<SegmentMaker, JournalError> {
        let segment_bytes = self.options.segment_bytes;
        let next = end.segment.map_or(0, |segment| segment + 1);
        let mut maker = SegmentMaker::new(
            Arc::clone(&self.folder),
            Arc::clone(stock),
            segment_bytes,
            self.options.prepared_min,
            next,
        );
        let mut window = Window::new();
        for found in &self.segments {
            if found.number < next {
                self.settle(found, end)?;
                continue;
            }
            window.open(&found.path, segment_bytes)?;
            let usable = found.bytes == segment_bytes
                && found.number == maker.next()
                && stock.prepared() < PREPARED_MAX;
            if usable && is_fresh(&mut window)? {
                maker.adopt(found.path.clone())?;
            } else {
                std::fs::remove_file(&found.path).map_err(io_error("remove", &found.path))?;
            }
        }
        self.folder.sync()?;
        Ok(maker)
    }

    /// Syncs a segment that was read, if it may need it, and cuts it where the log ends.
    fn settle(&self, found: &Found, end: &LogEnd) -> Result<(), JournalError> {
        let segment_bytes = self.options.segment_bytes;
        if found.number < end.durable_upto.segment(segment_bytes) {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).open(&found.path).map_err(io_error("open", &found.path))?;
        if Some(found.number) == end.segment {
            file.set_len(end.end.offset(segment_bytes)).map_err(io_error("cut", &found.path))?;
        }
        file.sync_data().map_err(io_error("sync", &found.path))
    }

    fn header_of(&self, end: &LogEnd, keyring: &Keyring) -> Result<SegmentHeader, JournalError> {
        let epoch = end.epoch_max + 1;
        let number = end.segment.map_or(0, |segment| segment + 1);
        let in_segment =
            |error: KeyError| JournalError::Key { file: self.folder.segment_path(number), error };
        let key = random_data_key().map_err(in_segment)?;
        let wrapped_key = self.kek.wrap(&key, KEY_PURPOSE, epoch).map_err(in_segment)?;
        if !keyring.insert(KeyId::epoch(epoch), key) {
            return Err(JournalError::Keyring(epoch));
        }
        Ok(SegmentHeader {
            epoch,
            number,
            segment_bytes: self.options.segment_bytes,
            follows: end.end,
            chain: end.chain,
            durable_upto: end.end,
            wrapped_key,
        })
    }

    fn begin(
        self,
        at: Lsn,
        header: SegmentHeader,
        entered: Entered,
        stock: Arc<Stock>,
        call: SyncCall,
    ) -> Result<Journal, JournalError> {
        let shared = Arc::new(Shared::new(at));
        let (sender, ended) = channel();
        let sync = SyncThread {
            shared: Arc::clone(&shared),
            current: entered.clone(),
            call,
            interval: Duration::from_micros(self.options.sync_interval_us),
            facts_min: self.options.sync_facts_min as u64,
            ended: sender,
        };
        let thread = std::thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || sync.run())
            .map_err(io_error("start the sync thread for", self.folder.path()))?;
        Ok(Journal::new(self.folder, shared, stock, header, entered, at, thread, ended))
    }
}

/// Prepares the segment that is entered at once, and those without which sales would be refused.
fn make_room(maker: &mut SegmentMaker, stock: &Stock) -> Result<(), JournalError> {
    while stock.prepared() <= ROOM_PREPARED_MIN {
        match maker.make() {
            Ok(()) => {}
            // On a full disk what is there must do for outcomes and reversals; the keeper meets the error
            // again and reports it.
            Err(_) if stock.prepared() > 0 => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes the header of the segment that the log enters.
pub(super) fn write_header(entered: &Entered, header: &SegmentHeader) -> Result<(), JournalError> {
    entered.file.write_all_at(&header.encode(), 0).map_err(io_error("write", &entered.path))
}

fn check(options: &JournalOptions) -> Result<(), JournalError> {
    if options.segment_bytes < SEGMENT_BYTES_MIN || !options.segment_bytes.is_multiple_of(SEGMENT_BYTES_STEP)
    {
        return Err(JournalError::Options("segment_bytes must be at least 4194304 and a multiple of 4096"));
    }
    if !(ROOM_PREPARED_MIN..=PREPARED_MAX).contains(&options.prepared_min) {
        return Err(JournalError::Options("prepared_min must be from 2 to 64"));
    }
    if options.sync_interval_us > SYNC_INTERVAL_US_MAX {
        return Err(JournalError::Options("sync_interval_us must be at most 1000000"));
    }
    if options.sync_facts_min == 0 {
        return Err(JournalError::Options("sync_facts_min must be at least 1"));
    }
    Ok(())
}

const SYNC_INTERVAL_US_MAX: u64 = 1_000_000;
