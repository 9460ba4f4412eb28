//! A reversal that names its original by a transmission time that never arrived, while the sale came by a repeat with another one (S-4, S-5): when the message with that
//! time comes after all, nothing stands.

use crate::reversals::{accepted, approved, voucher};
use crate::support::bench::Bench;
use crate::support::books::{ALPHA, catalogue, text};
use crate::support::message::{Sale, topup};
use proptest::prelude::*;
use switchyard_core::account::Account;
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::flight::Phase;
use switchyard_core::gate::Alert;
use switchyard_core::session::Report;

/// The same request with another transmission time.
fn at(sale: &Sale, transmission: &str) -> Sale {
    Sale { transmission: transmission.into(), ..sale.clone() }
}

fn network(bench: &Bench) -> i64 {
    let account = Account::Network(bench.gate.catalogue().networks[0].id);
    bench.gate.state().accounts.balance(account).posted.0
}

#[test]
fn a_sale_that_stands_after_its_reversal_was_answered_is_undone_when_it_can_be_known() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        let before = network(&bench);
        let sale = topup(1);
        approved(&mut bench, &sale);
        let lost = at(&sale, "1121110000");
        accepted(&bench.reversed(&lost.reversal(2)), 410);
        assert!(bench.orders.is_empty(), "nothing says that these are one");
        assert_eq!(bench.asked(&sale).code, "00");
        if restart {
            bench.restart(catalogue());
        }
        bench.ask(0, &lost);
        assert!(bench.answers.is_empty(), "the sale is read first");
        bench.bring_back();
        assert_eq!(bench.answer().code, "17");
        let order = bench.order();
        assert_eq!(order.ask, Ask::Reversal { repeat: false });
        assert_eq!(bench.gate.counters.recognised, 1);
        assert_eq!(bench.gate.alerts().count(), 0, "nobody need look at it");
        assert_eq!(bench.asked(&sale).code, "17", "never the stored approval (S-4)");
        assert_eq!(bench.asked(&lost).code, "17");
        accepted(&bench.reversed(&sale.reversal(3)), 410);
        assert_eq!(bench.reversed(&Sale { amount: 400, ..sale.reversal(4) }).code, "13", "a part (S-6)");
        assert!(bench.orders.is_empty(), "one original is one reversal (S-7)");
        bench.undone(order, Some(ReversalMeaning::Reversed));
        assert_eq!(network(&bench), before);
    }
}

#[test]
fn a_sale_in_flight_is_cancelled_when_it_is_known_to_be_reversed() {
    let mut bench = Bench::new();
    let sale = topup(1);
    bench.ask(7, &sale);
    let order = bench.order();
    let lost = at(&sale, "1121110000");
    accepted(&bench.reversed(&lost.reversal(2)), 410);
    assert_eq!(bench.asked(&lost).code, "17");
    bench.answered(order, "00");
    assert_eq!(bench.answer().code, "17", "its 0210 is 17 (S-7)");
    let order = bench.order();
    bench.undone(order, Some(ReversalMeaning::Reversed));
    assert_eq!(bench.gate.state().accounts.reserved(), 0);
    bench.pass_until_forgotten();
    assert_eq!(bench.reversed(&Sale { amount: 400, ..sale.reversal(3) }).code, "13", "a part (S-6)");
    accepted(&bench.reversed(&sale.reversal(4)), 410);
}

#[test]
fn other_contents_are_another_request() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let other = Sale { amount: 2_000, ..at(&sale, "1121110000") };
    accepted(&bench.reversed(&other.reversal(2)), 410);
    assert_eq!(bench.asked(&other).code, "17");
    assert!(
        bench.orders.is_empty() && bench.away.is_empty(),
        "the reversal named that message, not the sale"
    );
    assert_eq!(bench.asked(&sale).code, "00");
}

#[test]
fn what_cannot_be_undone_is_told() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let lost = at(&sale, "1121110000");
    accepted(&bench.reversed(&lost.reversal(2)), 410);
    bench.ask(0, &lost);
    // The journal cannot be read there.
    let unread = bench.away.iter_mut().map(|ticket| ticket.recalled.take()).count();
    assert_eq!(unread, 1);
    bench.bring_back();
    assert_eq!(bench.answer().code, "17");
    assert!(bench.gate.alerts().any(|alert| matches!(alert, Alert::Standing { .. })));
    assert!(bench.orders.is_empty());
    assert_eq!(bench.reversed(&lost).code, "17", "the message comes again");
    assert_eq!(bench.orders.len(), 1);
}

/// What the three messages are about, and what its supplier says.
#[derive(Clone, Copy, Debug)]
enum Thing {
    Approved,
    Declined,
    Silent,
    Voucher,
    Value,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// The original, its repeat with another time, or the reversal that names the original's time.
    Original,
    Repeat,
    Reversal,
    /// Suppliers do what they were asked for.
    Serve,
    /// The keeper brings back what it has read.
    BringBack,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Step::{BringBack, Original, Repeat, Restart, Reversal, Serve};
    let any = prop::sample::select(vec![Original, Repeat, Reversal, Serve, BringBack, Restart]);
    prop::collection::vec(any, 0..10).prop_flat_map(|mut steps| {
        steps.extend([Original, Repeat, Reversal]);
        Just(steps).prop_shuffle()
    })
}

fn thing() -> impl Strategy<Value = Thing> {
    use Thing::{Approved, Declined, Silent, Value, Voucher};
    prop::sample::select(vec![Approved, Declined, Silent, Voucher, Value])
}

fn sale_of(thing: Thing) -> Sale {
    match thing {
        Thing::Voucher => voucher(1),
        Thing::Value => Sale { account: "0700000001".into(), ..Sale::of("WALLET", 21) },
        Thing::Approved | Thing::Declined | Thing::Silent => topup(1),
    }
}

fn serve(bench: &mut Bench, thing: Thing) {
    for order in std::mem::take(&mut bench.orders) {
        answer(bench, thing, order);
    }
}

fn answer(bench: &mut Bench, thing: Thing, order: Box<Order>) {
    match (order.ask, thing) {
        (Ask::Sale, Thing::Silent) => bench.heard(order.supplier, Report::TimedOut(order)),
        (Ask::Sale, Thing::Declined) => bench.answered(order, "05"),
        (Ask::Sale, _) => bench.answered(order, "00"),
        _ => bench.undone(order, Some(ReversalMeaning::Reversed)),
    }
}

fn play(thing: Thing, steps: &[Step]) -> Bench {
    let mut bench = Bench::new();
    let sale = sale_of(thing);
    let (original, reversal) = (at(&sale, "1121110000"), at(&sale, "1121110000").reversal(9));
    for step in steps {
        match step {
            Step::Original => bench.ask(1, &original),
            Step::Repeat => bench.ask(2, &Sale { mti: 201, ..sale.clone() }),
            Step::Reversal => bench.ask(3, &reversal),
            Step::Serve => serve(&mut bench, thing),
            Step::BringBack => bench.bring_back(),
            Step::Restart => {
                // Those who wait at the keeper are not there any more.
                bench.away.clear();
                bench.restart(catalogue());
            }
        }
    }
    // Who was not answered repeats itself.
    for message in [&original, &reversal, &original] {
        bench.bring_back();
        bench.ask(4, message);
    }
    while !(bench.away.is_empty() && bench.orders.is_empty()) {
        bench.bring_back();
        serve(&mut bench, thing);
    }
    bench
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn after_any_order_of_original_repeat_and_reversal_nothing_stands(thing in thing(), steps in steps()) {
        let before = network(&Bench::new());
        let mut bench = play(thing, &steps);
        let accounts = &bench.gate.state().accounts;
        let supplier = bench.supplier(ALPHA).0;
        let of = |account| accounts.balance(account).posted.0;
        prop_assert_eq!((network(&bench), accounts.reserved()), (before, 0));
        prop_assert_eq!((of(Account::Suspense(supplier)), of(Account::Wallet(text("0700000001")))), (0, 0));
        let open = |phase| matches!(phase, Phase::Asked | Phase::Doubt | Phase::Parked);
        prop_assert!(!bench.gate.state().flights().any(|flight| open(flight.phase)));
        prop_assert_eq!(bench.gate.alerts().count(), 0);
        bench.answers.clear();
        for transmission in ["1121110000", "1121120000", "1121130000"] {
            prop_assert_eq!(bench.reversed(&at(&sale_of(thing), transmission)).code, "17");
        }
    }
}
