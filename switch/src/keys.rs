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

/// What is wrong with a key. All of them are to be put right by whoever runs the switch; a retry alone gives
/// the same answer. No message holds any part of a key.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyError {
    /// The file could not be read or made.
    #[error("cannot {doing} {}: {error}", file.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        file: PathBuf,
        /// What the system said.
        error: Arc<io::Error>,
    },
    /// Others than the owner may use the key file.
    #[error("key file {} has mode {mode:04o}; take the rights of others away: chmod 600", file.display())]
    Exposed {
        /// The key file.
        file: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key file is there already; it is never overwritten, because what it sealed would be lost.
    #[error("key file {} exists already and is not overwritten", file.display())]
    Exists {
        /// The key file.
        file: PathBuf,
    },
    /// The environment variable is not set.
    #[error(
        "environment variable {name} is not set; it holds the key-encryption key as 64 hexadecimal digits"
    )]
    Unset {
        /// Name of the variable.
        name: String,
    },
    /// The text is no key.
    #[error(
        "{origin} does not hold a key: needed are 32 bytes as 64 hexadecimal digits or as 44 characters of base64"
    )]
    Unreadable {
        /// The file or variable.
        origin: String,
    },
    /// A wrapped key does not open.
    #[error(
        "the key for {purpose} {id} does not open: the key-encryption key is another one than when it was made, or the wrapped key is damaged; start with the key file that belongs to this data folder"
    )]
    WrongKek {
        /// What the wrapped key is for.
        purpose: String,
        /// Its number.
        id: u32,
    },
    /// The system gave no random numbers, or the cipher refused.
    #[error("the system cannot make keys: {0}")]
    Unavailable(&'static str),
}

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
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kek(byte: u8) -> Kek {
        Kek::new(Zeroizing::new([byte; DATA_KEY_BYTES])).expect("a key of the right length")
    }

    #[test]
    fn a_made_key_file_is_read_again_and_closed_to_others() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("keys").join("kek");
        let made = Kek::create_file(&file).expect("made");
        let read = Kek::from_file(&file).expect("read");
        assert_eq!(made.key.expose(), read.key.expose());
        assert_ne!(made.key.expose(), &[0; DATA_KEY_BYTES]);
        let mode = |path: &Path| std::fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(&file), mode(&folder.path().join("keys"))), (0o600, 0o700));
        assert!(matches!(Kek::create_file(&file), Err(KeyError::Exists { .. })));
        assert_eq!(std::fs::read_dir(folder.path().join("keys")).expect("a folder").count(), 1);
    }

    #[test]
    fn an_exposed_missing_or_broken_key_file_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("kek");
        assert!(matches!(Kek::from_file(&file), Err(KeyError::Io { .. })));
        Kek::create_file(&file).expect("made");
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("own file");
        let error = Kek::from_file(&file).expect_err("others may read it");
        assert!(error.to_string().contains("chmod 600"), "{error}");
        std::fs::write(&file, "7f".repeat(31)).expect("own file");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("own file");
        let error = Kek::from_file(&file).expect_err("too short");
        assert!(matches!(error, KeyError::Unreadable { .. }));
        assert!(!error.to_string().contains("7f7f"), "{error}");
        std::fs::write(&file, "7f".repeat(5000)).expect("own file");
        assert!(matches!(Kek::from_file(&file), Err(KeyError::Unreadable { .. })));
    }

    #[test]
    fn keys_are_read_as_digits_or_base64() {
        let key: Vec<u8> = (0..32).map(|index| index * 8 + 1).collect();
        let hex = "0109111921293139414951596169717981899199a1a9b1b9c1c9d1d9e1e9f1f9";
        let base64 = "AQkRGSEpMTlBSVFZYWlxeYGJkZmhqbG5wcnR2eHp8fk=";
        for text in [hex, &hex.to_uppercase(), base64, base64.trim_end_matches('=')] {
            assert_eq!(parse_key(text.as_bytes()).expect("a key").as_slice(), key, "{text}");
        }
        let last_bit_set = "AQkRGSEpMTlBSVFZYWlxeYGJkZmhqbG5wcnR2eHp8fl=";
        for text in ["", "xyz", &hex[1..], &format!("{hex}00"), &hex.replace('a', "g"), last_bit_set] {
            assert!(parse_key(text.as_bytes()).is_none(), "{text}");
        }
        assert!(matches!(Kek::from_env("SWITCHYARD_TEST_NO_SUCH_KEY"), Err(KeyError::Unset { .. })));
    }

    #[test]
    fn wrapped_keys_open_for_their_purpose_and_number_only() {
        let key = random_data_key().expect("random numbers");
        let wrapped = kek(1).wrap(&key, "journal", 7).expect("wrapped");
        let again = kek(1).wrap(&key, "journal", 7).expect("wrapped");
        assert_ne!(wrapped, again, "each wrapping has its own nonce");
        assert_eq!(kek(1).unwrap(&wrapped, "journal", 7).expect("opens").expose(), key.expose());
        assert!(kek(1).unwrap(&wrapped, "journal", 8).is_err());
        assert!(kek(1).unwrap(&wrapped, "stock", 7).is_err());
        let error = kek(2).unwrap(&wrapped, "journal", 7).expect_err("another key");
        assert!(error.to_string().contains("the key file that belongs to this data folder"), "{error}");
        for bit in 0..wrapped.len() * 8 {
            let mut flipped = wrapped;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(kek(1).unwrap(&flipped, "journal", 7).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn the_index_key_is_made_once_and_lies_wrapped() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("index.key");
        let made = IndexKey::open_or_create(&file, &kek(1)).expect("made");
        let read = IndexKey::open_or_create(&file, &kek(1)).expect("read");
        assert_eq!(made.expose(), read.expose());
        let stored = std::fs::read(&file).expect("there");
        assert!(!stored.windows(16).any(|window| window == made.expose()));
        assert!(matches!(IndexKey::open_or_create(&file, &kek(2)), Err(KeyError::WrongKek { .. })));
        assert_eq!(format!("{made:?} {:?}", kek(1)), "IndexKey(***) Kek(***)");
    }
}
