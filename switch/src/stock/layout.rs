//! Which columns of a supplier's file hold what.
//!
//! Owns: `Layout`, and the finding of its columns in a header.
//! Invariants: serial and PIN always have a column; no column serves twice.
//! Deliberately absent: files without a header. A column counted wrong would sell serials as PINs.

use super::rows::RowFault;

/// What a column can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Serial,
    Pin,
    Expiry,
    Receipt,
}

impl Column {
    pub(super) const ALL: [Self; 4] = [Self::Serial, Self::Pin, Self::Expiry, Self::Receipt];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Serial => "serial",
            Self::Pin => "pin",
            Self::Expiry => "expiry",
            Self::Receipt => "receipt",
        }
    }

    fn is_needed(self) -> bool {
        matches!(self, Self::Serial | Self::Pin)
    }
}

/// What is wrong with the options `--columns` and `--delimiter`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Not a list of `what=column`.
    #[error(
        "--columns takes `serial=COLUMN,pin=COLUMN[,expiry=COLUMN][,receipt=COLUMN]`; `{0}` is not of this form"
    )]
    Form(String),
    /// Something that a voucher does not have, or twice.
    #[error("--columns: `{0}` is none of serial, pin, expiry, receipt, or is there twice")]
    What(String),
    /// One column for two things.
    #[error("--columns: column `{0}` is given two meanings")]
    Twice(String),
    /// Serial or PIN is missing.
    #[error("--columns does not say which column is the {0}")]
    Missing(&'static str),
    /// Not a delimiter.
    #[error(
        "--delimiter takes one character, for example `;`, or the word `tab`; not a quote, letter or digit"
    )]
    Delimiter,
}

/// How a supplier's file is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    delimiter: u8,
    /// The header's names for what is in `Column::ALL`; empty: our own names.
    names: Vec<(Column, String)>,
}

impl Default for Layout {
    /// Our own: `serial,pin[,expiry][,receipt]`.
    fn default() -> Self {
        Self { delimiter: b',', names: Vec::new() }
    }
}

impl Layout {
    /// The layout of the options: `columns` as `serial=Card,pin=Code`, `delimiter` as one character or `tab`.
    ///
    /// # Errors
    /// The options are not of that form.
    pub fn new(columns: Option<&str>, delimiter: Option<&str>) -> Result<Self, LayoutError> {
        let delimiter = delimiter.map_or(Ok(b','), parse_delimiter)?;
        let names = columns.map_or(Ok(Vec::new()), parse_columns)?;
        Ok(Self { delimiter, names })
    }

    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Where the columns are in a header of these cells: their places in `Column::ALL`'s order.
    pub(super) fn find(&self, header: &[(&[u8], u32)]) -> Result<Places, Vec<RowFault>> {
        let (mut places, mut faults) = (Places::default(), Vec::new());
        for (at, &(cell, column)) in header.iter().enumerate() {
            match self.meaning(cell) {
                Some(found) if places.0[found as usize].is_none() => places.0[found as usize] = Some(at),
                Some(found) => {
                    faults.push(RowFault::new(
                        1,
                        column,
                        format!("the column `{}` is there twice", found.name()),
                    ));
                }
                None if self.names.is_empty() => faults.push(unknown(cell, column)),
                None => {}
            }
        }
        for column in Column::ALL.into_iter().filter(|column| self.is_needed(*column)) {
            if places.at(column).is_none() {
                faults.push(RowFault::new(1, 1, format!("the header has no column {}", self.called(column))));
            }
        }
        if faults.is_empty() { Ok(places) } else { Err(faults) }
    }

    fn meaning(&self, cell: &[u8]) -> Option<Column> {
        let is = |name: &str| cell.eq_ignore_ascii_case(name.as_bytes());
        if self.names.is_empty() {
            return Column::ALL.into_iter().find(|column| is(column.name()));
        }
        self.names.iter().find(|(_, name)| is(name)).map(|(column, _)| *column)
    }

    fn is_needed(&self, column: Column) -> bool {
        column.is_needed() || self.names.iter().any(|(named, _)| *named == column)
    }

    fn called(&self, column: Column) -> String {
        match self.names.iter().find(|(named, _)| *named == column) {
            Some((_, name)) => format!("`{name}`, which --columns names as the {}", column.name()),
            None => format!("`{}`; name the file's own columns with --columns", column.name()),
        }
    }
}

/// Where the columns are, in `Column::ALL`'s order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Places([Option<usize>; 4]);

impl Places {
    pub(super) fn at(&self, column: Column) -> Option<usize> {
        self.0[column as usize]
    }
}

/// The cell itself is not shown: a file without a header has a PIN there.
fn unknown(cell: &[u8], column: u32) -> RowFault {
    let near = Column::ALL.into_iter().find(|known| {
        let cell = String::from_utf8_lossy(cell).to_ascii_lowercase();
        strsim::damerau_levenshtein(&cell, known.name()) <= 2
    });
    let help = match near {
        Some(near) => format!("did you mean `{}`?", near.name()),
        None => "the first line must be a header; a supplier's own columns are named with --columns".into(),
    };
    RowFault::new(1, column, format!("not one of the columns serial, pin, expiry, receipt; {help}"))
}

fn parse_delimiter(text: &str) -> Result<u8, LayoutError> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        &[byte] if byte == b'\t' || byte.is_ascii_punctuation() && byte != b'"' => Ok(byte),
        _ => Err(LayoutError::Delimiter),
    }
}

fn parse_columns(text: &str) -> Result<Vec<(Column, String)>, LayoutError> {
    let mut names: Vec<(Column, String)> = Vec::new();
    for part in text.split(',') {
        let form = || LayoutError::Form(part.to_owned());
        let (what, name) = part.split_once('=').ok_or_else(form)?;
        let (what, name) = (what.trim(), name.trim());
        if name.is_empty() {
            return Err(form());
        }
        let known = Column::ALL.into_iter().find(|column| column.name() == what);
        let fresh = known.filter(|column| names.iter().all(|(named, _)| named != column));
        let column = fresh.ok_or_else(|| LayoutError::What(what.to_owned()))?;
        if names.iter().any(|(_, taken)| taken.eq_ignore_ascii_case(name)) {
            return Err(LayoutError::Twice(name.to_owned()));
        }
        names.push((column, name.to_owned()));
    }
    let missing = Column::ALL
        .into_iter()
        .find(|column| column.is_needed() && names.iter().all(|(named, _)| named != column));
    missing.map_or(Ok(names), |column| Err(LayoutError::Missing(column.name())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_checked() {
        let columns = |text: &str| Layout::new(Some(text), None).map(|_| ());
        assert_eq!(columns("serial=Card No, pin=Code"), Ok(()));
        assert_eq!(columns("serial"), Err(LayoutError::Form("serial".into())));
        assert_eq!(columns("serial=,pin=Code"), Err(LayoutError::Form("serial=".into())));
        assert_eq!(columns("serial=A,code=B"), Err(LayoutError::What("code".into())));
        assert_eq!(columns("serial=A,serial=B"), Err(LayoutError::What("serial".into())));
        assert_eq!(columns("serial=A,pin=a"), Err(LayoutError::Twice("a".into())));
        assert_eq!(columns("serial=A"), Err(LayoutError::Missing("pin")));
        for (text, delimiter) in [(";", b';'), ("tab", b'\t'), ("|", b'|')] {
            assert_eq!(Layout::new(None, Some(text)).map(|layout| layout.delimiter), Ok(delimiter));
        }
        for text in ["", "\"", "a", "7", ";;", " "] {
            assert_eq!(Layout::new(None, Some(text)), Err(LayoutError::Delimiter), "{text:?}");
        }
    }
}
