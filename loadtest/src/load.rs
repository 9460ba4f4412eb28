//! A load: connections, pace and length.
//!
//! Owns: `Load`, `run`, the connections and their buffers; `load::closing` is the end of a load whose sales are remembered.
//! Invariants: all of a turn's requests on a connection leave with one write; a closed loop keeps its
//! number of requests open, an open loop its moments, whatever the answers do, and what follows a sale takes the place of a new one;
//! load goes to this machine only, unless allowed otherwise.
//! Deliberately absent: what a request says and which answer is whose (`engine`).

mod closing;
mod connection;

use crate::arrivals::{Arrivals, Phase};
use crate::engine::{Engine, OPEN_MAX};
use crate::frames::{Frames, FramesError};
use crate::keys::{self, Keys};
use crate::ledger::Ledger;
use crate::pace::Timer;
use crate::process::Usage;
use crate::profile::Profile;
use crate::report::{Errors, LiveCounters, Percentiles, ProcessFigures, Report, Stage};
use crate::site::Site;
use crate::told::Told;
use connection::Connection;
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use switchyard_core::iso8583::{Dialect, Framing};
use tokio::sync::{Notify, watch};
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

/// What is to be run.
#[derive(Clone, Debug)]
pub struct Load {
    /// The conduit.
    pub target: SocketAddr,
    /// Whether `target` may be another machine.
    pub allow_remote: bool,
    /// What the conduit speaks.
    pub dialect: Arc<Dialect>,
    /// How its messages are framed.
    pub framing: Framing,
    /// How many connections, 1 to 100,000.
    pub connections: u32,
    /// Closed or open loop.
    pub pace: Pace,
    /// What is asked for.
    pub profile: Profile,
    /// Chooses among products, amounts and accounts. Loads that run at once on the same terminals need seeds that differ modulo 64, or
    /// modulo the number of terminals where there are fewer: else two of their sales may have one key (S-1), and one of them gets 94.
    pub seed: u64,
    /// How long requests are sent before they are measured, in milliseconds.
    pub warm_up_ms: u64,
    /// When sending ends.
    pub length: Length,
    /// How long answers are awaited after that, in milliseconds.
    pub drain_ms: u64,
    /// Open loop: most requests open on each connection. A moment that finds so many asks nothing, and is counted as not sent: a client
    /// that is not read holds its terminals back.
    pub in_flight_max: usize,
    /// How long a terminal waits, in milliseconds: a later approval is not counted in the goodput.
    pub patience_ms: u64,
    /// A process to watch.
    pub watch: Option<u32>,
}

/// How long a plain load awaits answers after its end, milliseconds.
const DRAIN_MS: u64 = 20_000;

impl Load {
    /// A load over one connection to this machine, measured from its first request on, in messages of the usual framing.
    pub fn plain(
        target: SocketAddr,
        dialect: Arc<Dialect>,
        profile: Profile,
        pace: Pace,
        length: Length,
    ) -> Self {
        Self {
            target,
            allow_remote: false,
            dialect,
            framing: Framing::DEFAULT,
            connections: 1,
            pace,
            profile,
            seed: 1,
            warm_up_ms: 0,
            length,
            drain_ms: DRAIN_MS,
            in_flight_max: IN_FLIGHT_MAX,
            patience_ms: PATIENCE_MS,
            watch: None,
        }
    }
}

/// As many requests on each connection as the generator can tell apart.
pub const IN_FLIGHT_MAX: usize = OPEN_MAX;
/// Patience of most terminals, milliseconds.
pub const PATIENCE_MS: u64 = 10_000;

/// How fast.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// So many requests are open on each connection at any time.
    Closed {
        /// 1 to 10,000.
        in_flight: usize,
    },
    /// So many requests a second over all connections, however long the answers take.
    Open {
        /// Above 0, at most 10 million.
        per_second: f64,
    },
    /// An open loop whose rate changes: ramps, bursts, rests.
    Phases(Arc<[Phase]>),
}

impl Pace {
    /// The moments of an open loop.
    fn arrivals(&self) -> Option<Arrivals> {
        match self {
            Self::Closed { .. } => None,
            Self::Open { per_second } => Arrivals::new([Phase::constant(*per_second)].into()),
            Self::Phases(phases) => Arrivals::new(Arc::clone(phases)),
        }
    }

    /// Requests a second at the most; 0 in a closed loop, which has no rate of its own.
    fn per_second_max(&self) -> f64 {
        match self {
            Self::Closed { .. } => 0.0,
            Self::Open { per_second } => *per_second,
            Self::Phases(phases) => {
                phases.iter().map(|phase| phase.from_per_second.max(phase.to_per_second)).fold(0.0, f64::max)
            }
        }
    }
}

/// How long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// So long after the warm-up.
    Time(Duration),
    /// So many requests, those of the warm-up included.
    Requests(u64),
    /// Until it is stopped.
    Endless,
}

/// Why a load could not run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Load goes to this machine only.
    #[error("{0} is not this machine; a load on another one must be allowed explicitly")]
    Remote(SocketAddr),
    /// The conduit cannot be reached: is the switch running, and on this port?
    #[error("cannot connect to {target}: {error}")]
    Connect {
        /// Where to.
        target: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// The profile does not fit the dialect.
    #[error(transparent)]
    Frames(#[from] FramesError),
    /// More is asked for than there are keys: give the profile more terminals, or ask for less.
    #[error(
        "{per_second:.0} requests a second need more keys than {terminals} terminals have, which is {keys} a second; give the profile more terminals"
    )]
    Keys {
        /// Requests a second at the most.
        per_second: f64,
        /// Terminals of the profile.
        terminals: usize,
        /// Keys a second.
        keys: u64,
    },
    /// The process to watch cannot be watched.
    #[error("cannot watch process {pid}: {error}")]
    Watch {
        /// Which.
        pid: u32,
        /// Why.
        error: io::Error,
    },
    /// The system refuses what the generator needs.
    #[error("the generator cannot start: {0}")]
    System(#[from] io::Error),
}

/// Runs a load to its end, or until `stop`; `live` shows how it goes. Its tasks are local: run it with `block_on` of a
/// current-thread runtime.
///
/// # Errors
/// It could not start. Once it runs, what goes wrong is counted in the report.
pub async fn run(load: Load, stop: CancellationToken, live: Arc<LiveCounters>) -> Result<Report, LoadError> {
    let (_, site) = watch::channel(Site { conduit: load.target, pages: None });
    let (report, _) = run_at(load, site, 0, stop, live).await?;
    Ok(report)
}

/// Longest wait for reversals before everything is repeated once more.
const SETTLE_BETWEEN: Duration = Duration::from_secs(90);
/// Numbers between the first ones of two lanes; fewer sales than that are remembered of each.
const LANE: u64 = 2_500_000;

/// Runs a load against a switch that may move: a connection that is lost is made again to wherever `site` says then. Where
/// something follows the sales, everything that was asked and told comes with the report. Loads that run at one time, and are checked
/// together, have `lane`s of their own (below 4); it counts as if the seed were larger by it.
///
/// It begins with the next second of the wall clock, so that it shares none with a load before it.
///
/// # Errors
/// It could not start. Once it runs, what goes wrong is counted in the report.
pub async fn run_at(
    load: Load,
    site: watch::Receiver<Site>,
    lane: u64,
    stop: CancellationToken,
    live: Arc<LiveCounters>,
) -> Result<(Report, Option<Told>), LoadError> {
    let target = site.borrow().conduit;
    if !load.allow_remote && !target.ip().is_loopback() {
        return Err(LoadError::Remote(target));
    }
    let frames = Frames::new(&load.profile, &load.dialect, &load.framing)?;
    let dialect = Arc::clone(&load.dialect);
    let first = wall_ms() * 1_000 + lane * LANE;
    check_keys(&load.pace, frames.terminals())?;
    let keys = load.seed.wrapping_add(lane);
    let mut engine =
        Engine::new(frames, dialect, load.framing, load.seed, first, keys, live).map_err(io::Error::other)?;
    engine.be_patient(load.patience_ms);
    if load.profile.follow_ups.any() {
        engine.remember(Ledger::new(load.profile.follow_ups, load.seed));
    }
    let mut streams = Vec::new();
    for _ in 0..load.connections {
        let connected = connection::connect(target).await;
        streams.push(connected.map_err(|error| LoadError::Connect { target, error })?);
    }
    tokio::select! {
        () = tokio::time::sleep(keys::next_second(wall_ms())) => {}
        () = stop.cancelled() => {}
    }
    let run = Rc::new(Run::new(load, site, engine));
    let local = LocalSet::new();
    for (at, stream) in streams.into_iter().enumerate() {
        local.spawn_local(connection::serve(Rc::clone(&run), at, stream));
    }
    if let Some(arrivals) = run.load.pace.arrivals() {
        let timer = Timer::new()?;
        local.spawn_local(pace(Rc::clone(&run), timer, arrivals));
    }
    let report = local.run_until(conduct(&run, stop)).await?;
    // The tasks hold the run too, and end with their set.
    drop(local);
    Ok((report, Rc::into_inner(run).and_then(|run| run.engine.into_inner().into_told())))
}

/// Milliseconds since 1970.
fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Whether an open loop has keys for all that it asks. A closed one borrows from the seconds to come, and waits for them at its end.
fn check_keys(pace: &Pace, terminals: usize) -> Result<(), LoadError> {
    let (per_second, keys) = (pace.per_second_max(), Keys::per_second(terminals));
    if per_second > keys as f64 {
        return Err(LoadError::Keys { per_second, terminals, keys });
    }
    Ok(())
}

/// What the tasks of a run share.
struct Run {
    load: Load,
    site: watch::Receiver<Site>,
    engine: RefCell<Engine>,
    connections: Vec<Connection>,
    start: Instant,
    /// Requests that may still be sent.
    left: Cell<u64>,
    /// Whether new requests are sent no more; what follows earlier ones still is.
    ended: Cell<bool>,
    /// Something happened that the conductor waits for.
    news: Notify,
    not_sent: Cell<u64>,
    disconnects: Cell<u64>,
}

impl Run {
    fn new(load: Load, site: watch::Receiver<Site>, engine: Engine) -> Self {
        let left = match load.length {
            Length::Requests(count) => count,
            Length::Time(_) | Length::Endless => u64::MAX,
        };
        Self {
            connections: (0..load.connections).map(|_| Connection::default()).collect(),
            engine: RefCell::new(engine),
            start: Instant::now(),
            left: Cell::new(left),
            ended: Cell::new(false),
            news: Notify::new(),
            not_sent: Cell::new(0),
            disconnects: Cell::new(0),
            load,
            site,
        }
    }

    fn now_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    /// Sets the clocks for a turn; gives nanoseconds since the start.
    fn begin_turn(&self) -> u64 {
        self.engine.borrow_mut().set_clock(wall_ms());
        self.now_ns()
    }

    /// Asks one message on a connection, to leave at the end of the turn; false when none may be asked.
    fn ask(&self, at: usize, meant_ns: u64) -> bool {
        let new = !self.ended.get() && self.left.get() > 0;
        let connection = &self.connections[at];
        let mut out = connection.out.borrow_mut();
        let mut engine = self.engine.borrow_mut();
        if !engine.ask(at as u32, meant_ns, new, &mut out) {
            if new && engine.is_full() {
                self.left.set(0);
                self.news.notify_one();
            }
            return false;
        }
        connection.open.set(connection.open.get() + 1);
        if new {
            self.left.set(self.left.get() - 1);
            if self.left.get() == 0 {
                self.news.notify_one();
            }
        }
        true
    }

    /// Shows the counts, and wakes the conductor when nothing is open any more.
    fn end_turn(&self) {
        let engine = self.engine.borrow();
        engine.publish();
        if engine.open() == 0 && (self.ended.get() || self.left.get() == 0) {
            self.news.notify_one();
        }
    }

    fn is_idle(&self) -> bool {
        let engine = self.engine.borrow();
        engine.open() == 0 && !engine.has_follow_up()
    }
}

/// Sends requests at their moments, over the connections in turn.
async fn pace(run: Rc<Run>, mut timer: Timer, mut arrivals: Arrivals) {
    /// Most requests of one turn, so that answers are read in between.
    const TURN_MAX: usize = 1_024;
    /// Shortest time between two turns, nanoseconds: beyond ten thousand a second moments come together, instead of keeping a processor busy
    /// with waiting for them. It counts as latency.
    const TURN_NS: u64 = 100_000;
    let first_ns = run.now_ns();
    let mut due_ns = first_ns + arrivals.next_ns();
    let mut number = 0u64;
    let mut touched = Vec::with_capacity(TURN_MAX);
    while !run.ended.get() {
        let now_ns = run.begin_turn();
        touched.clear();
        for _ in 0..TURN_MAX {
            if due_ns > now_ns || run.left.get() == 0 {
                break;
            }
            let at = (number % run.connections.len() as u64) as usize;
            if run.connections[at].has_room(run.load.in_flight_max) && run.ask(at, due_ns) {
                touched.push(at);
            } else if !run.ended.get() {
                run.not_sent.set(run.not_sent.get() + 1);
            }
            number += 1;
            due_ns = first_ns + arrivals.next_ns();
        }
        touched.sort_unstable();
        touched.dedup();
        for at in &touched {
            run.connections[*at].flush_or_wake();
        }
        run.end_turn();
        if run.left.get() == 0 {
            return;
        }
        let next_ns = due_ns.max(now_ns + TURN_NS);
        match next_ns.checked_sub(run.now_ns()) {
            None | Some(0) => tokio::task::yield_now().await,
            Some(wait_ns) if timer.wait(Duration::from_nanos(wait_ns)).await.is_ok() => {}
            Some(_) => tokio::task::yield_now().await,
        }
    }
}

/// A moment of the measured part: its start or its end.
struct Mark {
    at: Instant,
    answered: u64,
    in_time: u64,
    usage: Option<Usage>,
}

impl Mark {
    fn now(run: &Run) -> Result<Self, LoadError> {
        let usage = match run.load.watch {
            Some(pid) => Some(Usage::of(pid).map_err(|error| LoadError::Watch { pid, error })?),
            None => None,
        };
        Ok(Self::of(run, usage))
    }
}

impl Mark {
    fn of(run: &Run, usage: Option<Usage>) -> Self {
        let counts = run.engine.borrow().counts;
        Self { at: Instant::now(), answered: counts.answered, in_time: counts.in_time, usage }
    }
}

/// Warms up, measures, ends, waits for the last answers and reports.
async fn conduct(run: &Run, stop: CancellationToken) -> Result<Report, LoadError> {
    let live = Arc::clone(run.engine.borrow().live());
    live.enter(Stage::WarmUp);
    let warm_up = Duration::from_millis(run.load.warm_up_ms);
    if !warm_up.is_zero() {
        tokio::select! {
            () = tokio::time::sleep(warm_up) => {}
            () = stop.cancelled() => {}
        }
    }
    let first = Mark::now(run)?;
    live.enter(Stage::Measure);
    run.engine.borrow_mut().start_measuring(run.now_ns());
    let length = match run.load.length {
        Length::Time(time) => time,
        Length::Requests(_) | Length::Endless => FOREVER,
    };
    tokio::select! {
        () = tokio::time::sleep(length) => {}
        () = all_sent(run) => {}
        () = stop.cancelled() => {}
    }
    let mut last = Mark::now(run);
    run.ended.set(true);
    closing::close(run, &live).await;
    closing::outlive_keys(run).await;
    if matches!(run.load.length, Length::Requests(_)) {
        last = Mark::now(run);
    }
    // A process that ended meanwhile has no figures; what was measured of the load still counts.
    let last = last.unwrap_or_else(|_| Mark::of(run, None));
    Ok(report(run, &first, &last))
}

/// Longer than any load, and not so long that a clock overflows.
const FOREVER: Duration = Duration::from_secs(10 * 365 * 86_400);

async fn all_sent(run: &Run) {
    while run.left.get() > 0 {
        run.news.notified().await;
    }
}

fn report(run: &Run, first: &Mark, last: &Mark) -> Report {
    let mut engine = run.engine.borrow_mut();
    let asked_again = engine.ledger().map_or(0, |ledger| ledger.asked_again());
    let counts = engine.counts;
    let seconds = last.at.duration_since(first.at).as_secs_f64();
    let answers = last.answered - first.answered;
    Report {
        seconds,
        sent: counts.sent,
        answered: counts.answered,
        throughput: answers as f64 / seconds.max(f64::EPSILON),
        goodput: (last.in_time - first.in_time) as f64 / seconds.max(f64::EPSILON),
        latency_us: Percentiles::of(engine.latencies()),
        refusal_latency_us: Percentiles::of(engine.refusal_latencies()),
        reversal_latency_us: Percentiles::of(engine.reversal_latencies()),
        outcomes: engine.outcomes.by_code(),
        repeats: engine.repeats.by_code(),
        reversals: engine.reversals.by_code(),
        asked_again,
        verdict: None,
        errors: Errors {
            lost: counts.lost,
            unanswered: engine.open() as u64,
            not_sent: run.not_sent.get(),
            unmatched: counts.unmatched,
            unreadable: counts.unreadable,
            disconnects: run.disconnects.get(),
        },
        process: figures(first, last, answers),
    }
}

fn figures(first: &Mark, last: &Mark, answers: u64) -> Option<ProcessFigures> {
    let (before, after) = (first.usage?, last.usage?);
    let cpu_s = after.cpu_s - before.cpu_s;
    Some(ProcessFigures {
        cpu_s,
        cpu_us_per_transaction: cpu_s * 1e6 / answers.max(1) as f64,
        rss_kib: after.rss_kib,
        rss_max_kib: after.rss_max_kib,
    })
}

#[cfg(test)]
mod tests;
