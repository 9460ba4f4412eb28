//! What operators do: what is refused changes nothing, what is done survives a start, and a cut-over closes one day.

use crate::support::bench::Bench;
use crate::support::books::{ALPHA, BETA, catalogue, text};
use crate::support::message::Sale;
use proptest::prelude::*;
use switchyard_core::account::Account;
use switchyard_core::gate::{Alert, NotDone};
use switchyard_core::ids::{NetworkId, SupplierId};
use switchyard_core::iso8583::{Build, Mti, Role};
use switchyard_core::money::Minor;
use switchyard_core::operate::{Act, Instruction, Operator, reason};
use switchyard_core::state::Day;

fn operate(bench: &mut Bench, instruction: Instruction) -> Result<Act, NotDone> {
    let by = Operator { uid: 1_000, name: text("ada") };
    let why = reason("ticket 17").expect("printable");
    let done = bench.gate.operate(bench.now, by, why, &instruction).map(|(act, _)| act);
    bench.flush();
    done
}

fn posted(bench: &Bench, network: NetworkId) -> i64 {
    bench.gate.state().accounts.balance(Account::Network(network)).posted.0
}

fn day(bench: &Bench) -> Day {
    bench.gate.day_at(bench.now, &bench.gate.catalogue().networks[0])
}

#[test]
fn a_debit_takes_only_what_is_free() {
    let mut bench = Bench::new();
    let [prefunded, credit] = [0, 1].map(|at| bench.gate.catalogue().networks[at].id);
    let debit = |network, amount| Instruction::Debit { network, merchant: None, amount: Minor(amount) };
    // A sale that is open reserves 10.00 of 5,000.00.
    bench.ask(0, &Sale { account: "0612345678".into(), ..Sale::of("TOPUP", 21) });
    let free = Minor(499_000);
    assert_eq!(operate(&mut bench, debit(prefunded, 499_001)), Err(NotDone::Short { free }));
    assert!(operate(&mut bench, debit(prefunded, 499_000)).is_ok());
    assert_eq!(posted(&bench, prefunded), 1_000);
    // A network with a credit line may be debited below zero.
    assert!(operate(&mut bench, debit(credit, 300_000)).is_ok());
    assert_eq!(operate(&mut bench, debit(credit, 1)), Err(NotDone::Short { free: Minor::ZERO }));
    for wrong in [0, -1] {
        assert_eq!(operate(&mut bench, debit(credit, wrong)), Err(NotDone::Nothing));
    }
}

#[test]
fn a_credit_pays_for_sales_after_a_start_too() {
    let mut bench = Bench::new();
    let network = bench.gate.catalogue().networks[0].id;
    assert!(
        operate(&mut bench, Instruction::Debit { network, merchant: None, amount: Minor(500_000) }).is_ok()
    );
    assert_eq!(bench.asked(&Sale::of("VOUCHER10", 0)).code, "61");
    assert!(
        operate(&mut bench, Instruction::Credit { network, merchant: None, amount: Minor(1_000) }).is_ok()
    );
    bench.restart(catalogue());
    assert_eq!(posted(&bench, network), 1_000);
    assert_eq!(bench.asked(&Sale { stan: 2, ..Sale::of("VOUCHER10", 0) }).code, "00");
    assert_eq!(bench.asked(&Sale { stan: 3, ..Sale::of("VOUCHER10", 0) }).code, "61");
    let all = Instruction::Credit { network, merchant: None, amount: Minor(i64::MAX) };
    assert_eq!(operate(&mut bench, all), Err(NotDone::OutOfRange));
}

#[test]
fn a_blocked_terminal_gets_58_until_it_is_unblocked() {
    let mut bench = Bench::new();
    let block = |terminal, blocked| Instruction::Terminal { terminal: text(terminal), blocked };
    assert_eq!(operate(&mut bench, block("T0000001", false)), Err(NotDone::Already));
    assert!(operate(&mut bench, block("T0000001", true)).is_ok());
    assert_eq!(operate(&mut bench, block("T0000001", true)), Err(NotDone::Already));
    assert_eq!(bench.asked(&Sale::of("VOUCHER10", 0)).code, "58");
    bench.restart(catalogue());
    assert_eq!(bench.asked(&Sale::of("VOUCHER10", 0)).code, "58");
    assert_eq!(bench.asked(&Sale { terminal: "T0000002".into(), ..Sale::of("VOUCHER10", 0) }).code, "00");
    assert!(operate(&mut bench, block("T0000001", false)).is_ok());
    assert_eq!(bench.asked(&Sale::of("VOUCHER10", 0)).code, "00");
    assert_eq!(operate(&mut bench, block("TX", true)), Err(NotDone::Configured));
    assert_eq!(operate(&mut bench, block("TX", false)), Err(NotDone::Configured));
    assert_eq!(operate(&mut bench, block("T7", true)), Err(NotDone::NotThere));
}

#[test]
fn a_drained_supplier_gets_no_new_sales_and_keeps_its_open_ones() {
    let mut bench = Bench::new();
    let [alpha, beta] = [ALPHA, BETA].map(|at| bench.supplier(at).0);
    let drain = |supplier, drained| Instruction::Supplier { supplier, drained };
    let topup = |stan| Sale { stan, account: "0612345678".into(), ..Sale::of("TOPUP", 21) };
    let jit = |stan| Sale { stan, ..Sale::of("JIT", 0) };
    bench.ask(0, &topup(1));
    let open = bench.order();
    assert!(operate(&mut bench, drain(alpha, true)).is_ok());
    assert_eq!(operate(&mut bench, drain(alpha, true)), Err(NotDone::Already));
    // The next candidate takes over; what is open ends as it would have.
    bench.ask(0, &topup(2));
    assert_eq!(bench.order().supplier, beta);
    assert_eq!(bench.explained(2)[0].1, "drained by an operator");
    bench.answered(open, "00");
    assert_eq!(bench.answer().code, "00");
    assert!(operate(&mut bench, drain(beta, true)).is_ok());
    assert_eq!(bench.asked(&jit(3)).code, "91");
    bench.restart(catalogue());
    // The reversal of what was open goes out to the drained supplier all the same.
    assert_eq!(bench.order().supplier, beta);
    assert_eq!(bench.asked(&jit(4)).code, "91");
    assert!(operate(&mut bench, drain(alpha, false)).is_ok());
    bench.ask(0, &jit(5));
    assert_eq!(bench.order().supplier, alpha);
    assert_eq!(operate(&mut bench, drain(SupplierId(99), true)), Err(NotDone::NotThere));
}

#[test]
fn a_refused_attempt_does_not_move_to_a_drained_supplier() {
    let mut bench = Bench::new();
    bench.ask(0, &Sale::of("JIT", 0));
    let first = bench.order();
    let supplier = bench.supplier(BETA).0;
    assert!(operate(&mut bench, Instruction::Supplier { supplier, drained: true }).is_ok());
    bench.answered(first, "91");
    assert_eq!(bench.answer().code, "91");
}

/// A 201 of the first network.
fn cut_over(bench: &mut Bench, mti: u16, stan: u64, transmission: &str) -> Vec<u8> {
    let mut body = Vec::new();
    let mut build = Build::new(&bench.dialects[0], Mti::new(mti), &mut body);
    build.text(Role::TransmissionTime, transmission.as_bytes()).number(Role::Stan, stan);
    build.text(Role::Network, b"100001").number(Role::ManagementCode, 201);
    build.finish().expect("fits");
    bench.ask_frame(0, 0, &body);
    let answer = bench.answer();
    assert_eq!(answer.code, "00");
    answer.element(15).map(<[u8]>::to_vec).unwrap_or_default()
}

#[test]
fn a_cut_over_that_is_repeated_closes_no_other_day() {
    let mut bench = Bench::new();
    assert_eq!(day(&bench).date, 20_261_121);
    let first = cut_over(&mut bench, 800, 5, "1121120000");
    assert_eq!(day(&bench).date, 20_261_122);
    for (mti, transmission) in [(800, "1121120000"), (801, "1121120000"), (801, "1121120030")] {
        assert_eq!(cut_over(&mut bench, mti, 5, transmission), first);
        assert_eq!(day(&bench).date, 20_261_122, "{mti} {transmission}");
    }
    bench.restart(catalogue());
    assert_eq!(cut_over(&mut bench, 801, 5, "1121120000"), first);
    assert_eq!(day(&bench).date, 20_261_122);
    // Another cut-over closes the next one.
    cut_over(&mut bench, 800, 6, "1121120000");
    assert_eq!(day(&bench).date, 20_261_123);
    cut_over(&mut bench, 800, 6, "1121120100");
    assert_eq!(day(&bench).date, 20_261_124);
}

#[test]
fn an_operator_closes_a_day_as_a_cut_over_does() {
    let mut bench = Bench::new();
    let network = bench.gate.catalogue().networks[0].id;
    let until_ms = day(&bench).until_ms + 86_400_000;
    let closed = Act::DayClosed { network, date: 20_261_122, until_ms };
    assert_eq!(operate(&mut bench, Instruction::CloseDay { network, again: false }), Ok(closed));
    assert_eq!(day(&bench), Day { date: 20_261_122, until_ms });
    let nobody = Instruction::CloseDay { network: NetworkId(99), again: false };
    assert_eq!(operate(&mut bench, nobody), Err(NotDone::NotThere));
}

#[test]
fn a_day_that_was_closed_early_is_closed_again_only_where_that_is_said() {
    let mut bench = Bench::new();
    let network = bench.gate.catalogue().networks[0].id;
    let close = |again| Instruction::CloseDay { network, again };
    assert!(operate(&mut bench, close(false)).is_ok());
    let open = day(&bench);
    assert_eq!(operate(&mut bench, close(false)), Err(NotDone::ClosedEarly { open }));
    bench.restart(catalogue());
    assert_eq!(operate(&mut bench, close(false)), Err(NotDone::ClosedEarly { open }));
    assert_eq!(day(&bench), open);
    assert!(operate(&mut bench, close(true)).is_ok());
    assert_eq!(day(&bench).date, 20_261_123);
    // When the calendar has come up with it, it is closed as any other.
    bench.pass_by_days(2 * 86_400_000);
    assert!(operate(&mut bench, close(false)).is_ok());
    assert_eq!(day(&bench).date, 20_261_124);
}

#[test]
fn a_201_that_closes_a_day_that_was_closed_early_is_believed_and_told() {
    let mut bench = Bench::new();
    cut_over(&mut bench, 800, 5, "1121120000");
    cut_over(&mut bench, 800, 5, "1121120000");
    assert_eq!(bench.gate.alerts().count(), 0);
    cut_over(&mut bench, 800, 6, "1121120100");
    let told = Alert::ClosedAgain { network: text("100001"), closed: 20_261_122, date: 20_261_123 };
    assert!(bench.gate.alerts().eq([told]));
}

#[test]
fn a_clock_that_leaps_far_ahead_begins_no_business_day_before_it_is_believed() {
    const DAY_MS: u64 = 86_400_000;
    let reversal = |stan| Sale { stan, ..Sale::of("TOPUP", 21) }.reversal(stan);
    for (leap, date) in [(32, 20_261_121), (30, 20_261_221)] {
        let mut bench = Bench::new();
        assert_eq!(bench.asked(&Sale::of("VOUCHER10", 0)).code, "00");
        assert_eq!(day(&bench).date, 20_261_121);
        bench.now.wall_ms += leap * DAY_MS;
        assert_eq!(bench.reversed(&reversal(2)).code, "00");
        assert_eq!(day(&bench).date, date, "{leap}");
        let leapt = Alert::DayLeapt { network: text("100001"), before: 20_261_121, date };
        assert_eq!(bench.gate.alerts().any(|alert| alert == leapt), leap == 30, "a day out of turn is told");
        bench.restart(catalogue());
        assert_eq!(day(&bench).date, date, "{leap}");
        // What a network closes meanwhile is the day that it is in.
        if leap == 32 {
            cut_over(&mut bench, 800, 5, "1121120000");
            assert_eq!(day(&bench).date, 20_261_122);
        }
        // A clock that stays there is right.
        bench.pass(DAY_MS);
        assert_eq!(bench.reversed(&reversal(3)).code, "00");
        let believed = [20_261_222, 20_261_224][usize::from(leap == 32)];
        assert_eq!(bench.reversed(&reversal(4)).code, "00");
        assert_eq!(day(&bench).date, believed, "{leap}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The bench checks after each step that money is conserved and that the state is the fold of the log.
    #[test]
    fn whatever_operators_do_money_is_conserved(
        steps in prop::collection::vec((0u8..7, 0u16..4, -5i64..700_000), 1..40),
    ) {
        let mut bench = Bench::new();
        let networks: Vec<_> = bench.gate.catalogue().networks.iter().map(|network| network.id).collect();
        let mut stan = 0;
        for (kind, at, amount) in steps {
            let network = networks.get(usize::from(at)).copied().unwrap_or(NetworkId(77));
            let amount = Minor(amount);
            let before = bench.gate.state().clone();
            let instruction = match kind {
                0 => Instruction::Credit { network, merchant: None, amount },
                1 | 2 => Instruction::Debit { network, merchant: None, amount },
                3 => Instruction::Terminal { terminal: text("T0000003"), blocked: at % 2 == 0 },
                4 => Instruction::Supplier { supplier: SupplierId(at), drained: amount.0 % 2 == 0 },
                5 => Instruction::CloseDay { network, again: at % 2 == 0 },
                _ => {
                    stan += 1;
                    bench.ask(0, &Sale { stan, account: "0612345678".into(), ..Sale::of("TOPUP", 21) });
                    continue;
                }
            };
            match operate(&mut bench, instruction) {
                Err(_) => prop_assert!(before == *bench.gate.state(), "what is refused changes nothing"),
                Ok(_) => {
                    let network = &bench.gate.catalogue().networks[0];
                    prop_assert!(bench.gate.free(Account::Network(network.id), network.funding).is_some_and(|free| free >= Minor::ZERO));
                }
            }
        }
    }
}
