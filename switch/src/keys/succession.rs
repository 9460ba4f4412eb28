//! Which key-encryption key opens a data folder, and which ones it followed.
//!
//! Owns the file `DATA/keys/succession`. It names keys by their fingerprints, and holds each retired key wrapped
//! under its successor, so that what a retired key wrapped stays as it is and opens all the same (S-18).
//!
//! Invariants:
//! - No key lies in it in clear. A retired key that was opened is the one that its fingerprint names.
//! - Two lines are in it only while a rotation is under way: then either key opens the folder.
//!
//! Deliberately absent: when a line is begun and ended (`rotate`).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::hmac;
use serde::{Deserialize, Serialize};
use switchyard_core::log::WRAPPED_KEY_BYTES;
use switchyard_core::operate::{self, Instruction, Operator, Reason};
use switchyard_core::seal::DataKey;
use switchyard_core::text::Text;

use super::file::{self, io_error};
use super::{Chain, KeyError, WrappingKey};

/// Most keys that a folder can have had before the present one. Each start opens them all, in less than a
/// millisecond for this number; at one rotation a week it is reached after nineteen years.
pub const RETIRED_MAX: usize = 1_000;

/// Longest file that is read: two lines of the most keys.
const BYTES_MAX: u64 = 2 << 20;

const VERSION: u32 = 1;
const RETIRED_PURPOSE: &str = "retired";
const FINGERPRINT_BYTES: usize = 8;

/// The name of a key: 16 hexadecimal digits that say nothing of the key itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Fingerprint(pub(super) [u8; FINGERPRINT_BYTES]);

impl Fingerprint {
    pub(super) fn of(key: &DataKey) -> Fingerprint {
        let signing = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
        let tag = hmac::sign(&signing, b"switchyard key-encryption key");
        let mut bytes = [0; FINGERPRINT_BYTES];
        bytes.copy_from_slice(&tag.as_ref()[..FINGERPRINT_BYTES]);
        Fingerprint(bytes)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> String {
        fingerprint.to_string()
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Fingerprint, hex::FromHexError> {
        let mut bytes = [0; FINGERPRINT_BYTES];
        hex::decode_to_slice(text, &mut bytes)?;
        Ok(Fingerprint(bytes))
    }
}

/// The file's contents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Succession {
    version: u32,
    lines: Vec<Line>,
}

/// A key that opens the folder, and the ones before it, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    pub(super) key: Fingerprint,
    /// Since when it is in use, ms since 1970.
    pub(super) since_ms: u64,
    /// Who put it in place; none for the first, and where an earlier release did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) by: Option<By>,
    pub(super) retired: Vec<Retired>,
}

/// Who put a key in place, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct By {
    /// The user's number.
    pub uid: u32,
    /// The user's name at that moment; empty where the system knew none.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl By {
    /// Of an operator and a reason, as the audit trail has them.
    pub fn of(by: Operator, reason: Reason) -> By {
        By { uid: by.uid, name: by.name.to_string(), reason: reason.to_string() }
    }

    fn operator(&self) -> Operator {
        Operator { uid: self.uid, name: Text::new(self.name.as_bytes()).unwrap_or_default() }
    }

    fn why(&self) -> Reason {
        operate::reason(&self.reason).unwrap_or_default()
    }
}

/// A rotation that somebody made: what the audit trail is to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Who.
    pub by: Operator,
    /// Why.
    pub reason: Reason,
    /// What.
    pub instruction: Instruction,
}

/// A key that wraps nothing new any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Retired {
    pub(super) key: Fingerprint,
    /// Since when it was in use, ms since 1970.
    pub(super) since_ms: u64,
    /// Until when.
    pub(super) until_ms: u64,
    /// Who put it in place; see [`Line`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<By>,
    /// The key itself, wrapped under the line's.
    wrapped: String,
}

impl Succession {
    /// The file of a data folder.
    pub(super) fn path(data: &Path) -> PathBuf {
        data.join("keys").join("succession")
    }

    /// Reads the file of a data folder; `None` where there is none yet.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Succession`].
    pub(super) fn read(data: &Path) -> Result<Option<Succession>, KeyError> {
        let path = Succession::path(data);
        let bytes = match std::fs::metadata(&path) {
            Ok(found) if found.len() > BYTES_MAX => return Err(KeyError::Succession { file: path }),
            Ok(_) => std::fs::read(&path).map_err(io_error("read", &path))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("look at", &path)(error)),
        };
        let read: Option<Succession> = serde_json::from_slice(&bytes).ok();
        let sound = read.filter(|read| read.version == VERSION && (1..=2).contains(&read.lines.len()));
        sound.map(Some).ok_or(KeyError::Succession { file: path })
    }

    /// Writes these lines as the file of a data folder, whole and durable.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub(super) fn write(data: &Path, lines: Vec<Line>) -> Result<(), KeyError> {
        let path = Succession::path(data);
        let mut text = serde_json::to_vec_pretty(&Succession { version: VERSION, lines })
            .map_err(|_| KeyError::Succession { file: path.clone() })?;
        text.push(b'\n');
        file::replace(&path, &text)
    }

    /// The line of this key.
    ///
    /// # Errors
    /// [`KeyError::Retired`], [`KeyError::Stranger`].
    pub(super) fn line(&self, key: Fingerprint, origin: impl fmt::Display) -> Result<&Line, KeyError> {
        if let Some(line) = self.lines.iter().find(|line| line.key == key) {
            return Ok(line);
        }
        let opens = self.opens();
        let origin = origin.to_string();
        let mut retired = self.lines.iter().flat_map(|line| &line.retired);
        Err(match retired.find(|retired| retired.key == key) {
            Some(retired) => KeyError::Retired { key, origin, until: when(retired.until_ms), opens },
            None => KeyError::Stranger { key, origin, opens },
        })
    }

    /// The keys that open the folder, for people.
    pub(super) fn opens(&self) -> String {
        let keys: Vec<String> = self.lines.iter().map(|line| line.key.to_string()).collect();
        keys.join(" or ")
    }

    /// Whether a rotation began here and did not end.
    pub(super) fn is_open(&self) -> bool {
        self.lines.len() > 1
    }
}

impl Line {
    /// The line of a key that follows none.
    pub(super) fn first(key: Fingerprint, since_ms: u64) -> Line {
        Line { key, since_ms, by: None, retired: Vec::new() }
    }

    /// The line of `next`, which follows the key of this one, whose chain is `chain`.
    ///
    /// # Errors
    /// [`KeyError::TooMany`], [`KeyError::Unavailable`].
    pub(super) fn followed_by(
        &self,
        chain: &Chain,
        next: &WrappingKey,
        by: &By,
        now_ms: u64,
    ) -> Result<Line, KeyError> {
        if self.retired.len() >= RETIRED_MAX {
            return Err(KeyError::TooMany { keys_max: RETIRED_MAX });
        }
        let present = (self.key, self.since_ms, now_ms, &self.by);
        let before =
            self.retired.iter().map(|retired| (retired.key, retired.since_ms, retired.until_ms, &retired.by));
        let keys = [&chain.current].into_iter().chain(&chain.retired);
        let mut retired = Vec::with_capacity(self.retired.len() + 1);
        for (place, ((key, since_ms, until_ms, by), opened)) in
            (0u32..).zip([present].into_iter().chain(before).zip(keys))
        {
            let wrapped = hex::encode(next.wrap(&opened.key, RETIRED_PURPOSE, place)?);
            retired.push(Retired { key, since_ms, until_ms, by: by.clone(), wrapped });
        }
        Ok(Line { key: next.fingerprint, since_ms: now_ms, by: Some(by.clone()), retired })
    }

    /// The rotations that led to this key since the one that put `known` in place, oldest first; of those before that release nobody knows who made them.
    pub(super) fn rotations_since(&self, known: Option<[u8; FINGERPRINT_BYTES]>) -> Vec<Rotation> {
        let present = (self.key, self.since_ms, &self.by);
        let before = self.retired.iter().map(|retired| (retired.key, retired.since_ms, &retired.by));
        let keys: Vec<_> = [present].into_iter().chain(before).collect();
        let steps = keys.windows(2).enumerate();
        let new = steps.take_while(|(_, step)| Some(step[0].0.0) != known);
        let mut rotations: Vec<Rotation> = new
            .filter_map(|(place, step)| {
                let ((key, since_ms, by), (old, ..)) = (step[0], step[1]);
                let (by, retired) = (by.as_ref()?, (self.retired.len() - place) as u32);
                let instruction = Instruction::RotateKeys { old: old.0, new: key.0, since_ms, retired };
                Some(Rotation { by: by.operator(), reason: by.why(), instruction })
            })
            .collect();
        rotations.reverse();
        rotations
    }

    /// The chain of this line, opened by its key.
    ///
    /// # Errors
    /// [`KeyError::Succession`] where a retired key does not open or is another one than its name says.
    pub(super) fn open(&self, current: Arc<WrappingKey>, data: &Path) -> Result<Chain, KeyError> {
        let damaged = || KeyError::Succession { file: Succession::path(data) };
        let mut retired = Vec::with_capacity(self.retired.len());
        for (place, form) in (0u32..).zip(&self.retired) {
            let mut wrapped = [0; WRAPPED_KEY_BYTES];
            hex::decode_to_slice(&form.wrapped, &mut wrapped).map_err(|_| damaged())?;
            let key = current.unwrap(&wrapped, RETIRED_PURPOSE, place).ok_or_else(damaged)?;
            let opened = WrappingKey::new(key);
            if opened.fingerprint != form.key {
                return Err(damaged());
            }
            retired.push(Arc::new(opened));
        }
        Ok(Chain { current, retired })
    }
}

/// A moment, for people: UTC.
pub(super) fn when(at_ms: u64) -> String {
    let at = i64::try_from(at_ms).ok().and_then(|ms| jiff::Timestamp::from_second(ms / 1_000).ok());
    at.map_or_else(|| "an unknown time".to_owned(), |at| at.to_string())
}
