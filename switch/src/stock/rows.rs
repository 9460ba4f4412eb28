//! A file of rows and cells, split where it lies.
//!
//! Owns: `Rows`, which walks a buffer by RFC 4180 (any delimiter, quoted cells, LF or CRLF), and
//! `RowFault`, a place in a file and what is wrong there.
//! Invariants: nothing is copied: a quoted cell is unescaped within its own bytes, so that wiping the buffer
//! wipes every PIN. (Readers of CSV at hand keep what they read in buffers that nobody wipes.)
//! Deliberately absent: what the cells mean.

use std::fmt;
use std::ops::Range;

/// A place in a file, from 1, and what is wrong there; never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowFault {
    /// Line of the file.
    pub line: u32,
    /// Column of that line, in bytes.
    pub column: u32,
    /// What is wrong.
    pub what: String,
}

impl RowFault {
    pub(super) fn new(line: u32, column: u32, what: impl Into<String>) -> Self {
        Self { line, column, what: what.into() }
    }
}

impl fmt::Display for RowFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.what)
    }
}

/// A cell: where its contents are in the buffer, and where it began in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) range: Range<usize>,
    pub(super) line: u32,
    pub(super) column: u32,
}

/// Walks the rows of a buffer.
pub(super) struct Rows<'a> {
    bytes: &'a mut [u8],
    delimiter: u8,
    at: usize,
    line: u32,
    line_start: usize,
}

impl<'a> Rows<'a> {
    /// The rows of `bytes`; a byte-order mark of UTF-8 is passed over.
    pub(super) fn new(bytes: &'a mut [u8], delimiter: u8) -> Self {
        let at = if bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        Self { bytes, delimiter, at, line: 1, line_start: at }
    }

    /// Fills `cells` with those of the next row that is not empty; false at the end. After a fault the walk
    /// goes on with the next line.
    pub(super) fn next(&mut self, cells: &mut Vec<Cell>) -> Result<bool, RowFault> {
        while self.end_of_line() {}
        cells.clear();
        if self.at == self.bytes.len() {
            return Ok(false);
        }
        loop {
            let cell = self.cell().inspect_err(|_| self.pass_line())?;
            cells.push(cell);
            if self.bytes.get(self.at) == Some(&self.delimiter) {
                self.at += 1;
            } else {
                self.end_of_line();
                return Ok(true);
            }
        }
    }

    /// How far the walk is, in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The contents of a cell.
    pub(super) fn text(&self, cell: &Cell) -> &[u8] {
        &self.bytes[cell.range.clone()]
    }

    /// A cell without the spaces around it; ends at a delimiter, a line's end or the file's.
    fn cell(&mut self) -> Result<Cell, RowFault> {
        while self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        let (line, column) = (self.line, self.column());
        let range = match self.bytes.get(self.at) {
            Some(b'"') => self.quoted()?,
            _ => self.plain(),
        };
        Ok(Cell { range, line, column })
    }

    fn plain(&mut self) -> Range<usize> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|&byte| !self.ends_cell(byte)) {
            self.at += 1;
        }
        let spaces = self.bytes[start..self.at].iter().rev().take_while(|&&byte| byte == b' ').count();
        start..self.at - spaces
    }

    /// A doubled quote becomes one, by moving what follows it to the left.
    fn quoted(&mut self) -> Result<Range<usize>, RowFault> {
        let opened = RowFault::new(self.line, self.column(), "a quote is opened here and never closed");
        self.at += 1;
        let start = self.at;
        let mut end = start;
        loop {
            let byte = *self.bytes.get(self.at).ok_or(opened.clone())?;
            self.at += 1;
            if byte == b'"' {
                if self.bytes.get(self.at) != Some(&b'"') {
                    break;
                }
                self.at += 1;
            } else if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
            self.bytes[end] = byte;
            end += 1;
        }
        while self.bytes.get(self.at) == Some(&b' ') {
            self.at += 1;
        }
        match self.bytes.get(self.at) {
            Some(&byte) if !self.ends_cell(byte) => {
                Err(RowFault::new(self.line, self.column(), "there is text after a closing quote"))
            }
            _ => Ok(start..end),
        }
    }

    fn ends_cell(&self, byte: u8) -> bool {
        byte == self.delimiter || byte == b'\n' || byte == b'\r'
    }

    /// Passes a line's end, if one is here.
    fn end_of_line(&mut self) -> bool {
        let rest = &self.bytes[self.at..];
        let length = if rest.starts_with(b"\r\n") {
            2
        } else {
            usize::from(matches!(rest.first(), Some(b'\n' | b'\r')))
        };
        if length > 0 {
            self.at += length;
            self.line += 1;
            self.line_start = self.at;
        }
        length > 0
    }

    fn pass_line(&mut self) {
        while self.bytes.get(self.at).is_some_and(|&byte| byte != b'\n' && byte != b'\r') {
            self.at += 1;
        }
    }

    fn column(&self) -> u32 {
        (self.at - self.line_start) as u32 + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every row as its cells, or its fault; after the cells the place of the last one.
    fn check(text: &str, delimiter: u8, expected: &[&str]) {
        let mut bytes = text.as_bytes().to_vec();
        let mut rows = Rows::new(&mut bytes, delimiter);
        let (mut cells, mut found) = (Vec::new(), Vec::new());
        loop {
            match rows.next(&mut cells) {
                Ok(false) => break,
                Ok(true) => {
                    let texts: Vec<_> = cells
                        .iter()
                        .map(|cell| String::from_utf8_lossy(rows.text(cell)).into_owned())
                        .collect();
                    let last = cells.last().expect("a row has a cell");
                    found.push(format!("{} @{}:{}", texts.join("|"), last.line, last.column));
                }
                Err(fault) => found.push(fault.to_string()),
            }
        }
        assert_eq!(found, expected, "{text:?}");
    }

    #[test]
    fn rows_are_split_as_rfc_4180_says() {
        check("", b',', &[]);
        check("\n\r\n\n", b',', &[]);
        check("a,b\nc,d\n", b',', &["a|b @1:3", "c|d @2:3"]);
        check("a,b\r\n\r\nc,d", b',', &["a|b @1:3", "c|d @3:3"]);
        check("\u{feff}a;b\rc;", b';', &["a|b @1:3", "c| @2:3"]);
        check(" a , b b ,c", b',', &["a|b b|c @1:11"]);
        check("\"a,b\",\"c \"\"d\"\"\"", b',', &["a,b|c \"d\" @1:7"]);
        check("\"two\nlines\", x \ny,z", b',', &["two\nlines|x @2:9", "y|z @3:3"]);
        check("a\"b,c", b',', &["a\"b|c @1:5"]);
        check("\"\",\"\" ", b',', &["| @1:4"]);
        check(",", b',', &["| @1:2"]);
    }

    #[test]
    fn a_broken_quote_costs_its_line() {
        check("a,\"b\"c\nd,e", b',', &["1:6: there is text after a closing quote", "d|e @2:3"]);
        check("a,\"b\nc", b',', &["1:3: a quote is opened here and never closed"]);
    }

    proptest! {
        #[test]
        fn what_was_quoted_is_read_back(cells in prop::collection::vec("[ -~\n]{0,12}", 1..6)) {
            let quoted: Vec<_> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
            let mut bytes = quoted.join(";").into_bytes();
            let mut rows = Rows::new(&mut bytes, b';');
            let mut found = Vec::new();
            prop_assert_eq!(rows.next(&mut found), Ok(true));
            let texts: Vec<_> = found.iter().map(|cell| rows.text(cell)).collect();
            let expected: Vec<_> = cells.iter().map(String::as_bytes).collect();
            prop_assert_eq!(texts, expected);
            prop_assert_eq!(rows.next(&mut found), Ok(false));
        }

        #[test]
        fn no_bytes_panic_or_loop(mut bytes in prop::collection::vec(prop::sample::select(b"a,\"\n\r ".to_vec()), 0..60)) {
            let length = bytes.len();
            let mut rows = Rows::new(&mut bytes, b',');
            let mut cells = Vec::new();
            for _ in 0..=length {
                if rows.next(&mut cells) == Ok(false) {
                    return Ok(());
                }
            }
            prop_assert_eq!(rows.next(&mut cells), Ok(false));
        }
    }
}
