//! How large everything is: the sizes that the topology builds with, and the sheet that adds them up.
//!
//! Owns: `RingSizes`, from which rings are made, and [`sheet`], which prints the same numbers in bytes.
//! Invariants: a ring has room for every credit of those who push into it; the sheet is computed from the settings by the code that sizes things, or from the constant that
//! bounds them, never from a number of its own; what it says at most is not exceeded at the limits (`bounded`).
//! Deliberately absent: what happens when a limit is reached (who owns it does that; the sheet only says it).

mod sheet;

pub use sheet::{Line, Part, Sheet, sheet};

use crate::settings::Settings;
use switchyard_core::catalogue::Supplier;

/// Reports on their way to the gate. When the ring is full sessions keep theirs, so it need not hold all of them.
pub const REPORTS_MAX: usize = 8_192;
/// Trays and wishes under way.
pub const TRAYS_MAX: usize = 1_024;

/// Runs of duplicates to be written (one at a time) and removed.
pub const RUN_WISHES_MAX: usize = 16;

/// How many items each ring has room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingSizes {
    /// Requests, reversals, recalls, and the answers of each conduit: all tickets of the process may be in any one of them.
    pub tickets: usize,
    /// Orders of each supplier, in the order of the catalogue; none for local ones, which are not sent any.
    pub orders: Vec<Option<usize>>,
    /// Reports of all suppliers.
    pub reports: usize,
    /// Trays wanted, and trays filled.
    pub trays: usize,
    /// Runs of duplicates wanted, and runs written.
    pub runs: usize,
}

impl RingSizes {
    /// The sizes that these settings ask for.
    pub fn of(settings: &Settings) -> Self {
        let suppliers = &settings.catalogue.suppliers;
        Self {
            tickets: settings.gate.tickets_max as usize,
            orders: suppliers.iter().map(|supplier| (!supplier.local).then(|| orders(supplier))).collect(),
            reports: REPORTS_MAX,
            trays: TRAYS_MAX,
            runs: RUN_WISHES_MAX,
        }
    }
}

/// Orders that may be on their way to a supplier: sales of its window, and reversals within its advices.
fn orders(supplier: &Supplier) -> usize {
    supplier.window_requests_max as usize + supplier.advices_max as usize
}

/// Connections that all conduits together may have: their own limits, and what the machine's descriptors leave.
pub fn connections_max(settings: &Settings) -> u64 {
    let conduits: u64 = settings.conduits.iter().map(|conduit| u64::from(conduit.connections_max)).sum();
    conduits.min(u64::from(crate::machine::connections_max()))
}
