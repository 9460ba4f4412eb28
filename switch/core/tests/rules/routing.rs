//! Routing: policies, conditions, prefixes, and the explanation of every choice.

use crate::support::bench::Bench;
use crate::support::books::{ALPHA, BETA, GAMMA, candidate, catalogue, text};
use crate::support::message::Sale;
use switchyard_core::catalogue::*;
use switchyard_core::money::Minor;
use switchyard_core::route::{Health, NoRoute, Query, Reason, route};
use switchyard_core::session::Report;

fn query() -> Query<'static> {
    Query {
        network: 0,
        terminal: text("T0000001"),
        amount: Minor(1_000),
        account: b"0612345678",
        named: text(""),
        minute: 720,
        seed: 0,
    }
}

fn well(_: u32) -> Health {
    Health { ready: true, drained: false, shut: false, latency_us: 1_000, success_permille: 1_000 }
}

/// The suppliers of a product with these candidates and policy, in order.
fn order(policy: Policy, candidates: Vec<Candidate>, health: impl Fn(u32) -> Health) -> Vec<u32> {
    let catalogue = catalogue();
    let product = Product { policy, ..crate::support::books::product("X", Service::Recharge, candidates) };
    let route = route(&catalogue, &product, &query(), health).expect("somebody");
    route.places().iter().map(|place| product.candidates[usize::from(*place)].supplier).collect()
}

#[test]
fn each_policy_has_its_order() {
    let three = || vec![candidate(ALPHA, 3), candidate(BETA, 1), candidate(GAMMA, 2)];
    let costs =
        || three().into_iter().zip([30, 20, 10]).map(|(c, cost_bp)| Candidate { cost_bp, ..c }).collect();
    let (alpha, beta, gamma) = (ALPHA as u32, BETA as u32, GAMMA as u32);
    assert_eq!(order(Policy::Priority, three(), well), [beta, gamma, alpha]);
    assert_eq!(order(Policy::LeastCost, costs(), well), [gamma, beta, alpha]);
    let fast = |at: u32| Health { latency_us: if at == alpha { 10 } else { 500 }, ..well(at) };
    assert_eq!(order(Policy::LowestLatency, three(), fast), [alpha, beta, gamma], "ties by priority");
    let sure = |at: u32| Health { success_permille: if at == gamma { 999 } else { 500 }, ..well(at) };
    assert_eq!(order(Policy::SuccessRate, three(), sure), [gamma, beta, alpha]);
}

#[test]
fn weights_are_kept_over_many_choices_and_zero_is_never_first() {
    let catalogue = catalogue();
    let candidates = [(ALPHA, 3), (BETA, 1), (GAMMA, 0)];
    let candidates =
        candidates.map(|(supplier, weight)| Candidate { weight, ..candidate(supplier, 1) }).to_vec();
    let product = Product {
        policy: Policy::Weight,
        ..crate::support::books::product("X", Service::Recharge, candidates)
    };
    let mut firsts = [0; 3];
    for seed in 0..4_000 {
        let route = route(&catalogue, &product, &Query { seed, ..query() }, well).expect("somebody");
        assert_eq!(route.places().len(), 3, "the others are in reserve");
        firsts[usize::from(route.places()[0])] += 1;
    }
    assert!((2_800..3_200).contains(&firsts[0]) && firsts[2] == 0, "{firsts:?}");
}

#[test]
fn each_condition_excludes_with_its_reason() {
    let band = AmountRule { min: Minor(2_000), max: Minor(3_000) };
    let hours = vec![TimeWindow { from: 1_320, until: 360 }];
    let table: [(Conditions, Reason); 4] = [
        (Conditions { amount: Some(band), ..Conditions::default() }, Reason::Amount),
        (Conditions { windows: hours, ..Conditions::default() }, Reason::Time),
        (Conditions { networks: vec![1], ..Conditions::default() }, Reason::Network),
        (
            Conditions { terminals: vec![text("T0000002"), text("S")], ..Conditions::default() },
            Reason::Terminal,
        ),
    ];
    let catalogue = catalogue();
    for (conditions, reason) in table {
        let candidates = vec![Candidate { conditions, ..candidate(ALPHA, 1) }];
        let product = crate::support::books::product("X", Service::Recharge, candidates);
        let (why, trace) = route(&catalogue, &product, &query(), well).expect_err("nobody");
        assert_eq!((why, trace.reasons[0]), (NoRoute::Nobody, reason));
    }
}

#[test]
fn out_of_reach_is_not_no_route() {
    let catalogue = catalogue();
    let product =
        crate::support::books::product("X", Service::Recharge, vec![candidate(ALPHA, 1), candidate(BETA, 2)]);
    let down = |_| Health::default();
    let (why, trace) = route(&catalogue, &product, &query(), down).expect_err("nobody");
    assert_eq!((why, &trace.reasons[..2]), (NoRoute::OutOfReach, &[Reason::Down, Reason::Down][..]));
    let shut = |at: u32| Health { shut: at == ALPHA as u32, ..well(at) };
    let open = route(&catalogue, &product, &query(), shut).expect("beta");
    assert_eq!(open.trace.reasons[..2], [Reason::Breaker, Reason::Place(1)]);
    let nobody = |at| Health { shut: true, ..well(at) };
    let (why, _) = route(&catalogue, &product, &query(), nobody).expect_err("nobody");
    assert_eq!(why, NoRoute::OutOfReach, "91, not 92");
    let named = Query { named: text("beta"), ..query() };
    let route = route(&catalogue, &product, &named, well).expect("beta");
    assert_eq!(route.trace.reasons[..2], [Reason::NotNamed, Reason::Place(1)]);
}

#[test]
fn a_prefix_decides_for_one_supplier_and_its_absence_for_none() {
    let mut catalogue = catalogue();
    let mut table = PrefixTable::new("numbers".into());
    for (prefix, supplier) in [("06", ALPHA), ("0612", BETA), ("07", 0)] {
        assert!(table.add(text(prefix), supplier as u32));
    }
    catalogue.prefix_tables.push(table);
    let candidates = vec![candidate(ALPHA, 1), candidate(BETA, 2)];
    let product = Product {
        prefix_table: Some(0),
        ..crate::support::books::product("X", Service::Recharge, candidates)
    };
    let chosen = |account: &'static [u8]| {
        let routed = route(&catalogue, &product, &Query { account, ..query() }, well);
        routed.map(|route| route.places().to_vec()).map_err(|(why, _)| why)
    };
    assert_eq!(chosen(b"0699999999"), Ok(vec![0]));
    assert_eq!(chosen(b"0612345678"), Ok(vec![1]), "the longest match");
    assert_eq!(chosen(b"0800000000"), Ok(vec![0, 1]), "no prefix: all of them");
    assert_eq!(chosen(b"0700000000"), Err(NoRoute::Nobody), "a prefix of somebody who does not sell this");
}

#[test]
fn a_choice_explains_itself_until_a_newer_one_of_the_same_stan() {
    let mut bench = Bench::new();
    let sale = Sale { account: "0600000001".into(), ..Sale::of("TOPUP", 21) };
    let alpha = bench.supplier(ALPHA).0;
    bench.heard(alpha, Report::Ready(false));
    bench.ask(0, &sale);
    let expected = [("alpha", Reason::Down), ("beta", Reason::Place(1)), ("gamma", Reason::Place(2))];
    let expected: Vec<_> = expected.map(|(supplier, reason)| (supplier.to_owned(), reason.words())).to_vec();
    assert_eq!(bench.explained(1), expected);
    assert_eq!(bench.order().supplier, bench.supplier(BETA).0);
    // A repeat chooses nothing, so it explains nothing new.
    bench.heard(alpha, Report::Ready(true));
    bench.ask(1, &sale);
    assert_eq!(bench.explained(1), expected);
    assert!(bench.explained(2).is_empty());
}
