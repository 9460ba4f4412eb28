//! The key-encryption key, and what it wraps.
//!
//! Owns where the key-encryption key comes from (a file that only its owner may read, or the environment:
//! S-18), the making of random data keys, and how data keys are wrapped for segments, stock batches and the
//! key folder. Files are written in `file`; which key followed which is in `succession`, changed by `rotate`.
//!
//! Invariants:
//! - No data key lies on disk but wrapped. The purpose and number of a key are bound to its wrapping, so that
//!   one wrapped key can not stand in for another.
//! - Keys do not print, and are overwritten when dropped.
//!
//! - New keys are wrapped under the present key-encryption key; what a retired one wrapped opens as before.
//!
//! Deliberately absent: an HSM and splitting of knowledge. Sealing itself is `seal` of the core.

mod error;
mod file;
mod inventory;
mod rotate;
mod succession;

pub use error::KeyError;
pub use inventory::{KeyInUse, keys_in_use};
pub use rotate::Rotated;
pub use succession::{By, Fingerprint, Rotation};

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::rand;
use file::io_error;
use succession::Succession;
use switchyard_core::log::WRAPPED_KEY_BYTES;
use switchyard_core::seal::{DATA_KEY_BYTES, DataKey, Nonce, TAG_BYTES};
use zeroize::Zeroizing;

use crate::settings::KeySettings;

/// Longest key file or variable that is read: 64 hexadecimal digits with room for white space.
const KEY_TEXT_BYTES_MAX: u64 = 256;

const NONCE_BYTES: usize = 12;
const INDEX_PURPOSE: &str = "index";

/// The key-encryption key: wraps data keys and nothing else. It may be exchanged while it is used.
pub struct Kek {
    chain: ArcSwap<Chain>,
    origin: Origin,
}

/// Where a key-encryption key came from.
#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Env(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(file) => write!(f, "key file {}", file.display()),
            Origin::Env(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// The key that wraps, and those before it, newest first, which open what they wrapped.
struct Chain {
    current: Arc<WrappingKey>,
    retired: Vec<Arc<WrappingKey>>,
}

impl Chain {
    /// The key that opens this, by its place, the present one being 0; and what it holds.
    fn opener(&self, wrapped: &[u8; WRAPPED_KEY_BYTES], purpose: &str, id: u32) -> Option<(usize, DataKey)> {
        let keys = [&self.current].into_iter().chain(&self.retired);
        keys.enumerate().find_map(|(place, key)| Some((place, key.unwrap(wrapped, purpose, id)?)))
    }
}

/// One key that wraps others.
struct WrappingKey {
    key: DataKey,
    fingerprint: Fingerprint,
}

impl WrappingKey {
    fn new(key: DataKey) -> WrappingKey {
        let fingerprint = Fingerprint::of(&key);
        WrappingKey { key, fingerprint }
    }

    fn wrap(&self, key: &DataKey, purpose: &str, id: u32) -> Result<[u8; WRAPPED_KEY_BYTES], KeyError> {
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

    fn unwrap(&self, wrapped: &[u8; WRAPPED_KEY_BYTES], purpose: &str, id: u32) -> Option<DataKey> {
        let mut plain = Zeroizing::new(Vec::with_capacity(DATA_KEY_BYTES + TAG_BYTES));
        let (nonce, sealed) = (nonce_of(wrapped), &wrapped[NONCE_BYTES..]);
        self.key.open(nonce, &aad_of(purpose, id), sealed, &mut plain).ok()?;
        let mut bytes = Zeroizing::new([0; DATA_KEY_BYTES]);
        bytes.copy_from_slice(&plain);
        DataKey::new(bytes).ok()
    }
}

impl Kek {
    /// The key of a data folder, from where the configuration says, with the retired ones that it opens. A missing
    /// file is made where that is allowed, and nothing says that the folder had a key before.
    ///
    /// # Errors
    /// As [`Kek::from_file`], [`Kek::from_env`] and [`Kek::create_file`]; [`KeyError::Retired`],
    /// [`KeyError::Stranger`], [`KeyError::Succession`].
    pub fn open(keys: &KeySettings, data: &Path) -> Result<Kek, KeyError> {
        let variable = keys.env.as_deref().filter(|name| std::env::var_os(name).is_some());
        let kek = match variable {
            Some(name) => Kek::from_env(name)?,
            None if keys.create && !keys.file.exists() && !Succession::path(data).exists() => {
                Kek::create_file(&keys.file)?
            }
            None => Kek::from_file(&keys.file)?,
        };
        kek.succeeding(data)
    }

    /// Reads the keys again, once the data folder is locked: until then a rotation may have exchanged them.
    ///
    /// # Errors
    /// As [`Kek::open`].
    pub fn refresh(&self, keys: &KeySettings, data: &Path) -> Result<(), KeyError> {
        self.chain.store(Kek::open(keys, data)?.chain.load_full());
        Ok(())
    }

    /// The name of the present key.
    pub fn fingerprint(&self) -> Fingerprint {
        self.chain.load().current.fingerprint
    }

    /// Reads the key from a file that only its owner may use (mode 0600 or less).
    ///
    /// # Errors
    /// [`KeyError::Missing`], [`KeyError::Io`], [`KeyError::Exposed`], [`KeyError::Unreadable`].
    pub fn from_file(file: &Path) -> Result<Kek, KeyError> {
        let opened = File::open(file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => KeyError::Missing { file: file.to_owned() },
            _ => io_error("open", file)(error),
        })?;
        let mode = opened.metadata().map_err(io_error("look at", file))?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { file: file.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::with_capacity(KEY_TEXT_BYTES_MAX as usize + 1));
        opened.take(KEY_TEXT_BYTES_MAX + 1).read_to_end(&mut text).map_err(io_error("read", file))?;
        Kek::from_text(&text, Origin::File(file.to_owned()))
    }

    /// Makes a file (mode 0600) with a random key, and its folder (mode 0700) where that is missing. The file
    /// and its folder are synced: what is sealed from now on can not outlive its key.
    ///
    /// # Errors
    /// [`KeyError::Exists`], [`KeyError::Io`], [`KeyError::Unavailable`].
    pub fn create_file(file: &Path) -> Result<Kek, KeyError> {
        let bytes = random_key()?;
        file::create(file, hex_of(&bytes).as_bytes())?;
        Kek::new(bytes, Origin::File(file.to_owned()))
    }

    /// Reads the key from an environment variable, as hexadecimal digits or base64.
    ///
    /// # Errors
    /// [`KeyError::Unset`], [`KeyError::Unreadable`].
    pub fn from_env(name: &str) -> Result<Kek, KeyError> {
        use std::os::unix::ffi::OsStringExt;
        let value = std::env::var_os(name).ok_or_else(|| KeyError::Unset { name: name.to_owned() })?;
        let text = Zeroizing::new(value.into_vec());
        Kek::from_text(&text, Origin::Env(name.to_owned()))
    }

    /// Wraps a data key for a purpose ("journal", "stock", …) and number: nonce, ciphertext, tag.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`].
    pub fn wrap(&self, key: &DataKey, purpose: &str, id: u32) -> Result<[u8; WRAPPED_KEY_BYTES], KeyError> {
        self.chain.load().current.wrap(key, purpose, id)
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
        let opened = self.chain.load().opener(wrapped, purpose, id);
        opened.map(|(_, key)| key).ok_or_else(|| KeyError::WrongKek { purpose: purpose.to_owned(), id })
    }

    /// With the retired keys that it opens in a data folder.
    fn succeeding(self, data: &Path) -> Result<Kek, KeyError> {
        if let Some(succession) = Succession::read(data)? {
            let current = Arc::clone(&self.chain.load().current);
            let line = succession.line(current.fingerprint, &self.origin)?;
            self.chain.store(Arc::new(line.open(current, data)?));
        }
        Ok(self)
    }

    fn from_text(text: &[u8], origin: Origin) -> Result<Kek, KeyError> {
        let Some(bytes) = parse_key(text.trim_ascii()) else {
            return Err(KeyError::Unreadable { origin: origin.to_string() });
        };
        Kek::new(bytes, origin)
    }

    fn new(bytes: Zeroizing<[u8; DATA_KEY_BYTES]>, origin: Origin) -> Result<Kek, KeyError> {
        let key = DataKey::new(bytes).map_err(|_| KeyError::Unavailable("the cipher refused"))?;
        let chain = Chain { current: Arc::new(WrappingKey::new(key)), retired: Vec::new() };
        Ok(Kek { chain: ArcSwap::from_pointee(chain), origin })
    }
}

impl fmt::Debug for Kek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.fingerprint())
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
    /// The key of a data folder, where it lies wrapped; made at random, and synced, when there is none yet.
    ///
    /// # Errors
    /// [`KeyError::WrongKek`], [`KeyError::Unreadable`], [`KeyError::Io`], [`KeyError::Unavailable`].
    pub fn open_or_create(data: &Path, kek: &Kek) -> Result<IndexKey, KeyError> {
        let file = &index_file(data);
        match std::fs::read(file) {
            Ok(bytes) => {
                let wrapped = <&[u8; WRAPPED_KEY_BYTES]>::try_from(bytes.as_slice())
                    .map_err(|_| KeyError::Unreadable { origin: format!("key file {}", file.display()) })?;
                Ok(IndexKey::of(&kek.unwrap(wrapped, INDEX_PURPOSE, 0)?))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = random_data_key()?;
                file::create(file, &kek.wrap(&key, INDEX_PURPOSE, 0)?)?;
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

/// Where the index key of a data folder lies.
fn index_file(data: &Path) -> PathBuf {
    data.join("keys").join("index")
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
