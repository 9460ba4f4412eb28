//! The vouchers within reach: a tray of sealed vouchers per product.
//!
//! Owns: `Shelf` and its trays; the keeper fills them, the `voucher-stock` adapter takes from them.
//! Invariants: a tray holds vouchers in the order in which `State` sells them; the shelf is no state:
//! it can be emptied and filled again from the batch files at any time, and what was sold is known
//! from `State` alone. A tray remembers how far it was filled, so that the keeper goes on there even
//! when nothing of it is left.
//! Deliberately absent: which voucher is sold next (`State` says), and the batch files.

use crate::ids::{Now, ProductId};
use crate::stock::{Place, Stock};
use crate::text::Text;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Longest sealed part of a voucher, in bytes: PIN and receipt with their details' heads, and the tag.
pub const SEALED_BYTES_MAX: usize = 118;

const DAY_MS: u64 = 86_400_000;

/// One voucher as it lies on a tray: its serial in clear, its PIN sealed under its batch's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voucher {
    /// Of which batch.
    pub batch: u32,
    /// Which one of it, from 0.
    pub index: u32,
    /// Serial number.
    pub serial: Text<30>,
    /// Expiry, YYYYMMDD digits; empty: never.
    pub expiry: Text<8>,
    sealed: [u8; SEALED_BYTES_MAX],
    sealed_length: u8,
}

impl Voucher {
    /// A voucher; `None` where the sealed part is longer than `SEALED_BYTES_MAX`.
    pub fn new(batch: u32, index: u32, serial: Text<30>, expiry: Text<8>, sealed: &[u8]) -> Option<Self> {
        let mut bytes = [0; SEALED_BYTES_MAX];
        bytes.get_mut(..sealed.len())?.copy_from_slice(sealed);
        Some(Self { batch, index, serial, expiry, sealed: bytes, sealed_length: sealed.len() as u8 })
    }

    /// Ciphertext and tag of its secret details.
    pub fn sealed(&self) -> &[u8] {
        &self.sealed[..usize::from(self.sealed_length)]
    }

    /// Where it lies in the stock.
    pub fn place(&self) -> Place {
        Place { batch: self.batch, index: self.index }
    }

    /// Whether it is still good on `date`, the day of its expiry included.
    pub fn is_good_on(&self, date: Date) -> bool {
        self.expiry.is_empty() || self.expiry.as_bytes() >= &date.0[..]
    }
}

/// A date as YYYYMMDD digits, so that dates compare as text does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date([u8; 8]);

impl Date {
    /// The day in UTC that lies `days` after `now`.
    pub fn after(now: Now, days: u16) -> Self {
        let (year, month, day) = civil(now.wall_ms / DAY_MS + u64::from(days));
        let mut digits = [b'9'; 8];
        let mut rest = year * 10_000 + month * 100 + day;
        // Past the year 9999 the digits stay nines: nothing is good on such a day but what never expires.
        if rest <= 99_999_999 {
            for digit in digits.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        Self(digits)
    }

    /// The digits, YYYYMMDD.
    pub fn digits(&self) -> &[u8; 8] {
        &self.0
    }
}

/// Year, month and day of the proleptic Gregorian calendar, so many days after 1970-01-01. Years are
/// counted from March, so that the leap day is the last one: then a month's first day is a linear
/// function of the month.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468; // since 0000-03-01
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + carry, month, day)
}

#[derive(Debug, Default)]
struct Tray {
    vouchers: VecDeque<Voucher>,
    reached: Option<Place>,
}

/// The trays.
#[derive(Debug, Default)]
pub struct Shelf {
    trays: FxHashMap<ProductId, Tray>,
}

impl Shelf {
    /// Puts a voucher at the end of a product's tray. Room for a whole tray is taken at the first one.
    /// One that does not come after what the tray reached is dropped: false.
    pub fn put(&mut self, product: ProductId, voucher: Voucher, tray_vouchers: usize) -> bool {
        let tray = self.trays.entry(product).or_default();
        if tray.reached >= Some(voucher.place()) {
            return false;
        }
        if tray.vouchers.capacity() == 0 {
            tray.vouchers.reserve_exact(tray_vouchers);
        }
        tray.vouchers.push_back(voucher);
        tray.reached = Some(voucher.place());
        true
    }

    /// Says that a product's tray was filled up to and with `place`, where the last ones could not be
    /// put on it (damaged in their file).
    pub fn reach(&mut self, product: ProductId, place: Place) {
        let tray = self.trays.entry(product).or_default();
        tray.reached = tray.reached.max(Some(place));
    }

    /// Where the filling of a product's tray goes on; `None`: everything of the stock was reached.
    pub fn wanted(&self, product: ProductId, stock: &Stock) -> Option<Place> {
        let next = stock.next(product)?;
        match self.trays.get(&product).and_then(|tray| tray.reached) {
            Some(reached) if reached >= next => stock.after(product, reached),
            _ => Some(next),
        }
    }

    /// The next voucher of a product's tray.
    pub fn next(&self, product: ProductId) -> Option<&Voucher> {
        self.trays.get(&product)?.vouchers.front()
    }

    /// Takes the next voucher off a product's tray.
    pub fn take(&mut self, product: ProductId) -> Option<Voucher> {
        self.trays.get_mut(&product)?.vouchers.pop_front()
    }

    /// How many lie on a product's tray.
    pub fn len(&self, product: ProductId) -> usize {
        self.trays.get(&product).map_or(0, |tray| tray.vouchers.len())
    }

    /// The last voucher on a product's tray.
    pub fn last(&self, product: ProductId) -> Option<&Voucher> {
        self.trays.get(&product)?.vouchers.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::StockBatch;

    const PRODUCT: ProductId = ProductId(1);

    fn voucher(batch: u32, index: u32, expiry: &[u8]) -> Voucher {
        let expiry = Text::new(expiry).expect("a date");
        Voucher::new(batch, index, Text::EMPTY, expiry, b"sealed").expect("short enough")
    }

    fn on(date: &str) -> Now {
        let date: jiff::civil::Date = date.parse().expect("a date");
        let start = date.to_zoned(jiff::tz::TimeZone::UTC).expect("in range").timestamp();
        Now { mono_us: 0, wall_ms: start.as_millisecond() as u64 + 12 * 3_600_000 }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        let mut date: jiff::civil::Date = "1970-01-01".parse().expect("a date");
        let end: jiff::civil::Date = "2110-01-01".parse().expect("a date");
        for days in 0.. {
            let now = Now { mono_us: 0, wall_ms: days * DAY_MS + DAY_MS - 1 };
            let digits = date.strftime("%Y%m%d").to_string();
            assert_eq!(Date::after(now, 0).digits(), digits.as_bytes());
            if date == end {
                break;
            }
            date = date.tomorrow().expect("in range");
        }
        assert_eq!(Date::after(Now { mono_us: 0, wall_ms: u64::MAX }, 1).digits(), b"99999999");
    }

    #[test]
    fn a_voucher_is_good_up_to_its_margin() {
        let table = [
            ("20261231", "2026-12-31", 0, true),
            ("20261231", "2027-01-01", 0, false),
            ("20261231", "2026-12-31", 1, false),
            ("20261231", "2026-12-30", 1, true),
            ("20280229", "2028-01-30", 30, true),
            ("20280229", "2028-01-31", 30, false),
            ("", "2100-01-01", 400, true),
        ];
        for (expiry, today, margin_days, good) in table {
            let date = Date::after(on(today), margin_days);
            let voucher = voucher(1, 0, expiry.as_bytes());
            assert_eq!(voucher.is_good_on(date), good, "{expiry} on {today} within {margin_days}");
        }
    }

    #[test]
    fn a_filling_that_comes_twice_puts_nothing_twice() {
        let mut shelf = Shelf::default();
        let mut put = |index| shelf.put(PRODUCT, voucher(1, index, b""), 4);
        assert_eq!([0, 1, 0, 1, 2].map(&mut put), [true, true, false, false, true]);
        shelf.reach(PRODUCT, Place { batch: 1, index: 0 });
        assert!(!shelf.put(PRODUCT, voucher(1, 2, b""), 4));
        assert_eq!(shelf.len(PRODUCT), 3);
    }

    #[test]
    fn filling_goes_on_where_it_stopped() {
        let mut stock = Stock::default();
        for (number, count) in [(1, 2), (2, 1)] {
            let name = Text::new(&[b'a' + number as u8]).expect("ASCII");
            let batch = StockBatch { product: PRODUCT, number, name, count, digest: [0; 32] };
            stock.add(&batch).expect("a new batch");
        }
        let mut shelf = Shelf::default();
        assert_eq!(shelf.wanted(ProductId(9), &stock), None);
        let mut walked = Vec::new();
        while let Some(place) = shelf.wanted(PRODUCT, &stock) {
            walked.push((place.batch, place.index));
            shelf.put(PRODUCT, voucher(place.batch, place.index, b""), 4);
            shelf.take(PRODUCT).expect("just put");
        }
        assert_eq!(walked, [(1, 0), (1, 1), (2, 0)]);

        let mut behind = Shelf::default();
        behind.reach(PRODUCT, Place { batch: 1, index: 0 });
        stock.sold(PRODUCT, 1, 1).expect("in stock");
        assert_eq!(behind.wanted(PRODUCT, &stock), Some(Place { batch: 2, index: 0 }));
        assert_eq!(behind.len(PRODUCT), 0);
    }
}
