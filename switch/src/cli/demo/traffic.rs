//! The demonstration's own traffic: a generator like any other client, over real sockets.
//!
//! Owns: the thread that it runs on, and its mix. Invariants: it uses terminals of its own, so that nobody who tries `send` meets its
//! STANs; one request in twenty goes to an account that misbehaves. Deliberately absent: the generator (`switchyard_loadtest`).

use crate::cli::exit::Failure;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use switchyard_core::iso8583::Dialect;
use switchyard_loadtest::load::{Length, Load, Pace, run};
use switchyard_loadtest::profile::Profile;
use switchyard_loadtest::report::LiveCounters;
use tokio_util::sync::CancellationToken;

/// One request in so many goes to an account that misbehaves.
const MISBEHAVING_SHARE: f64 = 0.05;
/// Endings of accounts that are refused, slow, silent, late or answered twice. Those that break links are left to whoever tries
/// them, since they touch the requests of others.
const MISBEHAVING: std::ops::RangeInclusive<u8> = 80..=87;
/// Terminals left to whoever tries `send`.
const TERMINALS_LEFT: usize = 10;
/// Of every so many terminals one asks for accounts that misbehave.
const TERMINALS_SPLIT: usize = 20;
const CONNECTIONS: u32 = 2;
/// Longer than the conduit's deadline takes to answer 68, milliseconds.
const DRAIN_MS: u64 = 5_500;

/// The generator at work.
pub(super) struct Traffic {
    stop: CancellationToken,
    thread: JoinHandle<()>,
}

impl Traffic {
    /// Starts to send so many requests a second.
    ///
    /// # Errors
    /// The system refuses the thread.
    pub(super) fn start(target: SocketAddr, per_second: f64) -> Result<Self, Failure> {
        let fail = |error| Failure::system(format!("the demonstration's traffic cannot be started: {error}"));
        let dialect = Arc::new(Dialect::open_shipped("prepaid87").map_err(Failure::system)?);
        let seed = u64::from(std::process::id());
        let load = |profile, share: f64| {
            let pace = Pace::Open { per_second: per_second * share };
            let plain = Load::plain(target, Arc::clone(&dialect), profile, pace, Length::Endless);
            Load { connections: CONNECTIONS, seed, drain_ms: DRAIN_MS, ..plain }
        };
        let (good, bad) =
            (load(profile(false), 1.0 - MISBEHAVING_SHARE), load(profile(true), MISBEHAVING_SHARE));
        let stop = CancellationToken::new();
        let ended = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fail)?;
        let work = move || {
            let (good, bad) = runtime.block_on(async {
                tokio::join!(
                    run(good, ended.clone(), Arc::default()),
                    run(bad, ended, Arc::<LiveCounters>::default())
                )
            });
            for error in [good.err(), bad.err()].into_iter().flatten() {
                tracing::error!(%error, "the demonstration's traffic ended");
            }
        };
        let thread = std::thread::Builder::new().name("traffic".into()).spawn(work).map_err(fail)?;
        Ok(Self { stop, thread })
    }

    /// Sends no more, and waits for the last answers.
    pub(super) fn end(self) {
        self.stop.cancel();
        // A panic of the generator has been printed, and is nothing to the switch.
        let _ = self.thread.join();
    }
}

fn profile(misbehaves: bool) -> Profile {
    let mut profile = Profile::demonstration();
    let terminals = std::mem::take(&mut profile.terminals).into_iter().enumerate().skip(TERMINALS_LEFT);
    // Small amounts: the networks' money is for who tries things out.
    profile.smallest_amounts();
    profile.terminals = terminals
        .filter(|(at, _)| (at % TERMINALS_SPLIT == 0) == misbehaves)
        .map(|(_, terminal)| terminal)
        .collect();
    if misbehaves {
        profile.endings = MISBEHAVING.into();
    }
    profile
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_shared_out_once() {
        let of = |misbehaves| {
            profile(misbehaves).terminals.into_iter().map(|terminal| terminal.terminal).collect::<Vec<_>>()
        };
        let (good, bad) = (of(false), of(true));
        assert_eq!(good.len() + bad.len(), 999 - TERMINALS_LEFT);
        assert!(good.iter().all(|terminal| !bad.contains(terminal) && terminal.as_str() > "T0000010"));
        assert!(!bad.is_empty());
    }
}
