//! A load of the tests: sales of a mobile operator that answers, over the plain conduit.

use super::Ask;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use switchyard_core::iso8583::{Dialect, Framing};
use switchyard_loadtest::load::{self, IN_FLIGHT_MAX, Length, Load, PATIENCE_MS, Pace};
use switchyard_loadtest::profile::{Account, Profile};
use switchyard_loadtest::report::{LiveCounters, Report};
use tokio_util::sync::CancellationToken;

/// Sales of `TOPUP` that go to `telco-b`, so long after the warm-up. No other client of a test asks from their terminals, so nobody meets their keys.
pub fn top_ups(to: SocketAddr, connections: u32, pace: Pace, seconds: f64, seed: u64) -> Load {
    let mut profile = Profile::demonstration();
    profile.mix(&[("TOPUP".into(), 1)]).expect("a product");
    let top_up = profile.items.iter_mut().find(|item| item.product == "TOPUP").expect("a product");
    top_up.account = Account::Account { prefixes: vec!["07".into()], length: 10 };
    let others = Ask::sale("TOPUP", "210000", 0, "").terminal;
    profile.terminals.retain(|terminal| terminal.terminal != others);
    Load {
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
        drain_ms: 6_000,
        in_flight_max: IN_FLIGHT_MAX,
        patience_ms: PATIENCE_MS,
        watch: None,
    }
}

/// Runs a load to its end, on the thread that asks for it.
pub fn run(load: Load) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let running = load::run(load, CancellationToken::new(), Arc::new(LiveCounters::default()));
    runtime.block_on(running).expect("a load")
}
