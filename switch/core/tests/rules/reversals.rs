//! Reversals in all their orders (S-4 to S-10): before, during and after the original, repeated, by every name, in and out of stock.

use crate::support::bench::Bench;
use crate::support::books::{ALPHA, BETA, catalogue, text};
use crate::support::locals::{batch, stock_key};
use crate::support::message::{Answer, Sale, topup};
use switchyard_core::account::Account;
use switchyard_core::adapter::Ask;
use switchyard_core::catalogue::ReversalMeaning;
use switchyard_core::flight::Phase;
use switchyard_core::gate::Alert;
use switchyard_core::ids::SupplierId;
use switchyard_core::operate::{Instruction, Operator, reason};
use switchyard_core::session::Report;

pub(crate) fn voucher(stan: u32) -> Sale {
    Sale { stan, transmission: format!("11211200{stan:02}"), ..Sale::of("VOUCHER10", 0) }
}

/// An approved sale over a wire.
pub(crate) fn approved(bench: &mut Bench, sale: &Sale) -> Answer {
    bench.ask(0, sale);
    let mut order = bench.order();
    order.link = Some(1);
    bench.answered(order, "00");
    bench.answer()
}

fn posted(bench: &Bench, account: Account) -> i64 {
    bench.gate.state().accounts.balance(account).posted.0
}

fn network(bench: &Bench) -> i64 {
    posted(bench, Account::Network(bench.gate.catalogue().networks[0].id))
}

fn suspense(bench: &Bench, at: usize) -> (SupplierId, i64) {
    let supplier = bench.supplier(at).0;
    (supplier, posted(bench, Account::Suspense(supplier)))
}

/// The answer to an accepted reversal echoes it, with 00.
pub(crate) fn accepted(answer: &Answer, mti: u16) {
    assert_eq!((answer.mti, &answer.code[..]), (mti, "00"), "{answer:?}");
    assert!(answer.element(90).is_some() && answer.element(37).is_some());
    assert!(answer.tag(b"20").is_none() && answer.element(38).is_none());
}

#[test]
fn an_approved_sale_is_reversed_at_its_supplier_and_the_money_comes_back_when_that_confirms() {
    let mut bench = Bench::new();
    let before = network(&bench);
    let sale = topup(1);
    let first = approved(&mut bench, &sale);
    assert_eq!(first.code, "00");
    accepted(&bench.reversed(&sale.reversal(2)), 410);
    assert_eq!(suspense(&bench, ALPHA).1, 1_000, "the amount waits for the supplier (S-15)");
    let order = bench.order();
    assert_eq!(order.ask, Ask::Reversal { repeat: false });
    assert_eq!(order.link, Some(1), "on the original's link (S-8)");
    assert_ne!(order.stan, order.original_stan, "the original's STAN may be another's by now");
    assert_eq!(bench.asked(&sale).code, "17", "never the stored approval (S-4)");
    bench.undone(order, Some(ReversalMeaning::Reversed));
    assert_eq!((suspense(&bench, ALPHA).1, network(&bench)), (0, before));
    assert_eq!(bench.asked(&sale).code, "17");
    bench.restart(catalogue());
    assert_eq!(bench.asked(&sale).code, "17", "after a restart too");
    assert!(bench.orders.is_empty());
}

#[test]
fn repeats_of_a_reversed_sale_get_one_answer_under_its_rrn() {
    let mut bench = Bench::new();
    let over = topup(1);
    let first = approved(&mut bench, &over);
    bench.reversed(&over.reversal(2));
    let order = bench.order();
    bench.undone(order, Some(ReversalMeaning::Reversed));
    let cancelled = bench.asked(&over);
    assert_eq!((&cancelled.code[..], cancelled.element(37)), ("17", first.element(37)));
    assert_eq!(bench.asked(&Sale { mti: 201, ..over.clone() }), cancelled, "every field as first sent (S-2)");

    let open = topup(3);
    bench.ask(0, &open);
    let order = bench.order();
    accepted(&bench.reversed(&open.reversal(4)), 410);
    bench.answered(order, "00");
    let first = bench.answer();
    assert_eq!(first.code, "17");
    assert_eq!(bench.asked(&open), first, "and where the reversal came while it was open");
    let order = bench.order();
    bench.undone(order, Some(ReversalMeaning::Reversed));
    bench.restart(catalogue());
    assert_eq!((bench.asked(&over), bench.asked(&open)), (cancelled, first), "after a restart too");

    let unseen = topup(5);
    bench.reversed(&unseen.reversal(6));
    let blocked = bench.asked(&unseen);
    assert_ne!(
        blocked.element(37),
        bench.asked(&unseen).element(37),
        "nothing was admitted, so nothing was stored"
    );
}

#[test]
fn a_reversed_sale_keeps_its_business_day_in_repeats() {
    let mut bench = Bench::new();
    let product = bench.gate.catalogue().products[0].id;
    stock_key(&bench.keyring, 2);
    bench.gate.load_stock(batch(product, 2, 5));
    let close = |bench: &mut Bench| {
        let network = bench.gate.catalogue().networks[0].id;
        let act = Instruction::CloseDay { network, again: true };
        let why = reason("early").expect("printable");
        bench.gate.operate(bench.now, Operator::default(), why, &act).expect("closed");
        bench.flush();
    };
    let (wire, stock) = (topup(1), voucher(2));
    let first = approved(&mut bench, &wire);
    assert_eq!(bench.asked(&stock).element(15), first.element(15));
    close(&mut bench);
    let later = voucher(3);
    assert_ne!(bench.asked(&later).element(15), first.element(15));
    for (at, sale) in [&wire, &stock, &later].into_iter().enumerate() {
        accepted(&bench.reversed(&sale.reversal(10 + at as u32)), 410);
    }
    for (restart, over) in [(false, false), (false, true), (true, true)] {
        if over && !restart {
            let order = bench.order();
            bench.undone(order, Some(ReversalMeaning::Reversed));
            bench.pass_until_forgotten();
        }
        close(&mut bench);
        if restart {
            bench.restart(catalogue());
        }
        let days = [&wire, &stock, &later].map(|sale| {
            let cancelled = bench.asked(sale);
            assert_eq!(cancelled.code, "17");
            cancelled.element(15).map(<[u8]>::to_vec)
        });
        let of = |day: &str| Some(day.as_bytes().to_vec());
        assert_eq!(days, [of("1121"), of("1121"), of("1122")], "as admitted (S-16)");
    }
}

#[test]
fn a_repeated_reversal_gets_the_same_answer_and_reverses_once() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let reversal = sale.reversal(2);
    let first = bench.reversed(&reversal);
    let again = bench.reversed(&Sale { mti: 401, ..reversal.clone() });
    assert_eq!(again, first, "every field as first sent (S-2)");
    accepted(&bench.reversed(&Sale { mti: 420, ..sale.reversal(3) }), 430);
    bench.restart(catalogue());
    assert_eq!(bench.reversed(&reversal), first, "after a restart too");
    accepted(&bench.reversed(&Sale { mti: 421, ..sale.reversal(4) }), 430);
    assert_eq!(bench.orders.len(), 1, "one original is one reversal at the supplier (S-7)");
}

#[test]
fn a_reversal_during_the_original_makes_it_17_and_undoes_what_the_supplier_did() {
    for (code, reversed) in [("00", true), ("05", false), ("91", false), ("77", true)] {
        let mut bench = Bench::new();
        let before = network(&bench);
        let sale = topup(1);
        bench.ask(7, &sale);
        let order = bench.order();
        accepted(&bench.reversed(&sale.reversal(2)), 410);
        bench.ask(8, &Sale { mti: 201, ..sale.clone() });
        assert_eq!(bench.answer().code, "17", "a repeat is told at once");
        bench.answered(order, code);
        let (slot, answer) = bench.answers.remove(0);
        assert_eq!((slot, &answer.code[..]), (7, "17"), "{code}");
        assert_eq!(bench.orders.len(), usize::from(reversed), "{code}: nobody else is asked (S-12)");
        if reversed {
            let order = bench.order();
            assert!(matches!(order.ask, Ask::Reversal { .. }));
            bench.undone(order, Some(ReversalMeaning::Reversed));
        }
        assert_eq!((network(&bench), bench.gate.state().accounts.reserved()), (before, 0), "{code}");
        assert_eq!(bench.asked(&sale).code, "17");
    }
}

#[test]
fn a_reversal_of_what_times_out_is_one_reversal() {
    let mut bench = Bench::new();
    let sale = topup(1);
    bench.ask(0, &sale);
    let order = bench.order();
    accepted(&bench.reversed(&sale.reversal(2)), 410);
    bench.heard(order.supplier, Report::TimedOut(order));
    assert_eq!(bench.answer().code, "17");
    let order = bench.order();
    accepted(&bench.reversed(&sale.reversal(3)), 410);
    assert!(bench.orders.is_empty());
    bench.undone(order, Some(ReversalMeaning::NotFound));
    assert_eq!(bench.gate.state().accounts.reserved(), 0);

    let unknown = topup(5);
    bench.ask(0, &unknown);
    let order = bench.order();
    bench.heard(order.supplier, Report::Cut(order));
    assert_eq!(bench.answer().code, "68");
    let order = bench.order();
    accepted(&bench.reversed(&unknown.reversal(6)), 410);
    assert!(bench.orders.is_empty(), "the switch's own and the terminal's are one (S-7)");
    assert_eq!(bench.asked(&unknown).code, "17");
    bench.undone(order, Some(ReversalMeaning::Reversed));
    accepted(&bench.reversed(&unknown.reversal(7)), 410);
    assert!(bench.orders.is_empty());
}

#[test]
fn what_was_not_sent_is_not_sent_at_all() {
    let mut bench = Bench::new();
    bench.syncing = false;
    let sale = topup(1);
    bench.ask(3, &sale);
    bench.ask(4, &sale.reversal(2));
    bench.syncing = true;
    bench.flush();
    assert!(bench.orders.is_empty(), "the supplier never hears of it");
    let mut codes: Vec<_> = bench.answers.drain(..).map(|(slot, answer)| (slot, answer.code)).collect();
    codes.sort();
    assert_eq!(codes, [(3, "17".into()), (4, "00".into())]);
    assert_eq!(bench.gate.state().accounts.reserved(), 0);
    assert_eq!(bench.gate.supply(bench.supplier(ALPHA).0).map(|supply| supply.in_flight()), Some(0));
}

#[test]
fn a_reversal_of_something_unknown_succeeds_and_blocks_it() {
    for restart in [false, true] {
        let mut bench = Bench::new();
        let by_named = topup(1);
        accepted(&bench.reversed(&by_named.reversal(50)), 410);
        // Without DE90: by the original's own STAN and local time.
        let by_key = topup(2);
        let bare = Sale { mti: 400, transmission: "1121150000".into(), ..by_key.clone() };
        assert_eq!(bench.reversed(&bare).code, "00");
        if restart {
            bench.restart(catalogue());
        }
        for sale in [by_named, by_key] {
            assert_eq!(bench.asked(&sale).code, "17", "never performed later (S-4)");
            assert_eq!(bench.asked(&Sale { mti: 201, amount: 700, ..sale }).code, "17");
        }
        assert!(bench.orders.is_empty());
        assert_eq!(bench.gate.state().accounts.reserved(), 0);
        let stranger = topup(3);
        bench.ask(0, &stranger);
        assert_eq!(bench.orders.len(), 1, "and nothing else");
    }
}

#[test]
fn an_original_is_found_by_every_transmission_time_that_it_was_seen_with() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let repeat = Sale { mti: 201, transmission: "1121130000".into(), ..sale.clone() };
    assert_eq!(bench.asked(&repeat).code, "00");
    bench.restart(catalogue());
    // The MTI in DE90 is the repeat's: its last digit says nothing (S-5).
    accepted(&bench.reversed(&repeat.reversal(9)), 410);
    assert_eq!(bench.orders.len(), 1);
    assert_eq!(bench.asked(&sale).code, "17");
    bench.orders.clear();
    let other = topup(20);
    approved(&mut bench, &other);
    let by_local_time = Sale {
        original: Sale { transmission: "0101000000".into(), ..other.clone() }.named(),
        local: other.local.clone(),
        ..other.reversal(21)
    };
    accepted(&bench.reversed(&by_local_time), 410);
    assert_eq!(bench.asked(&other).code, "17");
}

#[test]
fn a_reversal_of_what_no_message_can_be_is_not_told_that_it_undid_something() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let naming = |mti: &str| Sale { original: sale.named().replacen("0200", mti, 1), ..sale.reversal(2) };
    // No message of these classes has a key (S-1), and no reversal is undone (S-4).
    for impossible in ["0000", "0300", "0500", "0800", "9999", "0400", "0421"] {
        let answer = bench.reversed(&naming(impossible));
        assert_eq!((answer.mti, &answer.code[..]), (410, "30"), "{impossible}");
        let by_local_time = Sale { local: sale.local.clone(), ..naming(impossible) };
        assert_eq!(bench.reversed(&by_local_time).code, "30", "{impossible}");
    }
    assert!(bench.orders.is_empty());
    assert_eq!(bench.asked(&sale).code, "00", "it stands, and its network was told nothing else");
    // A check without financial effect may be named: nothing of it could stand.
    assert_eq!(bench.reversed(&naming("0100")).code, "00");
    // Of the other digits none is in the key.
    accepted(&bench.reversed(&Sale { stan: 3, ..naming("0221") }), 410);
    assert_eq!((bench.orders.len(), &bench.asked(&sale).code[..]), (1, "17"));
}

#[test]
fn reversals_are_whole() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    let answer = bench.reversed(&Sale { amount: 400, ..sale.reversal(2) });
    assert_eq!((answer.mti, &answer.code[..]), (410, "13"));
    assert!(matches!(bench.gate.alerts().next(), Some(Alert::Partial { .. })));
    assert!(bench.orders.is_empty());
    assert_eq!(bench.asked(&sale).code, "00", "and reverse nothing otherwise (S-6)");
    accepted(&bench.reversed(&Sale { amount: 0, ..sale.reversal(3) }), 410);
    let open = topup(5);
    bench.orders.clear();
    bench.ask(0, &open);
    assert_eq!(bench.reversed(&Sale { amount: 1, ..open.reversal(6) }).code, "13");
}

#[test]
fn a_part_of_what_does_not_stand_is_not_reversed_either() {
    let mut bench = Bench::new();
    let (declined, unknown) = (topup(1), topup(2));
    bench.ask(0, &declined);
    let order = bench.order();
    bench.answered(order, "05");
    assert_eq!(bench.answer().code, "05");
    let order = bench.timed_out(&unknown);
    bench.undone(order, Some(ReversalMeaning::Reversed));
    bench.pass_until_forgotten();
    for (sale, code) in [(declined, "05"), (unknown, "68")] {
        let part = Sale { amount: 400, ..sale.reversal(sale.stan + 10) };
        assert_eq!(bench.reversed(&part).code, "13");
        assert!(matches!(bench.gate.alerts().next(), Some(Alert::Partial { .. })));
        assert_eq!(bench.asked(&sale).code, code, "it reversed nothing (S-6)");
        bench.restart(catalogue());
        accepted(&bench.reversed(&sale.reversal(sale.stan + 20)), 410);
        assert_eq!(bench.asked(&sale).code, "17");
        accepted(&bench.reversed(&Sale { amount: 0, ..sale.reversal(sale.stan + 30) }), 410);
    }
    assert!(bench.orders.is_empty());
}

#[test]
fn a_part_of_what_was_reversed_is_not_reversed_either() {
    let mut bench = Bench::new();
    let sales: Vec<Sale> = (1..=4).map(topup).chain([voucher(5), topup(6)]).collect();
    // Approved; declined; unknown and over; unknown and open; from stock; and one that nobody has seen.
    approved(&mut bench, &sales[0]);
    bench.ask(0, &sales[1]);
    let order = bench.order();
    bench.answered(order, "05");
    assert_eq!(bench.answer().code, "05");
    let order = bench.timed_out(&sales[2]);
    bench.undone(order, Some(ReversalMeaning::Reversed));
    bench.timed_out(&sales[3]);
    assert_eq!(bench.asked(&sales[4]).code, "00");
    for sale in &sales {
        accepted(&bench.reversed(&sale.reversal(sale.stan + 10)), 410);
    }
    for round in 2..5 {
        for sale in &sales[..5] {
            let again = sale.reversal(sale.stan + 10 * round);
            assert_eq!(bench.reversed(&Sale { amount: 400, ..again.clone() }).code, "13", "{}", sale.stan);
            assert!(bench.gate.alerts().any(|alert| matches!(alert, Alert::Partial { .. })));
            accepted(&bench.reversed(&again), 410);
            accepted(&bench.reversed(&Sale { amount: 0, ..sale.reversal(sale.stan + 10 * round + 5) }), 410);
        }
        let unseen = Sale { amount: 400, ..sales[5].reversal(6 + 10 * round) };
        accepted(&bench.reversed(&unseen), 410);
        assert!(sales.iter().all(|sale| bench.asked(sale).code == "17"));
        bench.restart(catalogue());
        bench.pass(600_000);
    }
}

#[test]
fn a_reversal_of_a_reversal_is_none() {
    let mut bench = Bench::new();
    // What a reversal can name is a sale (S-5). Who names a reversal by mistake, for its sale, must not be told that the sale is undone.
    let reversal = topup(1).reversal(2);
    accepted(&bench.reversed(&reversal), 410);
    assert_eq!(bench.reversed(&reversal.reversal(3)).code, "30");
    assert_eq!(bench.asked(&topup(1)).code, "17", "the first one stands");
    let sold = topup(4);
    approved(&mut bench, &sold);
    let reversal = sold.reversal(5);
    accepted(&bench.reversed(&reversal), 410);
    assert_eq!(bench.reversed(&Sale { amount: 400, ..reversal.reversal(6) }).code, "30");
    // An inquiry may ask for it.
    assert_eq!(bench.asked(&reversal.inquiry(7)).code, "00");
}

#[test]
fn only_the_network_keeps_a_reversal_out() {
    let mut bench = Bench::new();
    bench.signed_on = Some(Vec::new());
    for (network, code) in [("100001", "00"), ("100003", "00"), ("999999", "31")] {
        let sale = Sale {
            network: network.into(),
            terminal: "NOWHERE".into(),
            merchant: "NOBODY".into(),
            product: "NOTHING".into(),
            ..topup(1)
        };
        assert_eq!(bench.reversed(&sale.reversal(2)).code, code, "{network}");
    }
    let bare = Sale { original: String::new(), transmission: String::new(), ..topup(3).reversal(4) };
    assert_eq!(bench.reversed(&bare).code, "30", "it names nothing");
    bench.gate.set_room(false);
    accepted(&bench.reversed(&topup(5).reversal(6)), 410);
}

#[test]
fn vouchers_are_withdrawn_and_credited_up_to_a_number_a_day() {
    let mut bench = Bench::new();
    let product = bench.gate.catalogue().products[0].id;
    stock_key(&bench.keyring, 2);
    bench.gate.load_stock(batch(product, 2, 5));
    let before = network(&bench);
    let sales: Vec<Sale> = (1..=4).map(voucher).collect();
    for sale in &sales {
        assert_eq!(bench.asked(sale).code, "00");
    }
    let left = bench.gate.state().stock.left(product);
    for sale in &sales {
        accepted(&bench.reversed(&sale.reversal(sale.stan + 10)), 410);
        let again = bench.asked(sale);
        assert_eq!(again.code, "17");
        assert!(again.tag(b"20").is_none(), "never a PIN (S-4)");
    }
    assert_eq!(before - network(&bench), 1_000, "three credits a terminal and day (S-10)");
    assert_eq!(suspense(&bench, 0).1, 1_000, "the fourth waits for an operator");
    assert!(bench.gate.alerts().any(|alert| matches!(alert, Alert::Credits { .. })));
    let state = bench.gate.state();
    assert_eq!(state.withdrawn.iter().count(), 4);
    assert_eq!(state.stock.left(product), left, "none goes back");
    assert_eq!(state.flights().filter(|flight| flight.phase == Phase::Parked).count(), 1);
    assert!(bench.orders.is_empty());
    bench.pass(24 * 3_600_000);
    let next = Sale { local: "1200001122".into(), ..voucher(9) };
    assert_eq!(bench.asked(&next).code, "00");
    let between = network(&bench);
    accepted(&bench.reversed(&next.reversal(30)), 410);
    assert_eq!(network(&bench) - between, 1_000, "the next day counts anew");
}

#[test]
fn stored_value_is_taken_back_while_it_is_there() {
    let mut bench = Bench::new();
    let before = network(&bench);
    let load = |stan| Sale { stan, account: "0700000001".into(), ..Sale::of("WALLET", 21) };
    assert_eq!(bench.asked(&load(1)).code, "00");
    assert_eq!(posted(&bench, Account::Wallet(text("0700000001"))), 1_000);
    accepted(&bench.reversed(&load(1).reversal(2)), 410);
    assert_eq!((posted(&bench, Account::Wallet(text("0700000001"))), network(&bench)), (0, before));
}

#[test]
fn two_reversals_that_wait_for_the_journal_undo_once() {
    let mut bench = Bench::new();
    let sale = topup(1);
    approved(&mut bench, &sale);
    bench.ask(1, &sale.reversal(2));
    bench.ask(2, &sale.reversal(3));
    assert_eq!(bench.away.len(), 2);
    bench.bring_back();
    let codes: Vec<_> = bench.answers.drain(..).map(|(_, answer)| answer.code).collect();
    assert_eq!(codes, ["00", "00"]);
    assert_eq!(bench.orders.len(), 1);
}

#[test]
fn a_failed_over_sale_is_reversed_where_it_was_performed() {
    let mut bench = Bench::new();
    let sale = topup(1);
    bench.ask(0, &sale);
    let order = bench.order();
    bench.answered(order, "91");
    let order = bench.order();
    let (rrn, beta) = (order.rrn, bench.supplier(BETA).0);
    assert_eq!(order.supplier, beta);
    bench.answered(order, "00");
    assert_eq!(bench.answer().code, "00");
    bench.restart(catalogue());
    accepted(&bench.reversed(&sale.reversal(2)), 410);
    let order = bench.order();
    assert_eq!((order.supplier, order.rrn), (beta, rrn));
    assert_eq!(suspense(&bench, BETA).1, 1_000);
    bench.undone(order, None);
    assert_eq!(suspense(&bench, BETA).1, 1_000, "what expired waits in suspense (S-9)");
    assert!(bench.gate.alerts().any(|alert| matches!(alert, Alert::Parked { .. })));
}

#[test]
fn open_reversals_survive_a_restart_in_every_order() {
    let mut bench = Bench::new();
    let before = network(&bench);
    let (sold, asked) = (topup(1), topup(2));
    approved(&mut bench, &sold);
    bench.reversed(&sold.reversal(10));
    let first = bench.order();
    bench.ask(0, &asked);
    bench.orders.clear();
    bench.reversed(&asked.reversal(11));
    bench.restart(catalogue());
    assert_eq!(bench.orders.len(), 2, "both go out again");
    let again = bench.orders.remove(0);
    assert_eq!((again.rrn, again.stan, again.original_stan), (first.rrn, first.stan, first.original_stan));
    bench.undone(again, Some(ReversalMeaning::Reversed));
    let other = bench.order();
    bench.undone(other, Some(ReversalMeaning::Reversed));
    assert_eq!((network(&bench), bench.gate.state().accounts.reserved()), (before, 0));
    for sale in [sold, asked] {
        assert_eq!(bench.asked(&sale).code, "17");
    }
}

#[test]
fn advices_beyond_the_credits_wait_by_number_and_none_is_lost() {
    let mut bench = Bench::new();
    let sales: Vec<Sale> =
        (1..=20).map(|stan| Sale { stan, account: "06000000000".into(), ..Sale::of("ENERGY", 50) }).collect();
    for sale in &sales {
        bench.ask(0, sale);
        let order = bench.order();
        bench.answered(order, "00");
        assert_eq!(bench.answer().code, "00");
    }
    for sale in &sales {
        accepted(&bench.reversed(&sale.reversal(100 + sale.stan)), 410);
    }
    assert_eq!(bench.orders.len(), 12, "as many as gamma has advice credits");
    let mut done = 0;
    while let Some(order) = bench.orders.pop() {
        bench.undone(order, Some(ReversalMeaning::Reversed));
        done += 1;
    }
    assert_eq!(done, 20);
    assert_eq!(bench.gate.state().flights().filter(|flight| flight.phase == Phase::Doubt).count(), 0);
}

#[test]
fn an_inquiry_says_how_it_stands_and_never_shows_a_pin() {
    let mut bench = Bench::new();
    let sold = voucher(1);
    assert!(bench.asked(&sold).tag(b"20").is_some());
    let told = bench.asked(&sold.inquiry(30));
    assert_eq!((told.mti, &told.code[..]), (110, "00"));
    assert!(told.tag(b"20").is_none() && told.tag(b"21").is_some() && told.element(62).is_none());
    assert_eq!(bench.asked(&voucher(9).inquiry(31)).code, "25", "not found");
    bench.reversed(&sold.reversal(32));
    assert_eq!(bench.asked(&sold.inquiry(33)).code, "17");

    let open = topup(5);
    bench.ask(1, &open);
    let order = bench.order();
    bench.ask(2, &open.inquiry(34));
    assert!(bench.answers.is_empty(), "what is open is waited for");
    bench.heard(order.supplier, Report::TimedOut(order));
    let codes: Vec<_> = bench.answers.drain(..).map(|(_, answer)| (answer.mti, answer.code)).collect();
    assert_eq!(codes, [(110, "68".into()), (210, "68".into())]);
    assert_eq!(bench.asked(&open.inquiry(35)).code, "68");
    let order = bench.order();
    bench.undone(order, Some(ReversalMeaning::Reversed));
    assert_eq!(bench.asked(&open.inquiry(36)).code, "17", "what became of it (S-13)");
    bench.restart(catalogue());
    bench.pass(3_600_000);
    assert_eq!(bench.asked(&topup(6).inquiry(37)).code, "25");
    assert_eq!(bench.asked(&open.inquiry(38)).code, "17");

    let balance = Sale { original: String::new(), local: "1200001121".into(), ..open.inquiry(39) };
    assert_eq!(bench.asked(&balance).code, "40");
    let elsewhere = Sale { terminal: "TX".into(), ..open.inquiry(40) };
    assert_eq!(bench.asked(&elsewhere).code, "58");
}
