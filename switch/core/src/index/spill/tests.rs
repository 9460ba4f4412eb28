//! An index that gives entries to runs is the same index.

use super::super::filter::Filter;
use super::super::run::{Block, RunHead, write_run};
use super::super::{Hour, Standing};
use super::*;
use crate::ids::FlightNo;
use crate::keyhash::KeyHash;
use proptest::prelude::*;
use std::hint::black_box;
use std::io;
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
        key: hash.digest(2, &[&number.to_le_bytes()]),
        named: hash.digest(3, &[&number.to_le_bytes()]),
        contents: number,
        flight: FlightNo(number),
        admitted_ms: at_hour * HOUR_MS,
        intent_at: Lsn(number),
        outcome_at: Lsn(number),
        local: hour(at_hour),
        sent: hour(at_hour),
        standing: Standing::Answered,
        secret: false,
    }
}

/// Runs in memory, as the keeper has them on disk.
#[derive(Default)]
struct Shelf(Vec<(Arc<RunHead>, Vec<Block>)>);

impl Shelf {
    fn write(&mut self, spill: &Spill) -> Run {
        let mut blocks = Vec::new();
        let put = |block: &Block| {
            blocks.push(*block);
            Ok(())
        };
        let entries: Vec<_> = spill.iter().collect();
        let (head, filter) = write_run(spill.number, spill.at, &entries, put).expect("memory takes it");
        let head = Arc::new(head);
        self.0.push((Arc::clone(&head), blocks));
        Run { head, filter: Some(Arc::new(filter)) }
    }

    /// What the newest run that has it says, as the keeper looks.
    fn find(&self, by: impl Fn(&RunHead, &[Block]) -> Option<Entry>) -> Option<Entry> {
        self.0.iter().rev().find_map(|(head, blocks)| by(head, blocks))
    }
}

fn read(blocks: &[Block]) -> impl FnMut(u32, &mut Block) -> io::Result<()> {
    move |number, block| {
        *block = blocks[number as usize];
        Ok(())
    }
}

/// What the gate finds under a key: memory first, then runs.
fn by_key(index: &Index, shelf: &Shelf, key: u128, local: Hour) -> Option<Entry> {
    let in_memory = index.by_key(key).and_then(|at| index.entry(at)).copied();
    let ever = index.runs().may_ever_hold(key, local, 0);
    let may = index.runs().may_hold(key, local, 0);
    assert!(ever || !may);
    in_memory.or_else(|| {
        let found = shelf.find(|head, blocks| head.by_key(key, read(blocks)).expect("whole"));
        assert!(found.is_none() || may, "a key that lies in a run is not told of");
        found
    })
}

/// What the gate finds under a second key: the key that it belongs to, then what is newest of that.
fn by_named(index: &Index, shelf: &Shelf, named: u128, sent: Hour) -> Option<Entry> {
    let in_memory = index.by_named(named).and_then(|at| index.entry(at)).copied();
    let entry = in_memory.or_else(|| {
        let found = shelf.find(|head, blocks| head.by_named(named, read(blocks)).expect("whole"));
        assert!(found.is_none() || index.runs().may_name(sent, 0));
        found
    })?;
    by_key(index, shelf, entry.key, entry.local)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn an_index_that_spills_at_any_moment_is_the_one_that_does_not(
        steps in prop::collection::vec((0u8..6, any::<u32>()), 20..80),
    ) {
        let (mut whole, mut index, mut shelf) = (Index::default(), Index::default(), Shelf::default());
        let (mut number, mut under_way, mut in_flight) = (0u64, None, Vec::new());
        for (step, chance) in steps {
            let chance = u64::from(chance);
            match step {
                // Many requests; a few of them stay open.
                0 | 1 => for _ in 0..chance % 900 {
                    let standing = if number % 701 == 3 { Standing::InFlight } else { Standing::Answered };
                    let entry = Entry { standing, ..entry(number, number / 900) };
                    let at = (whole.add(entry), index.add(entry));
                    if standing == Standing::InFlight {
                        in_flight.push((number, at));
                    }
                    number += 1;
                },
                // An open one is answered.
                2 => if !in_flight.is_empty() {
                    let (_, (of_whole, of_index)) = in_flight.swap_remove(chance as usize % in_flight.len());
                    for entry in [whole.entry_mut(of_whole), index.entry_mut(of_index)] {
                        let entry = entry.expect("an open one is in memory");
                        entry.standing = Standing::Answered;
                        entry.outcome_at = Lsn(chance);
                    }
                },
                // One that may be anywhere is cancelled: where memory does not have it, a newer entry says so.
                3 => if number > 0 && in_flight.is_empty() {
                    let wanted = entry(chance % number, chance % number / 900);
                    let known = by_key(&index, &shelf, wanted.key, wanted.local).expect("it was added");
                    let at = index.by_key(wanted.key).unwrap_or_else(|| index.add(known));
                    let of_whole = whole.by_key(wanted.key).expect("it was added");
                    for entry in [whole.entry_mut(of_whole), index.entry_mut(at)] {
                        entry.expect("there").standing = Standing::Cancelled;
                    }
                },
                4 => match under_way.take() {
                    None => {
                        let open = in_flight.iter().min_by_key(|(number, _)| *number).map(|(_, (_, at))| *at);
                        under_way = index.spill(1_800 * ENTRY_BYTES, open, Lsn(number));
                    }
                    Some(_) if chance % 4 == 0 => index.not_spilled(),
                    Some(spill) => index.spilled(shelf.write(&spill)),
                },
                _ => index.leave(chance as usize % 2_000),
            }
            if step > 3 {
                prop_assert_eq!([index == whole, whole == index], [true, true]);
            }
            for probe in 0..8 {
                let probe = (chance.wrapping_mul(2_654_435_761) + probe * 997) % (number + 5);
                let wanted = entry(probe, probe / 900);
                let expected = whole.by_key(wanted.key).and_then(|at| whole.entry(at)).copied();
                prop_assert_eq!(by_key(&index, &shelf, wanted.key, wanted.local), expected);
                prop_assert_eq!(by_named(&index, &shelf, wanted.named, wanted.sent), expected);
            }
        }
        for probe in (0..number).step_by(3) {
            let wanted = entry(probe, probe / 900);
            let expected = whole.by_key(wanted.key).and_then(|at| whole.entry(at)).copied();
            prop_assert_eq!(by_key(&index, &shelf, wanted.key, wanted.local), expected);
        }
    }
}

/// An index that relies on `runs` runs of an hour each, whose filters are real and whose files nobody reads here.
fn relying_on(runs: u64) -> Index {
    let mut index = Index::default();
    for run in 0..runs {
        let mut filter = Filter::new(2_000);
        let entries: Vec<_> = (0..200).map(|number| entry(run * 200 + number, run)).collect();
        let borrowed: Vec<_> = entries.iter().collect();
        let (head, _) = write_run(run as u32 + 1, Lsn(run), &borrowed, |_| Ok(())).expect("nothing fails");
        entries.iter().for_each(|entry| filter.add(entry.key));
        index.attach(Run { head: Arc::new(head), filter: Some(Arc::new(filter)) });
    }
    index
}

#[test]
fn a_new_key_costs_the_same_with_a_hundred_runs_as_with_one() {
    const LOOKS: u64 = 200_000;
    let indexes = [1, 10, 100].map(relying_on);
    // Keys of the only hour that all three have a run of.
    let keys: Vec<_> =
        (0..LOOKS).map(|number| entry(1 << 40 | number, 0)).map(|e| (e.key, e.local)).collect();
    let time = |index: &Index| {
        let began = Instant::now();
        let found =
            keys.iter().filter(|(key, local)| black_box(index.runs().may_hold(*key, *local, 0))).count();
        assert!(found < LOOKS as usize / 200, "{found}");
        began.elapsed()
    };
    let mut best = [Duration::MAX; 3];
    for _ in 0..5 {
        for (best, index) in best.iter_mut().zip(&indexes) {
            *best = time(index).min(*best);
        }
    }
    println!("a look-up with 1, 10 and 100 runs: {:?}", best.map(|time| time / LOOKS as u32));
    assert!(best[1] < best[0] * 3 && best[2] < best[0] * 3, "{best:?}");
}

#[test]
fn filters_go_with_the_window_and_runs_when_nothing_can_be_reversed() {
    let mut index = relying_on(10);
    let with_filters = index.bytes();
    let old = entry(0, 0);
    assert!(index.runs().may_hold(old.key, old.local, 0));
    assert_eq!(index.age(3 * HOUR_MS, 0), None);
    assert!(index.bytes() < with_filters);
    assert!(!index.runs().may_hold(old.key, old.local, 0), "it can be repeated no more");
    assert!(index.runs().may_ever_hold(old.key, old.local, 0) && index.runs().may_name(old.sent, 0));
    let young = entry(3 * 200, 3);
    assert!(index.runs().may_hold(young.key, young.local, 0));
    assert_eq!(index.age(3 * HOUR_MS, 2 * HOUR_MS), Some(1));
    assert_eq!(index.age(3 * HOUR_MS, 2 * HOUR_MS), Some(2));
    assert_eq!(index.age(3 * HOUR_MS, 2 * HOUR_MS), None);
    assert!(!index.runs().may_ever_hold(old.key, old.local, 0));
    assert_eq!(index.marks().len(), 8);
}
