//! Reading vouchers for the trays.
//!
//! Owns: `StockReader`, which knows the files of all batches; the keeper thread has it.
//! Invariants: a batch is read only when its file is the one that its fact was made of and its key opened;
//! its key is in the keyring from then on. A damaged record is never handed out, and does not stop those
//! after it.
//! Deliberately absent: which vouchers are sold, and what lies on the trays.

use super::load::open_known;
use super::{KEY_PURPOSE, StockError};
use crate::keys::Kek;
use rustc_hash::FxHashMap;
use std::path::{Path, PathBuf};
use switchyard_core::ids::ProductId;
use switchyard_core::seal::{KeyId, Keyring};
use switchyard_core::shelf::{Shelf, Voucher};
use switchyard_core::stock::{Place, Stock, StockBatch};

/// The batch files, for filling trays. Files are opened for each filling, so that no number of batches uses
/// up the file handles.
#[derive(Debug)]
pub struct StockReader {
    folder: PathBuf,
    batches: FxHashMap<u32, StockBatch>,
    chunk: Vec<u8>,
}

/// What a filling read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// Vouchers handed out.
    pub vouchers: u32,
    /// The last place that was read: the tray was filled so far (`Shelf::reach`).
    pub reached: Place,
    /// Vouchers (their indexes) that are damaged and were left out: to be reported, and restored from a copy
    /// before a sale passes them over.
    pub damaged: Vec<u32>,
}

impl StockReader {
    /// Opens the files of all batches of the stock, and puts their keys into the keyring.
    ///
    /// # Errors
    /// A batch of the stock is missing, damaged, or another file, or its key does not open: the switch must
    /// not start.
    pub fn open_all(folder: &Path, stock: &Stock, kek: &Kek, keyring: &Keyring) -> Result<Self, StockError> {
        let mut reader = Self { folder: folder.to_owned(), batches: FxHashMap::default(), chunk: Vec::new() };
        for product in stock.products() {
            for batch in stock.batches(product) {
                reader.open(&batch.fact, kek, keyring)?;
            }
        }
        Ok(reader)
    }

    /// Opens one more batch, and puts its key into the keyring.
    ///
    /// # Errors
    /// As `open_all`.
    pub fn open(&mut self, batch: &StockBatch, kek: &Kek, keyring: &Keyring) -> Result<(), StockError> {
        let file = open_known(&self.folder, batch)?;
        let key = kek.unwrap(&file.header.wrapped_key, KEY_PURPOSE, batch.number)?;
        keyring.insert(KeyId::stock(batch.number), key);
        self.batches.insert(batch.number, *batch);
        Ok(())
    }

    /// Hands out up to `count` vouchers in order, beginning at `from`, not beyond the end of its batch.
    ///
    /// # Errors
    /// `Closed`, and `Io` where the file cannot be read: nothing was handed out after the error.
    pub fn fill(
        &mut self,
        from: Place,
        count: u32,
        mut each: impl FnMut(Voucher),
    ) -> Result<Filled, StockError> {
        let batch = self.batches.get(&from.batch).ok_or(StockError::Closed { number: from.batch })?;
        let file = open_known(&self.folder, batch)?;
        let (mut vouchers, mut damaged) = (0, Vec::new());
        let read = file.read(from.index, count, &mut self.chunk, |record| match record {
            Ok(voucher) => {
                vouchers += 1;
                each(voucher);
            }
            Err(index) => damaged.push(index),
        })?;
        let reached = Place { batch: from.batch, index: from.index + read.max(1) - 1 };
        Ok(Filled { vouchers, reached, damaged })
    }
}

/// Fills a product's tray up to `tray_vouchers`, over as many batches as that takes: what a start does
/// before the conduits open. Answers the places of damaged vouchers.
///
/// # Errors
/// As [`StockReader::fill`].
pub fn fill_tray(
    reader: &mut StockReader,
    shelf: &mut Shelf,
    stock: &Stock,
    product: ProductId,
    tray_vouchers: usize,
) -> Result<Vec<Place>, StockError> {
    let mut damaged = Vec::new();
    while let Some(from) = shelf.wanted(product, stock) {
        let Some(room) = tray_vouchers.checked_sub(shelf.len(product)).filter(|&room| room > 0) else {
            break;
        };
        let count = u32::try_from(room).unwrap_or(u32::MAX);
        let filled = reader.fill(from, count, |voucher| {
            shelf.put(product, voucher, tray_vouchers);
        })?;
        shelf.reach(product, filled.reached);
        damaged.extend(filled.damaged.iter().map(|&index| Place { batch: from.batch, index }));
    }
    Ok(damaged)
}
