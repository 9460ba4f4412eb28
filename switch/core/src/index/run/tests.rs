//! A run finds what was written, reads little, and notices what was not written.

use super::*;
use crate::ids::FlightNo;
use crate::index::{Hour, Spill, Standing};
use crate::keyhash::KeyHash;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn entry(number: u32) -> Entry {
    let hash = KeyHash::new([9; 16]);
    Entry {
        key: Hour::of_local(b"1200001121").put_in(hash.digest(2, &[&number.to_le_bytes()])),
        named: Hour::of_transmission(b"1121110000").put_in(hash.digest(3, &[&number.to_le_bytes()])),
        contents: u64::from(number) << 7,
        flight: FlightNo(u64::from(number)),
        admitted_ms: 1_000 + u64::from(number),
        intent_at: Lsn(u64::from(number) * 8),
        outcome_at: Lsn(u64::from(number) * 8 + 80),
        standing: if number.is_multiple_of(5) { Standing::Cancelled } else { Standing::Answered },
        secret: number.is_multiple_of(3),
    }
}

/// A run in memory.
pub(in crate::index) fn in_memory(spill: &Spill) -> (RunHead, Filter, Vec<Block>) {
    let mut blocks = Vec::new();
    let put = |number: u32, block: &Block| {
        let at = number as usize;
        blocks.resize(blocks.len().max(at + 1), [0; BLOCK_BYTES]);
        blocks[at] = *block;
        Ok(())
    };
    let (head, filter) = RunWriter::default().write(spill, put).expect("memory takes it");
    (head, filter, blocks)
}

fn written(entries: &[Entry]) -> (RunHead, Filter, Vec<Block>) {
    written_with(entries, &[])
}

fn written_with(entries: &[Entry], seen: &[(u128, u128)]) -> (RunHead, Filter, Vec<Block>) {
    in_memory(&Spill::of(7, Lsn(99), entries, seen))
}

fn reader(blocks: &[Block]) -> impl FnMut(u32, &mut Block) -> io::Result<()> + Copy {
    move |number, block| {
        *block = *blocks.get(number as usize).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }
}

#[test]
fn both_keys_are_found_with_few_blocks_read() {
    const COUNT: u32 = 60_000;
    let entries: Vec<_> = (0..COUNT).map(entry).collect();
    let (head, filter, blocks) = written(&entries);
    assert_eq!(head.bytes(), (blocks.len() * BLOCK_BYTES) as u64);
    assert_eq!(
        (head.mark.entries, head.oldest_ms, head.mark.newest_ms),
        (COUNT, 1_000, 1_000 + u64::from(COUNT) - 1)
    );
    let again = RunHead::decode(&blocks[0]).expect("a head");
    assert_eq!(again, head);
    assert_eq!(again.filter(reader(&blocks)).expect("a filter"), filter);
    head.verify(reader(&blocks)).expect("whole");
    let (mut reads, mut most) = (0, 0);
    for number in (0..COUNT * 2).step_by(7) {
        let (wanted, mut read) = (entry(number), 0);
        let mut counted = |number: u32, block: &mut Block| {
            read += 1;
            reader(&blocks)(number, block)
        };
        let expected = (number < COUNT).then_some(wanted);
        assert_eq!(head.by_key(wanted.key, &mut counted).expect("whole"), expected);
        (reads, most) = (reads + read, most.max(read));
        let key = head.key_of_named(wanted.named, reader(&blocks)).expect("whole");
        assert_eq!(key, expected.map(|entry| entry.key));
    }
    let looks = COUNT * 2 / 7;
    assert!(reads < looks * 5 / 2 && most <= 8, "{reads} blocks for {looks} keys, at most {most}");
}

#[test]
fn of_several_under_one_key_the_last_counts_and_every_name_leads_to_it() {
    let old = entry(1);
    let new = Entry { named: entry(2).named, standing: Standing::Cancelled, ..old };
    let seen = [(entry(4).named, old.key), (entry(3).named, old.key)];
    let (head, _, blocks) = written_with(&[old, entry(3), new], &seen);
    assert_eq!(head.mark.entries, 2);
    assert_eq!(head.by_key(old.key, reader(&blocks)).expect("whole"), Some(new));
    for named in [old.named, new.named, entry(4).named] {
        assert!(head.sents.holds(Hour::in_key(named)));
        assert_eq!(head.key_of_named(named, reader(&blocks)).expect("whole"), Some(old.key));
    }
    // A name of its own counts for more than one that was seen.
    assert_eq!(head.key_of_named(entry(3).named, reader(&blocks)).expect("whole"), Some(entry(3).key));
}

#[test]
fn an_empty_run_has_nothing() {
    let (head, _, blocks) = written(&[]);
    assert_eq!(head.by_key(1, reader(&blocks)).expect("whole"), None);
    assert_eq!(head.key_of_named(u128::MAX, reader(&blocks)).expect("whole"), None);
    head.verify(reader(&blocks)).expect("whole");
}

/// The rows of a table, as they lie on disk.
fn rows(table: Table, blocks: &[Block]) -> Vec<Vec<u8>> {
    let of_block = |block: &Block| {
        let rows = block[CHECK_BYTES..].chunks_exact(table.row_bytes).take(table.rows_per_block);
        rows.map(<[u8]>::to_vec).collect::<Vec<_>>()
    };
    blocks[table.first_block..].iter().flat_map(of_block).take(table.rows).collect()
}

/// The same by a sort of everything at once.
fn sorted(entries: &[Entry], seen: &[(u128, u128)]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let by_key: BTreeMap<_, _> = entries.iter().map(|entry| (entry.key, entry)).collect();
    let own = entries.iter().map(|entry| (entry.named, entry.key));
    let by_named: BTreeMap<_, _> = seen.iter().copied().chain(own).collect();
    let packed = |value: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = Vec::new();
        value(&mut bytes);
        bytes
    };
    let entries = by_key.values().map(|entry| packed(&|bytes| entry.pack(bytes)));
    let names = by_named
        .iter()
        .map(|(named, key)| packed(&|bytes| [*named, *key].iter().for_each(|part| part.pack(bytes))));
    (entries.collect(), names.collect())
}

#[test]
fn one_run_after_the_other_takes_little_memory_and_the_same() {
    let entries: Vec<_> = (0..200_000).map(entry).collect();
    let spills =
        [&entries[..], &entries[50_000..], &entries[..10]].map(|entries| Spill::of(1, Lsn(9), entries, &[]));
    let mut writer = RunWriter::default();
    for spill in spills {
        let mut filters = 0;
        let measured = allocation_counter::measure(|| {
            let (_, filter) = writer.write(&spill, |_, _| Ok(())).expect("nothing fails");
            filters = filter.bytes();
        });
        let said = spill.len() * RUN_WRITING_BYTES + RUN_WRITER_BYTES;
        assert!(measured.bytes_max as usize <= said, "{} of {said} bytes", measured.bytes_max);
        assert!(filters <= spill.len() * 2 + 32);
    }
    let spill = Spill::of(1, Lsn(9), &entries[..150_000], &[]);
    let measured = allocation_counter::measure(|| drop(writer.write(&spill, |_, _| Ok(()))));
    // Only the filter and the head, which go, are new.
    assert!((measured.bytes_max as usize) < 150_000 * 2 + 16_384, "{}", measured.bytes_max);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_run_is_what_a_sort_of_everything_makes(
        keys in prop::collection::vec((any::<u128>(), any::<u128>()), 0..3_000), few in prop::bool::ANY, shift in 0u32..128,
    ) {
        // Few different keys: most entries have one that others have too.
        let of = |key: u128| if few { key % 200 } else { key } >> shift;
        let entries: Vec<_> = keys.iter().zip(0..).map(|((key, named), number)| Entry { key: of(*key), named: of(*named), ..entry(number) }).collect();
        let seen: Vec<_> = keys.iter().step_by(5).map(|(named, key)| (of(*named), of(*key))).collect();
        let (head, filter, blocks) = written_with(&entries, &seen);
        prop_assert_eq!((rows(head.entries(), &blocks), rows(head.names(), &blocks)), sorted(&entries, &seen));
        prop_assert_eq!(head.bytes(), (blocks.len() * BLOCK_BYTES) as u64);
        prop_assert_eq!(RunHead::decode(&blocks[0]).expect("a head"), head.clone());
        prop_assert_eq!(head.filter(reader(&blocks)).expect("a filter"), filter.clone());
        prop_assert!(entries.iter().all(|entry| filter.may_hold(entry.key) && head.locals.holds(Hour::in_key(entry.key))));
        prop_assert!(entries.iter().map(|entry| entry.named).chain(seen.iter().map(|(named, _)| *named)).all(|named| head.sents.holds(Hour::in_key(named))));
        head.verify(reader(&blocks)).expect("whole");
    }

    #[test]
    fn keys_that_lie_unevenly_are_found_too(keys in prop::collection::btree_set(any::<u128>(), 1..400), shift in 0u32..120) {
        let entries: Vec<_> = keys.iter().map(|key| Entry { key: key >> shift, ..entry(1) }).collect();
        let (head, _, blocks) = written(&entries);
        for entry in &entries {
            let found = head.by_key(entry.key, reader(&blocks)).expect("whole");
            prop_assert_eq!(found.map(|found| found.key), Some(entry.key));
        }
        for key in [0, 1, u128::MAX] {
            let found = head.by_key(key, reader(&blocks)).expect("whole").is_some();
            prop_assert_eq!(found, entries.iter().any(|entry| entry.key == key));
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed(at in 0usize..6, byte in 0usize..BLOCK_BYTES, bit in 0u8..8) {
        let entries: Vec<_> = (0..150).map(entry).collect();
        let (_, _, mut blocks) = written(&entries);
        let at = at % blocks.len();
        blocks[at][byte] ^= 1 << bit;
        let head = RunHead::decode(&blocks[0]);
        prop_assert!(head.is_err() || head.is_ok_and(|head| head.verify(reader(&blocks)).is_err()));
    }
}
