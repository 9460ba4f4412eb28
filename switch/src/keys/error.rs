//! What can be wrong with keys.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::Fingerprint;

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
    /// There is no key file.
    #[error(
        "there is no key file {}: put a copy of the key there that this data folder was made with; only for a new data folder may one be made, with `create = true` under [keys]",
        file.display()
    )]
    Missing {
        /// The key file.
        file: PathBuf,
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
        "the key for {purpose} {id} does not open: the key-encryption key is another one than when it was made, or the wrapped key is damaged; start with the key file that belongs to this data folder, or restore its keys folder from a copy"
    )]
    WrongKek {
        /// What the wrapped key is for.
        purpose: String,
        /// Its number.
        id: u32,
    },
    /// The key was exchanged for another one.
    #[error(
        "{origin} holds key {key}, which was retired at {until}; this data folder is opened by key {opens}: put that one in its place"
    )]
    Retired {
        /// The key that was given.
        key: Fingerprint,
        /// The file or variable.
        origin: String,
        /// When it was retired, UTC.
        until: String,
        /// The key that is needed.
        opens: String,
    },
    /// The key belongs to another data folder, or is to come and has not been made known to this one.
    #[error(
        "{origin} holds key {key}, but this data folder is opened by key {opens}: put that one in its place, or, where the new key is to follow it, run `switchyard keys rotate` with --old-file or --old-env"
    )]
    Stranger {
        /// The key that was given.
        key: Fingerprint,
        /// The file or variable.
        origin: String,
        /// The key that is needed.
        opens: String,
    },
    /// The file that says which key opens the folder is damaged.
    #[error(
        "{} is damaged: restore it from a copy, for it holds the retired keys that open what they once wrapped",
        file.display()
    )]
    Succession {
        /// The file.
        file: PathBuf,
    },
    /// The key can only be exchanged where it comes from.
    #[error(
        "the key comes from environment variable {name}, which the switch cannot change: end the switch, put the new key there, run `switchyard keys rotate` with --old-env or --old-file, and start the switch again"
    )]
    FromEnvironment {
        /// Name of the variable.
        name: String,
    },
    /// Old and new key are the same.
    #[error(
        "key {key} is the old and the new one: put the new key where the configuration says, and name where the old one is"
    )]
    SameKey {
        /// The key.
        key: Fingerprint,
    },
    /// No more rotations.
    #[error(
        "this data folder has had {keys_max} keys before the present one, and takes no more; nothing was changed"
    )]
    TooMany {
        /// How many a folder can have had.
        keys_max: usize,
    },
    /// The system gave no random numbers, or the cipher refused.
    #[error("the system cannot make keys: {0}")]
    Unavailable(&'static str),
}
