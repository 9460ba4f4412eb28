//! Questions to a journal of several segments: what is found, how it is told, and how far back was looked.

use super::audit::{AuditAsk, audit};
use super::find::{FindAsk, Search};
use super::*;
use crate::journal::{JournalOptions, Opening};
use crate::keys::Kek;
use std::sync::Arc;
use switchyard_core::code::Code;
use switchyard_core::details::{Detail, put};
use switchyard_core::flight::{Attempt, Flight};
use switchyard_core::iso8583::{Build, Dialect, Mti, Role};
use switchyard_core::operate::{Act, Action, Operator, reason};
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Pack;
use switchyard_core::seal::Keyring;

fn text<const N: usize>(of: &str) -> Text<N> {
    Text::new(of.as_bytes()).expect("fits")
}

fn frame(dialect: &Dialect, stan: u64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut build = Build::new(dialect, Mti::new(200), &mut out);
    build.number(Role::Stan, stan);
    build.finish().expect("fits");
    out
}

fn flight(number: u64) -> Flight {
    Flight {
        number: FlightNo(number),
        admitted_ms: 1_000_000 + number * 1_000,
        terminal: text(&format!("T{}", number % 3)),
        account: text("0612345678"),
        acquirer: text("100001"),
        amount: Minor(1_000),
        currency: 978,
        rrn: text(&format!("RRN{number}")),
        attempt: Attempt { number: 1, stan: 7, ..Attempt::default() },
        ..Flight::default()
    }
}

/// A journal of some segments: a hundred sales, a credit after every tenth, padding so that it takes three segments.
fn with_journal(check: impl FnOnce(Source<'_>, &[Arc<Dialect>])) {
    let folder = tempfile::tempdir().expect("a folder");
    let kek = Arc::new(Kek::create_file(&folder.path().join("kek")).expect("a key"));
    let options = JournalOptions { segment_bytes: 4 << 20, ..JournalOptions::default() };
    let keyring = Keyring::new();
    let opening = Opening::new(&folder.path().join("journal"), options, kek).expect("a folder");
    let (mut journal, mut log, reader, mut maker) = opening.start(&keyring).expect("a journal");
    let dialect = Arc::new(Dialect::open_shipped("prepaid87").expect("shipped"));
    let mut record = |fact: &Fact<'_>| {
        log.append(|out| fact.pack(out));
        let batch = log.take(journal.durable()).expect("a fact");
        journal.write(batch).expect("written");
        while maker.prepare().expect("room") {}
    };
    for number in 1..=100u64 {
        let frame = frame(&dialect, number);
        record(&Fact::Intent { flight: flight(number), dialect: 0, frame: &frame });
        let mut details = Vec::new();
        put(&mut details, Detail::Serial, format!("S{number}").as_bytes());
        put(&mut details, Detail::Receipt, &vec![b'x'; 60_000]);
        let outcome = Outcome {
            flight: FlightNo(number),
            verdict: Verdict::Approved,
            code: Code::APPROVED,
            details: &details,
            ..Outcome::default()
        };
        let at_ms = flight(number).admitted_ms + 5;
        record(&Fact::Outcome { at_ms, link: 0, moved: None, outcome });
        if number % 10 == 0 {
            let by = Operator { uid: 7, name: text("ada") };
            let act =
                Act::Credited { network: NetworkId(0), merchant: None, amount: Minor(100 * number as i64) };
            record(&Fact::Operated(Action { at_ms, by, reason: reason("paid").expect("printable"), act }));
        }
    }
    record(&Fact::Late {
        at_ms: 9_000_000,
        flight: FlightNo(1),
        code: text("00"),
        approved: Some(false),
        details: &[],
        sealed: &[],
        stan: 0,
    });
    let upto = journal.written();
    let names = Names {
        networks: vec![text("100001")],
        products: vec![text("TOPUP")],
        suppliers: vec![text("telco")],
        dialects: vec![text("prepaid87")],
        currencies: vec![Some(("EUR".into(), 2))],
    };
    assert!(reader.segments_back(upto).expect("a folder").len() >= 2, "more than one segment");
    check(Source { reader: &reader, upto, names: &names, keyring: &Keyring::new() }, &[dialect]);
}

fn find(source: &Source<'_>, dialects: &[Arc<Dialect>], ask: FindAsk) -> (Vec<find::Transaction>, Reach) {
    let Source { reader, upto, names, keyring } = *source;
    Search { source: Source { reader, upto, names, keyring }, ask: &ask, dialects }.run().expect("sound")
}

#[test]
fn a_transaction_is_found_by_all_that_names_it() {
    with_journal(|source, dialects| {
        let all = FindAsk { limit: 10, ..FindAsk::default() };
        let rrn = FlightNo(42).rrn(3);
        let asks = [
            FindAsk { stan: Some(42), ..all.clone() },
            FindAsk { rrn: Some("RRN42".into()), ..all.clone() },
            FindAsk { rrn: Some(rrn.to_string()), ..all.clone() },
            FindAsk { serial: Some("S42".into()), ..all.clone() },
            FindAsk { serial: Some("S42".into()), terminal: Some("T0".into()), ..all.clone() },
        ];
        for ask in asks {
            let (found, reach) = find(&source, dialects, ask.clone());
            assert!(reach.complete, "{ask:?}");
            let [transaction] = &found[..] else { panic!("{ask:?}: {found:?}") };
            assert_eq!(transaction.flight, FlightNo(42).to_string());
            assert_eq!((transaction.stan, transaction.account.as_str()), (Some(42), "******5678"));
            assert_eq!((transaction.amount.as_str(), transaction.steps.len()), ("10.00 EUR", 2));
            assert_eq!(transaction.steps[1].what, "approved, 00, serial S42");
            assert_eq!(transaction.steps[1].at, "1970-01-01T00:17:22.005Z");
        }
        let (found, _) =
            find(&source, dialects, FindAsk { serial: Some("S42".into()), stan: Some(41), ..all });
        assert!(found.is_empty());
    });
}

#[test]
fn the_newest_come_first_and_what_came_long_after_is_told_too() {
    with_journal(|source, dialects| {
        let account = Some("0612345678".to_owned());
        let ask = FindAsk { account, limit: 3, ..FindAsk::default() };
        let (found, reach) = find(&source, dialects, ask.clone());
        let rrns: Vec<_> = found.iter().map(|found| found.rrn.as_str()).collect();
        assert_eq!((rrns, reach.complete), (vec!["RRN100", "RRN99", "RRN98"], false));
        let (found, reach) = find(&source, dialects, FindAsk { limit: 101, ..ask.clone() });
        assert_eq!((found.len(), reach.complete), (100, true));
        assert_eq!(found[99].steps.last().map(|step| step.what.as_str()), Some("late answer 00"));
        let since_ms = flight(91).admitted_ms;
        let (found, reach) = find(&source, dialects, FindAsk { since_ms, limit: 100, ..ask });
        assert_eq!((found.len(), reach.complete), (10, true));
    });
}

#[test]
fn the_trail_is_read_back_newest_last() {
    with_journal(|source, _| {
        let (entries, reach) = audit(&source, &AuditAsk { since_ms: 0, limit: 4 }).expect("sound");
        let whats: Vec<_> = entries.iter().map(|entry| entry.what.as_str()).collect();
        let expected = ["70.00", "80.00", "90.00", "100.00"];
        assert_eq!(whats, expected.map(|sum| format!("position of 100001 credited with {sum} EUR")));
        assert_eq!(
            (entries[0].uid, entries[0].who.as_str(), entries[0].reason.as_str()),
            (Some(7), "ada", "paid")
        );
        assert!(!reach.complete);
        let (entries, reach) = audit(&source, &AuditAsk { since_ms: 0, limit: 100 }).expect("sound");
        assert_eq!((entries.len(), reach.complete, reach.back_to_ms), (10, true, Some(1_001_000)));
        let since_ms = flight(61).admitted_ms;
        let (entries, _) = audit(&source, &AuditAsk { since_ms, limit: 100 }).expect("sound");
        assert_eq!(entries.len(), 4);
    });
}

#[test]
fn moments_are_read_as_people_give_them() {
    let now_ms = 1_795_262_400_000;
    assert_eq!(moment("90s", now_ms), Some(now_ms - 90_000));
    assert_eq!(moment("2h", now_ms), Some(now_ms - 7_200_000));
    assert_eq!(moment("7d", now_ms), Some(now_ms - 7 * 86_400_000));
    assert_eq!(moment("2026-11-21", now_ms), Some(now_ms - 43_200_000));
    assert_eq!(moment("2026-11-21T12:00:00Z", now_ms), Some(now_ms));
    for wrong in ["", "h", "2x", "-1h", "yesterday", "\u{e9}"] {
        assert_eq!(moment(wrong, now_ms), None, "{wrong}");
    }
}
