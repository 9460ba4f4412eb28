//! A supplier whose outcomes are unknown is left alone: 91 at once or the next candidate, explained; probed one by one; reversals go on.

use crate::support::bench::Bench;
use crate::support::books::{ALPHA, BETA};
use crate::support::message::{Sale, topup};
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::breaker::{PROBES, Position};
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::ids::SupplierId;
use switchyard_core::route::Reason;
use switchyard_core::session::Report;

/// Beta alone provides it.
fn gift(stan: u32) -> Sale {
    Sale { stan, pan: "6006491234567890".into(), ..Sale::of("GIFT", 28) }
}

fn position(bench: &Bench, supplier: SupplierId) -> Position {
    bench.gate.supply(supplier).expect("known").breaker(bench.now)
}

/// Sales go out, and then nothing is heard of the supplier. Their reversals are answered.
fn silent(bench: &mut Bench, count: u32, from: u32) {
    let sales: Vec<Box<Order>> = (from..from + count)
        .map(|stan| {
            bench.ask(stan, &gift(stan));
            bench.order()
        })
        .collect();
    for order in sales {
        let supplier = order.supplier;
        bench.heard(supplier, Report::TimedOut(order));
        assert_eq!(bench.answer().code, "68");
        let reversal = bench.order();
        assert_eq!(reversal.ask, Ask::Reversal { repeat: false }, "a breaker stops no reversal");
        bench.undone(reversal, Some(ReversalMeaning::Reversed));
    }
}

#[test]
fn twenty_unknown_open_it_and_terminals_get_91_at_once() {
    let mut bench = Bench::new();
    let beta = bench.supplier(BETA).0;
    silent(&mut bench, 19, 1);
    assert_eq!(position(&bench, beta), Position::Closed);
    silent(&mut bench, 1, 20);
    assert_eq!(position(&bench, beta), Position::Open);
    assert_eq!(bench.asked(&gift(21)).code, "91");
    assert!(bench.orders.is_empty());
    assert_eq!(bench.explained(21), [("beta".to_owned(), Reason::Breaker.words())]);
    // Nothing was performed and nothing is stored: the same key may be asked again, and probes.
    bench.pass(5_000);
    bench.ask(0, &gift(21));
    let probe = bench.order();
    assert_eq!(bench.asked(&gift(22)).code, "91", "one probe at a time");
    bench.answered(probe, "05");
    assert_eq!(bench.answer().code, "05", "a decline is an answer");
    for stan in 23..23 + u32::from(PROBES) - 1 {
        assert_eq!(position(&bench, beta), Position::HalfOpen);
        bench.ask(0, &gift(stan));
        let order = bench.order();
        bench.answered(order, "00");
        assert_eq!(bench.answer().code, "00");
    }
    assert_eq!(position(&bench, beta), Position::Closed);
}

#[test]
fn declines_never_open_it_and_answers_that_nobody_understands_do() {
    for (code, opens) in [("05", false), ("14", false), ("77", true)] {
        let mut bench = Bench::new();
        let beta = bench.supplier(BETA).0;
        for stan in 1..=20 {
            bench.ask(0, &gift(stan));
            let order = bench.order();
            bench.answered(order, code);
            bench.answers.clear();
            bench.orders.clear();
        }
        assert_eq!(position(&bench, beta) == Position::Open, opens, "{code}");
    }
}

#[test]
fn another_candidate_is_asked_and_the_failed_probe_opens_it_again() {
    let mut bench = Bench::new();
    let beta = bench.supplier(BETA).0;
    silent(&mut bench, 20, 1);
    let alpha = bench.supplier(ALPHA).0;
    bench.heard(alpha, Report::Ready(false));
    bench.ask(0, &topup(30));
    let order = bench.order();
    assert_ne!(order.supplier, beta, "gamma is next");
    bench.answered(order, "00");
    assert_eq!(bench.answer().code, "00");
    bench.pass(5_000);
    silent(&mut bench, 1, 31);
    assert_eq!(position(&bench, beta), Position::Open);
    assert_eq!(bench.gate.supply(beta).map(|supply| supply.breaker_opened()), Some(2));
    // Its link comes back: it is probed at once.
    bench.heard(beta, Report::Ready(false));
    bench.heard(beta, Report::Ready(true));
    assert_eq!(position(&bench, beta), Position::HalfOpen);
    bench.ask(0, &gift(32));
    let probe = bench.order();
    bench.heard(beta, Report::NotSent(probe));
    assert_eq!(bench.answer().code, "91");
    bench.ask(0, &gift(33));
    assert_eq!(bench.order().supplier, beta, "a probe that was never sent says nothing");
}
