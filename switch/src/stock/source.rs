//! A supplier's file, read and checked as a whole.
//!
//! Owns: `Source`, the file's bytes in a buffer that is wiped, and the places of its vouchers in it.
//! Invariants: a `Source` that exists was checked completely: every voucher has a serial and a PIN of
//! allowed form, no serial comes twice, no PIN that is long enough to stand alone comes twice, nothing in it
//! has expired, and each fits a record.
//! Deliberately absent: whether a serial is in the stock already; `load` compares with the batch files.

use super::StockError;
use super::layout::{Column, Layout, Places};
use super::rows::{Cell, RowFault, Rows};
use aws_lc_rs::digest;
use rustc_hash::FxHashMap;
use std::fs::File;
use std::hash::Hash;
use std::io::Read;
use std::path::Path;
use switchyard_core::batch::{Clear, PIN_BYTES_MAX, SECRET_BYTES_MAX, SOURCE_DIGEST_BYTES, sealed_bytes};
use switchyard_core::shelf::Date;
use switchyard_core::stock::BATCH_VOUCHERS_MAX;
use switchyard_core::text::Text;
use zeroize::Zeroizing;

/// Largest file that is loaded, in bytes: it lies in memory as a whole while it is.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 30;

/// Faults that are shown; the rest are counted.
const FAULTS_SHOWN_MAX: usize = 20;

/// A PIN of so many characters stands alone, so that the same one twice is a fault. Shorter ones are used
/// together with the serial.
const PIN_ALONE_CHARACTERS_MIN: usize = 10;

/// Rows between two steps of the progress bar.
pub(super) const PROGRESS_ROWS: u32 = 4_096;

/// A part of the buffer. Positions fit: the file has at most `FILE_BYTES_MAX`.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn of(cell: &Cell) -> Self {
        Self { start: cell.range.start as u32, length: cell.range.len() as u32 }
    }

    fn in_bytes(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..][..self.length as usize]
    }
}

/// One voucher of the file.
struct Entry {
    serial: Text<30>,
    expiry: Text<8>,
    pin: Span,
    receipt: Span,
    line: u32,
    serial_column: u32,
    pin_column: u32,
}

/// A checked file.
pub(super) struct Source {
    bytes: Zeroizing<Vec<u8>>,
    entries: Vec<Entry>,
}

impl Source {
    /// Reads and checks a file. `step` hears how many bytes are done, of how many.
    pub(super) fn read(
        file: &Path,
        layout: &Layout,
        today: Date,
        step: impl Fn(u64, u64),
    ) -> Result<Self, StockError> {
        let mut bytes = read_whole(file)?;
        let mut faults = Faults::default();
        let entries = entries(&mut bytes, layout, today, &mut faults, step);
        if faults.is_empty() {
            repeats(&entries, &bytes, &mut faults);
        }
        faults.none(file)?;
        Ok(Self { bytes, entries })
    }

    /// How many vouchers, 1 to `BATCH_VOUCHERS_MAX`.
    pub(super) fn count(&self) -> u32 {
        self.entries.len() as u32
    }

    /// Room that the longest sealed part needs, in bytes.
    pub(super) fn sealed_bytes(&self) -> usize {
        let needed = self
            .entries
            .iter()
            .map(|entry| sealed_bytes(entry.pin.length as usize, entry.receipt.length as usize));
        needed.max().unwrap_or(0)
    }

    /// The vouchers, in the order of the file.
    pub(super) fn vouchers(&self) -> impl Iterator<Item = Clear<'_>> {
        self.entries.iter().map(|entry| Clear {
            serial: entry.serial,
            expiry: entry.expiry,
            pin: entry.pin.in_bytes(&self.bytes),
            receipt: entry.receipt.in_bytes(&self.bytes),
        })
    }

    /// SHA-256 of what the vouchers are, whatever the layout of the file.
    pub(super) fn digest(&self) -> [u8; SOURCE_DIGEST_BYTES] {
        let mut context = digest::Context::new(&digest::SHA256);
        for voucher in self.vouchers() {
            for part in [voucher.serial.as_bytes(), voucher.expiry.as_bytes(), voucher.pin, voucher.receipt] {
                context.update(&(part.len() as u32).to_le_bytes());
                context.update(part);
            }
        }
        let mut out = [0; SOURCE_DIGEST_BYTES];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    /// Where each serial is in the file: line and column.
    pub(super) fn serials(&self) -> FxHashMap<Text<30>, (u32, u32)> {
        self.entries.iter().map(|entry| (entry.serial, (entry.line, entry.serial_column))).collect()
    }
}

/// The first faults of a file, and how many more there are.
#[derive(Default)]
pub(super) struct Faults {
    shown: Vec<RowFault>,
    more: usize,
}

impl Faults {
    pub(super) fn add(&mut self, fault: RowFault) {
        if self.shown.len() < FAULTS_SHOWN_MAX {
            self.shown.push(fault);
        } else {
            self.more += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// An error if there are any, in the order of the file.
    pub(super) fn none(mut self, file: &Path) -> Result<(), StockError> {
        if self.is_empty() {
            return Ok(());
        }
        self.shown.sort_by_key(|fault| (fault.line, fault.column));
        Err(StockError::Rows { file: file.to_owned(), faults: self.shown, more: self.more })
    }
}

/// Reads without a buffer between: the room is taken first, so that no growing leaves a copy behind.
fn read_whole(file: &Path) -> Result<Zeroizing<Vec<u8>>, StockError> {
    let opened = File::open(file).map_err(StockError::io("open", file))?;
    let length = opened.metadata().map_err(StockError::io("look at", file))?.len();
    let too_large = || StockError::TooLarge { file: file.to_owned(), limit_bytes: FILE_BYTES_MAX };
    if length > FILE_BYTES_MAX {
        return Err(too_large());
    }
    let mut bytes = Zeroizing::new(vec![0; length as usize + 1]);
    let mut filled = 0;
    let mut opened = opened;
    loop {
        match opened.read(&mut bytes[filled..]).map_err(StockError::io("read", file))? {
            0 => break,
            read => filled += read,
        }
        if filled == bytes.len() {
            let error = std::io::Error::other("it is being written to, or is not a plain file");
            return Err(StockError::io("read", file)(error));
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

fn entries(
    bytes: &mut [u8],
    layout: &Layout,
    today: Date,
    faults: &mut Faults,
    step: impl Fn(u64, u64),
) -> Vec<Entry> {
    let total = bytes.len() as u64;
    let mut rows = Rows::new(bytes, layout.delimiter());
    let mut cells = Vec::new();
    let mut entries = Vec::new();
    let Some(header) = header(&mut rows, layout, &mut cells, faults) else { return entries };
    loop {
        match rows.next(&mut cells) {
            Ok(false) => break,
            Ok(true) if cells.len() != header.cells => faults.add(miscounted(&cells, header.cells)),
            Ok(true) if entries.len() == BATCH_VOUCHERS_MAX as usize => {
                faults.add(RowFault::new(
                    cells[0].line,
                    1,
                    format!("more than {BATCH_VOUCHERS_MAX} vouchers: split the file"),
                ));
                break;
            }
            Ok(true) => match entry(&rows, &cells, header.places, today) {
                Ok(entry) => entries.push(entry),
                Err(fault) => faults.add(fault),
            },
            Err(fault) => faults.add(fault),
        }
        if (entries.len() as u32).is_multiple_of(PROGRESS_ROWS) {
            step(rows.at() as u64, total);
        }
    }
    if entries.is_empty() && faults.is_empty() {
        faults.add(RowFault::new(1, 1, "there is no voucher after the header"));
    }
    entries
}

struct Header {
    places: Places,
    cells: usize,
}

fn header(
    rows: &mut Rows<'_>,
    layout: &Layout,
    cells: &mut Vec<Cell>,
    faults: &mut Faults,
) -> Option<Header> {
    match rows.next(cells) {
        Ok(true) => {}
        Ok(false) => {
            faults.add(RowFault::new(1, 1, "the file is empty; it needs a header and vouchers"));
            return None;
        }
        Err(fault) => {
            faults.add(fault);
            return None;
        }
    }
    let texts: Vec<_> = cells.iter().map(|cell| (rows.text(cell), cell.column)).collect();
    match layout.find(&texts) {
        Ok(places) => Some(Header { places, cells: cells.len() }),
        Err(found) => {
            found.into_iter().for_each(|fault| faults.add(fault));
            None
        }
    }
}

fn miscounted(cells: &[Cell], expected: usize) -> RowFault {
    let (line, found) = (cells[0].line, cells.len());
    RowFault::new(line, 1, format!("{found} cells, but the header has {expected}"))
}

fn entry(rows: &Rows<'_>, cells: &[Cell], places: Places, today: Date) -> Result<Entry, RowFault> {
    let cell = |column| places.at(column).map(|at| &cells[at]);
    let needed = |column: Column| {
        cell(column).ok_or_else(|| RowFault::new(cells[0].line, 1, format!("no {}", column.name())))
    };
    let (serial, pin) = (needed(Column::Serial)?, needed(Column::Pin)?);
    let receipt = cell(Column::Receipt);
    let expiry = cell(Column::Expiry).map_or(Ok(Text::EMPTY), |cell| expiry(cell, rows.text(cell), today))?;
    printable(pin, rows.text(pin), Column::Pin, PIN_BYTES_MAX)?;
    if let Some(receipt) = receipt {
        receipt_fits(receipt, rows.text(receipt), pin.range.len())?;
    }
    Ok(Entry {
        serial: serial_of(serial, rows.text(serial))?,
        expiry,
        pin: Span::of(pin),
        receipt: receipt.map_or_else(Span::default, Span::of),
        line: serial.line,
        serial_column: serial.column,
        pin_column: pin.column,
    })
}

fn fault(cell: &Cell, what: impl Into<String>) -> RowFault {
    RowFault::new(cell.line, cell.column, what)
}

fn serial_of(cell: &Cell, text: &[u8]) -> Result<Text<30>, RowFault> {
    printable(cell, text, Column::Serial, 30)?;
    Text::new(text).ok_or_else(|| fault(cell, "the serial is longer than 30 characters"))
}

/// 1 to `max` printable ASCII characters: what the wire can carry.
fn printable(cell: &Cell, text: &[u8], column: Column, max: usize) -> Result<(), RowFault> {
    let name = column.name();
    if text.is_empty() {
        return Err(fault(cell, format!("the {name} is empty")));
    }
    if text.len() > max {
        return Err(fault(cell, format!("the {name} is longer than {max} characters")));
    }
    if text.iter().all(|&byte| byte == b' ' || byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(fault(cell, format!("the {name} has a character that is not printable ASCII")))
}

fn receipt_fits(cell: &Cell, text: &[u8], pin_bytes: usize) -> Result<(), RowFault> {
    let max = SECRET_BYTES_MAX - pin_bytes;
    if text.is_empty() { Ok(()) } else { printable(cell, text, Column::Receipt, max) }
}

/// YYYYMMDD or YYYY-MM-DD; empty: never.
fn expiry(cell: &Cell, text: &[u8], today: Date) -> Result<Text<8>, RowFault> {
    let digits: Vec<u8> = match text {
        [] => return Ok(Text::EMPTY),
        [y @ .., b'-', m1, m2, b'-', d1, d2] if y.len() == 4 => [y, &[*m1, *m2, *d1, *d2]].concat(),
        other => other.to_vec(),
    };
    let wrong = || fault(cell, "the expiry is not a date; YYYYMMDD and YYYY-MM-DD are taken");
    let date = str::from_utf8(&digits)
        .ok()
        .filter(|text| text.len() == 8 && text.bytes().all(|b| b.is_ascii_digit()));
    let date = date.ok_or_else(wrong)?;
    jiff::civil::Date::strptime("%Y%m%d", date).map_err(|_| wrong())?;
    if date.as_bytes() < &today.digits()[..] {
        return Err(fault(cell, "the voucher has expired"));
    }
    Text::new(date.as_bytes()).ok_or_else(wrong)
}

/// Serials and PINs that come twice. A PIN sold with two serials would be sold twice.
fn repeats(entries: &[Entry], bytes: &[u8], faults: &mut Faults) {
    let mut serials = FxHashMap::default();
    let mut pins = FxHashMap::default();
    serials.reserve(entries.len());
    pins.reserve(entries.len());
    for entry in entries {
        if let Some(first) = repeat(&mut serials, entry.serial, entry.line) {
            let what = format!("the same serial as in line {first}");
            faults.add(RowFault::new(entry.line, entry.serial_column, what));
        }
        let pin = entry.pin.in_bytes(bytes);
        if pin.len() < PIN_ALONE_CHARACTERS_MIN {
            continue;
        }
        if let Some(first) = repeat(&mut pins, pin, entry.line) {
            faults.add(RowFault::new(
                entry.line,
                entry.pin_column,
                format!("the same PIN as in line {first}"),
            ));
        }
    }
}

/// The line where `key` was seen first, if it was.
fn repeat<K: Hash + Eq>(seen: &mut FxHashMap<K, u32>, key: K, line: u32) -> Option<u32> {
    let first = *seen.entry(key).or_insert(line);
    (first != line).then_some(first)
}
