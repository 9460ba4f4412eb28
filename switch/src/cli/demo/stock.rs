//! The demonstration's vouchers: 100,000 of each product from stock, at the first start.
//!
//! Owns: which batches there are. Invariants: a batch is made once, however often a start is cut off; a later start does not open
//! the books for it. Deliberately absent: how vouchers are sealed (`stock`).

use crate::cli::books::OfflineBooks;
use crate::cli::exit::Failure;
use crate::cli::run::not_started;
use crate::cli::stock::StockBooks;
use crate::clock::Clock;
use crate::settings::Settings;
use crate::stock::{GenerateAsk, Loaded, StockProduct, generate};
use std::fs::File;
use std::path::PathBuf;

/// Vouchers of a batch.
const VOUCHERS: u32 = 100_000;

/// Loads the stock, where that was not done.
///
/// # Errors
/// The data folder cannot be used; what was loaded stays loaded.
pub(super) fn ensure(settings: &Settings) -> Result<(), Failure> {
    let done = done_file(settings);
    if done.exists() {
        return Ok(());
    }
    let mut books = OfflineBooks::open(settings, Clock::start().now()).map_err(not_started)?;
    let products = books.products().to_vec();
    let loaded = (1..).zip(&products).try_for_each(|(seed, product)| load(&mut books, product, seed));
    let closed = books.close().map_err(Failure::system);
    loaded.and(closed)?;
    // The batches are durable; this file only saves the next start from looking.
    File::create(&done)
        .map(drop)
        .map_err(|error| Failure::system(format!("cannot write {}: {error}", done.display())))
}

fn done_file(settings: &Settings) -> PathBuf {
    settings.data.join("stock").join("demonstration.loaded")
}

fn load(books: &mut OfflineBooks, product: &StockProduct, seed: u64) -> Result<(), Failure> {
    let batch = format!("demonstration-{}", product.code);
    let prefix = format!("D{seed}");
    let ask = GenerateAsk {
        product: *product,
        batch: &batch,
        count: VOUCHERS,
        seed,
        serial_prefix: &prefix,
        now: Clock::start().now(),
    };
    match generate(books.folder(), &ask, books.stock(), books.kek()).map_err(Failure::system)? {
        Loaded::New(batch) => books.append(&batch).map_err(Failure::system),
        Loaded::Already(_) => Ok(()),
    }
}
