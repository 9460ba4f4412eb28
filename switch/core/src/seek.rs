//! A seek: a key that may lie in a run, looked for by the keeper while its ticket waits.
//!
//! Owns: what is sought, and what was found.
//! Invariants: a ticket that goes to the keeper comes back to the gate, whatever was found; what memory knows of a key by then counts for more than what was found.
//! Deliberately absent: what follows from it (the gate's), and files (the keeper's).

use crate::index::{Entry, Hour};

/// Which of the two keys is sought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeekBy {
    /// The key of S-1.
    #[default]
    Key,
    /// The key of S-5.
    Named,
}

/// What was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Found {
    /// No run has the key.
    #[default]
    Nothing,
    /// The newest that any run has.
    Entry(Entry),
    /// A run could not be read: nobody can say whether the key was there.
    Unreadable,
}

/// A seek.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seek {
    /// By which key.
    pub by: SeekBy,
    /// The key.
    pub value: u128,
    /// The hour that it names: runs without that hour are not read.
    pub hour: Hour,
    /// Number of the newest run that was looked at, or known when the seek began.
    pub upto: u32,
    /// What was found.
    pub found: Found,
}
