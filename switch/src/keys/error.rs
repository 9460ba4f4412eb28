//! What can be wrong with keys.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

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
