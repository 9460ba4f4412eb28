//! Reading the whole log back, and telling a torn tail from damage.
//!
//! The log is followed from batch to batch by epoch, chain and checksum, and from segment to segment by what
//! a segment's header says it follows. Where that ends, everything behind is searched for batches and headers
//! that claim to have been written after that place was synced. One such claim: damage, and the start is
//! refused. None: a torn tail, which was never acknowledged and is cut. Nothing here writes.

use std::time::{Duration, Instant};

use switchyard_core::log::{
    BATCH_BYTES_MAX, BATCH_MAGIC, BatchError, Expect, HeaderError, Lsn, SEGMENT_HEADER_BYTES, SegmentHeader,
    place_of_batch, probe, read_batch,
};
use switchyard_core::seal::{KeyId, Keyring};

use super::JournalOptions;
use super::error::{JournalError, describe};
use super::folder::{Found, Window, is_zero};
use crate::keys::Kek;

/// What the data keys of epochs are wrapped for (`Kek::wrap`).
pub(crate) const KEY_PURPOSE: &str = "journal";

/// How much is looked at in one step while searching behind the end; also how much of a file must be zeros
/// for it to pass for one that the log never entered.
const SEARCH_BYTES: usize = 64 << 10;

/// What was found in the folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Position of the checkpoint that it went on from, 0 if from none.
    pub checkpoint: Lsn,
    /// Facts that were handed over.
    pub facts: u64,
    /// Batches that were read.
    pub batches: u64,
    /// Bytes of these batches.
    pub bytes: u64,
    /// Segments that were read.
    pub segments: u64,
    /// The highest epoch seen, 0 if none.
    pub epoch: u32,
    /// Position of the last fact, 0 if none.
    pub last: Lsn,
    /// Where the log ends.
    pub end: Lsn,
    /// How far the log is known to have been synced.
    pub durable_upto: Lsn,
    /// Length of the torn tail in bytes: what was written behind the end and never acknowledged. It is cut at
    /// the start.
    pub cut_bytes: u64,
    /// How long it took.
    pub took: Duration,
}

/// Where the log ends, and what a new epoch needs to follow on.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogEnd {
    pub(super) end: Lsn,
    pub(super) chain: u64,
    /// Number of the segment that holds the end; none when the log is empty.
    pub(super) segment: Option<u64>,
    pub(super) epoch_max: u32,
    pub(super) durable_upto: Lsn,
}

/// Follows the log; one for each replay.
pub(super) struct Walk<'a> {
    pub(super) options: &'a JournalOptions,
    /// The keys to open the log's own with, and where those go; none for who reads no secret.
    pub(super) keys: Option<(&'a Kek, &'a Keyring)>,
    /// Facts up to and with this position are not handed over.
    pub(super) after: Lsn,
    window: Window,
    chain: u64,
    epoch: u32,
    segment: Option<u64>,
    /// Whether the fact at `after` was seen.
    met: bool,
    replayed: Replayed,
}

/// Where and why following the log came to an end.
struct Stop {
    at: Lsn,
    what: &'static str,
    /// Nothing is there, as behind the end of every sound log.
    plain: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        options: &'a JournalOptions,
        keys: Option<(&'a Kek, &'a Keyring)>,
        after: Lsn,
    ) -> Walk<'a> {
        // A checkpoint is only made of what is durable, so its own fact was once safely on disk.
        let durable_upto = if after > Lsn(0) { Lsn(after.0 + 1) } else { Lsn(0) };
        Walk {
            options,
            keys,
            after,
            window: Window::new(),
            chain: 0,
            epoch: 0,
            segment: None,
            met: after == Lsn(0),
            replayed: Replayed { checkpoint: after, durable_upto, ..Replayed::default() },
        }
    }

    /// Takes the keys of segments that are not read: those before a checkpoint, whose stored answers and card numbers are still opened. Only their headers are looked
    /// at, and that none is missing.
    pub(super) fn pass(&mut self, segments: &[Found]) -> Result<(), JournalError> {
        for (at, found) in segments.iter().enumerate() {
            let damaged = |what| JournalError::Damaged {
                file: found.path.clone(),
                offset: 0,
                what,
                durable_upto: self.replayed.durable_upto,
            };
            if found.number != segments[0].number + at as u64 {
                return Err(damaged("the segment before this one is missing"));
            }
            let header = match SegmentHeader::decode(&found.head()?) {
                Ok(header) => header,
                Err(HeaderError::Version(version)) => {
                    return Err(JournalError::Version { file: found.path.clone(), version });
                }
                Err(HeaderError::Nothing) => return Err(damaged("the header of a segment is missing")),
                Err(HeaderError::Damaged) => return Err(damaged("the header of a segment is damaged")),
            };
            self.check_length(found, &header)?;
            if header.number != found.number {
                return Err(damaged("a segment does not follow the one before"));
            }
            self.take_key(found, &header)?;
        }
        Ok(())
    }

    /// Reads all these segments, the whole of the folder from the one on that holds `after`.
    pub(super) fn run(
        mut self,
        segments: &[Found],
        each: &mut impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<(Replayed, LogEnd), JournalError> {
        let began = Instant::now();
        let stop = self.follow_all(segments, each)?;
        let epoch_max = self.search_behind(segments, &stop)?;
        if !self.met {
            return Err(JournalError::Astray { folder: folder_of(segments), at: self.after });
        }
        self.replayed.epoch = epoch_max;
        self.replayed.took = began.elapsed();
        let end = LogEnd {
            end: self.replayed.end,
            chain: self.chain,
            segment: self.segment,
            epoch_max,
            durable_upto: self.replayed.durable_upto,
        };
        Ok((self.replayed, end))
    }

    /// Reads what there is to read of these segments, whoever writes to them meanwhile, and nothing behind it. Answers where something is there that does not belong to
    /// the log, and what; a batch that is being written may look so.
    pub(super) fn read(
        mut self,
        segments: &[Found],
        each: &mut impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Option<(Lsn, &'static str)>, JournalError> {
        let stop = self.follow_all(segments, each)?;
        Ok((!stop.plain).then_some((stop.at, stop.what)))
    }

    /// Follows the log through these segments.
    fn follow_all(
        &mut self,
        segments: &[Found],
        each: &mut impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Stop, JournalError> {
        self.replayed.end =
            Lsn(segments.first().map_or(0, |first| first.number * self.options.segment_bytes));
        let mut stop = Stop { at: self.replayed.end, what: "a segment is missing", plain: true };
        for found in segments {
            if let Some(beyond) = self.enter(found)? {
                // The fault is where the log first looks wrong, not where it can then not be resumed.
                if stop.plain && !beyond.plain {
                    stop = beyond;
                }
                break;
            }
            stop = self.follow(found, each)?;
        }
        Ok(stop)
    }

    /// Checks the header of the next segment and takes its key; why the log does not go on there, if it does
    /// not.
    fn enter(&mut self, found: &Found) -> Result<Option<Stop>, JournalError> {
        let base = Lsn(found.number * self.options.segment_bytes);
        let stop = |what| Ok(Some(Stop { at: base, what, plain: false }));
        self.window.open(&found.path, self.options.segment_bytes)?;
        let header = match SegmentHeader::decode(self.window.at(0, SEGMENT_HEADER_BYTES)?) {
            Ok(header) => header,
            Err(HeaderError::Version(version)) => {
                return Err(JournalError::Version { file: found.path.clone(), version });
            }
            Err(HeaderError::Nothing) => {
                return Ok(Some(Stop { at: base, what: "the header of a segment is missing", plain: true }));
            }
            Err(HeaderError::Damaged) => return stop("the header of a segment is damaged"),
        };
        self.check_length(found, &header)?;
        if !self.continues(found, &header) {
            return stop("a segment does not follow the one before");
        }
        self.take_key(found, &header)?;
        self.segment = Some(found.number);
        self.chain = header.chain;
        self.epoch = header.epoch;
        self.replayed.segments += 1;
        self.replayed.end = Lsn(base.0 + SEGMENT_HEADER_BYTES as u64);
        self.replayed.durable_upto = self.replayed.durable_upto.max(header.durable_upto);
        Ok(None)
    }

    /// Whether the segment is the next one of this log. The first of the folder is believed: what it follows
    /// may have been retired.
    fn continues(&self, found: &Found, header: &SegmentHeader) -> bool {
        let Some(segment) = self.segment else { return header.number == found.number };
        found.number == segment + 1
            && header.number == found.number
            && header.follows == self.replayed.end
            && header.chain == self.chain
            && header.epoch >= self.epoch
    }

    fn check_length(&self, found: &Found, header: &SegmentHeader) -> Result<(), JournalError> {
        if header.segment_bytes == self.options.segment_bytes {
            return Ok(());
        }
        Err(JournalError::SegmentBytes {
            file: found.path.clone(),
            found: header.segment_bytes,
            configured: self.options.segment_bytes,
        })
    }

    fn take_key(&self, found: &Found, header: &SegmentHeader) -> Result<(), JournalError> {
        let Some((kek, keyring)) = self.keys else { return Ok(()) };
        let id = KeyId::epoch(header.epoch);
        if keyring.key(id).is_some() {
            return Ok(());
        }
        let key = kek
            .unwrap(&header.wrapped_key, KEY_PURPOSE, header.epoch)
            .map_err(|error| JournalError::Key { file: found.path.clone(), error })?;
        keyring.insert(id, key);
        Ok(())
    }

    /// Reads batch after batch of a segment up to where there is no next one.
    fn follow(
        &mut self,
        found: &Found,
        each: &mut impl FnMut(Lsn, &[u8]) -> Result<(), String>,
    ) -> Result<Stop, JournalError> {
        let segment_bytes = self.options.segment_bytes;
        loop {
            let at = self.replayed.end;
            if place_of_batch(at, segment_bytes) != at {
                return Ok(Stop { at, what: "a segment is missing", plain: true });
            }
            let bytes = self.window.at(at.offset(segment_bytes), BATCH_BYTES_MAX)?;
            let batch = match read_batch(bytes, Expect { epoch: self.epoch, at, chain: self.chain }) {
                Ok(batch) => batch,
                Err(BatchError::Version(version)) => {
                    return Err(JournalError::Version { file: found.path.clone(), version });
                }
                Err(error) => {
                    return Ok(Stop { at, what: describe(error), plain: error == BatchError::Nothing });
                }
            };
            for (lsn, fact) in batch.facts() {
                if lsn > self.after {
                    each(lsn, fact).map_err(|reason| JournalError::Refused { lsn, reason })?;
                    self.replayed.facts += 1;
                }
                self.met |= lsn == self.after;
                self.replayed.last = lsn;
            }
            self.chain = batch.checksum;
            self.replayed.end = batch.end;
            self.replayed.batches += 1;
            self.replayed.bytes += batch.length() as u64;
            self.replayed.durable_upto = self.replayed.durable_upto.max(batch.durable_upto);
        }
    }

    /// Searches everything behind the end for what was written after the end was synced, and counts what will
    /// be cut. Answers the highest epoch seen.
    fn search_behind(&mut self, segments: &[Found], stop: &Stop) -> Result<u32, JournalError> {
        let mut epoch_max = self.epoch;
        for found in segments {
            if self.segment.is_some_and(|segment| found.number < segment) {
                continue;
            }
            self.window.open(&found.path, self.options.segment_bytes)?;
            let begin = if self.segment == Some(found.number) {
                self.replayed.end.offset(self.options.segment_bytes)
            } else {
                if is_fresh(&mut self.window)? {
                    continue;
                }
                self.heed_header(found, &mut epoch_max)?;
                0
            };
            self.search(found, begin, &mut epoch_max)?;
        }
        let headless = self.segment.is_none() && stop.at.0 > 0;
        if headless || self.replayed.durable_upto > self.replayed.end {
            let number = stop.at.segment(self.options.segment_bytes);
            let file = segments.iter().find(|found| found.number == number);
            return Err(JournalError::Damaged {
                file: file.map_or_else(|| self.window.path().to_owned(), |found| found.path.clone()),
                offset: stop.at.offset(self.options.segment_bytes),
                what: stop.what,
                durable_upto: self.replayed.durable_upto,
            });
        }
        Ok(epoch_max)
    }

    fn heed_header(&mut self, found: &Found, epoch_max: &mut u32) -> Result<(), JournalError> {
        let Ok(header) = SegmentHeader::decode(self.window.at(0, SEGMENT_HEADER_BYTES)?) else {
            return Ok(());
        };
        if header.number == found.number && header.epoch >= self.epoch {
            *epoch_max = header.epoch.max(*epoch_max);
            self.replayed.durable_upto = self.replayed.durable_upto.max(header.durable_upto);
        }
        Ok(())
    }

    fn search(&mut self, found: &Found, begin: u64, epoch_max: &mut u32) -> Result<(), JournalError> {
        let mut offset = begin;
        let mut last_nonzero = begin;
        while offset < self.window.bytes() {
            let bytes = self.window.at(offset, SEARCH_BYTES)?;
            let length = bytes.len() as u64;
            if is_zero(bytes) {
                offset += length;
                continue;
            }
            let batch = bytes.chunks(8).position(|word| word == BATCH_MAGIC).map(|word| word as u64 * 8);
            let looked_at = batch.map_or(length, |batch| batch + 8);
            let nonzero = bytes[..looked_at as usize].iter().rposition(|&byte| byte != 0);
            last_nonzero = nonzero.map_or(last_nonzero, |index| offset + index as u64 + 1);
            if let Some(batch) = batch {
                self.heed_batch(found, offset + batch, epoch_max)?;
            }
            offset += looked_at;
        }
        self.replayed.cut_bytes += last_nonzero - begin;
        Ok(())
    }

    fn heed_batch(&mut self, found: &Found, offset: u64, epoch_max: &mut u32) -> Result<(), JournalError> {
        let at = Lsn(found.number * self.options.segment_bytes + offset);
        let Some(batch) = probe(self.window.at(offset, BATCH_BYTES_MAX)?, at) else { return Ok(()) };
        if batch.epoch >= self.epoch {
            *epoch_max = batch.epoch.max(*epoch_max);
            self.replayed.durable_upto = self.replayed.durable_upto.max(batch.durable_upto);
        }
        Ok(())
    }
}

fn folder_of(segments: &[Found]) -> std::path::PathBuf {
    segments.first().and_then(|found| found.path.parent()).map(Into::into).unwrap_or_default()
}

/// Whether the log never entered this file. A batch is never far from the beginning of its segment, so zeros
/// there mean zeros everywhere; content of an earlier epoch further back would not pass for the log's in any
/// case.
pub(super) fn is_fresh(window: &mut Window) -> Result<bool, JournalError> {
    Ok(is_zero(window.at(0, SEARCH_BYTES)?))
}
