//! Another key-encryption key in place of the present one (S-18).
//!
//! Owns the order of steps. Nothing that a key wrapped is written again: the new key wraps the old ones, and so
//! segments and batch files open through it.
//!
//! Invariant: at any moment, also when the process or the machine ends there, the key that lies where the
//! configuration says opens the folder. By file: (1) the new key is written beside the old one; (2) the succession
//! has a line for either; (3) the new key takes the old one's name; (4) the old one's line is struck out. An
//! interrupted rotation is begun anew by the next one; a key that never took its place has wrapped nothing.
//! With a key that comes from elsewhere there is one step, (4): until it, the old key opens the folder; after it,
//! the new one.
//!
//! Deliberately absent: wrapping anew what lies there. A retired key stays a secret as long as copies of what it
//! wrapped exist.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use super::file::{self, io_error};
use super::succession::{By, Line, Rotation, Succession};
use switchyard_core::operate::Instruction;

use super::{Fingerprint, Kek, KeyError, Origin, WrappingKey, hex_of, inventory, random_data_key};

/// A rotation that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotated {
    /// The key that was in use before.
    pub old: Fingerprint,
    /// The key that is in use now.
    pub new: Fingerprint,
    /// How many retired keys the new one opens.
    pub retired: usize,
}

impl Rotated {
    /// What the audit trail is to say of it; `since_ms`: when it was done, ms since 1970.
    pub fn instruction(&self, since_ms: u64) -> Instruction {
        let Self { old, new, retired } = *self;
        Instruction::RotateKeys { old: old.0, new: new.0, since_ms, retired: retired as u32 }
    }
}

impl Kek {
    /// The rotations of a data folder that the audit trail does not have yet, oldest first, where `known` is the last key that it has.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Succession`], [`KeyError::Stranger`], [`KeyError::Retired`].
    pub fn rotations_since(&self, data: &Path, known: Option<[u8; 8]>) -> Result<Vec<Rotation>, KeyError> {
        let Some(found) = Succession::read(data)? else { return Ok(Vec::new()) };
        Ok(found.line(self.fingerprint(), &self.origin)?.rotations_since(known))
    }

    /// Puts a new random key into the key file in place of the present one, and uses it from now on. One process
    /// at a time may do this with a data folder: whoever has its journal locked.
    ///
    /// # Errors
    /// [`KeyError::FromEnvironment`], [`KeyError::TooMany`], [`KeyError::Io`] and what [`Kek::open`] says. After an
    /// error either key may lie in the key file; it opens the folder, and a retry is safe.
    pub fn rotate(&self, data: &Path, by: &By, now_ms: u64) -> Result<Rotated, KeyError> {
        let file = match &self.origin {
            Origin::File(file) => file.clone(),
            Origin::Env(name) => return Err(KeyError::FromEnvironment { name: name.clone() }),
        };
        // What lies there counts, not what this process began with: an earlier rotation may have stopped after
        // its third step.
        let old = Kek::from_file(&file)?.succeeding(data)?;
        let line = old.proven_line(data, now_ms)?;
        let next = WrappingKey::new(random_data_key()?);
        let next_file = beside(&file);
        file::replace(&next_file, hex_of(next.key.expose()).as_bytes())?;
        let next_line = line.followed_by(&old.chain.load(), &next, by, now_ms)?;
        Succession::write(data, vec![line.clone(), next_line.clone()])?;
        file::rename(&next_file, &file)?;
        Succession::write(data, vec![next_line.clone()])?;
        let rotated = Rotated { old: line.key, new: next.fingerprint, retired: next_line.retired.len() };
        self.chain.store(Arc::new(next_line.open(Arc::new(next), data)?));
        Ok(rotated)
    }

    /// Makes `new`, which lies already where the configuration says, the key of a data folder in place of `old`.
    /// Nothing is done where it is that already. One process at a time, as with [`Kek::rotate`].
    ///
    /// # Errors
    /// [`KeyError::SameKey`], [`KeyError::Retired`], [`KeyError::Stranger`], [`KeyError::WrongKek`],
    /// [`KeyError::TooMany`], [`KeyError::Io`]. A retry is safe.
    pub fn succeed(old: Kek, new: &Kek, data: &Path, by: &By, now_ms: u64) -> Result<Rotated, KeyError> {
        let (from, to) = (old.fingerprint(), new.fingerprint());
        if from == to {
            return Err(KeyError::SameKey { key: to });
        }
        if let Some(done) = already(from, to, data)? {
            return Ok(done);
        }
        let old = old.succeeding(data)?;
        let line = old.proven_line(data, now_ms)?;
        let next_line = line.followed_by(&old.chain.load(), &new.chain.load().current, by, now_ms)?;
        let retired = next_line.retired.len();
        Succession::write(data, vec![next_line])?;
        Ok(Rotated { old: from, new: to, retired })
    }

    /// At a start, when the key has proved to be the right one: writes down that it is, and strikes out what an
    /// interrupted rotation left.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub fn settle(&self, data: &Path, now_ms: u64) -> Result<(), KeyError> {
        let line = match Succession::read(data)? {
            Some(found) if !found.is_open() => return Ok(()),
            Some(found) => found.line(self.fingerprint(), &self.origin)?.clone(),
            None => Line::first(self.fingerprint(), self.since_ms(now_ms)),
        };
        Succession::write(data, vec![line])?;
        let Origin::File(file) = &self.origin else { return Ok(()) };
        let next = beside(file);
        match std::fs::remove_file(&next) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_error("remove", &next)(error))
            }
            _ => Ok(()),
        }
    }

    /// The line of this key, which opens everything that the folder has.
    fn proven_line(&self, data: &Path, now_ms: u64) -> Result<Line, KeyError> {
        match Succession::read(data)? {
            Some(found) => found.line(self.fingerprint(), &self.origin).cloned(),
            None => {
                inventory::prove(self, data)?;
                Ok(Line::first(self.fingerprint(), self.since_ms(now_ms)))
            }
        }
    }

    /// Since when a key is in use of which nothing is written down: as old as its file, else new.
    fn since_ms(&self, now_ms: u64) -> u64 {
        let Origin::File(file) = &self.origin else { return now_ms };
        let modified = std::fs::metadata(file).and_then(|found| found.modified()).ok();
        let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
        since.and_then(|since| u64::try_from(since.as_millis()).ok()).map_or(now_ms, |ms| ms.min(now_ms))
    }
}

/// The rotation from one key to the other, where it is done already.
fn already(old: Fingerprint, new: Fingerprint, data: &Path) -> Result<Option<Rotated>, KeyError> {
    let Some(found) = Succession::read(data)?.filter(|found| !found.is_open()) else { return Ok(None) };
    let line = found.line(new, "").ok().filter(|line| line.retired.first().is_some_and(|r| r.key == old));
    Ok(line.map(|line| Rotated { old, new, retired: line.retired.len() }))
}

/// Where a new key lies until it takes its place.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".next");
    PathBuf::from(name)
}
