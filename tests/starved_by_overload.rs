//! Forbids: less done when more is asked for than can be done, and reversals that starve behind sales (R-43, S-7).
//!
//! Runs about fifteen seconds. `OVERLOAD_SECONDS=30 cargo test --release -p switchyard --test starved_by_overload -- --nocapture` is the long form: figures, and tighter bounds.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use support::switch::{RICH, Switch};
use support::{Ask, Client};
use switchyard_core::iso8583::{Dialect, Framing};
use switchyard_loadtest::load::{self, Length, Load, Pace};
use switchyard_loadtest::profile::{Account, Profile};
use switchyard_loadtest::report::{LiveCounters, Report};
use tokio_util::sync::CancellationToken;

/// Seconds that each load is measured, in the short form.
const SECONDS: f64 = 3.0;
/// Connections of the load.
const CONNECTIONS: u32 = 16;
/// How much more is asked for than can be done.
const TIMES: f64 = 3.0;

async fn offer(to: SocketAddr, connections: u32, pace: Pace, seconds: f64, seed: u64) -> Report {
    let mut profile = Profile::demonstration();
    profile.mix(&[("TOPUP".into(), 1)]).expect("a product");
    let top_up = profile.items.iter_mut().find(|item| item.product == "TOPUP").expect("a product");
    top_up.account = Account::Account { prefixes: vec!["07".into()], length: 10 };
    let load = Load {
        target: to,
        allow_remote: false,
        dialect: Arc::new(Dialect::open_shipped("prepaid87").expect("a dialect")),
        framing: Framing::DEFAULT,
        connections,
        pace,
        profile,
        seed,
        warm_up_ms: 1_000,
        length: Length::Time(Duration::from_secs_f64(seconds)),
        drain_ms: 2_000,
        watch: None,
    };
    load::run(load, CancellationToken::new(), Arc::new(LiveCounters::default())).await.expect("a load")
}

fn goodput(report: &Report) -> f64 {
    report.outcomes.get("00").copied().unwrap_or(0) as f64 / report.seconds
}

/// A till that reverses what it has just sold, on a connection of its own.
struct Till {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Duration>>,
}

impl Till {
    fn start(to: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut client = Client::connect(to, "prepaid87");
            let mut waits = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let sale = Ask::sale("TOPUP", "210000", 1_000, "0712345600");
                // Refused or not: a reversal is accepted.
                client.ask(&sale);
                let began = Instant::now();
                let answer = client.ask(&sale.reversal());
                waits.push(began.elapsed());
                assert_eq!((answer.mti, answer.code.as_str()), (410, "00"), "a reversal was not served");
            }
            waits
        });
        Self { stop, thread }
    }

    /// How long its reversals took, the longest last.
    fn end(self) -> Vec<Duration> {
        self.stop.store(true, Ordering::Relaxed);
        let mut waits = self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        waits.sort_unstable();
        waits
    }
}

/// `in_flight`: so many requests on each of `CONNECTIONS` are what can be done at a time.
fn overload(name: &str, changes: &[(&str, &str, &str)], in_flight: usize) {
    let long = std::env::var("OVERLOAD_SECONDS").ok();
    let seconds = long.as_ref().map_or(SECONDS, |text| text.parse().expect("OVERLOAD_SECONDS: seconds"));
    let folder = tempfile::tempdir().expect("a folder");
    let changes: Vec<_> = changes.iter().copied().chain(RICH).collect();
    let switch = Switch::start(folder.path(), &changes);
    let to = switch.address("plain");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let capacity = runtime.block_on(offer(to, CONNECTIONS, Pace::Closed { in_flight }, seconds, 1));
    let till = Till::start(to);
    let per_second = TIMES * goodput(&capacity);
    let flooded = runtime.block_on(offer(to, CONNECTIONS, Pace::Open { per_second }, seconds, 2));
    let waits = till.end();
    let ratio = goodput(&flooded) / goodput(&capacity);
    let at = |share: f64| waits[((waits.len() - 1) as f64 * share) as usize];
    println!(
        "{name}: {:.0}/s can be done, {per_second:.0}/s asked for, {:.0}/s done ({:.0} %), {:?}; {} reversals, all served: p50 {:?}, p99 {:?}, longest {:?}",
        goodput(&capacity),
        goodput(&flooded),
        ratio * 100.0,
        flooded.outcomes,
        waits.len(),
        at(0.5),
        at(0.99),
        at(1.0),
    );
    assert!(waits.len() >= 3, "only {} reversals", waits.len());
    // Short loads on a busy machine tell less.
    let goodput_min = if long.is_some() { 0.8 } else { 0.5 };
    assert!(ratio >= goodput_min, "{:.0} of {:.0} a second", goodput(&flooded), goodput(&capacity));
    switch.end();
}

/// The supplier's window is what bounds: beyond it there is 91 at once.
#[test]
fn a_supplier_at_its_window_goes_on_at_its_pace() {
    let changes = [
        ("suppliers/telco-b.toml", "code = \"telco-b\"", "code = \"telco-b\"\nwindow_requests = 64"),
        ("switchyard.toml", "#durability = \"strict\"", "durability = \"relaxed\""),
    ];
    // 56 sales: the window less the eighth that is kept, and what the till may hold.
    overload("a supplier's window", &changes, 3);
}

/// The machine is what bounds: what cannot be taken is not read.
#[test]
fn a_switch_at_its_limit_goes_on_at_its_pace() {
    overload(
        "the machine",
        &[("switchyard.toml", "#durability = \"strict\"", "durability = \"relaxed\"")],
        32,
    );
}
