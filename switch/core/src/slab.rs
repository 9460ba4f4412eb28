//! A slab: values under numbers that the switch counts itself: flights, STANs, connections.
//!
//! Owns: `Slab`. A value lies in a slot, and stays there until it is taken out; a table of slots leads from a number to it. What is freed last is used first, so the slots in use stay near.
//! Invariants: a number leads to one value; the slots are as many as there ever were values at a time, never as many as there were numbers; nothing is allocated where it has grown.
//! Deliberately absent: protection from chosen keys. Numbers that clients choose belong into a table with a keyed hash.

use crate::ids::FlightNo;
use crate::ticket::Place;

/// A number that the switch counts, or some of them.
pub trait Counted: Copy + PartialEq {
    /// The number itself; of some, one that follows from them and seldom from others.
    fn count(self) -> u64;
}

impl Counted for FlightNo {
    fn count(self) -> u64 {
        self.0
    }
}

impl Counted for u32 {
    fn count(self) -> u64 {
        u64::from(self)
    }
}

impl Counted for Place {
    /// Connections' slots, and how often each was given.
    fn count(self) -> u64 {
        u64::from(self.slot) ^ u64::from(self.generation) << 24 ^ u64::from(self.conduit) << 48
    }
}

/// No slot.
const FREE: u32 = u32::MAX;
/// Places of the smallest table.
const PLACES_MIN: usize = 8;

#[derive(Clone, Debug)]
struct Slot<K, V> {
    key: K,
    value: Option<V>,
}

/// Values by number.
#[derive(Clone, Debug)]
pub struct Slab<K, V> {
    /// Slots by the hash of their number, each at its own place or the next free one; a power of two of them, at least half of them free. None before the first value.
    places: Vec<u32>,
    /// What is left of a hash, to be a place.
    shift: u32,
    slots: Vec<Slot<K, V>>,
    /// Slots without a value.
    free: Vec<u32>,
}

impl<K, V> Default for Slab<K, V> {
    fn default() -> Self {
        Self { places: Vec::new(), shift: 0, slots: Vec::new(), free: Vec::new() }
    }
}

/// What a slab takes that holds `entries` of these: its slots, the list of free ones, and the table.
pub const fn slab_bytes<K, V>(entries: usize) -> usize {
    if entries == 0 {
        return 0;
    }
    let slots = entries.next_power_of_two();
    slots.saturating_mul(size_of::<Slot<K, V>>() + size_of::<u32>() + 4 * size_of::<u32>())
}

impl<K: Counted, V> Slab<K, V> {
    /// How many values there are.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where a number's search begins. Numbers that follow each other lie far apart, and evenly (Fibonacci hashing).
    #[inline]
    fn home(&self, key: K) -> usize {
        (key.count().wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }

    #[inline]
    fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    /// The place of a number, and its slot.
    #[inline]
    fn find(&self, key: K) -> Option<(usize, usize)> {
        if self.places.is_empty() {
            return None;
        }
        let mut place = self.home(key);
        loop {
            let slot = self.places[place];
            if slot == FREE {
                return None;
            }
            if self.slots[slot as usize].key == key {
                return Some((place, slot as usize));
            }
            place = self.after(place);
        }
    }

    /// Whether there is a value under a number.
    #[inline]
    pub fn contains(&self, key: K) -> bool {
        self.find(key).is_some()
    }

    /// The value under a number.
    #[inline]
    pub fn get(&self, key: K) -> Option<&V> {
        let (_, slot) = self.find(key)?;
        self.slots[slot].value.as_ref()
    }

    /// The value under a number, to be changed.
    #[inline]
    pub fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let (_, slot) = self.find(key)?;
        self.slots[slot].value.as_mut()
    }

    /// Puts a value under a number, in place of what was there.
    #[inline]
    pub fn insert(&mut self, key: K, value: V) -> &mut V {
        let slot = self.find(key).map_or_else(|| self.claim(key), |(_, slot)| slot);
        self.slots[slot].value.insert(value)
    }

    /// A slot for a number that has none.
    #[inline]
    fn claim(&mut self, key: K) -> usize {
        if 2 * (self.len() + 1) > self.places.len() {
            self.grow();
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize].key = key;
                slot as usize
            }
            None => {
                self.slots.push(Slot { key, value: None });
                self.slots.len() - 1
            }
        };
        self.enter(key, slot as u32);
        slot
    }

    /// The value under a number, made by `make` where there is none.
    #[inline]
    pub fn or_insert_with(&mut self, key: K, make: impl FnOnce() -> V) -> &mut V {
        let slot = self.find(key).map_or_else(|| self.claim(key), |(_, slot)| slot);
        self.slots[slot].value.get_or_insert_with(make)
    }

    /// Takes the value under a number out.
    #[inline]
    pub fn remove(&mut self, key: K) -> Option<V> {
        let slot = self.leave(key)?;
        self.slots[slot].value.take()
    }

    /// Drops the value under a number, where it lies. Whether there was one.
    #[inline]
    pub fn discard(&mut self, key: K) -> bool {
        let Some(slot) = self.leave(key) else { return false };
        self.slots[slot].value = None;
        true
    }

    /// The number leads nowhere any more, and its slot is free.
    #[inline]
    fn leave(&mut self, key: K) -> Option<usize> {
        let (place, slot) = self.find(key)?;
        self.close_gap(place);
        self.free.push(slot as u32);
        Some(slot)
    }

    /// Frees a place, and moves what was turned away from it back, so that every search still ends where it should.
    fn close_gap(&mut self, mut gap: usize) {
        let mut place = self.after(gap);
        let distance = |from: usize, to: usize, places: usize| to.wrapping_sub(from) & (places - 1);
        while self.places[place] != FREE {
            let home = self.home(self.slots[self.places[place] as usize].key);
            let places = self.places.len();
            if distance(home, place, places) >= distance(gap, place, places) {
                self.places[gap] = self.places[place];
                gap = place;
            }
            place = self.after(place);
        }
        self.places[gap] = FREE;
    }

    #[inline]
    fn enter(&mut self, key: K, slot: u32) {
        let mut place = self.home(key);
        while self.places[place] != FREE {
            place = self.after(place);
        }
        self.places[place] = slot;
    }

    /// Twice as many places. All slots have a value then: it happens before there is one more than ever.
    #[cold]
    fn grow(&mut self) {
        let places = (2 * self.places.len()).max(PLACES_MIN);
        self.places.clear();
        self.places.resize(places, FREE);
        self.shift = 64 - places.trailing_zeros();
        for slot in 0..self.slots.len() {
            if self.slots[slot].value.is_some() {
                self.enter(self.slots[slot].key, slot as u32);
            }
        }
    }

    /// All values with their numbers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        // By way of the table, which is small: after a peak most slots may be free.
        let slots = self.places.iter().filter_map(|slot| self.slots.get(*slot as usize));
        slots.filter_map(|slot| Some((slot.key, slot.value.as_ref()?)))
    }

    /// All values, in no order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

/// Two are equal when they have the same values under the same numbers, wherever these lie.
impl<K: Counted, V: PartialEq> PartialEq for Slab<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(key) == Some(value))
    }
}

impl<K: Counted, V> FromIterator<(K, V)> for Slab<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(values: I) -> Self {
        let mut slab = Self::default();
        for (key, value) in values {
            slab.insert(key, value);
        }
        slab
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u32, u64),
        Remove(u32),
        Discard(u32),
        OrInsert(u32, u64),
    }

    /// Numbers that follow each other, and some that lie a power of two apart.
    fn number() -> impl Strategy<Value = u32> {
        prop_oneof![0u32..40, (0u32..40).prop_map(|number| number << 20), any::<u32>()]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (number(), any::<u64>()).prop_map(|(key, value)| Step::Insert(key, value)),
            number().prop_map(Step::Remove),
            number().prop_map(Step::Discard),
            (number(), any::<u64>()).prop_map(|(key, value)| Step::OrInsert(key, value)),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec(step(), 1..400)) {
            let (mut slab, mut map) = (Slab::<u32, u64>::default(), BTreeMap::new());
            let mut most = 0;
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        slab.insert(key, value);
                        map.insert(key, value);
                    }
                    Step::Remove(key) => prop_assert_eq!(slab.remove(key), map.remove(&key)),
                    Step::Discard(key) => prop_assert_eq!(slab.discard(key), map.remove(&key).is_some()),
                    Step::OrInsert(key, value) => {
                        prop_assert_eq!(*slab.or_insert_with(key, || value), *map.entry(key).or_insert(value));
                    }
                }
                most = most.max(map.len());
                prop_assert_eq!(slab.len(), map.len());
                prop_assert!(map.iter().all(|(key, value)| slab.get(*key) == Some(value)));
                prop_assert!(slab.iter().all(|(key, value)| map.get(&key) == Some(value)));
            }
            prop_assert_eq!(slab.slots.len(), most);
            let again: Slab<u32, u64> = map.into_iter().collect();
            prop_assert_eq!(again, slab);
        }
    }

    #[test]
    fn numbers_that_follow_each_other_are_found_at_once() {
        for first in [1u64, 1 << 20, 0x1234_5678_9ABC] {
            let mut slab = Slab::<FlightNo, ()>::default();
            for number in first..first + 10_000 {
                slab.insert(FlightNo(number), ());
            }
            let steps = |number: u64| {
                let (place, _) = slab.find(FlightNo(number)).unwrap();
                place.wrapping_sub(slab.home(FlightNo(number))) & (slab.places.len() - 1)
            };
            let all: usize = (first..first + 10_000).map(steps).sum();
            assert!(all < 5_000, "{all} steps for ten thousand numbers from {first}");
        }
    }

    #[test]
    fn a_slab_takes_what_is_said() {
        for entries in [1, 7, 28, 29, 1_000, 100_000] {
            let measured = allocation_counter::measure(|| {
                let mut slab = Slab::<u32, [u64; 4]>::default();
                for entry in 0..entries {
                    slab.insert(entry, [0; 4]);
                }
                (0..entries).for_each(|entry| assert!(slab.discard(entry)));
            });
            let (held, said) = (measured.bytes_max as usize, slab_bytes::<u32, [u64; 4]>(entries as usize));
            // While it grows, the old slots are there beside twice as many; and a list has room for four at least.
            assert!(held <= said + said / 2 + 256, "{entries}: {held} of {said}");
            assert!(said / 4 <= held, "{entries}: {held} of {said}");
        }
    }
}
