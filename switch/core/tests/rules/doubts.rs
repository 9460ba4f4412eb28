//! Doubts and recovery: 68 at once, reversed and never sent again (S-12, S-13), whatever is configured or in the way after a restart.

use crate::support::bench::{Bench, late};
use crate::support::books::{ALPHA, catalogue, supplier};
use crate::support::message::{Sale, topup};
use switchyard_core::account::Account;
use switchyard_core::adapter::{Ask, LocalEffect};
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::fact::{Cause, Fact, Proof};
use switchyard_core::flight::{Attempt, Flight, Phase};
use switchyard_core::ids::{FlightNo, SupplierId};
use switchyard_core::money::Minor;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Pack;
use switchyard_core::session::Report;

#[test]
fn unknown_is_said_at_once_and_is_final() {
    for report in [Report::TimedOut as fn(_) -> _, Report::Cut] {
        let mut bench = Bench::new();
        let alpha = bench.supplier(ALPHA).0;
        bench.ask(0, &topup(1));
        let order = bench.order();
        let (rrn, stan) = (order.rrn, order.stan);
        bench.heard(alpha, report(order));
        let answer = bench.answer();
        assert_eq!(answer.code, "68");
        let reversal = bench.order();
        assert_eq!((reversal.ask, reversal.rrn, reversal.stan), (Ask::Reversal { repeat: false }, rrn, stan));
        assert_eq!(bench.asked(&topup(1)), answer, "a repeat before the reversal is answered");
        bench.undone(reversal, Some(ReversalMeaning::Reversed));
        assert_eq!(bench.asked(&topup(1)), answer, "a repeat after it");
        assert!(bench.orders.is_empty(), "no other supplier is asked");
        assert_eq!(bench.gate.state().accounts.reserved(), 0);
    }
}

#[test]
fn nothing_leaves_before_its_fact_is_durable() {
    let mut bench = Bench::new();
    bench.syncing = false;
    bench.ask(0, &topup(1));
    assert!(bench.orders.is_empty(), "the intent is only written");
    bench.syncing = true;
    bench.flush();
    let order = bench.order();
    bench.syncing = false;
    bench.heard(order.supplier, Report::TimedOut(order));
    assert!(bench.orders.is_empty() && bench.answers.is_empty(), "the doubt is only written");
    bench.ask(1, &topup(1));
    assert!(bench.answers.is_empty(), "nor does its repeat run ahead");
    bench.syncing = true;
    bench.flush();
    assert_eq!((bench.orders.len(), bench.answers.len()), (1, 2));
}

#[test]
fn a_relaxed_conduit_waits_for_the_write_alone_but_with_vouchers_and_reversals() {
    let mut bench = Bench::new();
    (bench.relaxed, bench.syncing) = (true, false);
    bench.ask(0, &topup(1));
    let order = bench.order();
    bench.heard(order.supplier, Report::TimedOut(order));
    assert_eq!(bench.answer().code, "68");
    assert!(bench.orders.is_empty(), "the reversal waits for the sync");
    bench.ask(0, &Sale { stan: 2, account: "0600000001".into(), ..Sale::of("WALLET", 21) });
    assert_eq!(bench.answer().code, "00");
    bench.ask(0, &Sale { stan: 3, ..Sale::of("VOUCHER10", 0) });
    bench.ask(0, &Sale { stan: 4, ..Sale::of("JIT", 0) });
    assert!(
        bench.answers.is_empty() && bench.orders.is_empty(),
        "vouchers wait, before the supplier is asked too"
    );
    bench.syncing = true;
    bench.flush();
    assert_eq!((bench.answers.len(), bench.orders.len()), (1, 2));
}

#[test]
fn an_unmapped_code_is_unknown_and_nobody_else_is_asked() {
    let mut bench = Bench::new();
    bench.ask(0, &topup(1));
    let order = bench.order();
    bench.answered(order, "94");
    assert_eq!(bench.answer().code, "68");
    assert_eq!(bench.order().ask, Ask::Reversal { repeat: false });
}

#[test]
fn when_nobody_is_left_the_last_refusal_is_the_answer() {
    let mut bench = Bench::new();
    bench.ask(0, &topup(1));
    for _ in 0..3 {
        let order = bench.order();
        bench.answered(order, "91");
    }
    let answer = bench.answer();
    assert_eq!(answer.code, "91");
    assert_eq!(bench.asked(&topup(1)), answer, "an answer after admission is stored");
    assert!(bench.orders.is_empty());
}

#[test]
fn past_the_deadline_nobody_else_is_asked() {
    let mut bench = Bench::new();
    bench.ask(0, &topup(1));
    let order = bench.order();
    assert_eq!(order.deadline_us, bench.now.mono_us + 3_000_000, "the supplier's time-out");
    bench.pass(4_000);
    bench.heard(order.supplier, Report::NotSent(order));
    let order = bench.order();
    assert_eq!(order.deadline_us, bench.now.mono_us + 1_000_000, "what the conduit's deadline leaves");
    bench.pass(1_000);
    bench.heard(order.supplier, Report::NotSent(order));
    assert_eq!(bench.answer().code, "91");
}

#[test]
fn what_a_crash_left_open_is_parked_where_its_supplier_is_no_longer_configured() {
    let mut bench = Bench::new();
    let mut more = catalogue();
    more.suppliers.push(supplier("delta", false));
    more.products[3].candidates = vec![crate::support::books::candidate(5, 1)];
    more.index().expect("no code is there twice");
    bench.restart(more);
    bench.ask(0, &topup(1));
    let order = bench.order();
    bench.restart(catalogue());
    // Nobody would take an order for it: it would be gone without a word until the next start.
    assert!(bench.orders.is_empty());
    let phase = bench.gate.state().flight(order.flight).map(|flight| flight.phase);
    assert_eq!((phase, bench.gate.counters.parked), (Some(Phase::Parked), 1));
    assert_eq!(bench.asked(&topup(1)).code, "68");
}

/// A number as spread as a hash.
fn spread(number: u64) -> u128 {
    u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)
}

#[test]
fn more_doubts_than_a_batch_holds_are_recovered() {
    let mut wide = catalogue();
    (wide.suppliers[ALPHA].window_requests_max, wide.suppliers[ALPHA].advices_max) = (100_000, 100_000);
    let mut bench = Bench::over(wide);
    // One intent as the gate makes it, then many like it: their doubts are more than a batch.
    bench.ask(0, &topup(1));
    let first = *bench.gate.state().flights().next().expect("one is open");
    let count = 12_000;
    for number in 1..=count {
        let flight = Flight {
            number: FlightNo(first.number.0 + number),
            key: spread(number),
            named: !spread(number),
            attempt: Attempt { stan: number as u32 + 1, ..first.attempt },
            ..first
        };
        bench.gate.log().append(|out| Fact::Intent { flight, dialect: 0, frame: b"" }.pack(out));
        if bench.gate.log().is_full() {
            bench.write_unfolded();
        }
    }
    bench.write_unfolded();
    let mut narrower = catalogue();
    narrower.suppliers[ALPHA].advices_max = 5_000;
    bench.restart(narrower);
    assert!(bench.gate.state().flights().all(|flight| flight.phase == Phase::Doubt));
    // They go out as the supplier's advice credits allow, and every one does.
    let (alpha, known) = bench.supplier(ALPHA);
    assert_eq!(bench.orders.len(), known.advices_max as usize);
    let mut undone = 0;
    while let Some(mut order) = bench.orders.pop() {
        order.answer.reversal = Some(ReversalMeaning::Reversed);
        bench.gate.heard(bench.now, alpha, Report::Undone(order));
        undone += 1;
        if bench.orders.is_empty() {
            bench.flush();
        }
    }
    assert_eq!(undone, count + 1);
}

#[test]
fn a_parked_reversal_moves_its_amount_into_suspense() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let reversal = bench.timed_out(&topup(1));
    bench.undone(reversal, Some(ReversalMeaning::Refused));
    let accounts = &bench.gate.state().accounts;
    assert_eq!(accounts.balance(Account::Suspense(alpha)).posted, Minor(1_000));
    assert_eq!((accounts.reserved(), accounts.sum()), (0, 0));
}

#[test]
fn a_late_approval_after_an_answered_reversal_starts_a_new_one() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    let reversal = bench.timed_out(&topup(1));
    let flight = reversal.flight;
    let late = |approved| late(flight, approved);
    bench.heard(alpha, late(true));
    assert!(bench.orders.is_empty(), "one reversal is on its way already");
    bench.undone(reversal, Some(ReversalMeaning::Reversed));
    bench.heard(alpha, late(false));
    assert!(bench.orders.is_empty(), "a late refusal needs none");
    bench.heard(alpha, late(true));
    bench.heard(alpha, late(true));
    let reversal = bench.order();
    bench.undone(reversal, Some(ReversalMeaning::Reversed));
    assert_eq!(bench.gate.supply(alpha).map(|supply| supply.advices()), Some(0));
    assert_eq!(bench.gate.state().accounts.reserved(), 0, "the reservation was given back once");
}

#[test]
fn facts_that_do_not_fit_are_refused() {
    let mut state = switchyard_core::state::State::new(1);
    let at = switchyard_core::log::Lsn(200);
    let outcome = Outcome { verdict: Verdict::Approved, ..Outcome::default() };
    let effect = LocalEffect::Voucher { product: switchyard_core::ids::ProductId(1), batch: 1, index: 0 };
    let flight = Flight::default();
    let attempt = Attempt { supplier: SupplierId(1), ..Attempt::default() };
    let misfits = [
        Fact::Outcome { at_ms: 0, link: 0, moved: None, outcome },
        Fact::Doubt { at_ms: 0, cause: Cause::Crash, outcome },
        Fact::Moved { at_ms: 0, flight: FlightNo(1), proof: Proof::NeverSent, attempt },
        Fact::Sale { flight, dialect: 0, frame: b"", outcome, effect },
    ];
    for misfit in misfits {
        assert!(state.apply(at, &misfit).is_err(), "{misfit:?}");
    }
}
