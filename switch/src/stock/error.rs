//! What can be wrong with stock on disk, and what to do about it.

use super::layout::LayoutError;
use super::rows::RowFault;
use crate::keys::KeyError;
use std::io;
use std::path::{Path, PathBuf};
use switchyard_core::batch::BatchError;

/// Why stock could not be loaded or read. Nothing became stock. Where nothing else is said, the fault lies
/// with the files or the options, and a retry gives the same answer. No message holds a PIN or any other
/// value of a supplier's file.
#[derive(Debug, thiserror::Error)]
pub enum StockError {
    /// The system refused; a retry is safe and may help.
    #[error("cannot {doing} {}: {error}", file.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        file: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A key is missing or another one.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The options on columns do not fit.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The supplier's file is wrong in these places. Correct it, or ask the supplier for another one.
    #[error("{}", rows(file, faults, *more))]
    Rows {
        /// The supplier's file.
        file: PathBuf,
        /// The first faults, in the order of the file.
        faults: Vec<RowFault>,
        /// How many more there are.
        more: usize,
    },
    /// The supplier's file is larger than this program takes.
    #[error("{} is larger than {limit_bytes} bytes: split it into several batches", file.display())]
    TooLarge {
        /// The supplier's file.
        file: PathBuf,
        /// What is taken.
        limit_bytes: u64,
    },
    /// Not a name for a batch.
    #[error(
        "`{name}` cannot be the name of a batch: 1 to 40 letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
    )]
    Name {
        /// The name in question.
        name: String,
    },
    /// The name is taken by other contents.
    #[error("batch `{name}` is loaded already, with other vouchers: load these under another name")]
    OtherContents {
        /// The name.
        name: String,
    },
    /// The name is taken by another product.
    #[error("batch `{name}` is loaded already, for another product: load these under another name")]
    OtherProduct {
        /// The name.
        name: String,
    },
    /// Every number is given.
    #[error("the journal has no number left for another batch")]
    Numbers,
    /// A batch file is damaged.
    #[error("{}: {error}", file.display())]
    Batch {
        /// The batch file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        error: BatchError,
    },
    /// The file of a batch is not the one that the journal knows.
    #[error("{} is not the file that the journal knows as batch `{name}`: restore it from a copy", file.display())]
    Foreign {
        /// The batch file.
        file: PathBuf,
        /// The batch.
        name: String,
    },
    /// The file of a batch is cut or has grown.
    #[error("{} is {found_bytes} bytes long instead of {bytes}: restore it from a copy", file.display())]
    Size {
        /// The batch file.
        file: PathBuf,
        /// How long it must be.
        bytes: u64,
        /// How long it is.
        found_bytes: u64,
    },
    /// A batch that was never opened: a fault of the switch.
    #[error("batch {number} is not open")]
    Closed {
        /// Its number.
        number: u32,
    },
}

impl StockError {
    pub(super) fn io(doing: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        let file = file.to_owned();
        move |error| Self::Io { doing, file, error }
    }

    pub(super) fn batch(file: &Path) -> impl Fn(BatchError) -> Self {
        let file = file.to_owned();
        move |error| Self::Batch { file: file.clone(), error }
    }
}

/// One fault a line, as `file:line:column: what`.
fn rows(file: &Path, faults: &[RowFault], more: usize) -> String {
    let mut text = format!("{} was not loaded; nothing of it became stock", file.display());
    for fault in faults {
        text.push_str(&format!("\n{}:{fault}", file.display()));
    }
    if more > 0 {
        text.push_str(&format!("\n… and {more} more"));
    }
    text
}
