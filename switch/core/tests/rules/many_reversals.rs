//! How many reversals may be open: those that have ended leave their place to others (R-40, S-9).

use super::reversals::{accepted, approved};
use super::support::bench::{Bench, PARKED_MAX, REVERSALS_MAX, late};
use super::support::books::{ALPHA, BETA, catalogue};
use super::support::locals::{batch, stock_key};
use super::support::message::{Sale, topup};
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::flight::Phase;
use switchyard_core::gate::{Alert, Supply};
use switchyard_core::ids::FlightNo;
use switchyard_core::operate::{Instruction, Operator, Party, reason};

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

fn parked(bench: &Bench) -> Vec<FlightNo> {
    let flights = bench.gate.state().flights().filter(|flight| flight.phase == Phase::Parked);
    flights.map(|flight| flight.number).collect()
}

fn voucher(stan: u32) -> Sale {
    Sale { stan, transmission: format!("11211200{:02}", stan % 60), ..Sale::of("VOUCHER10", 0) }
}

#[test]
fn what_waits_for_an_operator_has_a_bound_of_its_own_at_each_supplier() {
    let mut bench = Bench::new();
    let product = bench.gate.catalogue().products[0].id;
    stock_key(&bench.keyring, 2);
    bench.gate.load_stock(batch(product, 2, 20));
    // Three are credited, so many are parked, and what is beyond gets 96.
    let vouchers: Vec<_> = (1..=3 + PARKED_MAX as u32 + 2).map(voucher).collect();
    vouchers.iter().for_each(|sale| assert_eq!(bench.asked(sale).code, "00"));
    let codes: Vec<_> =
        vouchers.iter().map(|sale| bench.reversed(&sale.reversal(sale.stan + 100)).code).collect();
    assert_eq!(codes.iter().filter(|code| *code == "96").count(), 2, "{codes:?}");
    let many =
        |bench: &mut Bench| bench.gate.alerts().filter(|a| matches!(a, Alert::ManyParked { .. })).count();
    assert_eq!(many(&mut bench), 1, "told once a minute");
    let suppliers = bench.gate.catalogue().suppliers.iter();
    let refused = suppliers.filter_map(|known| bench.gate.supply(known.id)).map(Supply::parked_refused);
    assert_eq!(refused.sum::<u64>(), 2, "and counted");
    bench.restart(catalogue());
    let last = &vouchers[vouchers.len() - 1];
    assert_eq!(bench.reversed(&last.reversal(200)).code, "96", "after a start too");
    assert_eq!(many(&mut bench), 1, "at the start");
    bench.pass(60_000);
    assert_eq!(bench.reversed(&last.reversal(200)).code, "96");
    assert_eq!(many(&mut bench), 1);
    // They take no place from anybody else's.
    let sales: Vec<_> = (21..=20 + REVERSALS_MAX as u32).map(topup).collect();
    sales.iter().for_each(|sale| assert_eq!(approved(&mut bench, sale).code, "00"));
    for sale in &sales {
        accepted(&bench.reversed(&sale.reversal(sale.stan + 200)), 410);
    }
    assert_eq!(bench.orders.len(), REVERSALS_MAX);
    // An operator makes room.
    let flight = parked(&bench)[0];
    let settle = Instruction::Settle { flight, to: Party::Network };
    let why = reason("ticket 17").expect("printable");
    bench.gate.operate(bench.now, Operator::default(), why, &settle).expect("it is parked");
    accepted(&bench.reversed(&last.reversal(200)), 410);
    assert_eq!(parked(&bench).len(), PARKED_MAX);
}

#[test]
fn a_supplier_that_refuses_reversals_gets_no_sale_once_too_many_are_parked() {
    let mut bench = Bench::new();
    let kept = topup(50);
    assert_eq!(approved(&mut bench, &kept).code, "00");
    for stan in 1..=PARKED_MAX as u32 {
        let reversal = bench.timed_out(&topup(stan));
        bench.undone(reversal, Some(ReversalMeaning::Refused));
    }
    assert_eq!(parked(&bench).len(), PARKED_MAX);
    assert_eq!(bench.reversed(&kept.reversal(51)).code, "96", "it comes again");
    bench.ask(0, &topup(30));
    let order = bench.order();
    assert_eq!(order.supplier, bench.supplier(BETA).0, "another one is asked (R-42)");
    bench.answered(order, "00");
    bench.answers.clear();
    let flight = parked(&bench)[0];
    let retry = Instruction::Retry { flight };
    let why = reason("ticket 17").expect("printable");
    bench.gate.operate(bench.now, Operator::default(), why, &retry).expect("it is parked");
    bench.flush();
    let order = bench.order();
    bench.undone(order, Some(ReversalMeaning::Reversed));
    accepted(&bench.reversed(&kept.reversal(51)), 410);
    bench.orders.clear();
    bench.ask(0, &topup(31));
    assert_eq!(bench.order().supplier, bench.supplier(ALPHA).0);
}

#[test]
fn one_that_began_again_and_was_parked_is_no_place_for_another() {
    let mut bench = Bench::new();
    let alpha = bench.supplier(ALPHA).0;
    // Undone, then approved after all: its reversal begins again, and is refused.
    let reversal = bench.timed_out(&topup(1));
    let flight = reversal.flight;
    bench.undone(reversal, Some(ReversalMeaning::Reversed));
    bench.heard(alpha, late(flight, true));
    let again = bench.order();
    assert_eq!(bench.gate.state().open_flights(), 1, "it is open again");
    bench.undone(again, Some(ReversalMeaning::Refused));
    assert_eq!((parked(&bench).len(), bench.gate.state().open_flights()), (1, 0));
    let sales: Vec<_> = (2..=2 + REVERSALS_MAX as u32).map(topup).collect();
    sales.iter().for_each(|sale| assert_eq!(approved(&mut bench, sale).code, "00"));
    let codes: Vec<_> =
        sales.iter().map(|sale| bench.reversed(&sale.reversal(sale.stan + 100)).code).collect();
    assert_eq!(codes.iter().filter(|code| *code == "96").count(), 1, "one is one too many: {codes:?}");
}
