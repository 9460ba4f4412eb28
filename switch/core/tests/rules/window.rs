//! "Never twice" has no edge: what the window forgets is refused for its age (S-3).

use super::support::bench::{Bench, WALL_MS};
use super::support::books::catalogue;
use super::support::message::Sale;
use switchyard_core::gate::Alert;
use switchyard_core::stamp::transmission;

const HOUR_MS: u64 = 3_600_000;
/// Hours by which a local time may lie behind and before the switch's: the window of 72 and the zones (S-3).
const PAST_H: u64 = 86;
const FUTURE_H: u64 = 14;

/// A load of stored value whose local time is `wall_ms`.
fn load(stan: u32, wall_ms: u64) -> Sale {
    let digits = transmission(wall_ms).map(char::from);
    let local = digits[4..].iter().chain(&digits[..4]).collect();
    Sale { stan, local, account: "0700000001".into(), amount: 100, ..Sale::of("WALLET", 21) }
}

#[test]
fn a_repeat_is_known_or_too_old_and_never_a_new_sale() {
    for ahead_h in [0, 1, 40, PAST_H, PAST_H + FUTURE_H - 1, PAST_H + FUTURE_H] {
        let mut bench = Bench::new();
        // From as far in the past as a terminal may be to as far in the future.
        let sale = load(1, WALL_MS + ahead_h * HOUR_MS - PAST_H * HOUR_MS);
        let first = bench.asked(&sale);
        assert_eq!(first.code, "00", "{ahead_h} hours");
        let (mut passed_h, mut refused, mut known) = (0, 0, 0);
        for (number, at_h) in (2..).zip([0, 1, ahead_h, ahead_h + 1, 99, 100, 101, 102, 150]) {
            bench.pass_by_days(u64::saturating_sub(at_h, passed_h) * HOUR_MS);
            passed_h = passed_h.max(at_h);
            // Something new lets go what left the window.
            assert_eq!(bench.asked(&load(number, bench.now.wall_ms)).code, "00");
            let again = bench.asked(&Sale { mti: 201, ..sale.clone() });
            match again.code.as_str() {
                "00" => {
                    assert_eq!(
                        again.elements, first.elements,
                        "the stored answer, {ahead_h} hours ahead, {passed_h} later"
                    );
                    assert_eq!(refused, 0, "what was forgotten stays forgotten");
                    known += 1;
                }
                code => {
                    assert_eq!(code, "12", "{ahead_h} hours ahead, {passed_h} later");
                    refused += 1;
                }
            }
        }
        assert!(known >= 3 && refused >= 1, "{known} known, {refused} refused");
    }
}

#[test]
fn a_clock_that_leaps_ahead_and_back_makes_nobody_forget() {
    const AHEAD_MS: u64 = 45 * 24 * HOUR_MS;
    for restarted in [false, true] {
        let mut bench = Bench::new();
        let sale = load(1, WALL_MS);
        let first = bench.asked(&sale);
        assert_eq!(first.code, "00");
        bench.now.wall_ms += AHEAD_MS;
        if restarted {
            bench.restart(catalogue());
        }
        // A sale would be refused for its date; a reversal is always taken (S-7).
        assert_eq!(bench.reversed(&load(2, bench.now.wall_ms).reversal(3)).code, "00");
        assert_eq!(bench.gate.age(), None);
        assert!(bench.gate.alerts().eq([Alert::ClockAhead]), "somebody is told");
        bench.pass(23 * HOUR_MS);
        assert_eq!(bench.asked(&load(4, bench.now.wall_ms)).code, "00");
        bench.now.wall_ms -= AHEAD_MS;
        if restarted {
            bench.restart(catalogue());
        }
        let again = bench.asked(&Sale { mti: 201, ..sale.clone() });
        assert_eq!(again.elements, first.elements, "the stored answer, and never a second performance (S-2)");
        assert_eq!(bench.asked(&load(5, bench.now.wall_ms)).code, "00");
        bench.gate.alerts();
        assert_eq!(bench.gate.age(), None);
        assert_eq!(bench.gate.alerts().count(), 0);
    }
}
