//! Vouchers that were taken back: never sold again, and what of them was credited (S-10).
//!
//! Owns: the list for the suppliers, and how many credits each terminal had on its business day.
//! Invariants: the list holds the newest `LISTED_MAX`, the journal holds all; a terminal's count starts anew with its day.
//! Deliberately absent: the money (accounts), and deciding whether a credit is given (`gate::reverse`).

use crate::ids::{FlightNo, ProductId, SupplierId};
use crate::pack::{self, Pack, Unpack, Unreadable};
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

    /// Appends them all, and the credits in the order of terminals.
    pub fn pack(&self, out: &mut Vec<u8>) {
        pack::list(out, self.list.iter(), |voucher, out| {
            voucher.at_ms.pack(out);
            voucher.flight.pack(out);
            voucher.product.pack(out);
            voucher.supplier.pack(out);
        });
        let mut credits: Vec<_> = self.all_credits().collect();
        credits.sort_unstable();
        pack::list(out, credits.into_iter(), |(terminal, day, count), out| {
            terminal.pack(out);
            day.pack(out);
            count.pack(out);
        });
    }

    /// Reads what [`WithdrawnVouchers::pack`] wrote.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        let list = from.list(|from| {
            Ok(Withdrawn {
                at_ms: from.u64()?,
                flight: from.flight()?,
                product: from.product()?,
                supplier: from.supplier()?,
            })
        })?;
        let credits = from.list(|from| Ok((from.text()?, (from.array()?, from.u16()?))))?;
        Ok(Self { list: list.into(), credits: credits.into_iter().collect() })
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
