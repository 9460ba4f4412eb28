//! Reversals that meet something on its way: the sync, the keeper, a power cut, a name that nobody knows yet (S-4, S-5, S-17). The simulator found each of these.

use crate::reversals::{accepted, approved, voucher};
use crate::support::bench::Bench;
use crate::support::books::{ALPHA, catalogue};
use crate::support::message::{Sale, topup};
use switchyard_core::account::Account;
use switchyard_core::catalogue::ReversalMeaning;

/// The answers so far, by the connection's slot.
fn codes(bench: &mut Bench) -> Vec<(u32, String)> {
    let mut codes: Vec<_> = bench.answers.drain(..).map(|(slot, answer)| (slot, answer.code)).collect();
    codes.sort();
    codes
}

#[test]
fn what_a_power_cut_can_take_back_is_not_said() {
    let mut bench = Bench::new();
    let sale = topup(1);
    bench.ask(0, &sale);
    bench.syncing = false;
    bench.ask(1, &sale.reversal(2));
    bench.ask(2, &Sale { mti: 201, ..sale.clone() });
    bench.ask(3, &sale.inquiry(3));
    let never = topup(4);
    bench.ask(4, &never.reversal(5));
    bench.ask(5, &never);
    assert_eq!(codes(&mut bench), [], "the reversals are not durable, so nobody is told 17");
    bench.syncing = true;
    bench.flush();
    let said = [(1, "00"), (2, "17"), (3, "17"), (4, "00"), (5, "17")];
    assert_eq!(codes(&mut bench), said.map(|(slot, code)| (slot, code.to_string())));
}

#[test]
fn a_name_is_durable_before_its_message_is_answered() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let repeat = Sale { mti: 201, transmission: "1121130000".into(), ..sale.clone() };
    bench.syncing = false;
    bench.ask(0, &repeat);
    assert_eq!(
        codes(&mut bench),
        [],
        "a power cut would leave an answer under a name that no reversal finds"
    );
    bench.disk.cut(0);
    bench.syncing = true;
    bench.restart(catalogue());
    assert_eq!(bench.asked(&repeat).code, "00");
    bench.disk.cut(0);
    bench.restart(catalogue());
    accepted(&bench.reversed(&repeat.reversal(9)), 410);
    assert_eq!(bench.asked(&sale).code, "17");
}

#[test]
fn a_doubt_that_ended_long_ago_can_be_reversed() {
    let mut bench = Bench::new();
    let sale = topup(1);
    let order = bench.timed_out(&sale);
    bench.undone(order, Some(ReversalMeaning::Reversed));
    // Nothing was folded since that would have forgotten it: the reversal itself does.
    bench.pass_until_forgotten();
    accepted(&bench.reversed(&sale.reversal(2)), 410);
    assert_eq!(bench.asked(&sale).code, "17");
}

#[test]
fn an_answer_that_the_keeper_reads_is_not_given_after_the_reversal() {
    let mut bench = Bench::new();
    bench.keeper_waits = true;
    let sale = voucher(1);
    assert!(bench.asked(&sale).tag(b"20").is_some());
    bench.ask(1, &Sale { mti: 201, ..sale.clone() });
    bench.ask(2, &sale.inquiry(3));
    bench.ask(3, &sale.reversal(2));
    assert_eq!(bench.away.len(), 3);
    // The reversal's record is read first.
    bench.away.reverse();
    bench.bring_back();
    // The repeat is not given what was read for it; its 17 has the sale's business day, which is read now.
    assert_eq!(bench.away.len(), 1);
    bench.bring_back();
    let said = [(1, "17"), (2, "17"), (3, "00")];
    assert_eq!(codes(&mut bench), said.map(|(slot, code)| (slot, code.to_string())));
}

#[test]
fn a_reversal_and_its_repeat_that_wait_for_the_keeper_together_are_answered_alike() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let reversal = sale.reversal(2);
    bench.ask(1, &reversal);
    bench.ask(2, &Sale { mti: 401, ..reversal });
    assert_eq!(bench.away.len(), 2);
    bench.bring_back();
    let [(_, first), (_, again)] = &bench.answers[..] else { panic!("{:?}", bench.answers) };
    assert_eq!(first, again);
    accepted(again, 410);
    assert_eq!(bench.orders.len(), 1);
}

#[test]
fn a_reversal_by_local_time_is_repeated_with_another_transmission_time() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let reversal = Sale { mti: 400, transmission: "1121150000".into(), ..sale };
    let first = bench.reversed(&reversal);
    assert_eq!(first.code, "00");
    let repeat = Sale { mti: 401, transmission: "1121150100".into(), ..reversal };
    let again = bench.reversed(&repeat);
    assert_eq!((&again.elements, &again.transmission), (&first.elements, &repeat.transmission));
    assert_eq!(bench.orders.len(), 1);
}

#[test]
fn a_name_that_never_arrived_hides_no_sale() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    // The first message was lost, its repeat was not; the terminal names the first one.
    let lost = Sale { transmission: "1121110000".into(), ..sale.clone() };
    accepted(&bench.reversed(&lost.reversal(2)), 410);
    assert!(bench.orders.is_empty(), "nothing says that these are one");
    let both = |original: &Sale, stan| Sale { local: original.local.clone(), ..original.reversal(stan) };
    accepted(&bench.reversed(&both(&lost, 3)), 410);
    assert_eq!(bench.orders.len(), 1, "the local time says it");
    assert_eq!(bench.asked(&sale).code, "17");

    let later = topup(5);
    let lost = Sale { transmission: "1121110000".into(), ..later.clone() };
    accepted(&bench.reversed(&lost.reversal(6)), 410);
    accepted(&bench.reversed(&both(&lost, 7)), 410);
    assert_eq!(bench.asked(&later).code, "17", "blocked by the name that the second reversal added");
}

#[test]
fn a_reversal_that_waits_for_the_keeper_takes_back_what_it_names_when_it_returns() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    // By a transmission time that nothing has yet, and by the sale's local time.
    let other = "1121110000".to_string();
    let named = Sale { transmission: other.clone(), ..sale.clone() }.named();
    let reversal = Sale { original: named, local: sale.local.clone(), amount: 0, ..sale.reversal(2) };
    bench.ask(1, &reversal);
    let away = std::mem::take(&mut bench.away);
    // Meanwhile that sale is reversed by another message, and one with that transmission time comes.
    accepted(&bench.reversed(&sale.reversal(3)), 410);
    let local = "1200011121".to_string();
    let second = Sale { transmission: other, local, amount: 2_000, ..sale };
    bench.orders.clear();
    approved(&mut bench, &second);
    bench.away = away;
    bench.bring_back();
    bench.bring_back();
    accepted(&bench.answer(), 410);
    let supplier = bench.supplier(ALPHA).0;
    let suspense = bench.gate.state().accounts.balance(Account::Suspense(supplier)).posted.0;
    assert_eq!(suspense, 3_000, "each of the two is taken back once");
}

#[test]
fn a_repeat_of_what_a_reversal_had_named_before_it_came_is_not_sold() {
    let mut bench = Bench::new();
    let sale = topup(1);
    accepted(&bench.reversed(&sale.reversal(2)), 410);
    assert_eq!(bench.asked(&sale).code, "17");
    // By its transmission time alone nobody would know it.
    let repeat = Sale { mti: 201, transmission: "1121120100".into(), ..sale };
    for _ in 0..2 {
        bench.ask(0, &repeat);
        assert!(bench.orders.is_empty(), "performed after its reversal was answered (S-4)");
        assert_eq!(bench.answer().code, "17");
        bench.restart(catalogue());
    }
}
