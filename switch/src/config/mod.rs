//! Reading the configuration.
//!
//! Owns: the keys (`schema`), the reader that holds a file against them, the files of merchants and
//! terminals, the checks across files, and the report of everything that is wrong.
//! Invariants: one table of keys reads, checks, fills in defaults and documents; a key that is not in
//! it is refused; every error is found in one go, each with file, line and column; no value of a
//! secret key is ever shown.
//! Deliberately absent: opening what paths name (certificates, keys, records): that happens at the start.
//!
//! `load` is the path: files → `sources` → `reader` (with `schema`) → `table` → `typed` → `check` → `Settings`.

mod check;
mod dialects;
mod faults;
mod forms;
mod inuse;
mod load;
mod reader;
mod reference;
mod report;
mod schema;
mod shipped;
mod sources;
mod table;
mod typed;

pub(crate) use forms::{amount, exponent};
pub use inuse::ValueInUse;
pub use load::{FILES_MAX, load, load_from};
pub use reference::{Section, example, key_comment, reference, section_comment, sections};
pub use report::{FINDINGS_PRINTED_MAX, Finding, Place, Report, Severity};
pub use shipped::{SHIPPED, SHIPPED_FILE, load_shipped};
pub use sources::{FILE_BYTES_MAX, Files};

#[cfg(test)]
mod tests;
