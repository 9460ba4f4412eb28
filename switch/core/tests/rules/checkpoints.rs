//! A checkpoint and the facts after it make the same state as the whole log, wherever it is cut; broken bytes make none.

use crate::support::bench::Bench;
use crate::support::disk::{image, restore};
use crate::support::message::Sale;
use proptest::prelude::*;
use std::sync::LazyLock;
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::session::Report;
use switchyard_core::state::{ImageFault, Piece, State};

fn topup(stan: u32) -> Sale {
    Sale { stan, account: format!("06{stan:08}"), ..Sale::of("TOPUP", 21) }
}

/// One of everything that leaves a trace: approved, declined, unknown and reversed, parked, open, sold from stock, loaded.
fn story() -> Bench {
    let mut bench = Bench::new();
    for (stan, code) in [(1, "00"), (2, "05")] {
        bench.ask(0, &topup(stan));
        let order = bench.order();
        bench.answered(order, code);
        assert_eq!(bench.answer().code, code);
    }
    for (stan, meaning) in [(3, ReversalMeaning::Reversed), (4, ReversalMeaning::Refused)] {
        let reversal = bench.timed_out(&topup(stan));
        bench.undone(reversal, Some(meaning));
    }
    bench.ask(0, &topup(5));
    let unknown = bench.order();
    bench.heard(unknown.supplier, Report::Cut(unknown));
    bench.ask(0, &topup(6));
    bench.ask(0, &Sale { stan: 7, ..Sale::of("VOUCHER10", 0) });
    bench.ask(0, &Sale { stan: 8, account: "W1".into(), ..Sale::of("WALLET", 21) });
    bench
}

#[test]
fn the_fold_goes_on_from_any_cut() {
    let bench = story();
    let whole = bench.disk.fold_all();
    let facts = bench.disk.facts().count();
    assert!(facts > 20, "{facts} facts are no story");
    for cut in 0..=facts {
        assert!(bench.disk.fold_through(cut) == whole, "cut after {cut} facts of {facts}");
    }
}

#[test]
fn a_snapshot_stays_as_it_was_while_the_gate_goes_on() {
    let mut bench = story();
    let then = bench.disk.fold_all();
    let snapshot = bench.gate.state().snapshot();
    let order = bench.orders.pop().expect("open");
    bench.answered(order, "00");
    bench.ask(0, &topup(9));
    let (needs_from, last) = (snapshot.needs_from(), snapshot.last());
    let mut pieces = Vec::new();
    let written = snapshot.write(|piece, bytes| {
        pieces.push((piece, bytes.to_vec()));
        Ok::<(), ()>(())
    });
    assert_eq!(written, Ok(()));
    assert!(restore(&pieces).expect("reads back") == then);
    assert!(*bench.gate.state() != then);
    let first = bench.disk.facts().next().expect("a fact").0;
    assert!(needs_from > first && needs_from < last);
}

#[test]
fn a_reversal_of_the_oldest_request_gives_no_other_ones_answer_away() {
    let mut bench = Bench::new();
    for stan in [1, 2] {
        bench.ask(0, &topup(stan));
        let order = bench.order();
        bench.answered(order, "00");
        bench.answers.clear();
    }
    let oldest = |bench: &Bench| bench.gate.state().snapshot().needs_from();
    let before = oldest(&bench);
    assert_eq!(bench.reversed(&topup(1).reversal(9)).code, "00");
    let index = &bench.gate.state().index;
    let second = index.iter().map(|entry| entry.intent_at).min().expect("there are entries");
    assert!(before < second && oldest(&bench) <= second, "the second one's request would be retired");
}

#[test]
fn an_image_that_is_not_whole_makes_no_state() {
    let pieces = image(&story().disk.fold_all());
    for left in 0..pieces.len() {
        assert_eq!(restore(&pieces[..left]), Err(ImageFault::Incomplete), "{left} pieces");
    }
    let mut twice = pieces.clone();
    twice.insert(1, pieces[1].clone());
    assert!(restore(&twice).is_err());
    let mut behind = pieces.clone();
    behind.push((Piece::Entries, Vec::new()));
    assert!(restore(&behind).is_err());
    let mut later = pieces;
    later[0].1[3] ^= 1;
    assert!(matches!(restore(&later), Err(ImageFault::Version(version)) if version > 1 << 24));
}

#[test]
fn an_empty_state_has_an_image() {
    let empty = State::new(5);
    assert!(restore(&image(&empty)).expect("reads back") == empty);
}

proptest! {
    #[test]
    fn broken_bytes_never_panic(piece in 0usize..3, at: prop::sample::Index, byte: u8, cut: bool) {
        static IMAGE: LazyLock<Vec<(Piece, Vec<u8>)>> = LazyLock::new(|| image(&story().disk.fold_all()));
        let mut pieces = IMAGE.clone();
        let bytes = &mut pieces[piece].1;
        let at = at.index(bytes.len());
        if cut { bytes.truncate(at) } else { bytes[at] = byte }
        // The files' checksums find what is changed; here it must only do no harm.
        let _ = restore(&pieces);
    }
}
