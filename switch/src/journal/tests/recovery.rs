//! What a start finds after a kill, a power cut, or rot.

use proptest::prelude::*;
use switchyard_core::log::{BATCH_HEADER_BYTES, SEGMENT_HEADER_BYTES};
use switchyard_core::seal::KeyId;

use super::*;

const BASE: Lsn = Lsn(SEGMENT_HEADER_BYTES as u64);

fn is_damage(result: &Result<(Vec<Fact>, Replayed), JournalError>) -> bool {
    matches!(result, Err(JournalError::Damaged { .. }))
}

/// A folder with a few batches in segment 0, each with where it ends and its facts. Those with an index below
/// `claimed` are claimed to be durable by the last one; none when `claimed` is 0.
fn batches(place: &Place, count: usize, claimed: usize) -> Vec<(Lsn, Vec<Fact>)> {
    let mut started = place.start();
    let mut batches: Vec<(Lsn, Vec<Fact>)> = Vec::new();
    for index in 0..count {
        let claim = match claimed.checked_sub(1) {
            Some(last) if index == count - 1 => batches[last].0,
            _ => BASE,
        };
        let text = format!("fact {index}");
        let facts = started.write_claiming(&[text.as_bytes(), b"", &[index as u8; 9]], claim);
        batches.push((started.journal.written(), facts));
    }
    started.await_durable(started.journal.written());
    drop(started);
    let end = batches.last().map_or(BASE, |batch| batch.0);
    place.trim(0, end);
    batches
}

fn facts_of(batches: &[(Lsn, Vec<Fact>)]) -> Vec<Fact> {
    batches.iter().flat_map(|batch| batch.1.clone()).collect()
}

#[test]
fn nothing_is_lost_over_many_starts_closed_or_not() {
    let place = Place::new();
    let mut all: Vec<Fact> = Vec::new();
    for round in 0..12u32 {
        let (facts, replayed) = place.replay().expect("sound");
        assert_eq!(facts, all);
        assert_eq!((replayed.facts, replayed.epoch, replayed.cut_bytes), (all.len() as u64, round, 0));
        let mut started = place.start();
        assert_eq!(started.journal.epoch(), round + 1);
        assert!(started.journal.durable() > replayed.end, "what was read is durable");
        assert_eq!(started.keyring.len(), round as usize + 1);
        for index in 0..round {
            all.extend(started.write(&[format!("round {round} fact {index}").as_bytes()]));
        }
        match round % 3 {
            0 => started.close(),
            1 => started.await_durable(started.journal.written()),
            _ => {}
        }
    }
    assert!(all.is_sorted_by_key(|fact| fact.0));
}

#[test]
fn a_fact_left_open_is_written_by_close_and_a_seal_follows() {
    let place = Place::new();
    let mut started = place.start();
    let lsn = started.log.append(|out| out.extend_from_slice(b"last words"));
    started.close();
    let (facts, replayed) = place.replay().expect("sound");
    assert_eq!(facts, [(lsn, b"last words".to_vec())]);
    assert_eq!(replayed.batches, 2);
    assert_eq!(replayed.durable_upto.0, replayed.end.0 - BATCH_HEADER_BYTES as u64);
}

#[test]
fn a_tail_cut_at_any_byte_loses_only_the_batch_that_was_cut() {
    let place = Place::new();
    let batches = batches(&place, 3, 0);
    let path = place.segment(0);
    let whole = std::fs::read(&path).expect("own file");
    for length in (SEGMENT_HEADER_BYTES..whole.len()).rev() {
        edit(&path).set_len(length as u64).expect("own file");
        let (facts, replayed) = place.replay().expect("a torn tail");
        let kept = batches.iter().filter(|batch| batch.0.0 <= length as u64).count();
        assert_eq!(facts, facts_of(&batches[..kept]), "length {length}");
        assert_eq!(replayed.end, if kept == 0 { BASE } else { batches[kept - 1].0 });
    }
    for length in [0, 1, SEGMENT_HEADER_BYTES - 1] {
        edit(&path).set_len(length as u64).expect("own file");
        assert_eq!(place.replay().expect("an empty log").0, []);
    }
}

#[test]
fn a_cut_tail_is_never_read_again() {
    let place = Place::new();
    let batches = batches(&place, 3, 0);
    // The first byte of the last batch is lost, then comes back: it must not bring the batch back.
    flip(&place.segment(0), batches[1].0.0, 0);
    let mut started = place.start();
    let after = started.write(&[b"after the cut"]);
    started.close();
    assert_eq!(std::fs::metadata(place.segment(0)).expect("kept").len(), batches[1].0.0);
    let (facts, replayed) = place.replay().expect("sound");
    assert_eq!(facts, [facts_of(&batches[..2]), after].concat());
    assert_eq!(replayed.cut_bytes, 0);
}

#[test]
fn every_flipped_bit_is_refused_below_what_was_durable_and_cut_above() {
    let place = Place::new();
    let batches = batches(&place, 6, 3);
    let all = facts_of(&batches);
    let end = batches[5].0.0;
    let path = place.segment(0);
    for bit in 0..end * 8 {
        flip(&path, bit / 8, (bit % 8) as u8);
        let result = place.replay();
        // Everything before the last batch claims nothing; the last batch claims the first three.
        if bit / 8 < batches[2].0.0 {
            assert!(is_damage(&result), "bit {bit}: {result:?}");
        } else {
            let (facts, replayed) = result.expect("a torn tail");
            assert!(facts.len() < all.len() && all.starts_with(&facts), "bit {bit}");
            assert!(replayed.cut_bytes > 0, "bit {bit}");
        }
        flip(&path, bit / 8, (bit % 8) as u8);
    }
    assert_eq!(place.replay().expect("sound").0, all);
}

#[test]
fn rot_in_the_last_facts_is_a_torn_tail_only_until_the_seal() {
    let place = Place::new();
    let mut started = place.start();
    let first = started.write_claiming(&[b"first"], BASE);
    started.await_durable(started.journal.written());
    let at = started.journal.written();
    started.write_claiming(&[b"second"], at);
    started.await_durable(started.journal.written());
    drop(started);
    flip(&place.segment(0), at.0 + 60, 3);
    assert_eq!(place.replay().expect("a torn tail").0, first);
    flip(&place.segment(0), at.0 + 60, 3);

    let sealed = Place::new();
    let mut started = sealed.start();
    started.write_claiming(&[b"first"], BASE);
    started.close();
    flip(&sealed.segment(0), BASE.0 + 60, 3);
    let error = sealed.replay().expect_err("rot");
    let JournalError::Damaged { offset, durable_upto, ref file, .. } = error else { panic!("{error}") };
    assert_eq!((offset, file), (BASE.0, &sealed.segment(0)));
    assert!(durable_upto > BASE);
    let before = std::fs::read(sealed.segment(0)).expect("own file");
    assert!(sealed.opening().expect("opens").start(&Keyring::new()).is_err(), "start refuses as well");
    assert_eq!(std::fs::read(sealed.segment(0)).expect("own file"), before, "and changes nothing");
}

#[test]
fn what_a_start_has_read_can_no_longer_be_a_torn_tail() {
    let place = Place::new();
    let batches = batches(&place, 2, 0);
    // The header of the new segment is all that says so: nothing is written in the second epoch.
    drop(place.start());
    flip(&place.segment(0), batches[1].0.0 - 8, 0);
    assert!(is_damage(&place.replay()));
}

#[test]
fn a_lost_write_in_the_middle_breaks_the_chain() {
    let zero_second = |claimed| {
        let place = Place::new();
        let batches = batches(&place, 4, claimed);
        let (from, to) = (batches[0].0.0, batches[1].0.0);
        edit(&place.segment(0)).write_all_at(&vec![0; (to - from) as usize], from).expect("own file");
        (place.replay(), facts_of(&batches[..1]))
    };
    let (synced, _) = zero_second(3);
    assert!(is_damage(&synced), "{synced:?}");
    let (unsynced, first) = zero_second(1);
    assert_eq!(unsynced.expect("a torn tail").0, first);
}

#[test]
fn content_of_an_earlier_use_is_not_read() {
    let place = Place::new();
    let one = batches(&place, 3, 0);
    let end = one[2].0.0;
    let file = edit(&place.segment(0));
    let mut copy = vec![0; (end - BASE.0) as usize];
    file.read_exact_at(&mut copy, BASE.0).expect("own file");
    // The same batches again, at a place for which they were not made.
    file.write_all_at(&copy, end).expect("own file");
    assert_eq!(place.replay().expect("a torn tail").0, facts_of(&one));

    // A batch of another log, made for just this place and epoch, but with another one before it.
    let other = Place::new();
    let mut started = other.start();
    for index in 0..4 {
        let text = format!("tale {index}");
        started.write_claiming(&[text.as_bytes(), b"", &[9; 9]], BASE);
    }
    drop(started);
    let (from, to) = (one[1].0.0 as usize, one[2].0.0 as usize);
    let stranger = &std::fs::read(other.segment(0)).expect("own file")[from..to];
    let again = Place::new();
    let three = batches(&again, 3, 0);
    edit(&again.segment(0)).write_all_at(stranger, from as u64).expect("own file");
    assert_eq!(again.replay().expect("a torn tail").0, facts_of(&three[..2]));
}

#[test]
fn a_missing_segment_is_noticed() {
    let fill = || {
        let place = Place::new();
        let mut started = place.start();
        let mut all = Vec::new();
        for _ in 0..12 {
            all.extend(started.write(&[&[7; 60_000][..]; 16]));
            while started.maker.prepare().expect("room on the disk") {}
        }
        started.close();
        (place, all)
    };
    let (place, all) = fill();
    assert_eq!(place.replay().expect("sound").0.len(), all.len());
    assert!(all.last().expect("facts").0.segment(OPTIONS.segment_bytes) >= 2);
    std::fs::remove_file(place.segment(1)).expect("own file");
    assert!(is_damage(&place.replay()));

    let (place, all) = fill();
    std::fs::remove_file(place.segment(0)).expect("own file");
    assert!(matches!(place.replay(), Err(JournalError::Beheaded { first: 1, .. })));
    let after =
        all.iter().map(|fact| fact.0).find(|lsn| lsn.segment(OPTIONS.segment_bytes) == 1).expect("one");
    let mut rest = Vec::new();
    let mut opening = place.opening().expect("opens");
    let replayed = opening.replay_after(after, &Keyring::new(), |lsn, fact| {
        rest.push((lsn, fact.to_vec()));
        Ok(())
    });
    let expected: Vec<Fact> = all.into_iter().filter(|fact| fact.0 > after).collect();
    assert_eq!((rest.len(), replayed.expect("sound").facts), (expected.len(), expected.len() as u64));
    assert_eq!(rest, expected);
}

#[test]
fn a_folder_in_use_a_wrong_key_and_another_length_are_refused_with_advice() {
    let place = Place::new();
    let started = place.start();
    let error = place.opening().err().expect("locked");
    assert!(matches!(error, JournalError::Locked { .. }));
    assert!(error.to_string().contains("a folder of its own"), "{error}");
    started.close();

    let stranger = Place::new();
    let mut opening = Opening::new(&place.dir(), OPTIONS, Arc::clone(&stranger.kek)).expect("opens");
    let error = opening.replay(&Keyring::new(), |_, _| Ok(())).expect_err("another key");
    assert!(error.to_string().contains("key file that belongs to this data folder"), "{error}");
    drop(opening);

    let longer = JournalOptions { segment_bytes: 2 * OPTIONS.segment_bytes, ..OPTIONS };
    let mut opening = Opening::new(&place.dir(), longer, Arc::clone(&place.kek)).expect("opens");
    let error = opening.replay(&Keyring::new(), |_, _| Ok(())).expect_err("another length");
    assert!(error.to_string().contains("set it back to 4194304"), "{error}");
    drop(opening);

    for wrong in [
        JournalOptions { segment_bytes: OPTIONS.segment_bytes + 8, ..OPTIONS },
        JournalOptions { segment_bytes: 4096, ..OPTIONS },
        JournalOptions { prepared_min: 1, ..OPTIONS },
        JournalOptions { sync_facts_min: 0, ..OPTIONS },
        JournalOptions { sync_interval_us: u64::MAX, ..OPTIONS },
    ] {
        assert!(matches!(
            Opening::new(&place.dir(), wrong, Arc::clone(&place.kek)),
            Err(JournalError::Options(_))
        ));
    }
}

#[test]
fn a_fact_that_is_refused_stops_the_start() {
    let place = Place::new();
    let batches = batches(&place, 2, 0);
    let mut opening = place.opening().expect("opens");
    let error =
        opening.replay(&Keyring::new(), |_, _| Err("unknown kind 9".to_owned())).expect_err("refused");
    assert!(matches!(error, JournalError::Refused { lsn, .. } if lsn == batches[0].1[0].0));
}

#[test]
fn secrets_of_earlier_epochs_open_after_a_restart() {
    use switchyard_core::seal::Nonce;
    let place = Place::new();
    let mut started = place.start();
    let key = started.keyring.key(KeyId::epoch(started.log.epoch())).expect("the epoch's key");
    let lsn = started.log.next();
    let mut sealed = Vec::new();
    key.seal(Nonce::of(lsn, 0), b"serial", b"1234567890", &mut sealed).expect("seals");
    let written = started.write(&[&sealed]);
    assert_eq!(written[0].0, lsn);
    started.close();
    let keyring = Keyring::new();
    let mut opened = Vec::new();
    place
        .opening()
        .expect("opens")
        .replay(&keyring, |lsn, fact| {
            let key = keyring.key(KeyId::epoch(1)).ok_or("no key")?;
            key.open(Nonce::of(lsn, 0), b"serial", fact, &mut opened).map_err(|error| error.to_string())
        })
        .expect("sound");
    assert_eq!(opened, b"1234567890");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A power cut keeps any of the unsynced sectors and drops the others.
    #[test]
    fn a_power_cut_keeps_everything_that_was_durable(
        sizes in proptest::collection::vec(0..3000usize, 1..12),
        claimed in 0..12usize,
        dropped in proptest::collection::vec(any::<bool>(), 128),
    ) {
        let place = Place::new();
        let mut started = place.start();
        let mut ends = vec![BASE];
        let mut all = Vec::new();
        let claimed = claimed.min(sizes.len() - 1);
        for (index, size) in sizes.iter().enumerate() {
            let claim = ends[index.min(claimed)];
            let fact = vec![index as u8 + 1; *size];
            all.push(started.write_claiming(&[&fact], claim).remove(0));
            ends.push(started.journal.written());
        }
        drop(started);
        let (durable, end) = (ends[claimed].0, ends[sizes.len()].0);
        place.trim(0, Lsn(end));
        let file = edit(&place.segment(0));
        let mut at = durable;
        let mut lost = end;
        for drop in dropped {
            let next = ((at / 512 + 1) * 512).min(end);
            if drop && at < end {
                file.write_all_at(&vec![0; (next - at) as usize], at).expect("own file");
                lost = lost.min(at);
            }
            at = next;
        }
        let (facts, replayed) = place.replay().expect("what was durable is untouched");
        prop_assert!(replayed.end.0 >= durable);
        let whole = ends.iter().filter(|end| end.0 <= lost).count() - 1;
        prop_assert!(facts.len() >= whole && all.starts_with(&facts));
        let mut started = place.start();
        let more = started.write(&[b"more"]);
        started.close();
        prop_assert_eq!(place.replay().expect("sound").0, [facts, more].concat());
    }
}
