//! The books for commands: those of a switch that stands still, from its data folder.
//!
//! Owns: `OfflineBooks`, the stock commands' way into a journal that nobody else has open.
//! Invariants: the data folder is locked while they are open; what is appended is durable before it is told.
//! Deliberately absent: the books of a running switch (`control::socket`).

use super::stock::StockBooks;
use crate::control::socket::operator;
use crate::journal::Journal;
use crate::keys::Kek;
use crate::settings::Settings;
use crate::stock::{self, StockProduct};
use crate::topology::{self, StartError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use switchyard_core::catalogue::Catalogue;
use switchyard_core::gate::{Gate, GateOptions, STAN_MAX};
use switchyard_core::ids::Now;
use switchyard_core::log::Log;
use switchyard_core::operate::{Instruction, Reason};
use switchyard_core::seal::KeyId;
use switchyard_core::stock::{Stock, StockBatch};

/// Longest wait for the journal to be synced and closed.
const CLOSE: Duration = Duration::from_secs(10);

/// The books of a data folder that no switch has open.
pub struct OfflineBooks {
    gate: Gate,
    now: Now,
    journal: Option<Journal>,
    products: Vec<StockProduct>,
    folder: PathBuf,
    kek: Arc<Kek>,
}

impl OfflineBooks {
    /// Opens the books: replays the journal, names what is new in the configuration.
    ///
    /// # Errors
    /// The folder is in use, damaged, or its key is missing.
    pub fn open(settings: &Settings, now: Now) -> Result<Self, StartError> {
        let books = topology::open_books(settings)?;
        let (mut journal, log, _, mut maker) = books.opening.start(&books.keyring)?;
        let key_id = KeyId::epoch(log.epoch());
        let key = books.keyring.key(key_id).ok_or(StartError::OwnKey)?;
        let options = GateOptions {
            duplicate_bytes_max: settings.gate.duplicate_bytes_max as usize,
            repeatable_ms: settings.gate.repeatable_ms(),
            reversible_ms: settings.gate.reversible_ms(),
            reversals_max: usize::MAX,
            parked_max: usize::MAX,
            voucher_credits_max: 0,
            stan_max: STAN_MAX,
            key,
            key_id,
            keyring: books.keyring,
        };
        let names: Vec<&str> = settings.dialects.iter().map(|dialect| dialect.name()).collect();
        let catalogue = Catalogue::clone(&settings.catalogue);
        let write = |log: &mut Log| journal.write_at_start(log, &mut maker);
        let gate = Gate::new(books.state, log, options, catalogue, &names, Vec::new(), now, write)?;
        let products = stock::stock_products(gate.catalogue());
        let folder = stock::folder(&settings.data);
        Ok(Self { gate, now, journal: Some(journal), products, folder, kek: books.kek })
    }

    /// Syncs and closes the journal.
    ///
    /// # Errors
    /// It could not be synced: what was appended may be lost; do it again.
    pub fn close(mut self) -> Result<(), String> {
        let Some(journal) = self.journal.take() else { return Ok(()) };
        journal.close(self.gate.log(), CLOSE).map_err(|error| error.to_string())
    }

    fn write(&mut self) -> Result<(), String> {
        let Some(journal) = self.journal.as_mut() else { return Err("the journal is closed".into()) };
        if let Some(misfit) = self.gate.misfit() {
            return Err(misfit.to_string());
        }
        let durable = journal.durable();
        if let Some(batch) = self.gate.log().take(durable) {
            journal.write(batch).map_err(|error| error.to_string())?;
        }
        let waker = crate::keeper::own_waker();
        while journal.durable() < journal.written() {
            journal.register(&waker);
            if let Some(failure) = journal.failure() {
                return Err(failure.to_string());
            }
            if journal.durable() < journal.written() {
                std::thread::park_timeout(CLOSE);
            }
        }
        Ok(())
    }
}

impl StockBooks for OfflineBooks {
    fn stock(&self) -> &Stock {
        &self.gate.state().stock
    }

    fn products(&self) -> &[StockProduct] {
        &self.products
    }

    fn folder(&self) -> &Path {
        &self.folder
    }

    fn kek(&self) -> &Kek {
        &self.kek
    }

    fn append(&mut self, batch: &StockBatch) -> Result<(), String> {
        self.gate.load_stock(*batch);
        let load = Instruction::Load { product: batch.product, batch: batch.name, count: batch.count };
        let by = operator(nix::unistd::getuid().as_raw());
        // A load is never refused: the batch is there, and the act only says who brought it.
        let _ = self.gate.operate(self.now, by, Reason::default(), &load);
        self.write()
    }
}
