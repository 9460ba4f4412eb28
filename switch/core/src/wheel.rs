//! A timer wheel: many deadlines, one clock read a turn.
//!
//! Owns: `Wheel`, slots of a fixed width on a ring, each a list of what is due in it.
//! Invariants: nothing fires early; what is put in fires once, at the first turn after it is due; firing allocates nothing once the slots have grown.
//! Deliberately absent: cancelling one. Who put a deadline in checks whether it still matters when it fires, or sweeps out what does not (`retain`).

/// Slots on the ring.
const SLOTS: usize = 1024;
/// Width of a slot, microseconds: 8.192 ms. The ring spans 8.4 s; what is due later waits in its slot for the next round.
const SLOT_US: u64 = 8_192;

/// The wheel. `T` says what is due.
#[derive(Debug)]
pub struct Wheel<T> {
    slots: Vec<Vec<(u64, T)>>,
    /// The next slot to be looked at, counted from time 0.
    next: u64,
    /// No slot before this one holds anything.
    earliest: u64,
    len: usize,
}

impl<T: Copy> Wheel<T> {
    /// An empty wheel; nothing put in will be due before `now_us`.
    pub fn new(now_us: u64) -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Vec::new()).collect(),
            next: now_us / SLOT_US,
            earliest: u64::MAX,
            len: 0,
        }
    }

    /// Puts a deadline in.
    pub fn put(&mut self, at_us: u64, what: T) {
        let slot = (at_us / SLOT_US + 1).max(self.next);
        self.slots[(slot % SLOTS as u64) as usize].push((at_us, what));
        self.earliest = self.earliest.min(slot);
        self.len += 1;
    }

    /// Hands out everything that is due at `now_us`.
    pub fn due(&mut self, now_us: u64, mut fire: impl FnMut(T)) {
        let last = now_us / SLOT_US;
        let first = self.next.max(last.saturating_sub(SLOTS as u64 - 1));
        for slot in first..=last {
            let Self { slots, len, .. } = self;
            slots[(slot % SLOTS as u64) as usize].retain(|(at_us, what)| {
                let waits = *at_us > now_us;
                if !waits {
                    *len -= 1;
                    fire(*what);
                }
                waits
            });
        }
        self.next = self.next.max(last + 1);
    }

    /// Keeps what `keep` says.
    pub fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for slot in &mut self.slots {
            slot.retain(|(_, what)| keep(what));
        }
        self.len = self.slots.iter().map(Vec::len).sum();
    }

    /// When to look again, microseconds: the end of the next slot that holds anything, or none while the wheel is empty.
    pub fn wake_us(&mut self) -> Option<u64> {
        if self.len == 0 {
            self.earliest = u64::MAX;
            return None;
        }
        // What waits for a later round stands in a slot that was looked at already: at most one round is searched.
        self.earliest = self.earliest.clamp(self.next, self.next + SLOTS as u64);
        while self.slots[(self.earliest % SLOTS as u64) as usize].is_empty() {
            self.earliest += 1;
        }
        Some(self.earliest * SLOT_US)
    }

    /// How many deadlines are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn everything_fires_once_and_never_early(
            deadlines in prop::collection::vec(0u64..40_000_000, 1..60),
            steps in prop::collection::vec(1u64..9_000_000, 1..30),
        ) {
            let mut wheel = Wheel::new(0);
            for at in &deadlines {
                wheel.put(*at, *at);
            }
            let (mut now, mut fired) = (0, Vec::new());
            for step in steps {
                now += step;
                wheel.due(now, |at| fired.push((at, now)));
            }
            // From here on, only woken: the wheel must ask for every moment that matters.
            while let Some(wake) = wheel.wake_us() {
                prop_assert!(wake > now);
                now = wake;
                wheel.due(now, |at| fired.push((at, now)));
            }
            prop_assert!(fired.iter().all(|(at, now)| at <= now));
            let mut fired: Vec<u64> = fired.into_iter().map(|(at, _)| at).collect();
            let mut deadlines = deadlines;
            fired.sort_unstable();
            deadlines.sort_unstable();
            prop_assert_eq!(fired, deadlines);
            prop_assert!(wheel.is_empty());
        }
    }
}
