//! The stock on disk: batch files, how they come about, and how trays are filled from them.
//!
//! Owns: the folder `stock` below the data folder, one immutable file per batch (its form is
//! `switchyard_core::batch`); loading of suppliers' files, generated stock for demonstrations, and the
//! reader that the keeper fills trays with.
//! Invariants:
//! - All or nothing: a file appears under its name only when it is whole and synced; the fact that makes
//!   it stock comes after. A file without its fact is no stock, and may be written over.
//! - What the journal counts as stock is there and is the file that the fact was made of, or the switch
//!   refuses to start.
//! - PINs are in clear only in the buffer that a supplier's file was read into, which is wiped. No error
//!   shows anything of a supplier's file but where it is wrong: a value in the wrong column may be a PIN.
//!
//! Deliberately absent: what is sold (`State`), the journal, and two loads at a time: a batch takes its
//! number from the stock before its fact is appended, so whoever loads does it one by one.

mod error;
mod file;
mod generate;
mod layout;
mod load;
mod reader;
mod rows;
mod source;

pub use error::StockError;
pub(crate) use file::CHUNK_BYTES_MAX;
pub use generate::{GenerateAsk, generate};
pub use layout::{Layout, LayoutError};
pub use load::{LoadAsk, Loaded, load};
pub use reader::{Filled, StockReader, fill_tray};
pub use rows::RowFault;

use std::path::{Path, PathBuf};
use switchyard_core::catalogue::{Candidate, Catalogue};
use switchyard_core::ids::ProductId;
use switchyard_core::money::Minor;
use switchyard_core::text::Text;

/// What the data keys of batches are wrapped for (`Kek::wrap`).
pub const KEY_PURPOSE: &str = "stock";

/// The adapter that sells from stock.
const ADAPTER: &str = "voucher-stock";

/// The folder of the batch files.
pub fn folder(data: &Path) -> PathBuf {
    data.join("stock")
}

/// A product, as far as its stock needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockProduct {
    /// The journal's id.
    pub id: ProductId,
    /// DE48 tag 01.
    pub code: Text<20>,
    /// What one voucher is worth, minor units of `currency`.
    pub face_value: Minor,
    /// ISO 4217 numeric.
    pub currency: u16,
}

/// The products that are sold from stock: those with a supplier whose adapter is `voucher-stock`. Their ids
/// are those of the catalogue, so it must have been bound to the journal's names.
pub fn stock_products(catalogue: &Catalogue) -> Vec<StockProduct> {
    let from_stock = |candidate: &Candidate| {
        let supplier = catalogue.suppliers.get(candidate.supplier as usize);
        supplier.is_some_and(|supplier| supplier.adapter == ADAPTER)
    };
    let products = catalogue.products.iter().filter(|product| product.candidates.iter().any(from_stock));
    products
        .map(|product| StockProduct {
            id: product.id,
            code: product.code,
            face_value: product.amount.max,
            currency: product.currency,
        })
        .collect()
}

#[cfg(test)]
mod tests;
