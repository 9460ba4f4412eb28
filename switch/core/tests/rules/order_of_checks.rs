//! Order of checks (semantics.md): format 30, network 31, merchant 03, terminal 58, duplicate, product 57, service, currency and date 12, amount 13, account 14,
//! position 61, route 92, supplier 91, stock 79. Every message here is wrong in what its row names and in everything that is checked later.

use crate::support::bench::{Bench, INDEX_MAX};
use crate::support::books::{ALPHA, catalogue};
use crate::support::message::{Sale, topup};
use switchyard_core::iso8583::{Build, Mti, Role};
use switchyard_core::session::Report;

/// What is wrong, how, and the code.
type Row = (&'static str, fn(&mut Sale), &'static str);

/// A sale that passes up to the position.
/// Breaks everything from the `from`-th check on.
fn broken_from(from: usize, stan: u32) -> Sale {
    let mut sale = topup(stan);
    let breaks: [fn(&mut Sale); 8] = [
        |sale| sale.network = "999999".into(),
        |sale| sale.merchant = "MERCHANT0000002".into(),
        |sale| sale.terminal = "TX".into(),
        |sale| sale.product = "NOTHING".into(),
        |sale| sale.local = "1200000101".into(),
        |sale| sale.amount = 99,
        |sale| sale.account = "1".into(),
        |_| {},
    ];
    breaks[from..].iter().for_each(|break_it| break_it(&mut sale));
    sale
}

#[test]
fn each_check_comes_before_all_later_ones() {
    let table = [(0, "31"), (1, "03"), (2, "58"), (3, "57"), (4, "12"), (5, "13"), (6, "14")];
    for (from, code) in table {
        let mut bench = Bench::new();
        let answer = bench.asked(&broken_from(from, 1));
        assert_eq!(answer.code, code, "everything from check {from} on is wrong");
        assert!(bench.orders.is_empty() && bench.gate.state().index.is_empty(), "a refusal leaves nothing");
        assert_eq!(bench.gate.state().accounts.reserved(), 0);
    }
}

#[test]
fn a_missing_element_is_a_format_error_before_anything_else() {
    let empty: [fn(&mut Sale); 6] = [
        |sale| sale.transmission.clear(),
        |sale| sale.local.clear(),
        |sale| sale.network.clear(),
        |sale| sale.terminal.clear(),
        |sale| sale.merchant.clear(),
        |sale| sale.product.clear(),
    ];
    for (at, clear) in empty.into_iter().enumerate() {
        let mut sale = broken_from(0, 1);
        clear(&mut sale);
        assert_eq!(Bench::new().asked(&sale).code, "30", "element {at} is missing");
    }
}

#[test]
fn one_wrong_thing_has_one_code() {
    let table: [Row; 16] = [
        (
            "a suspended network",
            |sale| {
                (sale.network, sale.merchant, sale.terminal) =
                    ("100003".into(), "MERCHANT0000003".into(), "T0000009".into())
            },
            "31",
        ),
        ("an unknown merchant", |sale| sale.merchant = "NOBODY".into(), "03"),
        ("another network's merchant", |sale| sale.merchant = "MERCHANT0000002".into(), "03"),
        ("an unknown terminal", |sale| sale.terminal = "T9999999".into(), "58"),
        ("another merchant's terminal", |sale| sale.terminal = "T0000005".into(), "58"),
        ("a blocked terminal", |sale| sale.terminal = "TX".into(), "58"),
        ("another network's product", |sale| sale.product = "METRO".into(), "57"),
        ("another service", |sale| sale.processing = 500_000, "12"),
        ("another currency", |sale| sale.currency = 840, "12"),
        (
            "a product in a currency that the position has not",
            |sale| (sale.product, sale.currency) = ("DOLLARS".into(), 840),
            "12",
        ),
        ("a day that is none", |sale| sale.local = "1200001301".into(), "12"),
        ("one cent too much", |sale| sale.amount = 5_001, "13"),
        ("an account with a letter", |sale| sale.account = "06000000X1".into(), "14"),
        ("a void", |sale| sale.processing = 200_000, "40"),
        (
            "several items, each with a product of its own",
            |sale| {
                let item = "01005TOPUP06012000000000500".to_string();
                (sale.processing, sale.product) = (900_000, String::new());
                sale.tags = vec![(*b"10", item.clone()), (*b"10", item)];
            },
            "40",
        ),
        ("a sale that no acquirer sends", |sale| sale.mti = 208, "40"),
    ];
    for (what, change, code) in table {
        let mut sale = topup(1);
        change(&mut sale);
        assert_eq!(Bench::new().asked(&sale).code, code, "{what}");
    }
}

#[test]
fn the_duplicate_check_comes_after_the_terminal_and_before_the_product() {
    let mut bench = Bench::new();
    let voucher = Sale::of("VOUCHER10", 0);
    let first = bench.asked(&voucher);
    assert_eq!(first.code, "00");
    assert_eq!(bench.asked(&Sale { product: "NOTHING".into(), ..voucher.clone() }).code, "94");
    assert_eq!(bench.asked(&Sale { amount: 99, ..voucher.clone() }).code, "94");
    // The stored answer stands although the product's stock is gone and the position too.
    bench.gate.set_room(false);
    assert_eq!(bench.asked(&voucher), first);
    let mut blocked = catalogue();
    blocked.terminals[0].blocked = true;
    bench.restart(blocked);
    assert_eq!(bench.asked(&voucher).code, "58");
}

#[test]
fn position_route_supplier_and_stock_follow_in_that_order() {
    // The position allows 5,000.00; ten thousand cents a sale.
    let mut poor = catalogue();
    poor.networks[0].funding =
        switchyard_core::catalogue::Funding::Prefunded { opening: switchyard_core::money::Minor(999) };
    let mut bench = Bench::over(poor);
    let named = Sale { supplier: "nobody".into(), ..topup(1) };
    assert_eq!(bench.asked(&named).code, "61");

    let mut bench = Bench::new();
    let suppliers: Vec<_> = (ALPHA..=ALPHA + 2).map(|at| bench.supplier(at).0).collect();
    suppliers.iter().for_each(|id| bench.heard(*id, Report::Ready(false)));
    assert_eq!(bench.asked(&named).code, "92");
    assert_eq!(bench.asked(&topup(2)).code, "91");
    for stan in 3..=7 {
        let code = bench.asked(&Sale { stan, ..Sale::of("VOUCHER10", 0) }).code;
        assert!(code == "00" || code == "79");
    }
    assert_eq!(bench.asked(&Sale { stan: 9, ..Sale::of("VOUCHER10", 0) }).code, "79");
}

#[test]
fn without_room_or_past_its_deadline_a_sale_gets_96_and_leaves_nothing() {
    let mut bench = Bench::new();
    bench.gate.set_room(false);
    assert_eq!(bench.asked(&topup(1)).code, "96");
    bench.gate.set_room(true);
    bench.overdue = true;
    assert_eq!(bench.asked(&topup(1)).code, "96");
    bench.overdue = false;
    assert!(bench.gate.state().index.is_empty() && bench.orders.is_empty());
    assert_eq!(bench.asked(&Sale::of("VOUCHER10", 0)).code, "00");
    // What has its answer gets it, room or not.
    bench.gate.set_room(false);
    bench.overdue = true;
    assert_eq!(bench.asked(&Sale::of("VOUCHER10", 0)).code, "00");
}

#[test]
fn a_full_index_refuses_and_never_evicts() {
    let mut bench = Bench::new();
    for stan in 1..=INDEX_MAX as u32 {
        bench.gate_only(&Sale { stan, account: "0000000001".into(), amount: 100, ..Sale::of("WALLET", 21) });
    }
    bench.flush();
    assert!(bench.answers.drain(..).all(|(_, answer)| answer.code == "00"));
    assert_eq!(bench.asked(&topup(9_999)).code, "96");
    assert_eq!(
        bench.asked(&Sale { account: "0000000001".into(), amount: 100, ..Sale::of("WALLET", 21) }).code,
        "00"
    );
}

#[test]
fn a_repeat_in_a_full_index_can_be_reversed_by_its_own_time() {
    let mut bench = Bench::new();
    let load = |stan| Sale { stan, account: "0000000001".into(), amount: 100, ..Sale::of("WALLET", 21) };
    (1..=INDEX_MAX as u32).for_each(|stan| bench.gate_only(&load(stan)));
    bench.flush();
    bench.answers.clear();
    let repeat = Sale { mti: 201, transmission: "1121120200".into(), ..load(1) };
    assert_eq!(bench.asked(&repeat).code, "00");
    assert_eq!(bench.reversed(&repeat.reversal(900)).code, "00");
    assert_eq!(bench.gate.counters.blocked, 0, "nobody knew what it named, and the sale stands");
    assert_eq!(bench.asked(&load(1)).code, "17");
}

#[test]
fn a_date_outside_the_window_gets_12() {
    // 72 h back and 14 h more for time zones, 14 h ahead (S-3); noon of 21 November in UTC.
    let table = [
        ("2200001117", true),
        ("2159591117", false),
        ("0200001122", true),
        ("0200011122", false),
        ("1200001121", true),
        ("1200001021", false),
        ("1200000229", false),
    ];
    for (local, allowed) in table {
        let mut bench = Bench::new();
        let sale = Sale { local: local.into(), ..Sale::of("VOUCHER10", 0) };
        assert_eq!(bench.asked(&sale).code == "00", allowed, "{local}");
    }
}

#[test]
fn a_key_is_known_for_as_long_as_its_date_is_allowed() {
    let mut bench = Bench::new();
    let sale = Sale { local: "0200001122".into(), ..Sale::of("VOUCHER10", 0) };
    let first = bench.asked(&sale);
    assert_eq!(first.code, "00");
    // 100 h later its local time is 86 h old: the last moment at which it would be admitted.
    bench.pass_by_days(100 * 3_600_000);
    bench.asked(&Sale { stan: 2, local: "1600001125".into(), ..Sale::of("VOUCHER10", 0) });
    assert_eq!(bench.asked(&sale), first);
    bench.pass(1_000);
    bench.asked(&Sale { stan: 3, local: "1600011125".into(), ..Sale::of("VOUCHER10", 0) });
    assert_eq!(bench.asked(&sale).code, "12");
}

#[test]
fn a_cut_over_needs_a_sign_on_where_sales_do_and_no_transmission_time() {
    let mut body = Vec::new();
    let bench = Bench::new();
    let mut build = Build::new(&bench.dialects[0], Mti::new(800), &mut body);
    build.number(Role::Stan, 5).text(Role::Network, b"100001").number(Role::ManagementCode, 201);
    build.finish().expect("fits");
    for (signed_on, code) in
        [(None, "00"), (Some(vec![]), "31"), (Some(vec![1]), "31"), (Some(vec![0]), "00")]
    {
        let mut bench = Bench::new();
        bench.signed_on = signed_on;
        bench.ask_frame(0, 0, &body);
        assert_eq!(bench.answer().code, code);
    }
}

#[test]
fn a_cut_over_closes_the_day() {
    let mut bench = Bench::new();
    let day = |bench: &mut Bench, stan| {
        bench.asked(&Sale { stan, ..Sale::of("VOUCHER10", 0) }).element(15).map(<[u8]>::to_vec)
    };
    assert_eq!(day(&mut bench, 1).as_deref(), Some(&b"1121"[..]));
    let mut body = Vec::new();
    let mut build = Build::new(&bench.dialects[0], Mti::new(800), &mut body);
    build.text(Role::TransmissionTime, b"1121120000").number(Role::Stan, 5);
    build.text(Role::Network, b"100001").number(Role::ManagementCode, 201);
    build.finish().expect("fits");
    bench.ask_frame(0, 0, &body);
    assert_eq!(bench.answer().code, "00");
    assert_eq!(day(&mut bench, 2).as_deref(), Some(&b"1122"[..]));
    // The repeat of a sale keeps its day.
    assert_eq!(day(&mut bench, 1).as_deref(), Some(&b"1121"[..]));
}
