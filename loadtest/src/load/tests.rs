use super::*;
use crate::check::{Evidence, check};
use crate::profile::{Endings, FollowUps};
use crate::records::Records;
use crate::supplier::{self, Mode, SupplierHost};
use crate::verdict::{Rule, Verdict};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

fn dialect(name: &str) -> Arc<Dialect> {
    Arc::new(Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{error}")))
}

fn load(target: SocketAddr, name: &str, pace: Pace, count: u64) -> Load {
    let plain = Load::plain(target, dialect(name), Profile::demonstration(), pace, Length::Requests(count));
    Load { connections: 4, seed: 7, watch: Some(std::process::id()), ..plain }
}

/// Runs a load against a supplier that takes the place of the switch. (A blocked clock would hold the generator's own timer
/// back, so time is real here; nothing waits for longer than the answers take.)
fn run_against(
    mode: Mode,
    name: &'static str,
    make: impl FnOnce(SocketAddr) -> Load,
) -> (Report, Arc<LiveCounters>) {
    let live = Arc::new(LiveCounters::default());
    let (report, _) = run_recorded(mode, name, None, &live, make);
    (report, live)
}

/// The same; what the supplier does is recorded.
fn run_recorded(
    mode: Mode,
    name: &'static str,
    record: Option<PathBuf>,
    live: &Arc<LiveCounters>,
    make: impl FnOnce(SocketAddr) -> Load,
) -> (Report, Option<Told>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.unwrap_or_else(|error| panic!("{error}")).block_on(async {
        let (tell, listening) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let host = SupplierHost::instant("switch", listen, dialect(name));
        let host = SupplierHost { record, mode, refuses_83: true, ..host };
        let stop = CancellationToken::new();
        let serving = supplier::serve(vec![host], stop.clone(), |_, address| {
            let _ = tell.take().map(|tell| tell.send(address));
        });
        let loading = async {
            let target = listening.await.unwrap_or_else(|error| panic!("{error}"));
            let (_, site) = watch::channel(Site { conduit: target, pages: None });
            let done = run_at(make(target), site, 0, CancellationToken::new(), Arc::clone(live)).await;
            stop.cancel();
            done
        };
        let (served, done) = tokio::join!(serving, loading);
        served.unwrap_or_else(|error| panic!("{error}"));
        done.unwrap_or_else(|error| panic!("{error}"))
    })
}

/// Everything that can follow a sale, often.
const FOLLOW_UPS: FollowUps = FollowUps {
    repeat_answered: 0.2,
    repeat_in_flight: 0.2,
    reverse_approved: 0.3,
    reverse_in_flight: 0.2,
    reverse_timed_out: 1.0,
    reverse_unknown: 0.1,
    reversal_repeated: 0.5,
    repeat_reversed: 0.5,
    advices: 0.5,
    own_stans: 0.5,
    repeat_all: true,
    remember: true,
};

/// Loads a supplier in the switch's place with everything that can follow, and judges what was told by its record. `drain_ms` is waited to its end only for what is never
/// answered.
fn judge(
    mode: Mode,
    name: &'static str,
    pace: Pace,
    endings: &[(RangeInclusive<u8>, u32)],
    drain_ms: u64,
) -> (Report, Verdict) {
    let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let record = folder.path().join("switch.jsonl");
    let (report, told) = run_recorded(mode, name, Some(record), &Arc::default(), |target| {
        let mut load = load(target, name, pace, 3_000);
        load.drain_ms = drain_ms;
        load.profile.endings = Endings::weighted(endings);
        load.profile.follow_ups = FOLLOW_UPS;
        load
    });
    let deeds = Records::whole(folder.path()).read().unwrap_or_else(|error| panic!("{error}"));
    let told = [told.unwrap_or_else(|| panic!("it is remembered"))];
    (report, check(&told, &Evidence { deeds, books: None }))
}

#[test]
fn a_closed_loop_gets_every_answer_in_every_dialect() {
    for name in ["prepaid87", "prepaid87-binbitmap", "prepaid87-bcd", "prepaid87-ebcdic"] {
        let (report, live) = run_against(Mode::Instant, name, |target| {
            load(target, name, Pace::Closed { in_flight: 8 }, 2_000)
        });
        assert_eq!((report.sent, report.answered), (2_000, 2_000), "{name}");
        assert_eq!(report.errors, Errors::default(), "{name}");
        assert_eq!(report.outcomes.get("00"), Some(&2_000), "{name}");
        assert_eq!(live.approved.load(Ordering::Relaxed), 2_000);
        assert!(report.latency_us.p50 > 0.0 && report.latency_us.p50 <= report.latency_us.max);
        assert!(report.process.is_some_and(|process| process.rss_kib > 0));
    }
}

#[test]
fn an_open_loop_sends_at_its_pace_and_gets_every_answer() {
    let (report, _) = run_against(Mode::Instant, "prepaid87", |target| {
        load(target, "prepaid87", Pace::Open { per_second: 5_000.0 }, 1_000)
    });
    assert_eq!((report.sent, report.answered), (1_000, 1_000));
    assert_eq!(report.errors, Errors::default());
    assert!(report.seconds >= 0.19, "1,000 at 5,000 a second take their time, not {}", report.seconds);
}

#[test]
fn outcomes_are_counted_by_code() {
    let (report, _) = run_against(Mode::Scripted, "prepaid87", |target| {
        let mut load = load(target, "prepaid87", Pace::Closed { in_flight: 4 }, 300);
        load.profile.endings = (80..=83).into();
        load.profile.mix(&[("DATA5".into(), 1)]).unwrap_or_else(|product| panic!("{product}"));
        load
    });
    assert_eq!(report.errors, Errors::default());
    assert_eq!(report.outcomes.keys().collect::<Vec<_>>(), ["05", "14", "61", "91"]);
    assert_eq!(report.outcomes.values().sum::<u64>(), 300);
}

#[test]
fn a_lost_connection_is_made_again() {
    let (report, _) = run_against(Mode::Scripted, "prepaid87", |target| {
        let mut load = load(target, "prepaid87", Pace::Closed { in_flight: 1 }, 12);
        load.profile.endings = (89..=89).into();
        load.profile.mix(&[("DATA5".into(), 1)]).unwrap_or_else(|product| panic!("{product}"));
        load
    });
    assert_eq!((report.sent, report.answered, report.errors.lost), (12, 0, 12));
    assert_eq!(report.errors.disconnects, 12);
}

#[test]
fn answers_given_twice_are_counted_once() {
    let (report, _) = run_against(Mode::Scripted, "prepaid87", |target| {
        let mut load = load(target, "prepaid87", Pace::Closed { in_flight: 1 }, 40);
        load.profile.endings = (87..=87).into();
        load.profile.mix(&[("DATA5".into(), 1)]).unwrap_or_else(|product| panic!("{product}"));
        load
    });
    assert_eq!((report.answered, report.outcomes.get("00")), (40, Some(&40)));
    // The last ones may still be on their way when the load ends.
    assert!((1..=40).contains(&report.errors.unmatched));
}

#[test]
fn what_an_honest_supplier_tells_holds() {
    let paces = [Pace::Closed { in_flight: 4 }, Pace::Open { per_second: 6_000.0 }];
    for (name, pace) in std::iter::zip(["prepaid87", "prepaid87-bcd"], paces) {
        let (report, verdict) = judge(Mode::Scripted, name, pace, &[(0..=79, 10), (80..=82, 1)], 20_000);
        assert!(verdict.holds(), "{name}: {verdict}");
        let seen = [
            Rule::Answered,
            Rule::Approved,
            Rule::Nothing,
            Rule::Reversed,
            Rule::Reversals,
            Rule::Repeats,
            Rule::Cancelled,
            Rule::Vouchers,
            Rule::Performed,
        ];
        for rule in seen {
            assert!(verdict.line(rule).is_some_and(|line| line.held > 20), "{name}, {rule:?}: {verdict}");
        }
        assert_eq!(report.errors, Errors::default(), "{name}");
        assert!(report.repeats["00"] > 100 && report.repeats["17"] > 100 && report.reversals["00"] > 100);
    }
}

#[test]
fn what_is_lost_with_its_connection_is_asked_again() {
    let (report, verdict) = judge(
        Mode::Scripted,
        "prepaid87",
        Pace::Closed { in_flight: 2 },
        &[(0..=79, 100), (89..=89, 1)],
        1_000,
    );
    assert!(report.errors.disconnects > 0 && report.asked_again > 0, "{report}");
    // The supplier drops the link for every sending of such a sale, so that one never gets an answer, and what was beside it on the connection both times gets none
    // either: what was performed of those is named by no approval.
    let broken = |rule| verdict.line(rule).map_or(0, |line| line.broken);
    assert!(broken(Rule::Nothing) <= broken(Rule::Answered), "{verdict}");
    let unanswered = [Rule::Answered, Rule::Nothing, Rule::Performed];
    for line in verdict.rules.iter().filter(|line| !unanswered.contains(&line.rule)) {
        assert_eq!(line.broken, 0, "{verdict}");
    }
    assert_eq!((report.errors.lost, report.errors.unmatched), (0, 0));
}

#[test]
fn a_supplier_that_lies_is_found_out() {
    let (_, verdict) =
        judge(Mode::Instant, "prepaid87", Pace::Closed { in_flight: 4 }, &[(0..=79, 1)], 20_000);
    assert!(!verdict.holds());
    for rule in [Rule::Approved, Rule::Cancelled] {
        let line = verdict.line(rule).unwrap_or_else(|| panic!("{rule:?}: {verdict}"));
        assert!(line.broken > 20 && line.examples.len() == 10, "{verdict}");
    }
}

#[test]
fn load_goes_to_this_machine_only() {
    let target = SocketAddr::from(([192, 0, 2, 1], 8_583));
    let load = load(target, "prepaid87", Pace::Closed { in_flight: 1 }, 1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let result = runtime.unwrap_or_else(|error| panic!("{error}")).block_on(run(
        load,
        CancellationToken::new(),
        Arc::default(),
    ));
    assert!(matches!(result, Err(LoadError::Remote(address)) if address == target));
}

#[test]
fn a_rate_beyond_the_keys_of_its_terminals_is_refused() {
    let at = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut load = load(at, "prepaid87", Pace::Open { per_second: 600_000.0 }, 1);
    load.profile.terminals.truncate(1);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("{error}"));
    let refused = |load: Load| {
        runtime.block_on(run(load, CancellationToken::new(), Arc::default())).expect_err("no switch")
    };
    assert!(matches!(refused(load.clone()), LoadError::Keys { terminals: 1, keys: 499_999, .. }));
    load.profile.terminals = Profile::demonstration().terminals;
    assert!(matches!(refused(load), LoadError::Connect { .. }));
}

#[test]
fn what_finds_its_connection_full_is_not_sent_and_what_comes_late_is_not_in_time() {
    let (report, _) = run_against(Mode::Scripted, "prepaid87", |target| {
        let mut load = load(target, "prepaid87", Pace::Open { per_second: 2_000.0 }, 0);
        // Approved after four seconds, long after the last request.
        load.profile.endings = (86..=86).into();
        load.profile.mix(&[("DATA5".into(), 1)]).unwrap_or_else(|product| panic!("{product}"));
        Load { length: Length::Time(Duration::from_millis(400)), in_flight_max: 5, patience_ms: 500, ..load }
    });
    assert_eq!((report.sent, report.answered, report.outcomes.get("00")), (20, 20, Some(&20)));
    assert!(report.errors.not_sent > 100, "{report}");
    assert_eq!((report.goodput, report.refusal_latency_us.max), (0.0, 0.0));
}
