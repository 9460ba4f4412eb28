//! The header of a segment: which part of which log a file is, under which key, and what it follows.

use std::fmt;

use super::{FORMAT_VERSION, Lsn, u32_at, u64_at};

/// Length of the header in bytes; the first batch follows it.
pub const SEGMENT_HEADER_BYTES: usize = 128;

/// Length of a wrapped data key in bytes: nonce 12, ciphertext 32, tag 16.
pub const WRAPPED_KEY_BYTES: usize = 60;

const MAGIC: [u8; 8] = *b"SYsegmt\n";

/// What stands at the beginning of a segment. Written when the log enters the segment, not when the file is
/// prepared: until then the file is zeros and no part of the log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The epoch of all batches of this segment; each epoch begins a new one.
    pub epoch: u32,
    /// The number of the segment, from 0 without gaps.
    pub number: u64,
    /// Length of every segment of this log in bytes.
    pub segment_bytes: u64,
    /// Where the log ended in the segment before: what lies behind that position there was never part of the
    /// log.
    pub follows: Lsn,
    /// Checksum of the last batch before, 0 if there is none.
    pub chain: u64,
    /// Everything below was synced before this header was written.
    pub durable_upto: Lsn,
    /// The epoch's data key, wrapped by the key-encryption key.
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
}

/// Why these bytes are no segment header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Zeros, or too few bytes: the log has not entered this file.
    #[error("nothing is written here")]
    Nothing,
    /// Something else, or a header whose checksum does not fit.
    #[error("the header of the segment is damaged")]
    Damaged,
    /// A sound header of another version of the format: written by another release, which must read it.
    #[error("the segment has version {0} of the format, known is {FORMAT_VERSION}")]
    Version(u32),
}

impl SegmentHeader {
    /// The header as it is written.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[12..16].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.epoch.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.segment_bytes.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.follows.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.chain.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.durable_upto.0.to_le_bytes());
        bytes[64..64 + WRAPPED_KEY_BYTES].copy_from_slice(&self.wrapped_key);
        let crc = crc32c::crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header from the first bytes of a file.
    ///
    /// # Errors
    /// [`HeaderError`]; a retry gives the same answer.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let Some(bytes) = bytes.get(..SEGMENT_HEADER_BYTES) else {
            return Err(HeaderError::Nothing);
        };
        if bytes.iter().all(|&byte| byte == 0) {
            return Err(HeaderError::Nothing);
        }
        if bytes[..8] != MAGIC || crc32c::crc32c(&bytes[12..]) != u32_at(bytes, 8) {
            return Err(HeaderError::Damaged);
        }
        match u32_at(bytes, 12) {
            FORMAT_VERSION => Ok(decode_fields(bytes)),
            other => Err(HeaderError::Version(other)),
        }
    }
}

fn decode_fields(bytes: &[u8]) -> SegmentHeader {
    let mut wrapped_key = [0; WRAPPED_KEY_BYTES];
    wrapped_key.copy_from_slice(&bytes[64..64 + WRAPPED_KEY_BYTES]);
    SegmentHeader {
        epoch: u32_at(bytes, 16),
        number: u64_at(bytes, 24),
        segment_bytes: u64_at(bytes, 32),
        follows: Lsn(u64_at(bytes, 40)),
        chain: u64_at(bytes, 48),
        durable_upto: Lsn(u64_at(bytes, 56)),
        wrapped_key,
    }
}

impl fmt::Debug for SegmentHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SegmentHeader(number {}, epoch {}, follows {})", self.number, self.epoch, self.follows)
    }
}
