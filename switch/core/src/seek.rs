//! A seek: keys that may lie in a run, looked for by the keeper while their ticket waits.
//!
//! Owns: what is sought, the order in which runs are asked, and what was found.
//! Invariants: a newer run counts for more than an older one; a name leads to a key, and a key to its newest entry; whoever gets the ticket back asks memory
//! first, which is newer than every run.
//! Deliberately absent: what follows from it (the gate's), and files: who has them hands blocks in.

use crate::index::run::{Block, RunError};
use crate::index::{Entry, Hour, RunHead};
use crate::reversal::Named;
use std::io;
use std::sync::Arc;

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The entry under the ticket's own key.
    pub own: Option<Entry>,
    /// The key that the original's name belongs to, or the one it was named by.
    pub key: Option<u128>,
    /// The entry under that.
    pub original: Option<Entry>,
    /// Whether a run could not be read: then nobody can say what is not there.
    pub unreadable: bool,
}

/// A seek.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seek {
    /// The ticket's own key; none where nobody asks for it.
    pub own: Option<u128>,
    /// What a reversal or an inquiry names.
    pub original: Named,
    /// Number of the newest run that the gate knew when it asked; 0 before anything was sought. Newer ones are asked for again.
    pub upto: u32,
    /// What was found.
    pub found: Found,
}

impl Seek {
    /// Looks into `runs`, oldest first in the list; `read` gives a run's block.
    ///
    /// # Errors
    /// The number of a run that cannot be used, and why.
    pub fn look(
        &mut self,
        runs: &[Arc<RunHead>],
        mut read: impl FnMut(&RunHead, u32, &mut Block) -> io::Result<()>,
    ) -> Result<(), (u32, RunError)> {
        self.found = Found::default();
        if let Some(key) = self.own {
            self.found.own = by_key(runs, key, &mut read)?;
        }
        if let Some(named) = self.original.named {
            self.found.key = key_of_named(runs, named, &mut read)?;
        }
        self.found.key = self.found.key.or(self.original.key);
        if let Some(key) = self.found.key {
            self.found.original = by_key(runs, key, &mut read)?;
        }
        Ok(())
    }
}

/// The newest entry under a key of S-1.
fn by_key(
    runs: &[Arc<RunHead>],
    key: u128,
    read: &mut impl FnMut(&RunHead, u32, &mut Block) -> io::Result<()>,
) -> Result<Option<Entry>, (u32, RunError)> {
    let hour = Hour::in_key(key);
    for run in runs.iter().rev().filter(|run| run.locals.holds(hour)) {
        let found = run.by_key(key, |number, block| read(run, number, block));
        if let Some(entry) = found.map_err(|error| (run.mark.number, error))? {
            return Ok(Some(entry));
        }
    }
    Ok(None)
}

/// The key of S-1 that a key of S-5 belonged to last.
fn key_of_named(
    runs: &[Arc<RunHead>],
    named: u128,
    read: &mut impl FnMut(&RunHead, u32, &mut Block) -> io::Result<()>,
) -> Result<Option<u128>, (u32, RunError)> {
    let hour = Hour::in_key(named);
    for run in runs.iter().rev().filter(|run| run.sents.holds(hour)) {
        let found = run.key_of_named(named, |number, block| read(run, number, block));
        if let Some(key) = found.map_err(|error| (run.mark.number, error))? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}
