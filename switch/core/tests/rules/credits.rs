//! Credits and shares (S-19): one supplier holds half of a connection's window, an eighth of a supplier's window is kept, and every credit comes back.

use crate::support::bench::Bench;
use crate::support::books::{ALPHA, BETA, GAMMA, catalogue};
use crate::support::message::Sale;
use switchyard_core::session::Report;

fn energy(stan: u32) -> Sale {
    Sale { stan, account: "00000000001".into(), ..Sale::of("ENERGY", 50) }
}

#[test]
fn one_supplier_holds_half_of_a_window() {
    for window in [1, 2, 5, 8] {
        let mut bench = Bench::new();
        bench.window = window;
        let share = (window / 2).max(1);
        for stan in 1..=u32::from(window) + 1 {
            bench.ask(0, &energy(stan));
        }
        assert_eq!(bench.orders.len(), usize::from(share), "window {window}");
        assert!(bench.answers.drain(..).all(|(_, answer)| answer.code == "91"));
        // Another connection has a share of its own.
        bench.ask(1, &energy(100));
        assert_eq!(bench.orders.len(), usize::from(share) + 1);
        let order = bench.orders.remove(0);
        bench.answered(order, "00");
        bench.answers.clear();
        bench.ask(0, &energy(101));
        assert!(bench.answers.is_empty(), "the share is free again");
    }
}

#[test]
fn a_sale_that_has_waited_for_half_of_its_time_is_shed_and_its_repeat_is_new() {
    let mut bench = Bench::new();
    bench.pass(10_000);
    bench.waited_us = 2_500_000;
    bench.ask(0, &energy(1));
    assert_eq!(bench.answer().code, "96");
    assert!(bench.orders.is_empty() && bench.gate.state().accounts.reserved() == 0);
    bench.waited_us = 2_499_999;
    bench.ask(0, &energy(1));
    let order = bench.order();
    bench.answered(order, "00");
    assert_eq!(bench.answer().code, "00", "what was shed performed nothing and blocks nothing");
}

#[test]
fn a_repeat_is_answered_however_long_it_waited() {
    let mut bench = Bench::new();
    bench.ask(0, &energy(1));
    let order = bench.order();
    bench.answered(order, "00");
    let answer = bench.answer();
    bench.pass(10_000);
    bench.waited_us = 4_000_000;
    assert_eq!(bench.asked(&energy(1)), answer);
}

#[test]
fn an_eighth_of_a_suppliers_window_is_kept() {
    let mut bench = Bench::new();
    for stan in 1..=9 {
        bench.ask(stan, &energy(stan));
    }
    // Gamma's window is 8: seven sales.
    assert_eq!(bench.orders.len(), 7);
    assert!(bench.answers.iter().all(|(_, answer)| answer.code == "91"));
}

/// What a supplier holds after an order came to each of its ends.
#[test]
fn every_credit_comes_back() {
    let mut bench = Bench::new();
    let (alpha, beta) = (bench.supplier(ALPHA).0, bench.supplier(BETA).0);
    let topup = |stan| Sale { stan, account: "0600000001".into(), ..Sale::of("TOPUP", 21) };
    let held = |bench: &Bench| {
        [alpha, beta].map(|id| bench.gate.supply(id).map(|s| (s.in_flight(), s.advices())).expect("known"))
    };
    for (stan, code) in [(1, "00"), (2, "05"), (3, "14")] {
        bench.ask(0, &topup(stan));
        assert_eq!(held(&bench)[0], (1, 1));
        let order = bench.order();
        bench.answered(order, code);
        assert_eq!(held(&bench), [(0, 0), (0, 0)], "{code}");
    }
    // Moved on: the first supplier's come back when the second is asked.
    for report in ["refused", "never sent"] {
        bench.ask(0, &topup(if report == "refused" { 4 } else { 5 }));
        let order = bench.order();
        match report {
            "refused" => bench.answered(order, "91"),
            _ => bench.heard(alpha, Report::NotSent(order)),
        }
        assert_eq!(held(&bench), [(0, 0), (1, 1)], "{report}");
        let order = bench.order();
        assert_eq!((order.supplier, order.attempt), (beta, 2));
        bench.answered(order, "00");
        assert_eq!(held(&bench), [(0, 0), (0, 0)], "{report}");
    }
    // A doubt gives the window back at once, the advice when it is over.
    bench.ask(0, &topup(6));
    let order = bench.order();
    bench.heard(alpha, Report::TimedOut(order));
    assert_eq!(held(&bench)[0], (0, 1));
    let reversal = bench.order();
    bench.undone(reversal, Some(switchyard_core::catalogue::ReversalMeaning::Reversed));
    assert_eq!(held(&bench)[0], (0, 0));
    assert_eq!(bench.gate.state().accounts.reserved(), 0);
}

#[test]
fn doubts_without_end_leave_no_room_for_sales() {
    let mut bench = Bench::new();
    let gamma = bench.supplier(GAMMA).0;
    for stan in 1..=13 {
        bench.ask(stan, &energy(stan));
        if let Some(order) = bench.orders.pop() {
            bench.heard(gamma, Report::TimedOut(order));
        }
        bench.orders.clear();
    }
    let codes: Vec<_> = bench.answers.iter().map(|(_, answer)| &answer.code[..]).collect();
    assert_eq!(codes[..12], ["68"; 12]);
    assert_eq!(codes[12], "91", "the twelve advices of gamma are used");
}

#[test]
fn a_doubt_that_is_there_again_has_a_stan_of_its_own_and_no_sale_gets_it() {
    let mut small = catalogue();
    small.suppliers[GAMMA].late_window_ms = 1_000;
    let mut bench = Bench::over(small);
    let gamma = bench.supplier(GAMMA).0;
    let reversal = bench.timed_out(&energy(1));
    let (flight, stan) = (reversal.flight, reversal.original_stan);
    bench.undone(reversal, Some(switchyard_core::catalogue::ReversalMeaning::Reversed));
    bench.heard(gamma, crate::support::bench::late(flight, true));
    let again = bench.order();
    assert_eq!((again.flight, again.original_stan), (flight, stan));
    assert_ne!(again.stan, stan, "an answer to the first reversal must not end this one");
    bench.pass(2_000);
    for round in 2..40u32 {
        bench.ask(round, &energy(round));
        let order = bench.order();
        assert_ne!(order.stan, again.stan);
        bench.answered(order, "00");
    }
    assert_eq!(bench.gate.supply(gamma).map(|supply| supply.advices()), Some(1));
}
