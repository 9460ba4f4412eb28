//! A load while the switch is killed again and again.
//!
//! Owns: `Kills` (what is to be done), `run`, and `KillsReport`; `kills::switch` is the process that is killed.
//! Invariants: one load goes on over all kills, so that what was told before one is held against what is told after it; every
//! wait is bounded; no process that was started is left.
//! Deliberately absent: what a load asks and how it is judged (`load`, `check`).

mod switch;

use crate::check::Before;
use crate::load::{IN_FLIGHT_MAX, Length, Load, LoadError, PATIENCE_MS, run_at};
use crate::profile::Profile;
use crate::profile::file::Plan;
use crate::random::next_random;
use crate::report::{LiveCounters, Report};
use crate::site::Site;
use crate::told::Told;
use crate::verdict::Verdict;
use serde::Serialize;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use switch::Switch;
use switchyard_core::iso8583::{Dialect, Framing};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Answers between two kills: up to so many, drawn anew for each.
const ANSWERS_MAX: u64 = 400;
/// One kill in so many meets a switch that is not ready yet.
const EARLY_ONE_IN: u64 = 8;
/// The latest moment of such a kill after the start, milliseconds.
const EARLY_MS_MAX: u64 = 250;
/// The longest that those answers may take; then the switch is killed all the same.
const BETWEEN: Duration = Duration::from_secs(15);
/// How often it is looked whether they are there.
const LOOK: Duration = Duration::from_millis(2);
/// How long the last answers are awaited, milliseconds: longer than the conduits' deadline.
const DRAIN_MS: u64 = 8_000;
/// The conduits that the load comes through, with their dialects; each half of the terminals uses one.
const CONDUITS: [(&str, &str); 2] = [("plain", "prepaid87"), ("binbitmap", "prepaid87-binbitmap")];

/// What is to be done.
#[derive(Clone, Debug)]
pub struct Kills {
    /// The switch's program.
    pub program: PathBuf,
    /// The data folder of its demonstration.
    pub data: PathBuf,
    /// How often it is killed.
    pub times: u32,
    /// What is asked for, over how many connections to each conduit, and how fast.
    pub plan: Plan,
    /// Chooses what is asked for, and when the switch is killed.
    pub seed: u64,
}

/// Why the switch could not be killed as asked.
#[derive(Debug, thiserror::Error)]
pub enum KillsError {
    /// The switch did not start, or not again: its log says why.
    #[error("{0}")]
    Switch(String),
    /// The load could not start.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The suppliers' records cannot be read, or the switch's pages not be reached.
    #[error("cannot be checked: {0}")]
    Check(io::Error),
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct KillsReport {
    /// How often the switch was killed.
    pub kills: u32,
    /// How often of these before it was ready.
    pub early: u32,
    /// How long it took until it was ready again, as it says itself, seconds: in order of length.
    pub ready_s: Vec<f64>,
    /// The load by conduit.
    pub loads: Vec<Report>,
    /// Whether everything held.
    pub verdict: Verdict,
}

impl KillsReport {
    fn quantile(&self, share: f64) -> f64 {
        let last = self.ready_s.len().saturating_sub(1);
        self.ready_s.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
    }

    /// Messages that were answered.
    pub fn answered(&self) -> u64 {
        self.loads.iter().map(|load| load.answered).sum()
    }
}

impl fmt::Display for KillsReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (load, (conduit, dialect)) in self.loads.iter().zip(CONDUITS) {
            writeln!(f, "{conduit}, {dialect}\n{load}\n")?;
        }
        let [median, p90, longest] = [0.5, 0.9, 1.0].map(|share| self.quantile(share));
        writeln!(
            f,
            "{} kills, {} of them before it was ready; {} answers",
            self.kills,
            self.early,
            self.answered()
        )?;
        writeln!(
            f,
            "ready again after {median:.2} s (median), {p90:.2} s (p90), {longest:.2} s (longest)\n"
        )?;
        write!(f, "{}", self.verdict)
    }
}

/// Starts the demonstration, loads it, kills and starts it so many times, and judges what was told. `killed` hears of every kill: its
/// number, and how long the start before it took, seconds. Its tasks are local: run it with `block_on` of a current-thread runtime.
///
/// # Errors
/// The switch does not start, or not again; the load cannot start; or it cannot be checked.
pub async fn run(
    kills: Kills,
    stop: CancellationToken,
    live: [Arc<LiveCounters>; 2],
    killed: impl FnMut(u32, f64),
) -> Result<KillsReport, KillsError> {
    let switch = Switch::start(&kills.program, &kills.data).await?;
    let sites = CONDUITS.map(|(conduit, _)| watch::Sender::new(switch.site(conduit)));
    let seen = sites.each_ref().map(watch::Sender::subscribe);
    let (records, site) = (kills.data.join("suppliers"), switch.site(CONDUITS[0].0));
    let before = Before::of(&records, &site).await.map_err(KillsError::Check)?;
    let ended = CancellationToken::new();
    let loads = async {
        let load = async |at: usize| {
            let (site, live) = (seen[at].clone(), Arc::clone(&live[at]));
            let load = load(&kills, at, &site)?;
            run_at(load, site, at as u64, ended.clone(), live).await.map_err(KillsError::from)
        };
        tokio::try_join!(load(0), load(1))
    };
    let mut killer = Killer { kills: &kills, live: &live, random: kills.seed, early: 0, ready_s: Vec::new() };
    let killing = async {
        let switch = killer.kill(switch, &sites, &stop, killed).await;
        ended.cancel();
        switch
    };
    let (((plain, told), (binary, told_binary)), switch) = tokio::try_join!(loads, killing)?;
    let told: Vec<Told> = [told, told_binary].into_iter().flatten().collect();
    let bound = Duration::from_millis(kills.plan.settle_ms);
    let judged = before.judge(&told, &seen[0], bound, &live[0]).await;
    let verdict = judged.map_err(KillsError::Check)?;
    switch.end().await?;
    let Killer { early, mut ready_s, .. } = killer;
    ready_s.sort_by(f64::total_cmp);
    Ok(KillsReport { kills: ready_s.len() as u32, early, ready_s, loads: vec![plain, binary], verdict })
}

/// The load of one conduit: every second terminal asks through it.
fn load(kills: &Kills, at: usize, site: &watch::Receiver<Site>) -> Result<Load, KillsError> {
    let mut profile: Profile = kills.plan.profile.clone();
    let terminals = std::mem::take(&mut profile.terminals).into_iter().enumerate();
    profile.terminals =
        terminals.filter(|(number, _)| number % CONDUITS.len() == at).map(|(_, terminal)| terminal).collect();
    profile.follow_ups.remember = true;
    let dialect =
        Dialect::open_shipped(CONDUITS[at].1).map_err(|error| KillsError::Switch(error.to_string()))?;
    Ok(Load {
        target: site.borrow().conduit,
        allow_remote: false,
        dialect: Arc::new(dialect),
        framing: Framing::DEFAULT,
        connections: kills.plan.connections,
        pace: kills.plan.pace.clone(),
        profile,
        seed: kills.seed ^ at as u64,
        warm_up_ms: 0,
        length: Length::Endless,
        drain_ms: DRAIN_MS,
        in_flight_max: IN_FLIGHT_MAX,
        patience_ms: PATIENCE_MS,
        watch: None,
    })
}

struct Killer<'a> {
    kills: &'a Kills,
    live: &'a [Arc<LiveCounters>; 2],
    random: u64,
    early: u32,
    ready_s: Vec<f64>,
}

impl Killer<'_> {
    /// Kills and starts the switch; gives the last one.
    async fn kill(
        &mut self,
        mut switch: Switch,
        sites: &[watch::Sender<Site>; 2],
        stop: &CancellationToken,
        mut killed: impl FnMut(u32, f64),
    ) -> Result<Switch, KillsError> {
        for number in 1..=self.kills.times {
            let answers = self.draw(ANSWERS_MAX + 1);
            self.answers(answers, stop).await;
            if stop.is_cancelled() {
                break;
            }
            switch.kill()?;
            let Kills { program, data, .. } = self.kills;
            if self.draw(EARLY_ONE_IN) == 0 {
                let after = Duration::from_millis(self.draw(EARLY_MS_MAX + 1));
                self.early += u32::from(Switch::start_and_kill(program, data, after).await?);
            }
            switch = Switch::start(program, data).await?;
            for (site, (conduit, _)) in sites.iter().zip(CONDUITS) {
                site.send_replace(switch.site(conduit));
            }
            self.ready_s.push(switch.ready_s);
            killed(number, switch.ready_s);
        }
        self.answers(ANSWERS_MAX, stop).await;
        Ok(switch)
    }

    fn draw(&mut self, below: u64) -> u64 {
        next_random(&mut self.random) % below
    }

    /// Waits for so many more answers.
    async fn answers(&self, count: u64, stop: &CancellationToken) {
        let answered = || self.live.iter().map(|live| live.answered.load(Ordering::Relaxed)).sum::<u64>();
        let (goal, began) = (answered() + count, Instant::now());
        while answered() < goal && began.elapsed() < BETWEEN && !stop.is_cancelled() {
            tokio::time::sleep(LOOK).await;
        }
    }
}
