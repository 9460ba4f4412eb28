use super::*;
use crate::supplier::{self, Mode, SupplierHost};
use std::sync::atomic::Ordering;

fn dialect(name: &str) -> Arc<Dialect> {
    Arc::new(Dialect::open_shipped(name).unwrap_or_else(|error| panic!("{error}")))
}

fn load(target: SocketAddr, name: &str, pace: Pace, count: u64) -> Load {
    Load {
        target,
        allow_remote: false,
        dialect: dialect(name),
        framing: Framing::DEFAULT,
        connections: 4,
        pace,
        profile: Profile::demonstration(),
        seed: 7,
        warm_up_ms: 0,
        length: Length::Requests(count),
        drain_ms: 20_000,
        watch: Some(std::process::id()),
    }
}

/// Runs a load against a supplier that takes the place of the switch. (A blocked clock would hold the generator's own timer
/// back, so time is real here; nothing waits for longer than the answers take.)
fn run_against(
    mode: Mode,
    name: &'static str,
    make: impl FnOnce(SocketAddr) -> Load,
) -> (Report, Arc<LiveCounters>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let live = Arc::new(LiveCounters::default());
    let report = runtime.unwrap_or_else(|error| panic!("{error}")).block_on(async {
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let host = SupplierHost {
            name: "switch".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            dialect: dialect(name),
            framing: Framing::DEFAULT,
            record: None,
            mode,
            refuses_83: true,
            latency_ms: 0,
            seed: 1,
        };
        let stop = CancellationToken::new();
        let serving = supplier::serve(vec![host], stop.clone(), |_, address| {
            let _ = tell.take().map(|tell| tell.send(address));
        });
        let loading = async {
            let target = told.await.unwrap_or_else(|error| panic!("{error}"));
            let report = run(make(target), CancellationToken::new(), Arc::clone(&live)).await;
            stop.cancel();
            report
        };
        let (served, report) = tokio::join!(serving, loading);
        served.unwrap_or_else(|error| panic!("{error}"));
        report.unwrap_or_else(|error| panic!("{error}"))
    });
    (report, live)
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
        load.profile.endings = 80..=83;
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
        load.profile.endings = 89..=89;
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
        load.profile.endings = 87..=87;
        load.profile.mix(&[("DATA5".into(), 1)]).unwrap_or_else(|product| panic!("{product}"));
        load
    });
    assert_eq!((report.answered, report.outcomes.get("00")), (40, Some(&40)));
    // The last ones may still be on their way when the load ends.
    assert!((1..=40).contains(&report.errors.unmatched));
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
