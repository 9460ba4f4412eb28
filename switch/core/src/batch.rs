//! The form of a batch file: vouchers that lie on disk, immutable, their secrets sealed.
//!
//! Owns: the header and the records of a batch file, the sealing of a voucher's secret details, and the
//! sealed form that an outcome carries.
//!
//! ```text
//! header, 256 bytes:  magic, version, record length, number, count, face value, currency, product,
//!                     name, wrapped data key, sealed digest of what was loaded, zeros, CRC-32C
//! `count` records:    serial, expiry, sealed details, zeros, CRC-32C over number, index and record
//! ```
//! Numbers are little-endian, as in the journal. A sealed secret is a run of details (`Detail::Pin`, and
//! `Detail::Receipt` where there is one) under AES-256-GCM with the batch's own random data key
//! (`KeyId::stock`), nonce = batch number and index, associated data = the serial.
//!
//! Invariants:
//! - Neither a PIN nor anything made of it without a key is in the file (R-22, S-18).
//! - A record reads back at its own place in its own file only: number and index are in its checksum, and
//!   its secret opens with its own serial only.
//! - A nonce is used once: each batch has its own key, each voucher its own index.
//!
//! Deliberately absent: files, randomness, the key-encryption key, and what is sold already (`Stock`).

use crate::details::{Detail, put};
use crate::log::{Lsn, WRAPPED_KEY_BYTES};
use crate::money::Minor;
use crate::seal::{DataKey, KeyId, Nonce, SealError, TAG_BYTES};
use crate::secret::Secret;
use crate::shelf::{SEALED_BYTES_MAX, Voucher};
use crate::stock::{BATCH_NUMBER_MAX, BATCH_VOUCHERS_MAX};
use crate::text::Text;

/// Length of the header in bytes.
pub const HEADER_BYTES: usize = 256;

/// Length of the digest of what was loaded, in bytes.
pub const SOURCE_DIGEST_BYTES: usize = 32;

/// Most bytes of a PIN.
pub const PIN_BYTES_MAX: usize = 40;

/// Most bytes of PIN and receipt together: what a sealed part can hold beside their heads and the tag.
pub const SECRET_BYTES_MAX: usize = SEALED_BYTES_MAX - TAG_BYTES - 2 * DETAIL_HEAD_BYTES;

const MAGIC: [u8; 8] = *b"SWYSTOCK";
const VERSION: u16 = 1;
const CRC_BYTES: usize = 4;
const DETAIL_HEAD_BYTES: usize = 3;
const SERIAL_BYTES: usize = 30;
const EXPIRY_BYTES: usize = 8;
/// What a record holds beside the sealed part: two lengths, serial, expiry, checksum.
const RECORD_FRAME_BYTES: usize = 2 + SERIAL_BYTES + EXPIRY_BYTES + CRC_BYTES;
/// Records are so aligned, in bytes.
const RECORD_STEP: usize = 8;
const NONCE_BYTES: usize = 12;
const SEALED_FORM_HEAD_BYTES: usize = 4 + NONCE_BYTES;
const SEALED_SOURCE_BYTES: usize = SOURCE_DIGEST_BYTES + TAG_BYTES;

/// Longest sealed form of a voucher's secret: key, nonce, sealed part.
pub const SEALED_FORM_BYTES_MAX: usize = SEALED_FORM_HEAD_BYTES + SEALED_BYTES_MAX;

/// What is wrong with a batch file or a voucher. No message holds a PIN, a receipt or a key. A retry gives
/// the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The file is not a batch file.
    #[error("not a stock batch file")]
    Foreign,
    /// A version that this program does not read.
    #[error("stock batch format {0}, but this program reads {VERSION} only: use the program that wrote it")]
    Version(u16),
    /// The header is damaged.
    #[error("the header is damaged: restore the file from a copy")]
    Header,
    /// A record is damaged, or not at its place.
    #[error("voucher {index} of batch {number} is damaged: restore the file from a copy")]
    Record {
        /// The batch.
        number: u32,
        /// The voucher.
        index: u32,
    },
    /// PIN and receipt are longer than a voucher can hold.
    #[error("PIN and receipt together are longer than {SECRET_BYTES_MAX} bytes")]
    TooLong,
    /// The cipher refused.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The header of a batch file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The batch's number, 1 to `BATCH_NUMBER_MAX`.
    pub number: u32,
    /// How many vouchers, 1 to `BATCH_VOUCHERS_MAX`.
    pub count: u32,
    /// Room for the sealed part in each record, in bytes, at most `SEALED_BYTES_MAX`.
    pub sealed_bytes: u8,
    /// The product's code.
    pub product: Text<20>,
    /// The batch's name.
    pub name: Text<40>,
    /// What a voucher is worth, minor units of `currency`.
    pub face_value: Minor,
    /// ISO 4217 numeric.
    pub currency: u16,
    /// The data key, wrapped by the key-encryption key for "stock" and `number`.
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
    /// The digest of what was loaded, sealed: PINs are short, and a bare digest of few of them can be
    /// searched.
    pub sealed_source: [u8; SEALED_SOURCE_BYTES],
}

impl Header {
    /// Length of each record in bytes.
    pub fn record_bytes(&self) -> usize {
        (RECORD_FRAME_BYTES + usize::from(self.sealed_bytes)).next_multiple_of(RECORD_STEP)
    }

    /// Length of the whole file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.record_at(self.count)
    }

    /// Where the record of a voucher begins in the file.
    pub fn record_at(&self, index: u32) -> u64 {
        HEADER_BYTES as u64 + u64::from(index) * self.record_bytes() as u64
    }

    /// The header as it lies in the file.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.push(self.sealed_bytes);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.face_value.0.to_le_bytes());
        out.extend_from_slice(&self.currency.to_le_bytes());
        put_text(&mut out, self.product);
        put_text(&mut out, self.name);
        out.extend_from_slice(&self.wrapped_key);
        out.extend_from_slice(&self.sealed_source);
        out.resize(HEADER_BYTES - CRC_BYTES, 0);
        let mut bytes = [0; HEADER_BYTES];
        let crc = crc32c::crc32c(&out).to_le_bytes();
        bytes[..out.len()].copy_from_slice(&out);
        bytes[out.len()..].copy_from_slice(&crc);
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// `Foreign`, `Version`, `Header`.
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Result<Self, BatchError> {
        let mut read = Reader(bytes);
        if read.array::<8>() != Some(MAGIC) {
            return Err(BatchError::Foreign);
        }
        let (contents, crc) = bytes.split_at(HEADER_BYTES - CRC_BYTES);
        if crc32c::crc32c(contents).to_le_bytes() != crc {
            return Err(BatchError::Header);
        }
        match read.u16() {
            Some(VERSION) => Self::fields(&mut read).ok_or(BatchError::Header),
            Some(other) => Err(BatchError::Version(other)),
            None => Err(BatchError::Header),
        }
    }

    fn fields(read: &mut Reader<'_>) -> Option<Self> {
        let [sealed_bytes] = read.array()?;
        let header = Self {
            sealed_bytes,
            number: read.u32()?,
            count: read.u32()?,
            face_value: Minor(i64::from_le_bytes(read.array()?)),
            currency: read.u16()?,
            product: read.text()?,
            name: read.text()?,
            wrapped_key: read.array()?,
            sealed_source: read.array()?,
        };
        let fits = usize::from(sealed_bytes) <= SEALED_BYTES_MAX
            && (1..=BATCH_NUMBER_MAX).contains(&header.number)
            && (1..=BATCH_VOUCHERS_MAX).contains(&header.count);
        fits.then_some(header)
    }

    /// Appends the record of a voucher.
    ///
    /// # Errors
    /// `TooLong` where its sealed part is longer than `sealed_bytes`: nothing was written.
    pub fn encode_record(&self, voucher: &Voucher, out: &mut Vec<u8>) -> Result<(), BatchError> {
        if voucher.sealed().len() > usize::from(self.sealed_bytes) {
            return Err(BatchError::TooLong);
        }
        let start = out.len();
        put_text(out, voucher.serial);
        let mut expiry = [0; EXPIRY_BYTES];
        expiry[..voucher.expiry.len()].copy_from_slice(voucher.expiry.as_bytes());
        out.extend_from_slice(&expiry);
        out.push(voucher.sealed().len() as u8);
        out.extend_from_slice(voucher.sealed());
        out.resize(start + self.record_bytes() - CRC_BYTES, 0);
        let crc = record_crc(self.number, voucher.index, &out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// Reads the record of voucher `index`, `record_bytes` long.
    ///
    /// # Errors
    /// `Record` where it is damaged or belongs elsewhere.
    pub fn decode_record(&self, index: u32, record: &[u8]) -> Result<Voucher, BatchError> {
        let damaged = BatchError::Record { number: self.number, index };
        let (contents, crc) = record.split_last_chunk::<CRC_BYTES>().ok_or(damaged)?;
        let sum = record_crc(self.number, index, contents).to_le_bytes();
        if record.len() != self.record_bytes() || sum != *crc {
            return Err(damaged);
        }
        record_fields(self.number, index, contents).ok_or(damaged)
    }
}

fn record_fields(number: u32, index: u32, contents: &[u8]) -> Option<Voucher> {
    let mut read = Reader(contents);
    let serial = read.text::<SERIAL_BYTES>()?;
    let expiry = read.array::<EXPIRY_BYTES>()?;
    let expiry = if expiry == [0; EXPIRY_BYTES] { Text::EMPTY } else { Text::new(&expiry)? };
    let [sealed_length] = read.array()?;
    Voucher::new(number, index, serial, expiry, read.take(usize::from(sealed_length))?)
}

fn record_crc(number: u32, index: u32, contents: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&number.to_le_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, &index.to_le_bytes()), contents)
}

/// The nonce of a voucher's secret.
pub fn nonce(number: u32, index: u32) -> Nonce {
    Nonce::of(Lsn(u64::from(number)), index)
}

/// Length of the sealed part for a PIN and a receipt of these lengths in bytes; a receipt of 0: none.
pub fn sealed_bytes(pin: usize, receipt: usize) -> usize {
    let receipt = if receipt == 0 { 0 } else { DETAIL_HEAD_BYTES + receipt };
    DETAIL_HEAD_BYTES + pin + receipt + TAG_BYTES
}

/// What a voucher is made of, in clear. Borrowed from the file that is loaded and wiped with it.
#[derive(Clone, Copy)]
pub struct Clear<'a> {
    /// Serial number.
    pub serial: Text<30>,
    /// Expiry, YYYYMMDD digits; empty: never.
    pub expiry: Text<8>,
    /// PIN.
    pub pin: &'a [u8],
    /// Receipt text; empty: none.
    pub receipt: &'a [u8],
}

impl std::fmt::Debug for Clear<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clear({}, ***)", self.serial)
    }
}

/// Seals the vouchers of one batch.
#[derive(Debug)]
pub struct Sealer<'k> {
    key: &'k DataKey,
    number: u32,
    run: Secret,
    sealed: Vec<u8>,
}

impl<'k> Sealer<'k> {
    /// A sealer for the batch of this number, with its data key.
    pub fn new(key: &'k DataKey, number: u32) -> Self {
        let mut run = Secret::new();
        // Room for the longest run at once, so that a growing buffer leaves no secret behind.
        run.buffer().reserve_exact(SEALED_BYTES_MAX);
        Self { key, number, run, sealed: Vec::with_capacity(SEALED_BYTES_MAX) }
    }

    /// The voucher with its secrets sealed.
    ///
    /// # Errors
    /// `TooLong`, `Seal`.
    pub fn seal(&mut self, index: u32, clear: &Clear<'_>) -> Result<Voucher, BatchError> {
        if sealed_bytes(clear.pin.len(), clear.receipt.len()) > SEALED_BYTES_MAX {
            return Err(BatchError::TooLong);
        }
        self.run.clear();
        put(self.run.buffer(), Detail::Pin, clear.pin);
        if !clear.receipt.is_empty() {
            put(self.run.buffer(), Detail::Receipt, clear.receipt);
        }
        self.sealed.clear();
        let (nonce, aad) = (nonce(self.number, index), clear.serial.as_bytes());
        self.key.seal(nonce, aad, self.run.expose(), &mut self.sealed)?;
        Voucher::new(self.number, index, clear.serial, clear.expiry, &self.sealed).ok_or(BatchError::TooLong)
    }
}

/// Appends the secret details of a voucher, in clear, to `out`.
///
/// # Errors
/// `Seal` where the key, the place or the serial is another one.
pub fn open(key: &DataKey, voucher: &Voucher, out: &mut Secret) -> Result<(), BatchError> {
    let nonce = nonce(voucher.batch, voucher.index);
    key.open(nonce, voucher.serial.as_bytes(), voucher.sealed(), out.buffer())?;
    Ok(())
}

/// Appends the form in which an outcome carries a voucher's secret, still sealed as it lies in the stock:
/// key id (four bytes, big-endian), nonce (twelve), ciphertext and tag. Whoever opens it takes the bytes
/// of `Detail::Serial` as associated data.
pub fn sealed_form(voucher: &Voucher, out: &mut Vec<u8>) {
    out.extend_from_slice(&KeyId::stock(voucher.batch).0.to_be_bytes());
    out.extend_from_slice(&nonce(voucher.batch, voucher.index).0);
    out.extend_from_slice(voucher.sealed());
}

/// Seals the digest of what was loaded. No voucher has index `u32::MAX`, so the nonce is its own.
///
/// # Errors
/// `Seal`.
pub fn seal_source(
    key: &DataKey,
    number: u32,
    digest: &[u8; SOURCE_DIGEST_BYTES],
) -> Result<[u8; SEALED_SOURCE_BYTES], BatchError> {
    let mut sealed = Vec::with_capacity(SEALED_SOURCE_BYTES);
    key.seal(nonce(number, u32::MAX), b"source", digest, &mut sealed)?;
    sealed.try_into().map_err(|_| BatchError::Seal(SealError::Refused))
}

/// Whether a batch was loaded from contents with this digest.
///
/// # Errors
/// `Seal` where the key is not the batch's.
pub fn is_source(
    key: &DataKey,
    header: &Header,
    digest: &[u8; SOURCE_DIGEST_BYTES],
) -> Result<bool, BatchError> {
    let mut known = Vec::with_capacity(SOURCE_DIGEST_BYTES);
    key.open(nonce(header.number, u32::MAX), b"source", &header.sealed_source, &mut known)?;
    Ok(known == digest)
}

fn put_text<const N: usize>(out: &mut Vec<u8>, text: Text<N>) {
    let start = out.len() + 1;
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
    out.resize(start + N, 0);
}

/// Takes fields off the front; `None` where there is not enough.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn text<const N: usize>(&mut self) -> Option<Text<N>> {
        let [length] = self.array()?;
        let bytes = self.take(N)?;
        Text::new(bytes.get(..usize::from(length))?)
    }
}

#[cfg(test)]
mod tests;
