//! Reading batches and facts back, checked.
//!
//! Owns the checks. Nothing read here is trusted: every length is compared with what is there before it is
//! used, and nothing is allocated.

use super::{
    ALIGN, BATCH_BYTES_MAX, BATCH_HEADER_BYTES, BATCH_MAGIC, FACT_BYTES_MAX, FORMAT_VERSION, FRAME_BYTES,
    Lsn, checksum_of, fact_crc, u16_at, u32_at, u64_at,
};

/// What the next batch of a log must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// The epoch of its segment.
    pub epoch: u32,
    /// Where it is read.
    pub at: Lsn,
    /// The checksum of the batch before.
    pub chain: u64,
}

/// Why there is no such batch. Whether that is damage or the end of the log is for the reader of the whole
/// log to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// Prewritten zeros, or the end of the file.
    #[error("nothing is written here")]
    Nothing,
    /// Something else than a batch begins here.
    #[error("no batch begins here")]
    NotABatch,
    /// The header's checksum does not fit.
    #[error("the header of the batch is damaged")]
    Header,
    /// A sound header of another version of the format: written by another release, which must read it.
    #[error("the batch has version {0} of the format, known is {FORMAT_VERSION}")]
    Version(u32),
    /// A sound header that belongs elsewhere: content of an earlier use of the file.
    #[error("the batch is of another place, epoch or chain")]
    Stale,
    /// The batch is longer than a batch can be, or than what is there.
    #[error("the batch is cut off")]
    Length,
    /// The checksum of the facts does not fit.
    #[error("the facts of the batch are damaged")]
    Body,
    /// The checksums fit, and yet the facts do not fill the batch: a fault of the release that wrote it.
    #[error("the facts do not fill their batch")]
    Frames,
}

/// A batch that passed every check.
#[derive(Debug, Clone, Copy)]
pub struct BatchView<'a> {
    /// Where its header is.
    pub at: Lsn,
    /// The position after it.
    pub end: Lsn,
    /// Count of its facts.
    pub facts: usize,
    /// Everything below was synced before this batch was written.
    pub durable_upto: Lsn,
    /// What the next batch names as its chain.
    pub checksum: u64,
    body: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The facts with their positions, in the order in which they were appended.
    pub fn facts(&self) -> Facts<'a> {
        Facts { at: self.at.plus(BATCH_HEADER_BYTES), rest: self.body }
    }

    /// Length in bytes, header included.
    pub fn length(&self) -> usize {
        BATCH_HEADER_BYTES + self.body.len()
    }
}

/// Walks over the facts of a checked batch.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    at: Lsn,
    rest: &'a [u8],
}

impl<'a> Iterator for Facts<'a> {
    type Item = (Lsn, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let length = frame_length(self.rest).ok()?;
        let fact = self.rest.get(FRAME_BYTES..FRAME_BYTES + length)?;
        let lsn = self.at;
        let whole = (FRAME_BYTES + length).next_multiple_of(ALIGN);
        self.rest = self.rest.get(whole..).unwrap_or(&[]);
        self.at = lsn.plus(whole);
        Some((lsn, fact))
    }
}

/// Reads the batch that begins with the first of `bytes`, which may go on behind it; [`BATCH_BYTES_MAX`] is
/// always enough.
///
/// # Errors
/// [`BatchError`]; the bytes are then not what the log has at this place.
pub fn read_batch(bytes: &[u8], expect: Expect) -> Result<BatchView<'_>, BatchError> {
    let header = read_header(bytes)?;
    if u32_at(header, 20) != expect.epoch
        || u64_at(header, 24) != expect.at.0
        || u64_at(header, 40) != expect.chain
    {
        return Err(BatchError::Stale);
    }
    let body = read_body(bytes, header)?;
    let facts = u32_at(header, 48) as usize;
    Ok(BatchView {
        at: expect.at,
        end: expect.at.plus(BATCH_HEADER_BYTES + body.len()),
        facts,
        durable_upto: Lsn(u64_at(header, 32)),
        checksum: checksum_of(header),
        body,
    })
}

/// What a batch says for itself, whatever comes before it: to look behind damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The epoch of the batch.
    pub epoch: u32,
    /// Everything below was synced before the batch was written.
    pub durable_upto: Lsn,
    /// The position after it.
    pub end: Lsn,
}

/// The batch at this position, if a sound one that was written for this position begins with the first of
/// `bytes`.
pub fn probe(bytes: &[u8], at: Lsn) -> Option<Probe> {
    let header = read_header(bytes).ok()?;
    if u64_at(header, 24) != at.0 {
        return None;
    }
    let body = read_body(bytes, header).ok()?;
    Some(Probe {
        epoch: u32_at(header, 20),
        durable_upto: Lsn(u64_at(header, 32)),
        end: at.plus(BATCH_HEADER_BYTES + body.len()),
    })
}

/// Why there is no fact at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// The frame is not that of a fact: not a position that `append` returned, or damage.
    #[error("no fact begins here")]
    NotAFact,
    /// The frame needs more bytes than there are. Give at least this many.
    #[error("the fact needs {0} bytes from its position on")]
    Short(usize),
    /// The checksum of the fact does not fit.
    #[error("the fact is damaged")]
    Damaged,
}

/// The fact at a position, from the bytes that begin there. What follows the fact is not looked at.
///
/// # Errors
/// [`FactError`]. After [`FactError::Short`] a retry with more bytes is right; otherwise it gives the same
/// answer.
pub fn read_fact(bytes: &[u8], lsn: Lsn) -> Result<&[u8], FactError> {
    let length = frame_length(bytes)?;
    let whole = FRAME_BYTES + length;
    let fact = bytes.get(FRAME_BYTES..whole).ok_or(FactError::Short(whole))?;
    if fact_crc(lsn, fact) != u32_at(bytes, 4) {
        return Err(FactError::Damaged);
    }
    Ok(fact)
}

/// What begins at a position of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// The header of a batch; what comes next is behind it, at this distance in bytes.
    Batch(usize),
    /// A fact that fits its checksum; what comes next is at this distance in bytes.
    Fact(&'a [u8], usize),
    /// Zeros, or the end of the file: if the log goes on, then in the next segment, whose header says that it
    /// follows this position.
    End,
}

/// What begins with the first of `bytes`, for reading on from any fact or batch without the batches before.
/// Facts are checked one by one, headers of batches are not.
///
/// # Errors
/// [`FactError`], as of [`read_fact`].
pub fn step(bytes: &[u8], at: Lsn) -> Result<Step<'_>, FactError> {
    if bytes.starts_with(&BATCH_MAGIC) {
        return Ok(Step::Batch(BATCH_HEADER_BYTES));
    }
    if bytes.is_empty() || bytes.get(..FRAME_BYTES).is_some_and(|frame| frame == [0; FRAME_BYTES]) {
        return Ok(Step::End);
    }
    let fact = read_fact(bytes, at)?;
    Ok(Step::Fact(fact, (FRAME_BYTES + fact.len()).next_multiple_of(ALIGN)))
}

fn frame_length(bytes: &[u8]) -> Result<usize, FactError> {
    if bytes.len() < FRAME_BYTES {
        return Err(FactError::Short(FRAME_BYTES));
    }
    let length = u16_at(bytes, 0);
    if length != !u16_at(bytes, 2) || usize::from(length) > FACT_BYTES_MAX {
        return Err(FactError::NotAFact);
    }
    Ok(usize::from(length))
}

/// The header, with its magic, checksum and version as they should be.
fn read_header(bytes: &[u8]) -> Result<&[u8], BatchError> {
    let Some(header) = bytes.get(..BATCH_HEADER_BYTES) else {
        return Err(if bytes.iter().all(|&byte| byte == 0) {
            BatchError::Nothing
        } else {
            BatchError::Length
        });
    };
    if header[..8] != BATCH_MAGIC {
        return Err(if header.iter().all(|&byte| byte == 0) {
            BatchError::Nothing
        } else {
            BatchError::NotABatch
        });
    }
    if crc32c::crc32c(&header[12..]) != u32_at(header, 8) {
        return Err(BatchError::Header);
    }
    match u32_at(header, 16) {
        FORMAT_VERSION => Ok(header),
        other => Err(BatchError::Version(other)),
    }
}

fn read_body<'a>(bytes: &'a [u8], header: &[u8]) -> Result<&'a [u8], BatchError> {
    let length = u32_at(header, 52) as usize;
    if length > BATCH_BYTES_MAX {
        return Err(BatchError::Length);
    }
    let body = bytes.get(BATCH_HEADER_BYTES..length).ok_or(BatchError::Length)?;
    check_facts(body, Lsn(u64_at(header, 24)).plus(BATCH_HEADER_BYTES), header)?;
    Ok(body)
}

/// Whether every fact fits its frame, the frames their checksum in the header, and their count what it says.
fn check_facts(body: &[u8], mut at: Lsn, header: &[u8]) -> Result<(), BatchError> {
    let (mut rest, mut frames, mut count) = (body, 0, 0);
    while !rest.is_empty() {
        let fact = read_fact(rest, at).map_err(|_| BatchError::Body)?;
        let end = FRAME_BYTES + fact.len();
        let whole = end.next_multiple_of(ALIGN);
        let filling = rest.get(end..whole).ok_or(BatchError::Body)?;
        if filling.iter().any(|byte| *byte != 0) {
            return Err(BatchError::Body);
        }
        frames = crc32c::crc32c_append(frames, &rest[..FRAME_BYTES]);
        (rest, at, count) = (&rest[whole..], at.plus(whole), count + 1);
    }
    if frames != u32_at(header, 12) {
        return Err(BatchError::Body);
    }
    if count != u32_at(header, 48) { Err(BatchError::Frames) } else { Ok(()) }
}
