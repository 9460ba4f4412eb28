//! What a response has and has not (dialect.md): echoed to the letter, nothing more; a repeat's answer is the first one with a DE7 of its own (S-2).

use crate::support::bench::Bench;
use crate::support::locals::pin_of;
use crate::support::message::{Answer, Sale, topup};
use switchyard_core::details::{Detail, put};
use switchyard_core::session::Report;

fn numbers(answer: &Answer) -> Vec<u8> {
    answer.elements.iter().map(|(de, _)| *de).collect()
}

fn full_sale() -> Sale {
    Sale {
        account: "0600000001".into(),
        rrn: "OWN123456789".into(),
        supplier: "alpha".into(),
        tags: vec![
            (*b"04", "third party, to the letter ".into()),
            (*b"05", "ITEM7".into()),
            (*b"06", "000000001000".into()),
            (*b"77", "nobody knows this one".into()),
        ],
        ..Sale::of("TOPUP", 21)
    }
}

#[test]
fn an_approval_echoes_what_came_and_adds_what_it_must() {
    let mut bench = Bench::new();
    bench.ask(0, &full_sale());
    let order = bench.order();
    bench.answered(order, "00");
    let answer = bench.answer();
    assert_eq!(numbers(&answer), [3, 4, 11, 12, 13, 15, 32, 37, 38, 39, 41, 42, 48, 49]);
    let expected = [
        (3, "210000"),
        (4, "000000001000"),
        (11, "000001"),
        (12, "120000"),
        (13, "1121"),
        (15, "1121"),
        (32, "100001"),
        (37, "OWN123456789"),
        (39, "00"),
        (41, "T0000001"),
        (42, "MERCHANT0000001"),
        (49, "978"),
    ];
    for (de, value) in expected {
        assert_eq!(answer.element(de), Some(value.as_bytes()), "DE{de}");
    }
    assert_eq!(answer.transmission, "1121120000");
    let tags: Vec<_> = answer
        .tags
        .iter()
        .map(|(name, value)| (*name, String::from_utf8_lossy(value).into_owned()))
        .collect();
    let echoed = [
        (*b"04", "third party, to the letter ".to_owned()),
        (*b"05", "ITEM7".into()),
        (*b"77", "nobody knows this one".into()),
    ];
    assert_eq!(tags, echoed, "product, account, supplier and amount are not echoed");
}

#[test]
fn a_decline_and_a_refusal_echo_alike() {
    let mut bench = Bench::new();
    bench.ask(0, &full_sale());
    let order = bench.order();
    bench.answered(order, "05");
    let declined = bench.answer();
    assert_eq!(numbers(&declined), [3, 4, 11, 12, 13, 15, 32, 37, 39, 41, 42, 48, 49], "no approval code");
    let refused = bench.asked(&Sale { stan: 2, amount: 99, ..full_sale() });
    assert_eq!((numbers(&refused), &refused.code[..]), (numbers(&declined), "13"));
    assert_eq!(refused.tags, declined.tags);
    // At the conduit, before the gate sees it.
    let unknown = bench.asked(&Sale { stan: 3, merchant: "NOBODY".into(), ..full_sale() });
    assert_eq!((numbers(&unknown), &unknown.code[..]), (numbers(&declined), "03"));
    assert_eq!(unknown.tags, declined.tags);
}

#[test]
fn a_request_without_rrn_gets_one_of_the_switch() {
    let mut bench = Bench::new();
    let rrn = |answer: &Answer| answer.element(37).map(<[u8]>::to_vec).expect("DE37");
    let first = bench.asked(&Sale::of("VOUCHER10", 0));
    let second = bench.asked(&Sale { stan: 2, ..Sale::of("VOUCHER10", 0) });
    let refused = bench.asked(&Sale { stan: 3, amount: 99, ..Sale::of("VOUCHER10", 0) });
    assert!(rrn(&first) != rrn(&second) && rrn(&second) != rrn(&refused) && rrn(&first).len() == 12);
}

#[test]
fn the_card_number_is_echoed_to_who_sent_it_as_an_element_only() {
    let card = "6006490000000001";
    let table =
        [(card, "", true), ("", "6006490000000001=2812101", false), (card, "6006490000000001=2812101", true)];
    for (pan, track, echoed) in table {
        let mut bench = Bench::new();
        bench.ask(0, &Sale { pan: pan.into(), track: track.into(), ..Sale::of("GIFT", 28) });
        let order = bench.order();
        assert_eq!(order.pan.expose(), card.as_bytes());
        bench.answered(order, "00");
        let answer = bench.answer();
        assert_eq!(answer.element(2), echoed.then_some(card.as_bytes()));
        assert_eq!(answer.element(35), None);
        for (_, fact) in bench.disk.facts() {
            assert!(
                !fact.windows(card.len()).any(|window| window == card.as_bytes()),
                "a clear card number on disk"
            );
        }
    }
}

#[test]
fn a_voucher_has_its_pin_and_its_repeat_the_same_one() {
    let mut bench = Bench::new();
    let first = bench.asked(&Sale::of("VOUCHER10", 0));
    let serial = String::from_utf8(first.tag(b"21").expect("serial").to_vec()).expect("ASCII");
    let pin = pin_of(&serial);
    assert_eq!(first.tag(b"20"), Some(pin.as_bytes()));
    let again = Sale { mti: 201, transmission: "1121120099".into(), ..Sale::of("VOUCHER10", 0) };
    let repeat = bench.asked(&again);
    assert_eq!((&repeat.transmission[..], repeat.mti), ("1121120099", 210));
    assert_eq!((&repeat.elements, &repeat.tags), (&first.elements, &first.tags));
    bench.restart(crate::support::books::catalogue());
    assert_eq!(bench.asked(&again), repeat);
    for (_, fact) in bench.disk.facts() {
        assert!(!fact.windows(pin.len()).any(|window| window == pin.as_bytes()), "a clear PIN on disk");
    }
}

#[test]
fn a_repeat_in_another_dialect_is_a_repeat() {
    let mut bench = Bench::new();
    let sale = full_sale();
    bench.ask(0, &sale);
    let packed = sale.frame(&bench.dialects[1]);
    bench.ask_frame(1, 1, &packed);
    let order = bench.order();
    bench.answered(order, "00");
    assert_eq!(bench.answers.len(), 2);
    let mut answers = bench.answers.drain(..).map(|(_, answer)| (answer.elements, answer.tags));
    assert_eq!(answers.next(), answers.next());
    drop(answers);
    bench.ask_frame(1, 1, &packed);
    assert_eq!(bench.answer().code, "00");
}

/// Contents are compared in their canonical form, however long an element is (S-1).
#[test]
fn a_repeat_in_ebcdic_has_the_same_contents() {
    for length in [1, 200, 201, 500] {
        let mut bench = Bench::new();
        let sale = Sale { tags: vec![(*b"77", "A".repeat(length))], ..topup(1) };
        bench.ask(0, &sale);
        let order = bench.order();
        bench.answered(order, "00");
        assert_eq!(bench.answer().code, "00");
        let spoken = sale.frame(&bench.dialects[2]);
        bench.ask_frame(1, 2, &spoken);
        assert_eq!(bench.answer().code, "00", "{length}");
    }
}

#[test]
fn a_pin_of_a_supplier_is_told_with_an_approval_only() {
    for (code, told) in [("00", true), ("05", false), ("77", false)] {
        let mut bench = Bench::new();
        bench.ask(0, &Sale::of("JIT", 0));
        let mut order = bench.order();
        put(order.answer.secret.buffer(), Detail::Pin, b"4711");
        put(order.answer.secret.buffer(), Detail::Receipt, b"your PIN is 4711");
        bench.answered(order, code);
        let answer = bench.answer();
        assert_eq!(answer.tag(b"20").is_some(), told, "{code}");
        assert_eq!(answer.element(62).is_some(), told, "{code}");
    }
}

#[test]
fn answers_that_could_not_be_built_are_not_promised() {
    // What is echoed and what a supplier adds share DE48 with its 999 characters.
    let tags = (0..4).map(|at| ([b'7', b'0' + at], "x".repeat(200))).collect();
    let sale = Sale { tags, ..Sale::of("JIT", 0) };
    let mut bench = Bench::new();
    bench.ask(0, &sale);
    assert_eq!(bench.answer().code, "30");
    assert!(bench.orders.is_empty());
    // A supplier that says more than fits loses its own words, never the answer.
    let mut bench = Bench::new();
    bench.ask(0, &Sale { tags: vec![(*b"70", "x".repeat(200))], ..Sale::of("JIT", 0) });
    let mut order = bench.order();
    put(order.answer.secret.buffer(), Detail::Pin, b"4711");
    order.answer.details.put(Detail::Serial, b"S1");
    order.answer.details.put(Detail::Redeem, &[b'r'; 990]);
    bench.answered(order, "00");
    let answer = bench.answer();
    assert_eq!(
        (answer.tag(b"20"), answer.tag(b"21"), &answer.code[..]),
        (Some(&b"4711"[..]), Some(&b"S1"[..]), "00")
    );
}

#[test]
fn a_report_from_another_life_changes_nothing() {
    let mut bench = Bench::new();
    bench.ask(0, &full_sale());
    let order = bench.order();
    bench.restart(crate::support::books::catalogue());
    let reversal = bench.order();
    assert_eq!((reversal.flight, reversal.rrn, reversal.stan), (order.flight, order.rrn, order.stan));
    bench.answered(order, "00");
    assert_eq!(bench.gate.counters.stale, 1);
    let id = reversal.supplier;
    bench.heard(id, Report::TimedOut(Box::default()));
    assert_eq!(bench.asked(&full_sale()).code, "68");
}
