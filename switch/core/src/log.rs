//! The format of the log: facts in batches, batches in segments.
//!
//! Owns the bytes. [`Log`] is the batch that the gate fills and [`Batch`] what it hands to the file;
//! [`read_batch`], [`read_fact`] and [`SegmentHeader`] are the way back.
//!
//! A position ([`Lsn`]) is a byte position: the segment is `lsn / segment_bytes`, the offset in it `lsn %
//! segment_bytes`. So a fact can be read with nothing but its position. All numbers are little-endian:
//!
//! ```text
//! segment   header (128) · batch · batch · … · zeros
//! batch     magic 8 · crc32c of the rest of the header 4 · crc32c of the frames of the facts 4 · version 4 · epoch 4 · position 8
//!           · durable_upto 8 · chain 8 · count of facts 4 · bytes of the batch 4 · fact · fact · …
//! fact      length 2 · length inverted 2 · crc32c of the bytes, begun with the position 4 · bytes · zeros up to a multiple of 8
//! ```
//!
//! Invariants:
//! - Every fact and every batch starts at a multiple of 8. A batch lies in one segment: when less than
//!   [`BATCH_BYTES_MAX`] remains, the next one starts the next segment.
//! - Every one-bit flip of a batch is noticed: one checksum of its own for the header (the length among it),
//!   one for each fact, and one for the frames of the facts, their checksums among them.
//! - `chain` is the checksum of the batch before ([`BatchView::checksum`]), across segments and epochs: what
//!   a batch follows is part of it.
//! - `durable_upto` is a position below which everything was synced before this batch was written. So a
//!   reader knows which damage may be a torn tail, and which cannot.
//! - In the steady state nothing here allocates: one buffer is filled again and again.
//!
//! Deliberately absent: files, time, what a fact means.

mod read;
mod segment;
#[cfg(test)]
mod tests;

use std::fmt;

pub use read::{
    BatchError, BatchView, Expect, FactError, Facts, Probe, Step, probe, read_batch, read_fact, step,
};
pub use segment::{HeaderError, SEGMENT_HEADER_BYTES, SegmentHeader, WRAPPED_KEY_BYTES};

/// Version of the format of segments and batches. A reader refuses what it does not know.
pub const FORMAT_VERSION: u32 = 2;

/// Length of a batch's header in bytes.
pub const BATCH_HEADER_BYTES: usize = 56;

/// Longest batch in bytes, header included.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Length of what precedes a fact's bytes.
pub const FRAME_BYTES: usize = 8;

/// Longest fact in bytes, without its frame.
pub const FACT_BYTES_MAX: usize = 65_528;

/// How many facts of the greatest length one item of work may append between two questions to
/// [`Log::is_full`]. As many still fit after it said yes.
pub const FACTS_PER_ITEM_MAX: usize = 4;

/// Shortest segment in bytes.
pub const SEGMENT_BYTES_MIN: u64 = 4 << 20;

/// Segments are a multiple of this many bytes.
pub const SEGMENT_BYTES_STEP: u64 = 4096;

/// First bytes of every batch. They can not be the frame of a fact, in which the second two bytes are the
/// first two inverted.
pub const BATCH_MAGIC: [u8; 8] = *b"SYbatch\n";

/// Frames that are summed at a time, in bytes.
const FRAMES_BYTES: usize = 128 * FRAME_BYTES;

/// Facts and batches start at multiples of this.
const ALIGN: usize = 8;

/// Room for the item that was let in just before this length, and for one more.
const FULL_BYTES: usize = BATCH_BYTES_MAX - 2 * FACTS_PER_ITEM_MAX * (FRAME_BYTES + FACT_BYTES_MAX);

/// A position in the log, in bytes from its beginning: of a fact, of a batch, or the end of something.
///
/// Zero stands before everything; no fact lies there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

impl Lsn {
    /// The number of the segment that holds this position.
    pub fn segment(self, segment_bytes: u64) -> u64 {
        self.0 / segment_bytes
    }

    /// The offset in bytes from the beginning of that segment.
    pub fn offset(self, segment_bytes: u64) -> u64 {
        self.0 % segment_bytes
    }

    fn plus(self, bytes: usize) -> Lsn {
        Lsn(self.0 + bytes as u64)
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a log is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStart {
    /// The epoch of the batches to come. Each start of the process has a higher one than all before.
    pub epoch: u32,
    /// Where the header of the first batch goes, a multiple of 8. Everything below is durable.
    pub at: Lsn,
    /// The checksum of the batch before, 0 if there is none.
    pub chain: u64,
    /// Length of a segment in bytes: at least [`SEGMENT_BYTES_MIN`], a multiple of [`SEGMENT_BYTES_STEP`],
    /// the same for the life of the log.
    pub segment_bytes: u64,
}

/// The open batch: facts are appended to it until it is taken.
///
/// ```
/// use switchyard_core::log::{Log, LogStart, Lsn};
/// let mut log = Log::new(LogStart { epoch: 1, at: Lsn(128), chain: 0, segment_bytes: 4 << 20 });
/// assert!(log.take(Lsn(128)).is_none());
/// let lsn = log.append(|out| out.extend_from_slice(b"a fact"));
/// let batch = log.take(Lsn(128)).expect("one fact waits");
/// assert!(batch.at < lsn && lsn < batch.end);
/// ```
pub struct Log {
    epoch: u32,
    segment_bytes: u64,
    chain: u64,
    /// Where the header of the open batch goes.
    at: Lsn,
    last: Lsn,
    /// Facts in the open batch.
    facts: usize,
    /// Checksum of their frames, without those of `frames`.
    frames_crc: u32,
    /// The newest frames: to sum some at a time costs a fraction of summing each.
    frames: Vec<u8>,
    /// Length of the open batch with its header; `buffer` is as long, or still holds the batch taken last
    /// when `facts` is 0.
    length: usize,
    buffer: Vec<u8>,
}

/// A sealed batch, to be written where it belongs in one piece.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Where its header goes.
    pub at: Lsn,
    /// Header and facts.
    pub bytes: &'a [u8],
    /// The position after it: once this batch is written, everything below is.
    pub end: Lsn,
    /// Count of its facts; a seal batch may have none.
    pub facts: usize,
    /// Checksum of the batch before.
    pub chain: u64,
    /// Everything below was synced before this batch was taken.
    pub durable_upto: Lsn,
}

impl Log {
    /// An empty batch at the place where the log is continued.
    ///
    /// # Panics
    /// When `start` breaks what its fields promise; the journal that made it has checked them.
    pub fn new(start: LogStart) -> Log {
        assert!(
            start.segment_bytes >= SEGMENT_BYTES_MIN
                && start.segment_bytes.is_multiple_of(SEGMENT_BYTES_STEP)
        );
        assert!(start.at.0.is_multiple_of(ALIGN as u64));
        Log {
            epoch: start.epoch,
            segment_bytes: start.segment_bytes,
            chain: start.chain,
            at: place_of_batch(start.at, start.segment_bytes),
            last: Lsn(0),
            facts: 0,
            frames_crc: 0,
            frames: Vec::with_capacity(FRAMES_BYTES),
            length: BATCH_HEADER_BYTES,
            buffer: Vec::with_capacity(BATCH_BYTES_MAX),
        }
    }

    /// The epoch of the batches made here; also the number of the data key for their secrets.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The position that the next appended fact gets. Secrets in that fact are sealed with a nonce made of
    /// it.
    pub fn next(&self) -> Lsn {
        self.at.plus(self.length)
    }

    /// The position of the last fact that was appended here, 0 before the first.
    pub fn last(&self) -> Lsn {
        self.last
    }

    /// How many facts the open batch has.
    pub fn facts(&self) -> usize {
        self.facts
    }

    /// Whether it is time to take the batch, to be asked before each item of work. [`FACTS_PER_ITEM_MAX`]
    /// facts of the greatest length fit even after a yes.
    pub fn is_full(&self) -> bool {
        self.length > FULL_BYTES
    }

    /// Appends the fact that `encode` writes to the end of what it is given, and says where it lies.
    ///
    /// # Panics
    /// When the fact is longer than [`FACT_BYTES_MAX`], or when the caller went on appending to a full batch:
    /// faults of the switch after which the log can not be right.
    pub fn append(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Lsn {
        if self.facts == 0 {
            self.open();
        }
        let lsn = self.next();
        let frame = self.length;
        self.buffer.extend_from_slice(&[0; FRAME_BYTES]);
        encode(&mut self.buffer);
        self.close_frame(lsn, frame);
        self.length = self.buffer.len();
        assert!(self.length <= BATCH_BYTES_MAX, "facts were appended to a full batch");
        self.facts += 1;
        self.last = lsn;
        lsn
    }

    /// Seals the open batch and starts the next one; `None` when it holds no fact.
    /// `durable_upto` is the journal's durable position at this moment.
    pub fn take(&mut self, durable_upto: Lsn) -> Option<Batch<'_>> {
        if self.facts == 0 {
            return None;
        }
        Some(self.seal(durable_upto))
    }

    /// As [`Log::take`], but makes a batch even of no facts. Written when the journal falls idle or closes,
    /// after all before it was synced: from then on rot in the last facts can not pass for a torn tail.
    pub fn seal_batch(&mut self, durable_upto: Lsn) -> Batch<'_> {
        if self.facts == 0 {
            self.open();
        }
        self.seal(durable_upto)
    }

    fn open(&mut self) {
        self.buffer.clear();
        self.buffer.resize(BATCH_HEADER_BYTES, 0);
        self.frames_crc = 0;
    }

    fn close_frame(&mut self, lsn: Lsn, frame: usize) {
        let body = frame + FRAME_BYTES;
        let length = self.buffer.len().checked_sub(body).expect("encode only appends");
        assert!(length <= FACT_BYTES_MAX, "a fact of {length} bytes");
        let crc = fact_crc(lsn, &self.buffer[body..]);
        let bytes = frame_of(length as u16, crc);
        self.buffer[frame..body].copy_from_slice(&bytes);
        self.frames.extend_from_slice(&bytes);
        if self.frames.len() == FRAMES_BYTES {
            self.sum_frames();
        }
        // Of a whole step of zeros what is needed: so the compiler knows how many bytes are written.
        let end = self.buffer.len().next_multiple_of(ALIGN);
        self.buffer.extend_from_slice(&[0; ALIGN]);
        self.buffer.truncate(end);
    }

    fn sum_frames(&mut self) {
        self.frames_crc = crc32c::crc32c_append(self.frames_crc, &self.frames);
        self.frames.clear();
    }

    fn seal(&mut self, durable_upto: Lsn) -> Batch<'_> {
        self.sum_frames();
        let (at, end, facts, chain) = (self.at, self.next(), self.facts, self.chain);
        self.write_header(durable_upto);
        self.chain = checksum_of(&self.buffer);
        self.at = place_of_batch(end, self.segment_bytes);
        self.facts = 0;
        self.length = BATCH_HEADER_BYTES;
        Batch { at, bytes: &self.buffer, end, facts, chain, durable_upto }
    }

    fn write_header(&mut self, durable_upto: Lsn) {
        let bytes = self.buffer.len() as u32;
        let header = &mut self.buffer[..BATCH_HEADER_BYTES];
        header[..8].copy_from_slice(&BATCH_MAGIC);
        header[12..16].copy_from_slice(&self.frames_crc.to_le_bytes());
        header[16..20].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        header[20..24].copy_from_slice(&self.epoch.to_le_bytes());
        header[24..32].copy_from_slice(&self.at.0.to_le_bytes());
        header[32..40].copy_from_slice(&durable_upto.0.to_le_bytes());
        header[40..48].copy_from_slice(&self.chain.to_le_bytes());
        header[48..52].copy_from_slice(&(self.facts as u32).to_le_bytes());
        header[52..56].copy_from_slice(&bytes.to_le_bytes());
        let crc = crc32c::crc32c(&header[12..]);
        header[8..12].copy_from_slice(&crc.to_le_bytes());
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Log(epoch {}, {} facts open, next {})", self.epoch, self.facts, self.next())
    }
}

/// Where a batch goes that follows this position: there, or behind the header of the next segment when the
/// rest of this one is too short for any batch.
pub fn place_of_batch(after: Lsn, segment_bytes: u64) -> Lsn {
    let segment = after.segment(segment_bytes);
    let offset = after.offset(segment_bytes).max(SEGMENT_HEADER_BYTES as u64);
    if segment_bytes - offset < BATCH_BYTES_MAX as u64 {
        return Lsn((segment + 1) * segment_bytes + SEGMENT_HEADER_BYTES as u64);
    }
    Lsn(segment * segment_bytes + offset)
}

/// What precedes a fact's bytes.
fn frame_of(length: u16, crc: u32) -> [u8; FRAME_BYTES] {
    let [a, b] = length.to_le_bytes();
    let [c, d] = (!length).to_le_bytes();
    let [e, f, g, h] = crc.to_le_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The checksum of a fact begins with its place, so that a fact read from a wrong place is noticed.
fn fact_crc(lsn: Lsn, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append((lsn.0 ^ (lsn.0 >> 32)) as u32, bytes)
}

/// Both checksums of a sealed batch as one number.
fn checksum_of(batch: &[u8]) -> u64 {
    u64_at(batch, 8)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
