//! Vouchers that were taken back: never sold again, and what of them was credited (S-10).
//!
//! Owns: the list for the suppliers, and how many credits each terminal had on its business day.
//! Invariants: the list holds the newest `LISTED_MAX`, the journal holds all; a terminal's count starts anew with its day.
//! Deliberately absent: the money (accounts), and deciding whether a credit is given (`gate::reverse`).

use crate::ids::{FlightNo, ProductId, SupplierId};
use crate::text::Text;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Vouchers listed; older ones are in the journal alone.
pub const LISTED_MAX: usize = 65_536;

/// A voucher that was taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Withdrawn {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Its sale.
    pub flight: FlightNo,
    /// What it is.
    pub product: ProductId,
    /// Whose.
    pub supplier: SupplierId,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WithdrawnVouchers {
    list: VecDeque<Withdrawn>,
    credits: FxHashMap<Text<8>, ([u8; 4], u16)>,
}

impl WithdrawnVouchers {
    /// The newest, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Withdrawn> {
        self.list.iter()
    }

    /// How many credits the terminal had on that business day (MMDD digits).
    pub fn credits(&self, terminal: Text<8>, day: [u8; 4]) -> u16 {
        self.credits.get(&terminal).filter(|(of, _)| *of == day).map_or(0, |(_, count)| *count)
    }

    /// The terminals with credits, their day and how many, in no order.
    pub fn all_credits(&self) -> impl Iterator<Item = (Text<8>, [u8; 4], u16)> + '_ {
        self.credits.iter().map(|(terminal, (day, count))| (*terminal, *day, *count))
    }

    pub(crate) fn add(&mut self, voucher: Withdrawn) {
        if self.list.len() == LISTED_MAX {
            self.list.pop_front();
        }
        self.list.push_back(voucher);
    }

    pub(crate) fn credit(&mut self, terminal: Text<8>, day: [u8; 4]) {
        let count = self.credits(terminal, day).saturating_add(1);
        self.credits.insert(terminal, (day, count));
    }
}
