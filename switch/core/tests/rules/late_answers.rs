//! Late answers that may still come have a bound; that it is near is told before it keeps sales away.

use super::reversals::{accepted, approved};
use super::support::bench::Bench;
use super::support::books::{ALPHA, BETA, catalogue};
use super::support::message::topup;
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::gate::Alert;

const LATE_MAX: u32 = 8;

/// A sale that its supplier approves, and its reversal, which the supplier confirms: its STAN stays in quarantine.
fn sold_and_reversed(bench: &mut Bench, stan: u32) {
    let sale = topup(stan);
    assert_eq!(approved(bench, &sale).code, "00");
    accepted(&bench.reversed(&sale.reversal(stan + 100)), 410);
    let order = bench.order();
    bench.undone(order, Some(ReversalMeaning::Reversed));
}

fn told(bench: &mut Bench) -> Vec<Alert> {
    bench.gate.watch_late(bench.now);
    bench.gate.alerts().collect()
}

#[test]
fn that_reversals_use_up_a_suppliers_late_answers_is_told_and_counted() {
    let mut narrow = catalogue();
    narrow.suppliers[ALPHA].late_max = LATE_MAX;
    let mut bench = Bench::over(narrow);
    let alpha = bench.supplier(ALPHA).0;
    (1..LATE_MAX - 1).for_each(|stan| sold_and_reversed(&mut bench, stan));
    assert_eq!(told(&mut bench), []);
    sold_and_reversed(&mut bench, LATE_MAX - 1);
    let alert =
        |late| Alert::ManyLate { supplier: super::support::books::text("alpha"), late, late_max: LATE_MAX };
    assert_eq!(told(&mut bench), [alert(LATE_MAX - 1)], "before it costs a sale");
    sold_and_reversed(&mut bench, LATE_MAX);
    assert_eq!(told(&mut bench), [], "once a minute");
    assert_eq!(bench.gate.supply(alpha).map(|supply| supply.late_full()), Some(0));
    bench.ask(0, &topup(50));
    let order = bench.order();
    assert_eq!(order.supplier, bench.supplier(BETA).0, "its sales go elsewhere");
    bench.answered(order, "00");
    assert_eq!(bench.gate.supply(alpha).map(|supply| supply.late_full()), Some(1));
    // The late window ends, and with it the alert.
    bench.pass(60_000);
    assert_eq!(told(&mut bench), []);
    bench.ask(0, &topup(51));
    assert_eq!(bench.order().supplier, alpha);
}
