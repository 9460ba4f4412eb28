//! Cold reads: by position, and in order.

use super::*;

/// A journal over several segments and two epochs, with all its facts.
fn long_journal(place: &Place) -> (Started, Vec<Fact>) {
    let mut all = Vec::new();
    for epoch in 0..2 {
        let mut started = place.start();
        for index in 0..150u32 {
            let large = vec![epoch as u8; (index as usize * 997) % 65_000];
            all.extend(started.write(&[&index.to_le_bytes(), &large, b""]));
            while started.maker.prepare().expect("room on the disk") {}
        }
        if epoch == 1 {
            started.await_durable(started.journal.written());
            return (started, all);
        }
        started.close();
    }
    unreachable!("the second epoch returns")
}

#[test]
fn every_fact_is_found_by_its_position() {
    let place = Place::new();
    let (started, all) = long_journal(&place);
    assert!(all.last().expect("facts").0.segment(OPTIONS.segment_bytes) >= 3);
    let mut out = b"replaced".to_vec();
    for (lsn, fact) in all.iter().rev() {
        started.reader.fact(*lsn, &mut out).expect("written");
        assert_eq!(&out, fact);
    }
    let last = all.last().expect("facts").0;
    for wrong in [Lsn(0), Lsn(last.0 + 8), Lsn(last.0 + 1), Lsn(all[4].0.0 + 8)] {
        assert!(matches!(started.reader.fact(wrong, &mut out), Err(JournalError::NoFact { .. })), "{wrong}");
    }
    assert!(matches!(started.reader.fact(Lsn(u64::MAX), &mut out), Err(JournalError::Io { .. })));
    let longer =
        all.iter().find(|fact| fact.1.len() > 5000 && fact.0.0 < OPTIONS.segment_bytes).expect("one");
    flip(&place.segment(0), longer.0.0 + 4000, 1);
    assert!(matches!(started.reader.fact(longer.0, &mut out), Err(JournalError::NoFact { .. })));
}

#[test]
fn facts_are_read_on_from_any_of_them() {
    let place = Place::new();
    let (started, all) = long_journal(&place);
    let upto = started.journal.durable();
    let read_on = |after: Lsn, upto: Lsn| {
        let mut facts = Vec::new();
        let last = started.reader.facts_after(after, upto, |lsn, fact| {
            facts.push((lsn, fact.to_vec()));
            Ok(())
        });
        (facts, last.expect("sound"))
    };
    let (facts, last) = read_on(Lsn(0), upto);
    assert_eq!((facts.len(), last), (all.len(), all[all.len() - 1].0));
    assert_eq!(facts, all);
    for from in (0..all.len()).step_by(37) {
        let (facts, last) = read_on(all[from].0, upto);
        assert!(facts == all[from + 1..], "from {from}");
        assert_eq!(last, all[all.len() - 1].0);
        let (facts, last) = read_on(all[from].0, all[from].0);
        assert_eq!((facts.len(), last), (0, all[from].0));
    }
}

#[test]
fn facts_that_are_missing_are_not_passed_over() {
    let place = Place::new();
    let (started, all) = long_journal(&place);
    let upto = started.journal.durable();
    edit(&place.segment(0)).write_all_at(&[0; 4096], all[30].0.0).expect("own file");
    let error = started.reader.facts_after(Lsn(0), upto, |_, _| Ok(())).expect_err("a hole");
    assert!(matches!(error, JournalError::Damaged { .. } | JournalError::NoFact { .. }), "{error}");
}
