//! The stock of vouchers as the journal knows it: which batches there are, and how far each is sold.
//!
//! Owns: `Stock`, its batches, and `StockBatch`, the content of the fact that adds one.
//! Invariants:
//! - `voucher-once`: the vouchers of a product are sold in one order, that of their batches and of their
//!   places in them. `next` only ever moves on, so that no voucher is sold twice, whatever failed in
//!   between. A sale of something before `next` is refused as a fault.
//! - Numbers and names of batches are unique in the journal, and numbers only grow.
//! - A voucher that a sale passed over (expired, or not readable) is never sold later; it is counted.
//!
//! Deliberately absent: vouchers themselves (they lie in the batch files), PINs, and any decision.

use crate::ids::ProductId;
use crate::pack::{self, Pack, Unpack, Unreadable};
use crate::text::Text;
use rustc_hash::FxHashMap;

/// Largest number of a batch: the numbers above belong to the keys of the journal (`seal::KeyId`).
pub const BATCH_NUMBER_MAX: u32 = 0x7fff_ffff;

/// Most vouchers of one batch.
pub const BATCH_VOUCHERS_MAX: u32 = 10_000_000;

/// A batch that came into the stock: the content of its fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StockBatch {
    /// Of which product.
    pub product: ProductId,
    /// 1 to `BATCH_NUMBER_MAX`, unique in the journal and larger than every one before it.
    pub number: u32,
    /// The name that it was loaded under, unique in the journal; its file is called so.
    pub name: Text<40>,
    /// How many vouchers, 1 to `BATCH_VOUCHERS_MAX`.
    pub count: u32,
    /// SHA-256 of the header of its file.
    pub digest: [u8; 32],
}

/// The place of a voucher: its batch's number, and which one of the batch, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Number of the batch.
    pub batch: u32,
    /// Which one of it.
    pub index: u32,
}

/// A batch of the stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// What its fact said.
    pub fact: StockBatch,
    /// The first of its vouchers that is not sold or passed over; `fact.count` when none is left.
    pub next: u32,
    /// How many were sold.
    pub sold: u32,
}

impl Batch {
    /// How many are left.
    pub fn left(&self) -> u32 {
        self.fact.count - self.next
    }

    /// How many were passed over: neither sold nor ever to be sold.
    pub fn passed_over(&self) -> u32 {
        self.next - self.sold
    }

    fn place(&self) -> Option<Place> {
        (self.left() > 0).then_some(Place { batch: self.fact.number, index: self.next })
    }
}

/// A fact that does not fit the stock. The journal or the switch is at fault, never the outside; it must
/// not be applied, and a retry gives the same answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StockFault {
    /// The batch has a number that is not above every one before, or none that is allowed.
    #[error("stock batch {number} cannot be added: numbers must grow, and the last one was {last}")]
    Number {
        /// The number in question.
        number: u32,
        /// The last one that was given.
        last: u32,
    },
    /// A batch of that name is there.
    #[error("stock batch `{name}` is there already")]
    Name {
        /// The name in question.
        name: Text<40>,
    },
    /// The batch holds nothing, or more than a batch may.
    #[error("stock batch `{name}` has {count} vouchers; 1 to {BATCH_VOUCHERS_MAX} are allowed")]
    Count {
        /// The batch.
        name: Text<40>,
        /// How many it has.
        count: u32,
    },
    /// The product has no such voucher.
    #[error("product {product} has no voucher {index} in batch {batch}", product = .product.0)]
    Missing {
        /// The product.
        product: ProductId,
        /// The batch.
        batch: u32,
        /// The voucher.
        index: u32,
    },
    /// The voucher was sold or passed over before.
    #[error("voucher {index} of batch {batch} was sold or passed over before")]
    Twice {
        /// The batch.
        batch: u32,
        /// The voucher.
        index: u32,
    },
}

/// The stock of every product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    products: FxHashMap<ProductId, Line>,
    names: FxHashMap<Text<40>, (ProductId, u32)>,
    last_number: u32,
}

/// The batches of one product, by rising number, and which of them is being sold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line {
    batches: Vec<Batch>,
    current: usize,
}

impl Line {
    fn at(&self, number: u32) -> Option<usize> {
        self.batches.binary_search_by_key(&number, |batch| batch.fact.number).ok()
    }

    /// Moves `current` on to the first batch with something left, or to the last one.
    fn settle(&mut self) {
        while self.current + 1 < self.batches.len() && self.batches[self.current].left() == 0 {
            self.current += 1;
        }
    }

    /// Whatever an earlier batch still has is passed over when a later one is sold from.
    fn pass_batches_before(&mut self, at: usize) {
        for batch in &mut self.batches[self.current..at] {
            batch.next = batch.fact.count;
        }
        self.current = at;
    }
}

impl Pack for StockBatch {
    fn pack(&self, out: &mut Vec<u8>) {
        self.product.pack(out);
        self.number.pack(out);
        self.name.pack(out);
        self.count.pack(out);
        self.digest.pack(out);
    }
}

impl StockBatch {
    /// Reads a packed batch.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            product: from.product()?,
            number: from.u32()?,
            name: from.text()?,
            count: from.u32()?,
            digest: from.array()?,
        })
    }
}

impl Stock {
    /// Appends the whole stock, in the order of products and numbers.
    pub fn pack(&self, out: &mut Vec<u8>) {
        self.last_number.pack(out);
        pack::list(out, self.products().into_iter(), |product, out| {
            let line = &self.products[&product];
            product.pack(out);
            (line.current as u32).pack(out);
            pack::list(out, line.batches.iter(), |batch, out| {
                batch.fact.pack(out);
                batch.next.pack(out);
                batch.sold.pack(out);
            });
        });
    }

    /// Reads a packed stock.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        let last_number = from.u32()?;
        let lines = from.list(|from| {
            let (product, current) = (from.product()?, from.u32()? as usize);
            let batches = from.list(|from| {
                let fact = StockBatch::unpack(from)?;
                let batch = Batch { fact, next: from.u32()?, sold: from.u32()? };
                let sound = batch.sold <= batch.next && batch.next <= fact.count;
                if sound { Ok(batch) } else { Err(Unreadable) }
            })?;
            if current < batches.len() { Ok((product, Line { batches, current })) } else { Err(Unreadable) }
        })?;
        let named = lines.iter().flat_map(|(product, line)| {
            line.batches.iter().map(|batch| (batch.fact.name, (*product, batch.fact.number)))
        });
        let names = named.collect();
        Ok(Self { products: lines.into_iter().collect(), names, last_number })
    }

    /// Applies the fact of a new batch.
    ///
    /// # Errors
    /// `Number`, `Name`, `Count`: nothing changed.
    pub fn add(&mut self, batch: &StockBatch) -> Result<(), StockFault> {
        let (number, last) = (batch.number, self.last_number);
        if number <= last || number > BATCH_NUMBER_MAX {
            return Err(StockFault::Number { number, last });
        }
        if batch.count == 0 || batch.count > BATCH_VOUCHERS_MAX {
            return Err(StockFault::Count { name: batch.name, count: batch.count });
        }
        if self.names.contains_key(&batch.name) {
            return Err(StockFault::Name { name: batch.name });
        }
        self.last_number = number;
        self.names.insert(batch.name, (batch.product, number));
        let line = self.products.entry(batch.product).or_default();
        line.batches.push(Batch { fact: *batch, next: 0, sold: 0 });
        line.settle();
        Ok(())
    }

    /// Applies the sale of a voucher. Those between `next` and it are passed over.
    ///
    /// # Errors
    /// `Missing`, and `Twice` for a voucher before `next`: nothing changed.
    pub fn sold(&mut self, product: ProductId, batch: u32, index: u32) -> Result<(), StockFault> {
        let missing = StockFault::Missing { product, batch, index };
        let line = self.products.get_mut(&product).ok_or(missing)?;
        let at = line.at(batch).ok_or(missing)?;
        if index >= line.batches[at].fact.count {
            return Err(missing);
        }
        if at < line.current || index < line.batches[at].next {
            return Err(StockFault::Twice { batch, index });
        }
        line.pass_batches_before(at);
        line.batches[at].next = index + 1;
        line.batches[at].sold += 1;
        line.settle();
        Ok(())
    }

    /// The place of the voucher of a product that is sold next.
    pub fn next(&self, product: ProductId) -> Option<Place> {
        let line = self.products.get(&product)?;
        line.batches.get(line.current)?.place()
    }

    /// The place after another one of the same product, in the order of selling: where the tray goes on.
    pub fn after(&self, product: ProductId, place: Place) -> Option<Place> {
        let line = self.products.get(&product)?;
        let at = line.at(place.batch)?;
        let index = place.index.checked_add(1)?;
        if index < line.batches[at].fact.count {
            return Some(Place { batch: place.batch, index });
        }
        line.batches.get(at + 1).map(|batch| Place { batch: batch.fact.number, index: 0 })
    }

    /// How many vouchers of a product are left, expired ones included.
    pub fn left(&self, product: ProductId) -> u64 {
        self.batches(product).iter().map(|batch| u64::from(batch.left())).sum()
    }

    /// The batches of a product, by rising number.
    pub fn batches(&self, product: ProductId) -> &[Batch] {
        self.products.get(&product).map_or(&[], |line| &line.batches)
    }

    /// The products that have batches, by rising id.
    pub fn products(&self) -> Vec<ProductId> {
        let mut products: Vec<_> = self.products.keys().copied().collect();
        products.sort_unstable();
        products
    }

    /// The batch of that name, of whatever product.
    pub fn batch_by_name(&self, name: Text<40>) -> Option<&Batch> {
        let (product, number) = *self.names.get(&name)?;
        let line = self.products.get(&product)?;
        line.batches.get(line.at(number)?)
    }

    /// The number for the next batch; `None` when all are given.
    pub fn next_number(&self) -> Option<u32> {
        (self.last_number < BATCH_NUMBER_MAX).then_some(self.last_number + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    const PRODUCT: ProductId = ProductId(7);

    fn batch(number: u32, count: u32) -> StockBatch {
        let name = Text::new(format!("batch-{number}").as_bytes()).expect("short ASCII");
        StockBatch { product: PRODUCT, number, name, count, digest: [number as u8; 32] }
    }

    fn stock(counts: &[u32]) -> Stock {
        let mut stock = Stock::default();
        for (number, &count) in (1..).zip(counts) {
            stock.add(&batch(number, count)).expect("a new batch");
        }
        stock
    }

    #[test]
    fn batches_are_sold_in_their_order() {
        let mut stock = stock(&[2, 1]);
        for (batch, index, left) in [(1, 0, 3), (1, 1, 2), (2, 0, 1)] {
            assert_eq!(stock.left(PRODUCT), left);
            assert_eq!(stock.next(PRODUCT), Some(Place { batch, index }));
            stock.sold(PRODUCT, batch, index).expect("the next one");
        }
        assert_eq!((stock.next(PRODUCT), stock.left(PRODUCT)), (None, 0));
        stock.add(&batch(3, 1)).expect("a new batch");
        assert_eq!(stock.next(PRODUCT), Some(Place { batch: 3, index: 0 }));
    }

    #[test]
    fn what_a_sale_jumps_is_passed_over_and_never_sold() {
        let mut stock = stock(&[3, 3]);
        stock.sold(PRODUCT, 1, 1).expect("first");
        stock.sold(PRODUCT, 2, 1).expect("later batch");
        let passed: Vec<_> = stock.batches(PRODUCT).iter().map(Batch::passed_over).collect();
        assert_eq!(passed, [2, 1]);
        for (batch, index) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)] {
            let twice = StockFault::Twice { batch, index };
            assert_eq!(stock.sold(PRODUCT, batch, index), Err(twice));
        }
        assert_eq!(stock.left(PRODUCT), 1);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let mut stock = stock(&[2]);
        let before = stock.clone();
        let again = StockBatch { number: 2, ..batch(1, 5) };
        assert_eq!(stock.add(&again), Err(StockFault::Name { name: again.name }));
        assert_eq!(stock.add(&batch(1, 5)), Err(StockFault::Number { number: 1, last: 1 }));
        assert!(matches!(stock.add(&batch(2, 0)), Err(StockFault::Count { .. })));
        assert!(matches!(stock.add(&batch(0x8000_0000, 1)), Err(StockFault::Number { .. })));
        let missing = [(PRODUCT, 1, 2), (PRODUCT, 9, 0), (ProductId(8), 1, 0)];
        for (product, batch, index) in missing {
            let fault = StockFault::Missing { product, batch, index };
            assert_eq!(stock.sold(product, batch, index), Err(fault));
        }
        assert_eq!(stock, before);
    }

    #[test]
    fn batches_are_found_by_name_and_numbers_grow() {
        let stock = stock(&[2, 3]);
        let found = stock.batch_by_name(batch(2, 0).name).expect("there");
        assert_eq!((found.fact.number, found.fact.count), (2, 3));
        assert_eq!(stock.batch_by_name(Text::EMPTY), None);
        assert_eq!((stock.next_number(), stock.products()), (Some(3), vec![PRODUCT]));
    }

    proptest! {
        #[test]
        fn no_voucher_is_sold_twice_and_the_order_is_kept(
            counts in prop::collection::vec(1u32..6, 1..5),
            sales in prop::collection::vec((1u32..6, 0u32..6), 0..60),
        ) {
            let mut stock = stock(&counts);
            let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
            let mut sold = HashSet::new();
            let mut last = None;
            for (batch, index) in sales {
                let place = Place { batch, index };
                let next = stock.next(PRODUCT);
                let exists = counts.get(batch as usize - 1).is_some_and(|&count| index < count);
                let answer = stock.sold(PRODUCT, batch, index);
                prop_assert_eq!(answer.is_ok(), exists && next.is_some_and(|next| place >= next));
                if answer.is_ok() {
                    prop_assert!(sold.insert(place) && last < Some(place));
                    last = Some(place);
                }
                let passed: u64 =
                    stock.batches(PRODUCT).iter().map(|b| u64::from(b.passed_over())).sum();
                prop_assert_eq!(stock.left(PRODUCT) + passed + sold.len() as u64, total);
            }
        }

        #[test]
        fn after_walks_every_place_once(counts in prop::collection::vec(1u32..6, 1..5)) {
            let stock = stock(&counts);
            let walk = std::iter::successors(stock.next(PRODUCT), |&at| stock.after(PRODUCT, at));
            let places: Vec<_> = walk.collect();
            prop_assert!(places.is_sorted() && places.len() as u64 == stock.left(PRODUCT));
        }
    }
}
