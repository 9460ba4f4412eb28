//! What a load was told, handed over for the check.
//!
//! Owns: `Told`. Invariants: sales are described without card numbers. Deliberately absent: judging it (`check`).

use crate::frames::{Described, Frames};
use crate::ledger::{Ledger, Sale};
use std::fmt;
use std::sync::Arc;
use switchyard_core::iso8583::{Dialect, Framing};

/// Everything that a load asked, and was told.
pub struct Told {
    pub(crate) ledger: Ledger,
    pub(crate) frames: Frames,
    pub(crate) dialect: Arc<Dialect>,
    pub(crate) framing: Framing,
}

impl Told {
    pub(crate) fn describe(&self, sale: &Sale) -> Described {
        self.frames.describe(&sale.request, &self.dialect, &self.framing)
    }

    /// A sale in words.
    pub(crate) fn words(&self, at: u32) -> String {
        let sale = self.ledger.sale(at);
        let Described { terminal, product, account, amount } = self.describe(sale);
        let (stan, moment) = (sale.request.stan, sale.request.moment);
        let account = if account.is_empty() { String::new() } else { format!(" of {account}") };
        format!("{product}{account} for {amount}, {terminal} STAN {stan:06} at {moment:010}")
    }

    /// How many sales there were.
    pub fn sales(&self) -> usize {
        self.ledger.sales().len()
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Told").field("sales", &self.sales()).finish_non_exhaustive()
    }
}
