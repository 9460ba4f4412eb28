//! The key-encryption key, and what it wraps.
//!
//! Owns where the key-encryption key comes from (a file that only its owner may read, or the environment:
//! S-18), the making of random data keys, and how data keys are wrapped for segments, stock batches and the
//! key folder.
//!
//! Invariants:
//! - No data key lies on disk but wrapped. The purpose and number of a key are bound to its wrapping, so that
//!   one wrapped key can not stand in for another.
//! - Keys do not print, and are overwritten when dropped.
//!
//! Deliberately absent: an HSM, splitting of knowledge and rotation of the key-encryption key. Sealing itself
//! is `seal` of the core.

mod error;

pub use error::KeyError;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::rand;
use switchyard_core::log::WRAPPED_KEY_BYTES;
use switchyard_core::seal::{DATA_KEY_BYTES, DataKey, Nonce, TAG_BYTES};
use zeroize::Zeroizing;

/// Longest key file or variable that is read: 64 hexadecimal digits with room for white space.
const KEY_TEXT_BYTES_MAX: u64 = 256;

const NONCE_BYTES: usize = 12;
const INDEX_PURPOSE: &str = "index";

/// The key-encryption key: wraps data keys and nothing else.
pub struct Kek {
    key: DataKey,
}

impl Kek {
    /// Reads the key from a file that only its owner may use (mode 0600 or less).
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Exposed`], [`KeyError::Unreadable`].
    pub fn from_file(file: &Path) -> Result<Kek, KeyError> {
        let opened = File::open(file).map_err(io_error("open", file))?;
        let mode = opened.metadata().map_err(io_error("look at", file))?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { file: file.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(KEY_TEXT_BYTES_MAX as usize + 1));
        opened.take(KEY_TEXT_BYTES_MAX + 1).read_to_end(&mut text).map_err(io_error("read", file))?;
        Kek::from_text(&text, || format!("key file {}", file.display()))
    }

    /// Makes a file (mode 0600) with a random key, and its folder (mode 0700) where that is missing. The file
    /// and its folder are synced: what is sealed from now on can not outlive its key.
    ///
    /// # Errors
    /// [`KeyError::Exists`], [`KeyError::Io`], [`KeyError::Unavailable`].
    pub fn create_file(file: &Path) -> Result<Kek, KeyError> {
        let bytes = random_key()?;
        write_secret_file(file, hex_of(&bytes).as_bytes())?;
        Kek::new(bytes)
    }

    /// Reads the key from an environment variable, as hexadecimal digits or base64.
    ///
    /// # Errors
    /// [`KeyError::Unset`], [`KeyError::Unreadable`].
    pub fn from_env(name: &str) -> Result<Kek, KeyError> {
        use std::os::unix::ffi::OsStringExt;
        let value = std::env::var_os(name).ok_or_else(|| KeyError::Unset { name: name.to_owned() })?;
        let text = Zeroizing::new(value.into_vec());
        Kek::from_text(&text, || format!("environment variable {name}"))
    }

    /// Wraps a data key for a purpose ("journal", "stock", …) and number: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`].
    pub fn wrap(&self, key: &DataKey, purpose: &str, id: u32) -> Result<[u8; WRAPPED_KEY_BYTES], KeyError> {
        let mut wrapped = Vec::with_capacity(WRAPPED_KEY_BYTES);
        wrapped.resize(NONCE_BYTES, 0);
        rand::fill(&mut wrapped).map_err(|_| KeyError::Unavailable("no random numbers"))?;
        let nonce = nonce_of(&wrapped);
        self.key
            .seal(nonce, &aad_of(purpose, id), key.expose(), &mut wrapped)
            .map_err(|_| KeyError::Unavailable("the cipher refused"))?;
        let mut out = [0; WRAPPED_KEY_BYTES];
        out.copy_from_slice(&wrapped);
        Ok(out)
    }

    /// The data key that was wrapped for this purpose and number.
    ///
    /// # Errors
    /// [`KeyError::WrongKek`].
    pub fn unwrap(
        &self,
        wrapped: &[u8; WRAPPED_KEY_BYTES],
        purpose: &str,
        id: u32,
    ) -> Result<DataKey, KeyError> {
        let wrong = || KeyError::WrongKek { purpose: purpose.to_owned(), id };
        let mut plain = Zeroizing::new(Vec::with_capacity(DATA_KEY_BYTES + TAG_BYTES));
        self.key
            .open(nonce_of(wrapped), &aad_of(purpose, id), &wrapped[NONCE_BYTES..], &mut plain)
            .map_err(|_| wrong())?;
        let mut bytes = Zeroizing::new([0; DATA_KEY_BYTES]);
        bytes.copy_from_slice(&plain);
        DataKey::new(bytes).map_err(|_| wrong())
    }

    fn from_text(text: &[u8], origin: impl Fn() -> String) -> Result<Kek, KeyError> {
        let bytes = parse_key(text.trim_ascii()).ok_or_else(|| KeyError::Unreadable { origin: origin() })?;
        Kek::new(bytes)
    }

    fn new(bytes: Zeroizing<[u8; DATA_KEY_BYTES]>) -> Result<Kek, KeyError> {
        let key = DataKey::new(bytes).map_err(|_| KeyError::Unavailable("the cipher refused"))?;
        Ok(Kek { key })
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kek(***)")
    }
}

/// A new random data key.
///
/// # Errors
/// [`KeyError::Unavailable`] when the system gives no random numbers.
pub fn random_data_key() -> Result<DataKey, KeyError> {
    DataKey::new(random_key()?).map_err(|_| KeyError::Unavailable("the cipher refused"))
}

/// The key of the fingerprints in the duplicate index (SipHash, 16 bytes). Not to be exchanged while an index
/// made with it is kept.
pub struct IndexKey(Zeroizing<[u8; 16]>);

impl IndexKey {
    /// The key in this file, where it lies wrapped; made at random, and synced, when there is none yet.
    ///
    /// # Errors
    /// [`KeyError::WrongKek`], [`KeyError::Unreadable`], [`KeyError::Io`], [`KeyError::Unavailable`].
    pub fn open_or_create(file: &Path, kek: &Kek) -> Result<IndexKey, KeyError> {
        match std::fs::read(file) {
            Ok(bytes) => {
                let wrapped = <&[u8; WRAPPED_KEY_BYTES]>::try_from(bytes.as_slice())
                    .map_err(|_| KeyError::Unreadable { origin: format!("key file {}", file.display()) })?;
                Ok(IndexKey::of(&kek.unwrap(wrapped, INDEX_PURPOSE, 0)?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = random_data_key()?;
                write_secret_file(file, &kek.wrap(&key, INDEX_PURPOSE, 0)?)?;
                Ok(IndexKey::of(&key))
            }
            Err(error) => Err(io_error("read", file)(error)),
        }
    }

    /// The 16 bytes of the key.
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    fn of(key: &DataKey) -> IndexKey {
        let mut bytes = Zeroizing::new([0; 16]);
        bytes.copy_from_slice(&key.expose()[..16]);
        IndexKey(bytes)
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IndexKey(***)")
    }
}

fn random_key() -> Result<Zeroizing<[u8; DATA_KEY_BYTES]>, KeyError> {
    let mut bytes = Zeroizing::new([0; DATA_KEY_BYTES]);
    rand::fill(bytes.as_mut_slice()).map_err(|_| KeyError::Unavailable("no random numbers"))?;
    Ok(bytes)
}

fn nonce_of(wrapped: &[u8]) -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(&wrapped[..NONCE_BYTES]);
    Nonce(nonce)
}

fn aad_of(purpose: &str, id: u32) -> Vec<u8> {
    let mut aad = purpose.as_bytes().to_vec();
    aad.push(0);
    aad.extend_from_slice(&id.to_le_bytes());
    aad
}

/// Writes a file under another name first, so that a file of this name is always whole, and never replaces
/// one.
fn write_secret_file(file: &Path, contents: &[u8]) -> Result<(), KeyError> {
    let folder = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io_error("make folder", folder))?;
    let making = file.with_extension(format!("making-{}", std::process::id()));
    let written = write_and_link(&making, file, contents);
    let removed = std::fs::remove_file(&making).map_err(io_error("remove", &making));
    written?;
    removed?;
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(io_error("sync folder", folder))
}

/// A hard link fails where the name is taken, which a rename does not.
fn write_and_link(making: &Path, file: &Path, contents: &[u8]) -> Result<(), KeyError> {
    let mut open = OpenOptions::new();
    open.write(true).create(true).truncate(true).mode(0o600);
    let mut opened = open.open(making).map_err(io_error("make", making))?;
    opened.write_all(contents).map_err(io_error("write", making))?;
    opened.sync_all().map_err(io_error("sync", making))?;
    std::fs::hard_link(making, file).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => KeyError::Exists { file: file.to_owned() },
        _ => io_error("make", file)(error),
    })
}

fn io_error(doing: &'static str, file: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let file = file.to_owned();
    move |error| KeyError::Io { doing, file, error: Arc::new(error) }
}

fn hex_of(bytes: &[u8; DATA_KEY_BYTES]) -> Zeroizing<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = Zeroizing::new(String::with_capacity(2 * DATA_KEY_BYTES + 1));
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text.push('\n');
    text
}

/// 64 hexadecimal digits, or base64 with or without its padding. Nothing of the text is kept in an error.
fn parse_key(text: &[u8]) -> Option<Zeroizing<[u8; DATA_KEY_BYTES]>> {
    if text.len() == 2 * DATA_KEY_BYTES {
        return parse_digits(text, 4, |byte| char::from(byte).to_digit(16));
    }
    let text = text.strip_suffix(b"=").unwrap_or(text);
    if text.len() == 43 { parse_digits(text, 6, base64_digit) } else { None }
}

/// Joins digits of so many bits each; bits that are left over at the end must be zero.
fn parse_digits(
    text: &[u8],
    bits: u32,
    digit: impl Fn(u8) -> Option<u32>,
) -> Option<Zeroizing<[u8; DATA_KEY_BYTES]>> {
    let mut bytes = Zeroizing::new([0; DATA_KEY_BYTES]);
    let (mut held, mut held_bits, mut at) = (0u32, 0, 0);
    for &byte in text {
        held = held << bits | digit(byte)?;
        held_bits += bits;
        if held_bits >= 8 {
            held_bits -= 8;
            *bytes.get_mut(at)? = (held >> held_bits) as u8;
            held &= (1 << held_bits) - 1;
            at += 1;
        }
    }
    (at == DATA_KEY_BYTES && held == 0).then_some(bytes)
}

fn base64_digit(byte: u8) -> Option<u32> {
    let digit = match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(u32::from(digit))
}

#[cfg(test)]
mod tests;
