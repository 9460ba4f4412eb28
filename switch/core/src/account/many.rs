//! Accounts of a kind of which there may be very many: wallets, and merchants' own positions.
//!
//! Owns: their balances, in shards that a copy shares, and what they hold together.
//! Invariants: a copy costs a pointer a shard however many accounts there are, and a shard is copied only when it changes while a copy of it lives; the sum follows from the balances; equal
//! accounts are equal whatever order they came in.
//! Deliberately absent: whose they are (`account`).

use super::Balance;
use crate::text::Text;
use rustc_hash::{FxBuildHasher, FxHashMap};
use std::hash::BuildHasher;
use std::sync::Arc;

/// Shards. With a million accounts each has about a thousand, whose copy takes some ten microseconds.
const SHARDS: usize = 1_024;

type Shard<const N: usize> = FxHashMap<Text<N>, Balance>;

/// Balances by the text that names their account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Many<const N: usize> {
    shards: Arc<[Arc<Shard<N>>]>,
    count: usize,
    sum: i128,
}

impl<const N: usize> Default for Many<N> {
    fn default() -> Self {
        // All of them are the one empty shard, until something is put in.
        let empty = Arc::new(Shard::default());
        Self { shards: (0..SHARDS).map(|_| Arc::clone(&empty)).collect(), count: 0, sum: 0 }
    }
}

/// The high bits: the low ones choose the place within a shard.
fn shard_of<const N: usize>(name: Text<N>) -> usize {
    (FxBuildHasher.hash_one(name) >> 40) as usize % SHARDS
}

impl<const N: usize> Many<N> {
    pub(super) fn get(&self, name: Text<N>) -> Option<&Balance> {
        self.shards[shard_of(name)].get(&name)
    }

    /// Puts a balance in place of what was there.
    pub(super) fn set(&mut self, name: Text<N>, balance: Balance) {
        let shards = Arc::make_mut(&mut self.shards);
        let before = Arc::make_mut(&mut shards[shard_of(name)]).insert(name, balance);
        self.count += usize::from(before.is_none());
        self.sum += i128::from(balance.posted.0) - i128::from(before.unwrap_or_default().posted.0);
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// What they hold together, minor units.
    pub(super) fn sum(&self) -> i128 {
        self.sum
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Text<N>, Balance)> + '_ {
        self.shards.iter().flat_map(|shard| shard.iter().map(|(name, balance)| (*name, *balance)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Minor;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn name(number: u16) -> Text<15> {
        Text::new(format!("M{number}").as_bytes()).expect("fits")
    }

    fn of(amount: i64) -> Balance {
        Balance { posted: Minor(amount), reserved: Minor(amount / 2) }
    }

    proptest! {
        #[test]
        fn they_are_a_map_that_knows_its_sum_and_copies_do_not_change(
            sets in prop::collection::vec((0u16..40, -1_000i64..1_000), 0..120),
            copied_at in 0usize..120,
        ) {
            let (mut many, mut map) = (Many::<15>::default(), BTreeMap::new());
            let mut copy = None;
            for (at, (number, amount)) in sets.into_iter().enumerate() {
                if at == copied_at {
                    copy = Some((many.clone(), map.clone()));
                }
                many.set(name(number), of(amount));
                map.insert(name(number), of(amount));
            }
            for (many, map) in std::iter::once((many, map)).chain(copy) {
                prop_assert_eq!(many.len(), map.len());
                prop_assert_eq!(many.sum(), map.values().map(|b| i128::from(b.posted.0)).sum::<i128>());
                prop_assert!(map.iter().all(|(name, balance)| many.get(*name) == Some(balance)));
                prop_assert_eq!(many.iter().collect::<BTreeMap<_, _>>(), map.clone());
                let mut again = Many::default();
                map.into_iter().rev().for_each(|(name, balance)| again.set(name, balance));
                prop_assert_eq!(again, many);
            }
        }
    }

    #[test]
    fn a_copy_shares_what_does_not_change() {
        let mut many = Many::<15>::default();
        (0..5_000).for_each(|number| many.set(name(number), of(1)));
        let copy = many.clone();
        assert!(Arc::ptr_eq(&many.shards, &copy.shards), "one pointer");
        many.set(name(7), of(2));
        let changed = many.shards.iter().zip(copy.shards.iter()).filter(|(a, b)| !Arc::ptr_eq(a, b));
        assert_eq!(changed.count(), 1);
    }
}
