//! Parked reversals: an operator sends them again or settles them, and money lands on one side (S-9).

use crate::support::bench::{Bench, late};
use crate::support::books::{ALPHA, GAMMA, catalogue, text};
use crate::support::locals::{batch, stock_key};
use crate::support::message::{Sale, topup};
use switchyard_core::account::Account;
use switchyard_core::adapter::{Answer, Ask, Order};
use switchyard_core::catalogue::{Meaning, ReversalMeaning};
use switchyard_core::fact::Fact;
use switchyard_core::flight::Phase;
use switchyard_core::gate::{Alert, NotDone};
use switchyard_core::ids::FlightNo;
use switchyard_core::operate::{Act, Instruction, Operator, Party, Payer, reason};
use switchyard_core::session::Report;

fn operate(bench: &mut Bench, instruction: Instruction) -> Result<Act, NotDone> {
    let why = reason("ticket 17").expect("printable");
    let done = bench.gate.operate(bench.now, Operator::default(), why, &instruction).map(|(act, _)| act);
    bench.flush();
    done
}

fn approval() -> Box<Answer> {
    Box::new(Answer { code: text("00"), sale: Some(Meaning::Approved), ..Answer::default() })
}

/// What the network, the supplier and its suspense have.
fn money(bench: &Bench) -> [i64; 3] {
    let (network, supplier) = (bench.gate.catalogue().networks[0].id, bench.supplier(ALPHA).0);
    let accounts = [Account::Network(network), Account::Supplier(supplier), Account::Suspense(supplier)];
    accounts.map(|account| bench.gate.state().accounts.balance(account).posted.0)
}

fn parked(bench: &Bench) -> Option<FlightNo> {
    bench.gate.state().flights().find(|flight| flight.phase == Phase::Parked).map(|flight| flight.number)
}

/// A sale that timed out, whose reversal the supplier refused.
fn with_parked() -> (Bench, FlightNo) {
    let mut bench = Bench::new();
    let reversal = bench.timed_out(&topup(1));
    bench.undone(reversal, Some(ReversalMeaning::Refused));
    let flight = parked(&bench).expect("it is parked");
    assert_eq!(money(&bench), [499_000, 0, 1_000]);
    (bench, flight)
}

#[test]
fn a_parked_reversal_is_sent_again_under_a_stan_of_its_own() {
    let (mut bench, flight) = with_parked();
    assert!(matches!(operate(&mut bench, Instruction::Retry { flight }), Ok(Act::Retried { .. })));
    let order = bench.order();
    assert_eq!(order.ask, Ask::Reversal { repeat: false });
    assert_ne!(order.stan, order.original_stan, "that one may long be another's");
    assert_eq!(operate(&mut bench, Instruction::Retry { flight }), Err(NotDone::NotParked));
    // The process goes down before the supplier answers: it goes out once more, under the same STAN.
    let stan = order.stan;
    bench.restart(catalogue());
    let order = bench.order();
    assert_eq!(order.stan, stan);
    assert_eq!(money(&bench), [499_000, 0, 1_000]);
    bench.undone(order, Some(ReversalMeaning::Reversed));
    assert_eq!(money(&bench), [500_000, 0, 0]);
    assert_eq!(parked(&bench), None);
}

#[test]
fn a_retry_that_is_refused_again_is_parked_again() {
    let (mut bench, flight) = with_parked();
    assert!(operate(&mut bench, Instruction::Retry { flight }).is_ok());
    let order = bench.order();
    bench.undone(order, None);
    assert_eq!((parked(&bench), money(&bench)), (Some(flight), [499_000, 0, 1_000]));
}

#[test]
fn a_settled_one_gives_its_amount_to_one_side_and_stays_over() {
    for (to, expected) in [(Party::Network, [500_000, 0, 0]), (Party::Supplier, [499_000, 1_000, 0])] {
        let (mut bench, flight) = with_parked();
        let done = operate(&mut bench, Instruction::Settle { flight, to });
        assert_eq!(done, Ok(Act::Settled { flight, payer: Payer::Suspense, to }));
        assert_eq!(money(&bench), expected);
        assert_eq!(operate(&mut bench, Instruction::Settle { flight, to }), Err(NotDone::NotParked));
        // The supplier says something long after: the operator's word stands.
        let supplier = bench.supplier(ALPHA).0;
        bench.heard(supplier, Report::Late { flight, attempt: 1, answer: approval() });
        assert!(bench.orders.is_empty());
        let contradicts = |alert: Alert| matches!(alert, Alert::Contradicted { stands: false, .. });
        let told = bench.gate.alerts().filter(|alert| contradicts(*alert)).count();
        assert_eq!(told, usize::from(to == Party::Network), "an approval of what does not stand");
        bench.restart(catalogue());
        let watched = bench.watches.iter().any(|watch| watch.flight == flight);
        assert!(watched, "its answer may still come");
        bench.heard(supplier, late(flight, false));
        let told = bench.gate.alerts().any(|alert| matches!(alert, Alert::Contradicted { stands: true, .. }));
        assert_eq!(told, to == Party::Supplier, "a refusal of what stands");
        assert_eq!(bench.gate.counters.contradicted, u64::from(told));
        let facts = bench.disk.facts().filter(
            |(_, bytes)| matches!(Fact::unpack(bytes), Ok(Fact::Late { flight: of, .. }) if of == flight),
        );
        assert_eq!(facts.count(), 2, "each is on record");
        assert!(bench.orders.is_empty());
        assert_eq!(bench.asked(&topup(1)).code, "68", "the answer stands too");
        bench.restart(catalogue());
        assert_eq!(money(&bench), expected);
        assert!(bench.orders.is_empty());
    }
}

#[test]
fn what_was_reversed_and_performed_late_all_the_same_is_paid_by_the_network_or_nobody() {
    for (to, payer, expected) in [
        (Party::Network, Payer::Nobody, [500_000, 0, 0]),
        (Party::Supplier, Payer::Network, [499_000, 1_000, 0]),
    ] {
        let mut bench = Bench::new();
        let reversal = bench.timed_out(&topup(1));
        let (supplier, flight) = (reversal.supplier, reversal.flight);
        bench.undone(reversal, Some(ReversalMeaning::Reversed));
        bench.heard(supplier, Report::Late { flight, attempt: 1, answer: approval() });
        let reversal = bench.order();
        bench.undone(reversal, Some(ReversalMeaning::Refused));
        assert_eq!(money(&bench), [500_000, 0, 0]);
        let done = operate(&mut bench, Instruction::Settle { flight, to });
        assert_eq!((done, money(&bench)), (Ok(Act::Settled { flight, payer, to }), expected));
    }
}

/// A sale that its supplier approved: in time, for a terminal that had reversed it, or late. With its reversal.
fn approved_and_reversed(bench: &mut Bench, how: u8) -> Box<Order> {
    bench.ask(0, &topup(1));
    let order = bench.order();
    match how {
        0 => {
            bench.answered(order, "00");
            assert_eq!(bench.answer().code, "00");
            bench.reversed(&topup(1).reversal(2));
        }
        1 => {
            bench.reversed(&topup(1).reversal(2));
            bench.answered(order, "00");
        }
        _ => {
            let (supplier, flight) = (order.supplier, order.flight);
            bench.heard(supplier, Report::TimedOut(order));
            bench.heard(supplier, late(flight, true));
        }
    }
    bench.answers.clear();
    bench.order()
}

#[test]
fn not_found_is_no_confirmation_of_what_the_supplier_approved() {
    for (how, restart) in [(0, false), (0, true), (1, false), (1, true), (2, false), (2, true)] {
        let mut bench = Bench::new();
        let mut reversal = approved_and_reversed(&mut bench, how);
        if restart {
            bench.restart(catalogue());
            reversal = bench.order();
        }
        // One that went out before the late answer is known to the session by that.
        assert!(reversal.performed || how == 2 && !restart, "no need to ask for its status");
        let flight = reversal.flight;
        bench.undone(reversal, Some(ReversalMeaning::NotFound));
        assert_eq!(
            (parked(&bench), money(&bench)),
            (Some(flight), [499_000, 0, 1_000]),
            "{how}: in suspense (S-15)"
        );
        assert!(bench.gate.alerts().any(|alert| matches!(alert, Alert::Denied { .. })));
        assert_eq!((bench.gate.counters.denied, bench.gate.counters.settled), (1, 0));
        bench.restart(catalogue());
        assert!(operate(&mut bench, Instruction::Settle { flight, to: Party::Network }).is_ok());
        assert_eq!(money(&bench), [500_000, 0, 0]);
    }
    // What the supplier takes back, it need not know.
    let mut bench = Bench::new();
    let reversal = approved_and_reversed(&mut bench, 2);
    bench.heard(reversal.supplier, late(reversal.flight, false));
    bench.undone(reversal, Some(ReversalMeaning::NotFound));
    assert_eq!((parked(&bench), money(&bench)), (None, [500_000, 0, 0]));
}

#[test]
fn an_answer_that_nobody_understands_takes_no_approval_back() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        let mut reversal = approved_and_reversed(&mut bench, 2);
        let (supplier, flight) = (reversal.supplier, reversal.flight);
        let unmapped = Answer { code: text("X9"), sale: Some(Meaning::Unknown), ..Answer::default() };
        bench.heard(supplier, Report::Late { flight, attempt: 1, answer: Box::new(unmapped) });
        let late = |bytes: &[u8]| matches!(Fact::unpack(bytes), Ok(Fact::Late { approved: None, .. }));
        assert!(bench.disk.facts().any(|(_, bytes)| late(bytes)), "it is on record (R-34)");
        if restart {
            bench.restart(catalogue());
            reversal = bench.order();
            assert!(reversal.performed);
        }
        bench.undone(reversal, Some(ReversalMeaning::NotFound));
        assert_eq!((parked(&bench), money(&bench)), (Some(flight), [499_000, 0, 1_000]), "as before it");
        assert_eq!((bench.gate.counters.denied, bench.gate.counters.settled), (1, 0));
    }
}

#[test]
fn what_the_switch_sold_itself_can_only_be_settled() {
    let mut bench = Bench::new();
    let product = bench.gate.catalogue().products[0].id;
    stock_key(&bench.keyring, 2);
    bench.gate.load_stock(batch(product, 2, 5));
    let voucher =
        |stan| Sale { stan, transmission: format!("11211200{stan:02}"), ..Sale::of("VOUCHER10", 0) };
    for sale in (1..=4).map(voucher) {
        assert_eq!(bench.asked(&sale).code, "00");
        assert_eq!(bench.reversed(&sale.reversal(sale.stan + 10)).code, "00");
    }
    let network = bench.gate.catalogue().networks[0].id;
    let posted = |bench: &Bench| bench.gate.state().accounts.balance(Account::Network(network)).posted.0;
    let flight = parked(&bench).expect("the fourth of a terminal's day");
    assert_eq!(operate(&mut bench, Instruction::Retry { flight }), Err(NotDone::NobodyToAsk));
    assert_eq!(posted(&bench), 499_000);
    assert!(operate(&mut bench, Instruction::Settle { flight, to: Party::Network }).is_ok());
    assert_eq!(posted(&bench), 500_000);
}

#[test]
fn what_a_supplier_owed_that_was_taken_out_of_the_configuration_is_parked() {
    let mut bench = Bench::new();
    bench.ask(0, &Sale { account: "12345678901".into(), ..Sale::of("ENERGY", 50) });
    let order = bench.order();
    let (flight, supplier) = (order.flight, order.supplier);
    let mut without = catalogue();
    without.suppliers.truncate(GAMMA);
    for product in &mut without.products {
        product.candidates.retain(|candidate| candidate.supplier < GAMMA as u32);
    }
    without.index().expect("no code is there twice");
    bench.restart(without);
    assert!(bench.orders.is_empty(), "nobody is there who could send it");
    assert_eq!(parked(&bench), Some(flight));
    assert_eq!(operate(&mut bench, Instruction::Retry { flight }), Err(NotDone::NotThere));
    // Back again, it is asked; or an operator settles it.
    bench.restart(catalogue());
    assert!(matches!(operate(&mut bench, Instruction::Retry { flight }), Ok(Act::Retried { .. })));
    let order = bench.order();
    assert_eq!((order.flight, order.supplier), (flight, supplier));
    bench.undone(order, Some(ReversalMeaning::Reversed));
    assert_eq!((parked(&bench), bench.gate.state().accounts.reserved()), (None, 0));
    assert_eq!(money(&bench), [500_000, 0, 0]);
}
