//! Merchants with a position of their own pay beside their network, and get back what it gets back (R-37, S-15).

use crate::support::bench::Bench;
use crate::support::books::{catalogue, text};
use crate::support::message::{Sale, topup};
use switchyard_core::account::{Account, Balance};
use switchyard_core::catalogue::{Catalogue, Funding, Merchant, Product, ReversalMeaning};
use switchyard_core::gate::NotDone;
use switchyard_core::money::Minor;
use switchyard_core::operate::{Instruction, Operator, reason};

fn tight() -> Catalogue {
    let mut catalogue = catalogue();
    catalogue.merchants[0].funding = Some(Funding::Prefunded { opening: Minor(2_500) });
    catalogue.merchants[1].funding = Some(Funding::Credit { line: Minor(1_500) });
    catalogue
}

fn merchant(bench: &Bench, at: usize) -> Balance {
    bench.gate.state().accounts.balance(Account::Merchant(bench.gate.catalogue().merchants[at].code))
}

#[test]
fn a_merchant_sells_no_more_than_its_own_position_allows() {
    let mut bench = Bench::over(tight());
    assert_eq!(merchant(&bench, 0).posted, Minor(2_500));
    bench.ask(0, &topup(1));
    assert_eq!(merchant(&bench, 0).reserved, Minor(1_000));
    let order = bench.order();
    bench.answered(order, "00");
    assert_eq!(bench.answer().code, "00");
    assert_eq!(merchant(&bench, 0), Balance { posted: Minor(1_500), reserved: Minor::ZERO });
    assert_eq!(bench.asked(&Sale { stan: 2, ..Sale::of("VOUCHER10", 0) }).code, "00");
    assert_eq!(bench.asked(&topup(3)).code, "61", "5.00 are left of it, and much of its network's");
    let elsewhere = Sale {
        network: "100002".into(),
        merchant: "MERCHANT0000002".into(),
        terminal: "T0000005".into(),
        ..Sale::of("VOUCHER10", 0)
    };
    assert_eq!(bench.asked(&elsewhere).code, "00");
    assert_eq!(merchant(&bench, 1).posted, Minor(-1_000), "a credit line of 15.00");
    assert_eq!(bench.asked(&Sale { stan: 2, ..elsewhere }).code, "61");
    bench.restart(tight());
    assert_eq!(merchant(&bench, 0).posted, Minor(500), "the opening amount came once");
}

#[test]
fn an_operator_pays_into_and_out_of_a_merchants_own_position() {
    let mut bench = Bench::over(tight());
    let networks = [0, 1].map(|at: usize| bench.gate.catalogue().networks[at].id);
    let codes = [0, 1, 2].map(|at: usize| bench.gate.catalogue().merchants[at].code);
    let operate = |bench: &mut Bench, instruction| {
        let why = reason("ticket 17").expect("printable");
        let done = bench.gate.operate(bench.now, Operator::default(), why, &instruction).map(|_| ());
        bench.flush();
        done
    };
    let credit = |at: usize, of: usize, amount| Instruction::Credit {
        network: networks[of],
        merchant: Some(codes[at]),
        amount: Minor(amount),
    };
    let debit = |at: usize, of: usize, amount| Instruction::Debit {
        network: networks[of],
        merchant: Some(codes[at]),
        amount: Minor(amount),
    };
    assert_eq!(operate(&mut bench, debit(0, 0, 2_501)), Err(NotDone::Short { free: Minor(2_500) }));
    assert_eq!(operate(&mut bench, debit(0, 0, 2_500)), Ok(()));
    assert_eq!(bench.asked(&topup(1)).code, "61");
    assert_eq!(operate(&mut bench, credit(0, 0, 1_000)), Ok(()));
    assert_eq!(operate(&mut bench, debit(1, 1, 1_500)), Ok(()), "a credit line of 15.00");
    assert_eq!(operate(&mut bench, debit(1, 1, 1)), Err(NotDone::Short { free: Minor::ZERO }));
    assert_eq!(operate(&mut bench, credit(0, 0, 0)), Err(NotDone::Nothing));
    assert_eq!(operate(&mut bench, credit(1, 0, 1)), Err(NotDone::NotThere), "another network's");
    let [_, _, third] = [0, 1, 2].map(|at: usize| bench.gate.catalogue().networks[at].id);
    let none = Instruction::Credit { network: third, merchant: Some(codes[2]), amount: Minor(1) };
    assert_eq!(operate(&mut bench, none), Err(NotDone::NoPosition));
    bench.restart(tight());
    assert_eq!((merchant(&bench, 0).posted, merchant(&bench, 1).posted), (Minor(1_000), Minor(-1_500)));
    bench.ask(0, &topup(2));
    assert_eq!(bench.orders.len(), 1, "it can sell again");
}

#[test]
fn a_first_start_with_more_names_and_merchants_than_a_batch_holds_writes_several() {
    let mut large = catalogue();
    let code = |kind: &str, at: u32| text(&format!("{kind}{at:07}"));
    large.merchants.extend((100..20_100).map(|at| Merchant {
        code: text(&format!("MERCHANT{at:07}")),
        network: 0,
        funding: Some(Funding::Prefunded { opening: Minor(i64::from(at)) }),
    }));
    let product = large.products[0].clone();
    large.products.extend((0..9_000).map(|at| Product { code: code("P", at), ..product.clone() }));
    large.index().expect("no code is there twice");
    let mut bench = Bench::over(large.clone());
    assert_eq!(merchant(&bench, 20_002).posted, Minor(20_099));
    let last = bench.gate.catalogue().products.last().map(|product| (product.code, product.id.0));
    assert_eq!(last, Some((code("P", 8_999), 9_007)));
    let facts = bench.disk.facts().count();
    bench.restart(large);
    assert_eq!(bench.disk.facts().count(), facts, "every name and every deposit once");
}

#[test]
fn what_is_declined_reversed_or_taken_back_returns_to_the_merchant_too() {
    let mut bench = Bench::over(tight());
    bench.ask(0, &topup(1));
    let order = bench.order();
    bench.answered(order, "05");
    assert_eq!(merchant(&bench, 0), Balance { posted: Minor(2_500), reserved: Minor::ZERO });
    bench.answers.clear();

    bench.ask(0, &topup(2));
    let order = bench.order();
    bench.answered(order, "00");
    bench.answers.clear();
    assert_eq!(bench.reversed(&topup(2).reversal(10)).code, "00");
    assert_eq!(merchant(&bench, 0).posted, Minor(1_500), "not before the supplier confirms");
    let order = bench.order();
    bench.undone(order, Some(ReversalMeaning::Reversed));
    assert_eq!(merchant(&bench, 0).posted, Minor(2_500));

    assert_eq!(bench.asked(&Sale { stan: 3, ..Sale::of("VOUCHER10", 0) }).code, "00");
    let voucher = Sale { stan: 3, ..Sale::of("VOUCHER10", 0) };
    assert_eq!(bench.reversed(&voucher.reversal(11)).code, "00");
    assert_eq!(merchant(&bench, 0).posted, Minor(2_500), "a voucher's credit");

    let order = bench.timed_out(&topup(4));
    assert_eq!(merchant(&bench, 0).reserved, Minor(1_000), "an unknown keeps its reservation");
    bench.undone(order, Some(ReversalMeaning::Refused));
    assert_eq!(merchant(&bench, 0), Balance { posted: Minor(1_500), reserved: Minor::ZERO }, "parked");
}
