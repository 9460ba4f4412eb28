//! Loading a supplier's file into the stock.
//!
//! Owns: the steps from a file in clear to a sealed batch file, and the one way in which batch files come
//! about.
//! Invariants: all or nothing, and idempotent by the batch's name: the same vouchers under the same
//! name are loaded once, other vouchers under that name are refused. A serial that the product's stock has
//! already is refused, sold or not.
//! Deliberately absent: the fact. The caller appends it, and the stock exists from then on.

use super::file::{BatchFile, BatchWriter, batch_name, path};
use super::layout::Layout;
use super::rows::RowFault;
use super::source::{Faults, PROGRESS_ROWS, Source};
use super::{KEY_PURPOSE, StockError, StockProduct};
use crate::keys::{Kek, random_data_key};
use aws_lc_rs::digest;
use indicatif::ProgressBar;
use std::path::Path;
use switchyard_core::batch::{
    Clear, HEADER_BYTES, Header, SOURCE_DIGEST_BYTES, Sealer, is_source, seal_source,
};
use switchyard_core::seal::DataKey;
use switchyard_core::shelf::{Date, SEALED_BYTES_MAX};
use switchyard_core::stock::{Batch, Stock, StockBatch};
use switchyard_core::text::Text;

/// What is to be loaded.
#[derive(Clone, Copy, Debug)]
pub struct LoadAsk<'a> {
    /// The supplier's file.
    pub file: &'a Path,
    /// How it is laid out.
    pub layout: &'a Layout,
    /// What its vouchers are.
    pub product: StockProduct,
    /// The name for the batch; a load of the same vouchers under the same name is done once.
    pub batch: &'a str,
    /// Vouchers that expired before this date are refused.
    pub today: Date,
}

/// What became of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// The file is written and synced. It is stock once this fact is.
    New(StockBatch),
    /// It was loaded before: there is nothing to do.
    Already(StockBatch),
}

/// Checks a supplier's file and writes its vouchers, sealed, into `folder`. One load at a time.
///
/// `progress` is set to the bytes read, then to the vouchers sealed; give a hidden one where nobody looks.
///
/// # Errors
/// Nothing became stock. See [`StockError`].
pub fn load(
    folder: &Path,
    ask: &LoadAsk<'_>,
    stock: &Stock,
    kek: &Kek,
    progress: &ProgressBar,
) -> Result<Loaded, StockError> {
    let name = batch_name(ask.batch)?;
    let source = Source::read(ask.file, ask.layout, ask.today, |done, total| {
        progress.set_length(total);
        progress.set_position(done);
    })?;
    let digest = source.digest();
    if let Some(batch) = stock.batch_by_name(name) {
        return known(folder, batch, ask.product, &digest, kek);
    }
    refuse_known_serials(folder, ask, &source, stock)?;
    let plan = Plan {
        name,
        product: ask.product,
        count: source.count(),
        sealed_bytes: source.sealed_bytes(),
        digest,
    };
    write(folder, &plan, stock, kek, progress, source.vouchers()).map(Loaded::New)
}

/// A batch of that name is there: are these its vouchers?
pub(super) fn known(
    folder: &Path,
    batch: &Batch,
    product: StockProduct,
    digest: &[u8; SOURCE_DIGEST_BYTES],
    kek: &Kek,
) -> Result<Loaded, StockError> {
    let name = batch.fact.name.as_str().to_owned();
    if batch.fact.product != product.id {
        return Err(StockError::OtherProduct { name });
    }
    let file = open_known(folder, &batch.fact)?;
    let key = kek.unwrap(&file.header.wrapped_key, KEY_PURPOSE, batch.fact.number)?;
    match is_source(&key, &file.header, digest) {
        Ok(true) => Ok(Loaded::Already(batch.fact)),
        Ok(false) => Err(StockError::OtherContents { name }),
        Err(error) => Err(StockError::batch(&path(folder, batch.fact.name))(error)),
    }
}

/// Opens the file of a batch of the stock, and makes sure that it is the one its fact was made of.
pub(super) fn open_known(folder: &Path, batch: &StockBatch) -> Result<BatchFile, StockError> {
    let path = path(folder, batch.name);
    let file = BatchFile::open(&path)?;
    if header_digest(&file.header_bytes) != batch.digest || file.header.number != batch.number {
        return Err(StockError::Foreign { file: path, name: batch.name.as_str().to_owned() });
    }
    Ok(file)
}

/// Walks the product's batch files and looks each serial up among the new ones, so that memory is bounded
/// by the file that is loaded, not by the stock.
fn refuse_known_serials(
    folder: &Path,
    ask: &LoadAsk<'_>,
    source: &Source,
    stock: &Stock,
) -> Result<(), StockError> {
    let batches = stock.batches(ask.product.id);
    if batches.is_empty() {
        return Ok(());
    }
    let serials = source.serials();
    let (mut faults, mut chunk) = (Faults::default(), Vec::new());
    for batch in batches {
        let file = open_known(folder, &batch.fact)?;
        file.read(0, batch.fact.count, &mut chunk, |record| {
            let at = record.ok().and_then(|voucher| serials.get(&voucher.serial));
            if let Some(&(line, column)) = at {
                let what = format!("this serial is in the stock already, in batch `{}`", batch.fact.name);
                faults.add(RowFault::new(line, column, what));
            }
        })?;
    }
    faults.none(ask.file)
}

/// A batch that is to be written.
pub(super) struct Plan {
    pub(super) name: Text<40>,
    pub(super) product: StockProduct,
    pub(super) count: u32,
    pub(super) sealed_bytes: usize,
    pub(super) digest: [u8; SOURCE_DIGEST_BYTES],
}

/// Writes a batch file with a data key of its own.
pub(super) fn write<'v>(
    folder: &Path,
    plan: &Plan,
    stock: &Stock,
    kek: &Kek,
    progress: &ProgressBar,
    vouchers: impl Iterator<Item = Clear<'v>>,
) -> Result<StockBatch, StockError> {
    let key = random_data_key()?;
    let number = stock.next_number().ok_or(StockError::Numbers)?;
    let file = path(folder, plan.name);
    let header = header(plan, number, &key, kek, &file)?;
    let mut writer = BatchWriter::create(folder, &header)?;
    let mut sealer = Sealer::new(&key, number);
    progress.set_length(u64::from(plan.count));
    for (index, voucher) in (0..).zip(vouchers) {
        writer.put(&sealer.seal(index, &voucher).map_err(StockError::batch(&file))?)?;
        if index.is_multiple_of(PROGRESS_ROWS) {
            progress.set_position(u64::from(index));
        }
    }
    writer.finish()?;
    progress.finish_and_clear();
    let digest = header_digest(&header.encode());
    Ok(StockBatch { product: plan.product.id, number, name: plan.name, count: plan.count, digest })
}

fn header(plan: &Plan, number: u32, key: &DataKey, kek: &Kek, file: &Path) -> Result<Header, StockError> {
    Ok(Header {
        number,
        count: plan.count,
        sealed_bytes: plan.sealed_bytes.min(SEALED_BYTES_MAX) as u8,
        product: plan.product.code,
        name: plan.name,
        face_value: plan.product.face_value,
        currency: plan.product.currency,
        wrapped_key: kek.wrap(key, KEY_PURPOSE, number)?,
        sealed_source: seal_source(key, number, &plan.digest).map_err(StockError::batch(file))?,
    })
}

fn header_digest(header: &[u8; HEADER_BYTES]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, header).as_ref());
    out
}
