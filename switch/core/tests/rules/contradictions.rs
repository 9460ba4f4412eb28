//! Answers that come late, twice, or say otherwise than the first (R-34, S-8, S-10): the first stands, what was performed all the same is undone, across a restart too.

use crate::reversals::accepted;
use crate::support::bench::{Bench, late};
use crate::support::books::{ALPHA, BETA, GAMMA, catalogue, text};
use crate::support::message::{Sale, topup};
use switchyard_core::account::Account;
use switchyard_core::adapter::{Answer, Ask, Order};
use switchyard_core::catalogue::{Meaning, ReversalMeaning, StatusMeaning};
use switchyard_core::details::{self, Detail, put};
use switchyard_core::fact::Fact;
use switchyard_core::flight::Phase;
use switchyard_core::gate::{Alert, NotDone};
use switchyard_core::ids::FlightNo;
use switchyard_core::operate::{Instruction, Operator, reason};
use switchyard_core::outcome::{Outcome, open_details};
use switchyard_core::secret::Secret;
use switchyard_core::session::{Report, Stray};

const PIN: &[u8] = b"4711471147114711";

fn approval(pin: bool) -> Box<Answer> {
    let mut answer = Answer { code: text("00"), sale: Some(Meaning::Approved), ..Answer::default() };
    if pin {
        put(&mut answer.details.0, Detail::Serial, b"S1");
        put(answer.secret.buffer(), Detail::Pin, PIN);
    }
    Box::new(answer)
}

/// What a session keeps of a sale that was answered and not approved.
fn kept(order: &Order) -> Option<Box<Order>> {
    Some(Box::new(Order {
        flight: order.flight,
        attempt: order.attempt,
        supplier: order.supplier,
        stan: order.stan,
        transmission: order.transmission,
        rrn: order.rrn,
        service: order.service,
        product: order.product,
        amount: order.amount,
        currency: order.currency,
        account: order.account,
        terminal: order.terminal,
        merchant: order.merchant,
        network: order.network,
        local: order.local,
        ..Order::default()
    }))
}

fn undo(bench: &mut Bench, mut order: Box<Order>) {
    assert_eq!(order.ask, Ask::Reversal { repeat: false });
    order.answer.reversal = Some(ReversalMeaning::Reversed);
    let supplier = order.supplier;
    bench.heard(supplier, Report::Undone(order));
}

#[test]
fn an_approval_after_a_decline_is_undone_and_the_decline_stands() {
    for (code, next) in [("05", false), ("91", true)] {
        let mut bench = Bench::new();
        let alpha = bench.supplier(ALPHA).0;
        bench.ask(0, &topup(1));
        let order = bench.order();
        let (flight, stan, rrn, undone) = (order.flight, order.stan, order.rrn, kept(&order));
        bench.answered(order, code);
        // Not performed: by now another supplier is asked.
        let other = next.then(|| bench.order());
        let report = Report::Contradicted { flight, attempt: 1, answer: approval(false), undo: undone };
        bench.heard(alpha, report);
        let reversal = bench.order();
        assert_eq!((reversal.supplier, reversal.original_stan, reversal.rrn), (alpha, stan, rrn));
        assert_eq!(reversal.terminal, text("T0000001"));
        assert_ne!(reversal.stan, stan, "the sale's own was free, and may be another's by now");
        assert_ne!(reversal.flight, flight, "a flight of its own");
        if let Some(other) = other {
            bench.answered(other, "00");
        }
        let answer = bench.answer();
        assert_eq!(answer.code, if next { "00" } else { "05" });
        // A crash before the reversal is answered: it goes out again, under the same STAN and RRN.
        bench.restart(catalogue());
        let again = bench.order();
        assert_eq!((again.flight, again.stan, again.rrn), (reversal.flight, reversal.stan, rrn));
        undo(&mut bench, again);
        assert_eq!(bench.asked(&topup(1)), answer, "a repeat gets what was first said");
        let accounts = &bench.gate.state().accounts;
        let spent = accounts.balance(Account::Supplier(bench.supplier(BETA).0)).posted.0;
        assert_eq!((accounts.reserved(), spent > 0), (0, next));
        assert_eq!(bench.gate.supply(alpha).map(|supply| supply.advices()), Some(0));
    }
}

#[test]
fn a_decline_after_an_approval_is_recorded_and_changes_nothing() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    bench.ask(0, &topup(1));
    let order = bench.order();
    let flight = order.flight;
    bench.answered(order, "00");
    let answer = bench.answer();
    let before = (bench.disk.facts().count(), bench.gate.state().accounts.clone());
    let refusal = Answer { code: text("05"), sale: Some(Meaning::Unknown), ..Answer::default() };
    let report = Report::Contradicted { flight, attempt: 1, answer: Box::new(refusal), undo: None };
    bench.heard(alpha, report);
    assert!(bench.orders.is_empty());
    assert_eq!(bench.disk.facts().count(), before.0 + 1, "it is on record");
    assert!(bench.gate.state().accounts == before.1);
    assert_eq!(bench.asked(&topup(1)), answer);
    assert_eq!(bench.gate.counters.contradicted, 1);
}

#[test]
fn a_pin_that_comes_too_late_is_withdrawn_and_lies_sealed() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let reversal = bench.timed_out(&Sale { stan: 1, ..Sale::of("JIT", 0) });
    let flight = reversal.flight;
    bench.heard(alpha, Report::Late { flight, attempt: 1, answer: approval(true) });
    undo(&mut bench, reversal);
    // The same of a sale that was declined first.
    bench.ask(0, &Sale { stan: 2, ..Sale::of("JIT", 0) });
    let order = bench.order();
    let (declined, undone) = (order.flight, kept(&order));
    bench.answered(order, "05");
    let report = Report::Contradicted { flight: declined, attempt: 1, answer: approval(true), undo: undone };
    bench.heard(alpha, report);
    let withdrawn: Vec<FlightNo> =
        bench.gate.state().withdrawn.iter().map(|voucher| voucher.flight).collect();
    assert_eq!((withdrawn.len(), withdrawn[0]), (2, flight));
    assert!(withdrawn[1] != declined, "the flight that undoes it");
    for (_, fact) in bench.disk.facts() {
        assert!(!fact.windows(PIN.len()).any(|part| part == PIN), "a PIN in clear in the journal");
    }
}

#[test]
fn what_was_in_doubt_before_a_restart_is_watched_through_its_late_window() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let doubt = |bench: &mut Bench, stan: u32| {
        let order = bench.timed_out(&topup(stan));
        (order.flight, order.original_stan, order)
    };
    let (long_ago, _, order) = doubt(&mut bench, 1);
    undo(&mut bench, order);
    bench.pass(15_000);
    let (settled, settled_stan, order) = doubt(&mut bench, 2);
    undo(&mut bench, order);
    bench.pass(6_000);
    let (open, open_stan, _) = doubt(&mut bench, 3);
    bench.restart(catalogue());
    let window_us = u64::from(bench.supplier(ALPHA).1.late_window_ms) * 1_000;
    let watched: Vec<_> = bench
        .watches
        .iter()
        .map(|watch| (watch.flight, watch.stan, watch.until_us - bench.now.mono_us))
        .collect();
    assert_eq!(watched, [(settled, settled_stan, window_us - 6_000_000), (open, open_stan, window_us)]);
    assert!(watched.iter().all(|(flight, ..)| *flight != long_ago), "its window is over");
    // A late approval is reversed, though the doubt was over before the restart.
    bench.orders.clear();
    bench.heard(alpha, Report::Late { flight: settled, attempt: 1, answer: approval(false) });
    assert_eq!(bench.gate.state().flight(settled).map(|flight| flight.phase), Some(Phase::Doubt));
    let order = bench.order();
    assert_eq!((order.flight, order.original_stan), (settled, settled_stan));
    assert!(order.stan != settled_stan && order.stan != open_stan);
    undo(&mut bench, order);
}

#[test]
fn a_stan_that_is_watched_is_given_to_nobody() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let order = bench.timed_out(&topup(1));
    let stan = order.original_stan;
    undo(&mut bench, order);
    bench.restart(catalogue());
    assert_eq!(bench.gate.supply(alpha).map(|supply| supply.late()), Some(1));
    bench.pass(u64::from(bench.supplier(ALPHA).1.late_window_ms));
    bench.ask(0, &topup(2));
    let order = bench.order();
    assert_ne!(order.stan, stan);
    bench.answered(order, "00");
    assert_eq!(bench.gate.supply(alpha).map(|supply| supply.late()), Some(0));
}

#[test]
fn a_doubt_that_the_supplier_says_was_not_performed_is_settled_without_a_reversal() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let mut order = bench.timed_out(&topup(1));
    let flight = order.flight;
    order.answer.status = Some(StatusMeaning::NotPerformed);
    bench.heard(alpha, Report::Undone(order));
    assert_eq!(bench.gate.state().flight(flight).map(|flight| flight.phase), Some(Phase::Settled));
    assert_eq!((bench.gate.state().accounts.reserved(), bench.gate.counters.parked), (0, 0));
    assert_eq!(bench.asked(&topup(1)).code, "68", "final for the key (S-13)");
}

#[test]
fn what_is_approved_after_all_while_every_stan_is_in_use_is_parked_and_can_be_sent_later() {
    let mut bench = Bench::narrow(2);
    let gamma = bench.supplier(GAMMA).0;
    let energy = |stan| Sale { stan, account: "00000000001".into(), ..Sale::of("ENERGY", 50) };
    bench.ask(0, &energy(1));
    let order = bench.order();
    let (flight, undone) = (order.flight, kept(&order));
    bench.answered(order, "05");
    // Two doubts have both STANs.
    bench.answers.clear();
    for stan in 2..=3 {
        bench.timed_out(&energy(stan));
    }
    bench.heard(gamma, Report::Contradicted { flight, attempt: 1, answer: approval(false), undo: undone });
    assert!(bench.orders.is_empty());
    let parked = bench.gate.state().flights().find(|flight| flight.phase == Phase::Parked).copied();
    let parked = parked.expect("an operator sees it").number;
    assert_eq!(bench.gate.supply(gamma).map(|supply| supply.advices()), Some(2));
    let retry = Instruction::Retry { flight: parked };
    let why = reason("the supplier performed it after all").unwrap_or_default();
    let refused = bench.gate.operate(bench.now, Operator::default(), why, &retry);
    assert_eq!(refused, Err(NotDone::NoStan));
    bench.restart(catalogue());
    assert_eq!(bench.orders.len(), 2, "the doubts' reversals, and not that one");
}

#[test]
fn after_a_restart_nothing_is_watched_under_a_stan_that_a_parked_contradiction_never_had() {
    let mut bench = Bench::narrow(1);
    let gamma = bench.supplier(GAMMA).0;
    let energy = |stan| Sale { stan, account: "00000000001".into(), ..Sale::of("ENERGY", 50) };
    bench.ask(0, &energy(1));
    let order = bench.order();
    let (flight, undone) = (order.flight, kept(&order));
    bench.answered(order, "05");
    // The only STAN is another's by the time the approval comes.
    bench.ask(1, &energy(2));
    let sale = bench.order();
    bench.heard(gamma, Report::Contradicted { flight, attempt: 1, answer: approval(false), undo: undone });
    bench.restart(catalogue());
    let watched: Vec<_> = bench.watches.iter().map(|watch| watch.flight).collect();
    assert_eq!(watched, [sale.flight]);
    assert_eq!(bench.order().flight, sale.flight, "the reversal of what the crash left open");
}

#[test]
fn an_answer_to_what_is_no_longer_remembered_is_on_record_and_somebody_is_told() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    bench.ask(0, &topup(1));
    let order = bench.order();
    let (flight, rrn, stan) = (order.flight, order.rrn, order.stan);
    bench.answered(order, "05");
    let answer = bench.answer();
    bench.restart(catalogue());
    let before = (bench.disk.facts().count(), bench.gate.state().accounts.clone());
    let stray = Stray { rrn, stan, code: text("00"), approved: true, untold: 3 };
    bench.heard(alpha, Report::Stray { stray: Box::new(stray), answer: approval(false) });
    let fact = bench.disk.facts().last().map(|(_, bytes)| Fact::unpack(bytes));
    let (at_ms, supplier, code, approved) = (bench.now.wall_ms, alpha, text("00"), true);
    assert_eq!(
        fact,
        Some(Ok(Fact::Stray { at_ms, flight, supplier, code, approved, details: &[], sealed: &[] }))
    );
    let told: Vec<String> = bench.gate.alerts().map(|alert| alert.to_string()).collect();
    assert!(told.len() == 1 && told[0].contains("alpha") && told[0].contains(rrn.as_str()), "{told:?}");
    assert!(told[0].contains("3 more"), "{told:?}");
    // Without an RRN of ours nobody knows whose it is: it is told all the same.
    for rrn in ["", "ZZZZZZZZZZZZ", "A-B"] {
        let stray = Box::new(Stray { rrn: text(rrn), ..stray });
        bench.heard(alpha, Report::Stray { stray, answer: approval(true) });
    }
    assert_eq!((bench.disk.facts().count(), bench.gate.alerts().count()), (before.0 + 1, 3));
    assert!(bench.gate.state().accounts == before.1 && bench.orders.is_empty());
    assert_eq!(bench.asked(&topup(1)), answer, "what was said first stands");
}

#[test]
fn a_pin_that_comes_to_what_is_no_longer_remembered_lies_sealed_on_record() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    bench.ask(0, &Sale { stan: 1, ..Sale::of("JIT", 0) });
    let order = bench.order();
    let (flight, rrn, stan) = (order.flight, order.rrn, order.stan);
    bench.answered(order, "05");
    bench.answer();
    bench.restart(catalogue());
    let stray = Stray { rrn, stan, code: text("00"), approved: true, untold: 0 };
    bench.heard(alpha, Report::Stray { stray: Box::new(stray), answer: approval(true) });
    let fact = bench.disk.facts().last().map(|(_, bytes)| Fact::unpack(bytes));
    let Some(Ok(Fact::Stray { flight: of, details: told, sealed, .. })) = fact else { panic!("{fact:?}") };
    assert_eq!((of, details::find(told, Detail::Serial)), (flight, Some(&b"S1"[..])));
    let outcome = Outcome { flight, details: told, sealed, ..Outcome::default() };
    let mut secret = Secret::new();
    open_details(&outcome, &bench.keyring, &mut secret).expect("it opens");
    assert_eq!(details::find(secret.expose(), Detail::Pin), Some(PIN));
    assert!(bench.gate.state().withdrawn.iter().next().is_none(), "it may be the one that was sold");
    for (_, fact) in bench.disk.facts() {
        assert!(!fact.windows(PIN.len()).any(|part| part == PIN), "a PIN in clear in the journal");
    }
}

#[test]
fn a_reversal_that_began_again_is_remembered_from_its_last_end_on() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let order = bench.timed_out(&topup(1));
    let flight = order.flight;
    undo(&mut bench, order);
    bench.heard(alpha, Report::Late { flight, attempt: 1, answer: approval(false) });
    let again = bench.order();
    let stan = again.stan;
    bench.pass_until_forgotten();
    undo(&mut bench, again);
    bench.pass(2_000);
    // Something is admitted, so that what is too old is forgotten.
    bench.ask(0, &Sale { transmission: "1121121500".into(), local: "1215001121".into(), ..topup(2) });
    bench.restart(catalogue());
    let watched: Vec<_> = bench.watches.iter().map(|watch| (watch.flight, watch.stan)).collect();
    assert!(watched.contains(&(flight, stan)), "its last end is two seconds old: {watched:?}");
}

/// A sale whose reversal has ended, and that nobody else needs.
fn ended(bench: &mut Bench) -> FlightNo {
    let order = bench.timed_out(&topup(1));
    let flight = order.flight;
    undo(bench, order);
    flight
}

#[test]
fn a_clock_that_leaps_makes_nobody_forget_what_may_still_be_approved() {
    for leaps_ms in
        [vec![11 * 60_000], vec![23 * 3_600_000], vec![20 * 3_600_000, 20 * 3_600_000, 3 * 3_600_000]]
    {
        let mut bench = Bench::new();
        let alpha = bench.supplier(ALPHA).0;
        let flight = ended(&mut bench);
        for (stan, leap_ms) in (8..).zip(leaps_ms) {
            bench.now.wall_ms += leap_ms;
            accepted(&bench.reversed(&topup(7).reversal(stan)), 410);
        }
        bench.heard(alpha, late(flight, true));
        assert_eq!(bench.order().flight, flight, "it is undone again (S-8)");
    }
}

#[test]
fn a_late_answer_to_what_was_forgotten_is_on_record_and_told() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let flight = ended(&mut bench);
    bench.pass_until_forgotten();
    accepted(&bench.reversed(&topup(7).reversal(8)), 410);
    assert!(bench.gate.state().flight(flight).is_none());
    bench.heard(alpha, late(flight, true));
    let stray = |bytes: &[u8]| matches!(Fact::unpack(bytes), Ok(Fact::Stray { flight: of, approved: true, .. }) if of == flight);
    assert!(bench.disk.facts().any(|(_, bytes)| stray(bytes)), "it is on record (R-34)");
    assert!(bench.gate.alerts().any(|alert| matches!(alert, Alert::Stray { .. })));
}
