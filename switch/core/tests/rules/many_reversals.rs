//! How many reversals may be open: those that have ended leave their place to others (R-40, S-9).

use super::reversals::{accepted, approved};
use super::support::bench::{Bench, REVERSALS_MAX};
use super::support::message::topup;
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::gate::Alert;

/// As many as may be open, one after the other, and some more.
const MANY: u32 = REVERSALS_MAX as u32 + 4;

#[test]
fn reversals_that_have_ended_keep_no_other_out() {
    let mut bench = Bench::new();
    for stan in 1..=MANY {
        let sale = topup(stan);
        assert_eq!(approved(&mut bench, &sale).code, "00");
        accepted(&bench.reversed(&sale.reversal(stan + 100)), 410);
        let order = bench.order();
        bench.undone(order, Some(ReversalMeaning::Reversed));
    }
    assert_eq!(bench.gate.alerts().count(), 0);
}

#[test]
fn that_too_many_are_open_is_told_once_and_not_with_each_that_is_refused() {
    let mut bench = Bench::new();
    let last = MANY as usize - 1;
    let sales: Vec<_> = (1..=MANY).map(topup).collect();
    sales.iter().for_each(|sale| assert_eq!(approved(&mut bench, sale).code, "00"));
    let codes: Vec<_> =
        sales.iter().map(|sale| bench.reversed(&sale.reversal(sale.stan + 100)).code).collect();
    let refused = codes.iter().skip_while(|code| *code == "00").count();
    assert_eq!(refused, 4, "{codes:?}");
    assert!(bench.gate.alerts().eq([Alert::ReversalsFull]));
    bench.pass(60_000);
    assert_eq!(bench.reversed(&sales[last].reversal(999)).code, "96");
    assert!(bench.gate.alerts().eq([Alert::ReversalsFull]), "again where it lasts");
    // One ends, and the next is taken.
    let order = bench.orders.remove(0);
    bench.undone(order, Some(ReversalMeaning::Reversed));
    accepted(&bench.reversed(&sales[last].reversal(999)), 410);
}
