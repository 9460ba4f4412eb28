//! From checked tables to settings: references become indexes, texts become types.
//!
//! Owns: `Names` (what is called what, and where), and one file per part of the configuration.
//! Invariants: a reference to something unknown is an error at the reference; a name that is there
//! twice is an error at the second. What is wrong is left out, and the rest is still looked at.

mod conduit;
mod csv;
mod framing;
mod link;
mod network;
mod process;
mod product;
mod supplier;

pub(super) use conduit::conduits;
pub(super) use csv::{merchants, positions, terminals};
pub(super) use network::networks;
pub(super) use process::{admin, gate, journal, keys};
pub(super) use product::{Known, prefix_tables, products};
pub(super) use supplier::{catalogue_suppliers, suppliers};

use super::faults::{Faults, meant};
use super::sources::At;
use super::table::{Table, Word};
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};

/// Things of one kind by name: a table's place in its list is its index.
pub(super) struct Names<'t> {
    what: &'static str,
    places: FxHashMap<&'t str, (u32, At)>,
}

impl<'t> Names<'t> {
    /// The `what`s of `tables`, by the text of `key`.
    pub(super) fn new(what: &'static str, tables: &'t [Table], key: &str, faults: &mut Faults<'_>) -> Self {
        let mut names = Self { what, places: FxHashMap::default() };
        for (index, table) in (0u32..).zip(tables) {
            if let Some(word) = table.word(key) {
                names.add(word, index, faults);
            }
        }
        names
    }

    fn add(&mut self, word: Word<'t>, index: u32, faults: &mut Faults<'_>) {
        if let Some((_, first)) = self.places.insert(word.text, (index, word.at)) {
            let first = faults.line(first);
            let wrong = format!("{} `{}` is there twice", self.what, word.text);
            faults.error(word.at, wrong, format!("the first is at {first}"));
        }
    }

    /// The index of what `word` names; an error where there is none such.
    pub(super) fn find(&self, word: Word<'_>, faults: &mut Faults<'_>) -> Option<u32> {
        let found = self.places.get(word.text).map(|(index, _)| *index);
        if found.is_none() {
            let mut known: Vec<&str> = self.places.keys().copied().collect();
            known.sort_unstable();
            faults.error(
                word.at,
                format!("there is no {} `{}`", self.what, word.text),
                meant(word.text, &known),
            );
        }
        found
    }

    /// The indexes of what the list `key` of `table` names.
    pub(super) fn find_all(&self, table: &Table, key: &str, faults: &mut Faults<'_>) -> Vec<u32> {
        table.words(key).filter_map(|word| self.find(word, faults)).collect()
    }
}

/// The path that `key` names, below `folder` unless absolute.
fn below(folder: &Path, table: &Table, key: &str) -> Option<PathBuf> {
    table.word(key).map(|word| folder.join(word.text))
}

/// The value of `values` that `key` names; the first where it was wrong.
fn choice<T: Copy>(table: &Table, key: &str, values: &[T], name: impl Fn(T) -> &'static str) -> Option<T> {
    let text = table.text(key);
    values.iter().copied().find(|value| name(*value) == text)
}

/// `first` is not larger than `last`.
fn ordered(table: &Table, first: &str, last: &str, faults: &mut Faults<'_>) {
    if table.integer(first) > table.integer(last) {
        let at = if table.is_set(first) { first } else { last };
        faults.error(table.at(at), format!("`{first}` is larger than `{last}`"), "");
    }
}
