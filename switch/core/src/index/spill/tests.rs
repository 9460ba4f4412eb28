//! An index that gives entries to runs is the same index.

use super::super::filter::Filter;
use super::super::run::tests::in_memory;
use super::super::run::{Block, RunHead};
use super::super::{Hour, IndexSnapshot, Standing};
use super::*;
use crate::ids::FlightNo;
use crate::keyhash::KeyHash;
use crate::reversal::Named;
use crate::seek::{Found, Seek};
use proptest::prelude::*;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOUR_MS: u64 = 3_600_000;

/// An hour's digits, hhmmssMMDD: `number` counts from 1 January on.
fn hour(number: u64) -> Hour {
    let (day, hour) = (number / 24 % 28 + 1, number % 24);
    let digits = format!("{hour:02}0000{:02}{day:02}", number / 24 / 28 % 12 + 1);
    Hour::of_local(digits.as_bytes().first_chunk().expect("ten digits"))
}

fn entry(number: u64, at_hour: u64) -> Entry {
    let hash = KeyHash::new([5; 16]);
    Entry {
        key: hour(at_hour).put_in(hash.digest(2, &[&number.to_le_bytes()])),
        named: hour(at_hour).put_in(hash.digest(3, &[&number.to_le_bytes()])),
        contents: number,
        flight: FlightNo(number),
        admitted_ms: at_hour * HOUR_MS,
        intent_at: Lsn(number),
        outcome_at: Lsn(number),
        standing: Standing::Answered,
        secret: false,
    }
}

/// Runs in memory, as the keeper has them on disk.
#[derive(Default)]
struct Shelf(Vec<(Arc<RunHead>, Vec<Block>)>);

impl Shelf {
    fn write(&mut self, spill: &Spill) -> Run {
        let (head, filter, blocks) = in_memory(spill);
        let head = Arc::new(head);
        self.0.push((Arc::clone(&head), blocks));
        Run { head, filter: Some(Arc::new(filter)) }
    }

    /// What the keeper finds.
    fn look(&self, own: Option<u128>, named: Option<u128>) -> Found {
        let mut seek = Seek { own, original: Named { key: None, named }, ..Seek::default() };
        let heads: Vec<_> = self.0.iter().map(|(head, _)| Arc::clone(head)).collect();
        let read = |run: &RunHead, number: u32, block: &mut Block| {
            *block = self.0[run.mark.number as usize - 1].1[number as usize];
            Ok(())
        };
        seek.look(&heads, read).expect("whole");
        seek.found
    }
}

/// What the gate finds under a key: memory first, then runs.
fn by_key(index: &Index, shelf: &Shelf, key: u128) -> Option<Entry> {
    let in_memory = index.by_key(key).and_then(|at| index.entry(at)).copied();
    let ever = index.runs().may_ever_hold(key, 0);
    let may = index.runs().may_hold(key, 0);
    assert!(ever || !may);
    in_memory.or_else(|| {
        let found = shelf.look(Some(key), None).own;
        assert!(found.is_none() || may, "a key that lies in a run is not told of");
        found
    })
}

/// What the gate finds under a second key: the key that it belongs to, then what is newest of that.
fn by_named(index: &Index, shelf: &Shelf, named: u128) -> Option<Entry> {
    let key = index.key_of_named(named).or_else(|| {
        let found = shelf.look(None, Some(named)).key;
        assert!(found.is_none() || index.runs().may_name(named, 0));
        found
    })?;
    by_key(index, shelf, key)
}

/// The moments of a spill, in any order.
struct Story {
    whole: Index,
    index: Index,
    shelf: Shelf,
    number: u64,
    in_flight: Vec<(u64, (EntryNo, EntryNo))>,
    under_way: Option<Spill>,
}

impl Story {
    /// Many requests; a few of them stay open, a few get a further name, a few block something.
    fn ask(&mut self, count: u64) {
        for _ in 0..count {
            let number = self.number;
            let standing = match number % 701 {
                3 => Standing::InFlight,
                5 => Standing::Blocked,
                _ => Standing::Answered,
            };
            let entry = Entry { standing, ..entry(number, number / 900) };
            let at = (self.whole.add(entry), self.index.add(entry));
            if standing == Standing::InFlight {
                self.in_flight.push((number, at));
            }
            if number % 97 == 1 {
                let older = number - chance(number, 90);
                let key = self::entry(older, older / 900).key;
                self.whole.see(entry.admitted_ms, key, further(number));
                self.index.see(entry.admitted_ms, key, further(number));
            }
            self.number += 1;
        }
    }

    /// An open one is answered.
    fn answer(&mut self, chance: usize) {
        if self.in_flight.is_empty() {
            return;
        }
        let (_, (of_whole, of_index)) = self.in_flight.swap_remove(chance % self.in_flight.len());
        for entry in [self.whole.entry_mut(of_whole), self.index.entry_mut(of_index)] {
            let entry = entry.expect("an open one is in memory");
            entry.standing = Standing::Answered;
            entry.outcome_at = Lsn(chance as u64);
        }
    }

    /// One that may be anywhere is cancelled.
    fn cancel(&mut self, chance: u64) {
        let Some(number) = chance.checked_rem(self.number) else { return };
        let known = by_key(&self.index, &self.shelf, entry(number, number / 900).key).expect("it was added");
        if known.standing != Standing::Blocked {
            // As the fact says it, not as memory knows it.
            let given = Entry { intent_at: Lsn(chance), outcome_at: Lsn(chance), ..known };
            self.whole.cancel(&given);
            self.index.cancel(&given);
        }
    }

    fn spill(&mut self, chance: u64) {
        match self.under_way.take() {
            None => {
                let open = self.in_flight.iter().min_by_key(|(number, _)| *number).map(|(_, (_, at))| *at);
                self.under_way = self.index.spill(1_800 * ENTRY_MEMORY_BYTES, open, Lsn(self.number));
            }
            Some(_) if chance.is_multiple_of(4) => self.index.not_spilled(),
            Some(spill) => {
                let run = self.shelf.write(&spill);
                self.index.spilled(run);
            }
        }
    }

    fn assert_finds(&self, number: u64) {
        let wanted = entry(number, number / 900);
        let of_whole = |at: Option<EntryNo>| at.and_then(|at| self.whole.entry(at)).copied();
        let expected = of_whole(self.whole.by_key(wanted.key));
        assert_eq!(by_key(&self.index, &self.shelf, wanted.key), expected);
        assert_eq!(by_named(&self.index, &self.shelf, wanted.named), expected);
        let expected = of_whole(self.whole.by_named(further(number)));
        assert_eq!(by_named(&self.index, &self.shelf, further(number)), expected);
        if self.whole.is_blocked(wanted.named) {
            assert!(self.index.is_blocked(wanted.named), "a new original would not be looked for in runs");
        }
    }
}

/// A further second key.
fn further(number: u64) -> u128 {
    entry(1 << 50 | number, number / 900).named
}

/// A number below `below`, by chance.
fn chance(of: u64, below: u64) -> u64 {
    (of.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) % below.min(of + 1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_index_that_spills_at_any_moment_is_the_one_that_does_not(
        steps in prop::collection::vec((0u8..6, any::<u32>()), 20..80),
    ) {
        let mut story = Story {
            whole: Index::default(),
            index: Index::default(),
            shelf: Shelf::default(),
            number: 0,
            in_flight: Vec::new(),
            under_way: None,
        };
        for (step, by) in steps {
            match step {
                0 | 1 => story.ask(u64::from(by) % 900),
                2 => story.answer(by as usize),
                3 => story.cancel(u64::from(by)),
                4 => story.spill(u64::from(by)),
                _ => story.index.leave(by as usize % 2_000, 0),
            }
            if step > 3 {
                let equal = [story.index == story.whole, story.whole == story.index];
                prop_assert_eq!(equal, [true, true]);
            }
            for probe in 0..8 {
                story.assert_finds((u64::from(by).wrapping_mul(2_654_435_761) + probe * 997) % (story.number + 5));
            }
        }
        for number in (0..story.number).step_by(3) {
            story.assert_finds(number);
        }
    }
}

/// An index that relies on `runs` runs of an hour each, whose filters are real and whose files nobody reads here.
fn relying_on(runs: u64) -> Index {
    let mut index = Index::default();
    for run in 0..runs {
        let mut filter = Filter::new(2_000);
        let entries: Vec<_> = (0..200).map(|number| entry(run * 200 + number, run)).collect();
        let (head, _, _) = in_memory(&Spill::of(run as u32 + 1, Lsn(run), &entries, &[]));
        entries.iter().for_each(|entry| filter.add(entry.key));
        index.runs.add(Run { head: Arc::new(head), filter: Some(Arc::new(filter)) });
    }
    index
}

#[test]
fn a_new_key_costs_the_same_with_a_hundred_runs_as_with_one() {
    const LOOKS: u64 = 200_000;
    // So few take less time than a busy machine leaves to a process in one go: of a thousand such goes some are whole.
    const AT_ONCE: usize = 1_000;
    let indexes = [1, 10, 100].map(relying_on);
    // Keys of the only hour that all three have a run of.
    let keys: Vec<_> = (0..LOOKS).map(|number| entry(1 << 40 | number, 0).key).collect();
    let look = |index: &Index, keys: &[u128]| {
        keys.iter().filter(|key| black_box(index.runs().may_hold(**key, 0))).count()
    };
    let time = |index: &Index| {
        let went = keys.chunks(AT_ONCE).map(|keys| {
            let began = Instant::now();
            black_box(look(index, keys));
            began.elapsed()
        });
        went.min().expect("keys")
    };
    for index in &indexes {
        let found = look(index, &keys);
        assert!(found < LOOKS as usize / 200, "{found}");
    }
    let mut best = [Duration::MAX; 3];
    for _ in 0..5 {
        for (best, index) in best.iter_mut().zip(&indexes) {
            *best = time(index).min(*best);
        }
    }
    println!("a look-up with 1, 10 and 100 runs: {:?}", best.map(|time| time / AT_ONCE as u32));
    assert!(best[1] < best[0] * 3 && best[2] < best[0] * 3, "{best:?}");
}

#[test]
fn filters_go_with_the_window_and_runs_when_nothing_can_be_reversed() {
    let mut index = relying_on(10);
    let with_filters = index.bytes();
    let old = entry(0, 0);
    assert!(index.runs().may_hold(old.key, 0));
    assert_eq!(index.age(3 * HOUR_MS, 0), None);
    assert!(index.bytes() < with_filters);
    assert!(!index.runs().may_hold(old.key, 0), "it can be repeated no more");
    assert!(index.runs().may_ever_hold(old.key, 0) && index.runs().may_name(old.named, 0));
    let young = entry(3 * 200, 3);
    assert!(index.runs().may_hold(young.key, 0));
    assert_eq!(index.age(3 * HOUR_MS, 2 * HOUR_MS), Some(1));
    assert_eq!(index.age(3 * HOUR_MS, 2 * HOUR_MS), Some(2));
    assert_eq!(index.age(3 * HOUR_MS, 2 * HOUR_MS), None);
    assert!(!index.runs().may_ever_hold(old.key, 0));
    assert_eq!(index.runs().marks().len(), 8);
}

/// An index that fills and gives entries to runs, again and again: as in a running switch, a run takes a while to be written, entries leave as others come, and checkpoints share chunks
/// meanwhile.
#[derive(Default)]
struct Cycle {
    index: Index,
    number: u64,
    writing: Option<(u64, Spill)>,
    checkpoint: Option<(u64, IndexSnapshot)>,
}

impl Cycle {
    /// Entries of a run.
    const RUN: u64 = 36 * CHUNK_ENTRIES as u64;
    const BYTES_MAX: usize = 8 * Self::RUN as usize * ENTRY_MEMORY_BYTES;
    /// Entries that come while a run is written, from one checkpoint to the next, and while one is written.
    const WRITING: u64 = Self::RUN / 20;
    const BETWEEN: u64 = Self::RUN * 5 / 21;
    const CHECKPOINT: u64 = Self::RUN / 13;

    fn go(&mut self, count: u64) {
        for number in self.number..self.number + count {
            self.index.add(entry(number, number / 900));
            self.index.leave(8, 0);
            if let Some((_, spill)) = self.writing.take_if(|(until, _)| *until == number) {
                let (head, filter, _) = in_memory(&spill);
                drop(spill);
                self.index.spilled(Run { head: Arc::new(head), filter: Some(Arc::new(filter)) });
            }
            if let Some(spill) = self.index.spill(Self::BYTES_MAX, None, Lsn(number)) {
                self.writing = Some((number + Self::WRITING, spill));
            }
            self.checkpoint.take_if(|(until, _)| *until == number);
            if number % Self::BETWEEN == 0 {
                self.checkpoint = Some((number + Self::CHECKPOINT, self.index.snapshot()));
            }
        }
        self.number += count;
    }
}

/// Where chunks lie that it holds, those in use and spare ones.
fn chunks(index: &Index) -> Vec<*const Vec<Entry>> {
    let mut chunks = index.spares.addresses();
    chunks.extend(index.chunks.iter().map(Arc::as_ptr));
    chunks
}

#[test]
fn what_is_held_is_what_the_allocator_gave() {
    let mut index = Index::default();
    let measured = allocation_counter::measure(|| {
        (0..100_000).for_each(|number| {
            index.add(entry(number, 0));
        })
    });
    let (held, given) = (index.held_bytes() as u64, measured.bytes_current as u64);
    assert!(held <= given && given <= held + held / 32, "{held} held, {given} given");
}

#[test]
fn memory_is_flat_once_entries_have_left_for_a_run() {
    const STEP: u64 = 512;
    let mut cycle = Cycle::default();
    cycle.go(Cycle::RUN * 3 / 2);
    let steps = (0..12 * Cycle::RUN / STEP).map(|_| {
        cycle.go(STEP);
        cycle.index.held_bytes()
    });
    let (least, most) = steps.fold((usize::MAX, 0), |(least, most), held| (least.min(held), most.max(held)));
    assert!(cycle.index.runs().len() >= 12);
    assert!(most * 20 <= least * 21, "from {least} to {most} bytes");
}

#[test]
fn what_leaves_for_a_run_leaves_its_room_to_what_comes() {
    let mut cycle = Cycle::default();
    cycle.go(Cycle::RUN * 3 / 2);
    let before = chunks(&cycle.index);
    cycle.go(Cycle::RUN);
    let after = chunks(&cycle.index);
    let kept = before.iter().filter(|chunk| after.contains(chunk)).count();
    // A chunk that a checkpoint shares is copied when it changes, and what leaves meanwhile is not used at once.
    assert!(kept * 4 > before.len() * 3, "{kept} of {}: memory was given back and made anew", before.len());
}
