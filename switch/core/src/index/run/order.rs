//! Numbers in the order of their keys, for few bytes each.
//!
//! Owns: four bytes a number, which are used again for the next run, and the way through keys that lie in no order.
//! Invariants: each key comes once, with the highest number that has it; however keys lie, memory stays within what is said.
//! Deliberately absent: the keys. They stay where they are, and are asked for.
//!
//! Keys are keyed hashes, so their highest bits part them evenly. Two passes in the order of numbers put each number into the part of its key; then a part at a time, which fits
//! into the nearest memory, is sorted. To sort all numbers at once, each comparison would wait for a key from far away.

use std::cmp::Reverse;
use std::io;

/// Keys that a part has on average, at most.
const PART_KEYS: usize = 128;
/// Parts are at most two to the power of so many.
const PART_BITS_MAX: u32 = 13;
/// A part with more keys is sorted where its numbers lie: slower, but no hash makes one.
const GATHERED_MAX: usize = 1_024;

/// What an order takes beside [`ORDER_NUMBER_BYTES`] for each number.
pub(crate) const ORDER_BYTES: usize = (size_of::<u32>() << PART_BITS_MAX) + GATHERED_MAX * size_of::<Keyed>();
/// What a number takes.
pub(crate) const ORDER_NUMBER_BYTES: usize = size_of::<u32>();

/// A key and its number.
type Keyed = (u128, u32);

/// Numbers to be put in order.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The numbers, part after part.
    numbers: Vec<u32>,
    /// Where in `numbers` the next of each part goes; then where the part ends.
    ends: Vec<u32>,
    /// The part that is being sorted.
    gathered: Vec<Keyed>,
}

fn part(key: u128, bits: u32) -> usize {
    (u64::from((key >> 96) as u32) >> (32 - bits)) as usize
}

impl Order {
    /// Tells of the keys of numbers below `count`, the lowest first, each with the highest number that has it.
    ///
    /// # Errors
    /// What `tell` says.
    pub(super) fn each(
        &mut self,
        count: usize,
        key: impl Fn(u32) -> u128,
        mut tell: impl FnMut(u128, u32) -> io::Result<()>,
    ) -> io::Result<()> {
        self.divide(count as u32, &key);
        self.gathered.reserve_exact(GATHERED_MAX);
        let mut begin = 0;
        for end in &self.ends {
            let part = &mut self.numbers[begin..*end as usize];
            begin = *end as usize;
            if part.len() > GATHERED_MAX {
                part.sort_unstable_by_key(|number| (key(*number), Reverse(*number)));
                let keyed = part.iter().map(|number| (key(*number), *number));
                tell_each(keyed, &mut tell)?;
                continue;
            }
            self.gathered.clear();
            self.gathered.extend(part.iter().map(|number| (key(*number), *number)));
            self.gathered.sort_unstable_by_key(|(key, number)| (*key, Reverse(*number)));
            tell_each(self.gathered.iter().copied(), &mut tell)?;
        }
        Ok(())
    }

    /// Puts every number into the part of its key.
    fn divide(&mut self, count: u32, key: &impl Fn(u32) -> u128) {
        let bits = (count as usize).div_ceil(PART_KEYS).next_power_of_two().ilog2().min(PART_BITS_MAX);
        self.ends.clear();
        self.ends.resize(1 << bits, 0);
        (0..count).for_each(|number| self.ends[part(key(number), bits)] += 1);
        let mut before = 0;
        for end in &mut self.ends {
            before += std::mem::replace(end, before);
        }
        self.numbers.clear();
        self.numbers.reserve_exact(count as usize);
        self.numbers.resize(count as usize, 0);
        for number in 0..count {
            let next = &mut self.ends[part(key(number), bits)];
            self.numbers[*next as usize] = number;
            *next += 1;
        }
    }
}

/// Tells of each key once: the first of several counts.
fn tell_each(
    sorted: impl Iterator<Item = Keyed>,
    tell: &mut impl FnMut(u128, u32) -> io::Result<()>,
) -> io::Result<()> {
    let mut last = None;
    for (key, number) in sorted {
        if last.replace(key) != Some(key) {
            tell(key, number)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn told(order: &mut Order, keys: &[u128]) -> Vec<Keyed> {
        let mut told = Vec::new();
        let tell = |key, number| {
            told.push((key, number));
            Ok(())
        };
        order.each(keys.len(), |number| keys[number as usize], tell).expect("nothing fails");
        told
    }

    fn expected(keys: &[u128]) -> Vec<Keyed> {
        let last: BTreeMap<_, _> = keys.iter().zip(0..).map(|(key, number)| (*key, number)).collect();
        last.into_iter().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn keys_come_in_order_once_with_their_last_number(
            keys in prop::collection::vec(any::<u128>(), 0..2_000), again in prop::collection::vec(any::<prop::sample::Index>(), 0..50), shift in 0u32..128,
        ) {
            let mut keys: Vec<_> = keys.iter().map(|key| key >> shift).collect();
            if !keys.is_empty() {
                keys.extend(again.iter().map(|again| keys[again.index(keys.len())]).collect::<Vec<_>>());
            }
            let mut order = Order::default();
            prop_assert_eq!(told(&mut order, &keys), expected(&keys));
            keys.truncate(keys.len() / 3);
            // What was there before leaves nothing behind.
            prop_assert_eq!(told(&mut order, &keys), expected(&keys));
        }
    }

    #[test]
    fn keys_in_one_part_are_sorted_without_more_memory() {
        for all in [|_| 7, |number| number, |number: u128| u128::MAX - number * 3 % 20_011] {
            let keys: Vec<_> = (0..20_000).map(all).collect();
            let mut order = Order::default();
            assert_eq!(told(&mut order, &keys), expected(&keys));
            let (numbers, parts, gathered) =
                (order.numbers.capacity(), order.ends.capacity(), order.gathered.capacity());
            assert_eq!(numbers, keys.len());
            assert!(
                parts << 2 <= size_of::<u32>() << PART_BITS_MAX && gathered <= GATHERED_MAX,
                "{parts}, {gathered}"
            );
        }
    }

    #[test]
    fn what_fails_ends_it() {
        let mut told = 0;
        let fails = |_, number| {
            told += 1;
            if number == 3 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        };
        let ended = Order::default().each(1_000, |number| u128::from(number) << 100, fails);
        assert_eq!((ended.map_err(|error| error.kind()), told), (Err(io::ErrorKind::StorageFull), 4));
    }
}
