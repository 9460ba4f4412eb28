//! The format holds: what is written is read, and nothing else is.

use proptest::prelude::*;

use super::*;

const SEGMENT_BYTES: u64 = SEGMENT_BYTES_MIN;

fn start() -> LogStart {
    LogStart { epoch: 3, at: Lsn(SEGMENT_HEADER_BYTES as u64), chain: 77, segment_bytes: SEGMENT_BYTES }
}

fn append(log: &mut Log, fact: &[u8]) -> Lsn {
    log.append(|out| out.extend_from_slice(fact))
}

fn batch_of(facts: &[&[u8]]) -> (Vec<u8>, Expect) {
    let mut log = Log::new(start());
    for fact in facts {
        append(&mut log, fact);
    }
    let batch = log.seal_batch(Lsn(128));
    (batch.bytes.to_vec(), Expect { epoch: 3, at: batch.at, chain: batch.chain })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read_by_batch_and_by_position(
        batches in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..20), 1..20),
        large in 0..FACT_BYTES_MAX,
    ) {
        let mut log = Log::new(start());
        let mut chain = start().chain;
        let mut at = start().at;
        for (index, facts) in batches.iter().enumerate() {
            let mut facts = facts.clone();
            if index == 1 {
                facts.push(vec![7; large]);
            }
            let lsns: Vec<Lsn> = facts.iter().map(|fact| {
                let next = log.next();
                let lsn = append(&mut log, fact);
                assert_eq!((lsn, log.last()), (next, next));
                lsn
            }).collect();
            prop_assert_eq!(log.facts(), facts.len());
            let durable_upto = at;
            let batch = log.seal_batch(durable_upto);
            prop_assert_eq!((batch.at, batch.facts), (at, facts.len()));
            prop_assert_eq!(batch.end.0, batch.at.0 + batch.bytes.len() as u64);
            let view = read_batch(batch.bytes, Expect { epoch: 3, at, chain }).expect("sound");
            prop_assert_eq!((view.end, view.facts, view.durable_upto), (batch.end, facts.len(), durable_upto));
            let read: Vec<(Lsn, Vec<u8>)> = view.facts().map(|(lsn, fact)| (lsn, fact.to_vec())).collect();
            prop_assert_eq!(&read, &lsns.iter().copied().zip(facts.iter().cloned()).collect::<Vec<_>>());
            for (lsn, fact) in read {
                let from = (lsn.0 - at.0) as usize;
                prop_assert_eq!(read_fact(&batch.bytes[from..], lsn), Ok(&fact[..]));
            }
            prop_assert_eq!(probe(batch.bytes, at).map(|probe| probe.end), Some(batch.end));
            chain = view.checksum;
            at = place_of_batch(view.end, SEGMENT_BYTES);
        }
    }

    #[test]
    fn no_input_makes_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), magic: bool) {
        let mut bytes = bytes;
        if magic && bytes.len() >= 8 {
            bytes[..8].copy_from_slice(&BATCH_MAGIC);
        }
        let expect = Expect { epoch: 0, at: Lsn(0), chain: 0 };
        prop_assert!(read_batch(&bytes, expect).is_err());
        prop_assert!(probe(&bytes, Lsn(0)).is_none());
        let _ = read_fact(&bytes, Lsn(0));
        prop_assert!(SegmentHeader::decode(&bytes).is_err());
    }

    #[test]
    fn batches_never_straddle_segments(sizes in proptest::collection::vec(0..FACT_BYTES_MAX, 1..400)) {
        let mut log = Log::new(start());
        let mut end = start().at;
        for size in sizes {
            log.append(|out| out.resize(out.len() + size, 1));
            if !log.is_full() {
                continue;
            }
            let batch = log.take(end).expect("it is full");
            prop_assert!(batch.bytes.len() <= BATCH_BYTES_MAX);
            prop_assert_eq!(batch.at, place_of_batch(end, SEGMENT_BYTES));
            prop_assert_eq!(batch.at.segment(SEGMENT_BYTES), (batch.end.0 - 1) / SEGMENT_BYTES);
            prop_assert!(batch.at.offset(SEGMENT_BYTES) >= SEGMENT_HEADER_BYTES as u64);
            end = batch.end;
        }
    }
}

#[test]
fn every_flipped_bit_of_a_batch_is_noticed() {
    let (bytes, expect) = batch_of(&[b"", b"one", &[0xff; 333], b"12345678"]);
    assert!(read_batch(&bytes, expect).is_ok());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        // What follows a batch must not make a flipped length fit.
        flipped.resize(4096, 0);
        assert!(read_batch(&flipped, expect).is_err(), "bit {bit}");
        assert_eq!(probe(&flipped, expect.at), None, "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_a_fact_is_noticed() {
    let (bytes, expect) = batch_of(&[&[0x5a; 100]]);
    let lsn = Lsn(expect.at.0 + BATCH_HEADER_BYTES as u64);
    let fact = &bytes[BATCH_HEADER_BYTES..];
    for bit in 0..(FRAME_BYTES + 100) * 8 {
        let mut flipped = fact.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(read_fact(&flipped, lsn).is_err(), "bit {bit}");
    }
    assert_eq!(read_fact(fact, Lsn(lsn.0 + 8)), Err(FactError::Damaged), "a fact of another place");
    assert_eq!(read_fact(&fact[..50], lsn), Err(FactError::Short(FRAME_BYTES + 100)));
    assert_eq!(read_fact(&bytes, expect.at), Err(FactError::NotAFact), "a batch is not a fact");
}

#[test]
fn every_cut_of_a_batch_is_noticed() {
    let (bytes, expect) = batch_of(&[b"one", b"two"]);
    for length in 0..bytes.len() {
        let error = read_batch(&bytes[..length], expect).expect_err("cut");
        assert_eq!(error, if length == 0 { BatchError::Nothing } else { BatchError::Length });
        let mut zeros_behind = bytes[..length].to_vec();
        zeros_behind.resize(4096, 0);
        let whole = bytes[length..].iter().all(|&byte| byte == 0);
        assert_eq!(read_batch(&zeros_behind, expect).is_ok(), whole, "length {length}");
    }
}

#[test]
fn another_epoch_place_or_chain_is_stale() {
    let (bytes, expect) = batch_of(&[b"one"]);
    for other in [
        Expect { epoch: 4, ..expect },
        Expect { at: Lsn(expect.at.0 + SEGMENT_BYTES), ..expect },
        Expect { chain: expect.chain ^ 1, ..expect },
    ] {
        assert_eq!(read_batch(&bytes, other).err(), Some(BatchError::Stale));
    }
}

#[test]
fn another_version_is_told_from_damage() {
    let (mut bytes, expect) = batch_of(&[b"one"]);
    bytes[16] = 9;
    let crc = crc32c::crc32c(&bytes[12..BATCH_HEADER_BYTES]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(read_batch(&bytes, expect).err(), Some(BatchError::Version(9)));
}

#[test]
fn facts_that_do_not_fill_their_batch_are_refused() {
    let (mut bytes, expect) = batch_of(&[b"one", b"two"]);
    bytes[48] = 1;
    let crc = crc32c::crc32c(&bytes[12..BATCH_HEADER_BYTES]);
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(read_batch(&bytes, expect).err(), Some(BatchError::Frames));
}

/// Frames are summed some at a time: around each number of facts at which that happens, and over two batches.
#[test]
fn a_batch_of_any_number_of_facts_has_the_checksum_of_all_its_frames() {
    let mut log = Log::new(start());
    let (mut at, mut chain) = (start().at, start().chain);
    for facts in [127, 128, 129, 1, 256, 300] {
        for fact in 0..facts {
            append(&mut log, &u32::to_le_bytes(fact));
        }
        let batch = log.take(Lsn(0)).expect("facts wait");
        let mut frames = Vec::new();
        let mut rest = &batch.bytes[BATCH_HEADER_BYTES..];
        while let Some((frame, behind)) = rest.split_at_checked(FRAME_BYTES) {
            frames.extend_from_slice(frame);
            rest = &behind[usize::from(u16_at(frame, 0)).next_multiple_of(8)..];
        }
        assert_eq!(frames.len(), FRAME_BYTES * facts as usize);
        assert_eq!(u32_at(batch.bytes, 12), crc32c::crc32c(&frames), "{facts} facts");
        assert_eq!((batch.at, batch.chain), (at, chain));
        (at, chain) = (batch.end, checksum_of(batch.bytes));
    }
}

#[test]
fn an_empty_batch_is_only_taken_as_a_seal() {
    let mut log = Log::new(start());
    append(&mut log, b"one");
    assert!(log.take(Lsn(0)).is_some());
    assert!(log.take(Lsn(0)).is_none());
    let next = log.next();
    let seal = log.seal_batch(Lsn(200));
    assert_eq!((seal.facts, seal.bytes.len(), seal.durable_upto), (0, BATCH_HEADER_BYTES, Lsn(200)));
    assert_eq!(seal.end, next);
    assert!(append(&mut log, b"two") > next);
    assert_eq!(log.take(Lsn(0)).expect("one fact").facts, 1);
}

#[test]
fn the_buffer_of_a_log_is_not_replaced() {
    let mut log = Log::new(start());
    let mut end = start().at;
    let mut places = std::collections::BTreeSet::new();
    for _ in 0..10 {
        while !log.is_full() {
            for _ in 0..FACTS_PER_ITEM_MAX {
                log.append(|out| out.resize(out.len() + FACT_BYTES_MAX, 1));
            }
        }
        for _ in 0..FACTS_PER_ITEM_MAX {
            log.append(|out| out.resize(out.len() + FACT_BYTES_MAX, 1));
        }
        let batch = log.take(end).expect("full");
        places.insert(batch.bytes.as_ptr() as usize);
        end = batch.end;
    }
    assert_eq!(places.len(), 1, "the buffer was allocated again");
}

#[test]
fn every_flipped_bit_of_a_segment_header_is_noticed() {
    let header = SegmentHeader {
        epoch: 5,
        number: 9,
        segment_bytes: SEGMENT_BYTES,
        follows: Lsn(1234),
        chain: 99,
        durable_upto: Lsn(1000),
        wrapped_key: [3; WRAPPED_KEY_BYTES],
    };
    let bytes = header.encode();
    assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes;
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(SegmentHeader::decode(&flipped), Err(HeaderError::Damaged), "bit {bit}");
    }
    for length in 0..bytes.len() {
        assert_eq!(SegmentHeader::decode(&bytes[..length]), Err(HeaderError::Nothing));
    }
    assert_eq!(SegmentHeader::decode(&[0; SEGMENT_HEADER_BYTES]), Err(HeaderError::Nothing));
}
