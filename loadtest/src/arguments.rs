//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use switchyard_core::iso8583::{Dialect, Framing};
use switchyard_loadtest::kills::Kills;
use switchyard_loadtest::load::{IN_FLIGHT_MAX, Length, Load, PATIENCE_MS, Pace};
use switchyard_loadtest::profile::file::{self, Plan};
use switchyard_loadtest::profile::{Profile, shipped};
use switchyard_loadtest::site::Site;
use switchyard_loadtest::supplier::{Mode, SupplierHost};

/// Load generator and scripted suppliers for Switchyard.
///
/// Try, beside a running `switchyard demo --no-traffic`:
///
///   switchyard-loadtest run                 plain sales, each after an answer
///   switchyard-loadtest run --rate 2000     two thousand a second
///   switchyard-loadtest run --profile mixed --records data/demo/suppliers
///                                           repeats and reversals, judged
///   switchyard-loadtest profiles            what else there is
///   switchyard-loadtest kills --times 100   the same under SIGKILLs
///
/// Exit codes: 0 done; 1 could not start or go on; 2 wrong arguments;
/// 3 done, with requests lost, unanswered or unmatched;
/// 4 what was told is not what the suppliers did.
#[derive(Debug, Parser)]
#[command(name = "switchyard-loadtest", version, verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load a conduit and report throughput, latency percentiles and outcomes.
    ///
    /// Without --rate the loop is closed: each connection keeps --in-flight requests open. With --rate it is open: requests leave at
    /// their moments, and latencies count from the moment each was meant to leave.
    ///
    /// With --profile, a file or one of `switchyard-loadtest profiles`, most of this is said there; what is given here as well holds.
    ///
    /// With --records, what was told is held against what the suppliers did: every 00 has exactly one performance that stands, no other
    /// code has one, no accepted reversal leaves one, no PIN is in two sales, repeats got the same answer, the networks paid
    /// for what stands. For that nobody else may be asking meanwhile.
    Run(Box<RunArguments>),
    /// List the profiles that come with the program, or print one.
    ///
    /// A profile is a TOML file that says what is asked for, how fast, and what follows. Copy one to begin with:
    ///
    ///   switchyard-loadtest profiles mixed > mine.toml
    ///   switchyard-loadtest run --profile mine.toml
    ///
    /// `steady` explains the keys.
    #[command(verbatim_doc_comment)]
    Profiles(ProfilesArguments),
    /// Load a demonstration while it is killed again and again, and judge what was told.
    ///
    /// Starts `switchyard demo` on a data folder and any free ports, loads two of its conduits with sales, repeats and reversals, kills it
    /// with SIGKILL at moments drawn from the seed, and starts it again. At the end what was told over all of its lives is held against
    /// what the suppliers did, as `run --records` does.
    ///
    /// The same seed draws the same moments, as counts of answers; when exactly they come the machine decides.
    Kills(KillsArguments),
    /// Serve scripted ISO 8583 suppliers until interrupted.
    ///
    /// Each supplier is NAME=ADDRESS:PORT, then options after commas: dialect=NAME-OR-FILE, framing=TOML, record=FILE, refuses-83.
    ///
    /// Example: switchyard-loadtest supplier telco-a=127.0.0.1:9101,record=telco-a.jsonl,refuses-83
    Supplier(SupplierArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The conduit, as ADDRESS:PORT.
    #[arg(default_value = "127.0.0.1:8583")]
    target: SocketAddr,
    /// What to ask for, and how: a profile's name, or a TOML file.
    #[arg(short, long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// The folder of the suppliers' records (*.jsonl): check against them at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) records: Option<PathBuf>,
    /// The switch's pages, which say when everything has settled; with --records.
    #[arg(long, default_value = "127.0.0.1:8080")]
    pages: SocketAddr,
    /// How many connections; default 8.
    #[arg(short, long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: Option<u32>,
    /// Closed loop: requests open on each connection; default 16. With --rate no more than that: moments that find so many are not sent.
    #[arg(short = 'w', long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: Option<u32>,
    /// Open loop: requests a second over all connections.
    #[arg(short, long, value_parser = rate)]
    rate: Option<f64>,
    /// How long to measure, in seconds; default 10.
    #[arg(short, long, value_parser = seconds)]
    seconds: Option<f64>,
    /// End after so many requests instead.
    #[arg(short = 'n', long, conflicts_with = "seconds")]
    count: Option<u64>,
    /// Load without measuring before, in milliseconds; default 1000, with --count or a profile 0.
    #[arg(long)]
    warm_up_ms: Option<u64>,
    /// How long the last answers are awaited, in milliseconds.
    #[arg(long, default_value_t = 6_000)]
    drain_ms: u64,
    /// How long a terminal waits, in milliseconds: a later approval is not counted as in time.
    #[arg(long, default_value_t = PATIENCE_MS)]
    patience_ms: u64,
    /// The conduit's dialect: a shipped one's name, or a file.
    #[arg(long, default_value = "prepaid87")]
    dialect: String,
    /// The conduit's framing, as in its configuration: 'length = "binary2"'.
    #[arg(long)]
    framing: Option<String>,
    /// Products and how often each is asked for; default: all of the demonstration's.
    #[arg(long, value_name = "PRODUCT=WEIGHT,...", value_delimiter = ',', value_parser = weight)]
    mix: Vec<(String, u32)>,
    /// The last two digits of accounts, cards and meters; default 00-79, which are approved.
    #[arg(long, value_parser = ending_range)]
    endings: Option<RangeInclusive<u8>>,
    /// Chooses among products, amounts and accounts. Loads that run at once on the same terminals need seeds that differ modulo 64 (where there are fewer
    /// terminals, modulo their number), else two of their sales may have one key, and one of them gets 94.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A process whose CPU time and memory to report.
    #[arg(long)]
    pid: Option<u32>,
    /// Report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Allow another machine as the target.
    #[arg(long)]
    allow_remote: bool,
}

impl RunArguments {
    /// What is to be run, and how long it may take to settle.
    pub(crate) fn load(&self) -> Result<(Load, Duration), String> {
        let plan = match &self.profile {
            Some(name) => Some(plan(name)?),
            None => None,
        };
        let settle = Duration::from_millis(plan.as_ref().map_or(SETTLE_MS, |plan| plan.settle_ms));
        let default_warm_up_ms = match (&plan, self.count) {
            (Some(plan), _) => plan.warm_up_ms,
            (None, Some(_)) => 0,
            (None, None) => 1_000,
        };
        let said = plan.as_ref();
        let load = Load {
            target: self.target,
            allow_remote: self.allow_remote,
            dialect: Arc::new(dialect(&self.dialect)?),
            framing: framing(self.framing.as_deref())?,
            connections: self.connections.or(said.map(|plan| plan.connections)).unwrap_or(8),
            pace: self.pace(said),
            profile: self.asked_for(said)?,
            seed: self.seed,
            warm_up_ms: self.warm_up_ms.unwrap_or(default_warm_up_ms),
            length: self.length(said),
            drain_ms: self.drain_ms,
            in_flight_max: self.in_flight.map_or(IN_FLIGHT_MAX, |in_flight| in_flight as usize),
            patience_ms: self.patience_ms,
            watch: self.pid,
        };
        Ok((load, settle))
    }

    /// Where the switch is; its pages only where something is checked.
    pub(crate) fn site(&self) -> Site {
        Site { conduit: self.target, pages: self.records.is_some().then_some(self.pages) }
    }

    fn pace(&self, plan: Option<&Plan>) -> Pace {
        match (self.rate, self.in_flight, plan) {
            (Some(per_second), _, _) => Pace::Open { per_second },
            (None, None, Some(plan)) => plan.pace.clone(),
            (None, in_flight, _) => Pace::Closed { in_flight: in_flight.unwrap_or(16) as usize },
        }
    }

    fn length(&self, plan: Option<&Plan>) -> Length {
        match (self.count, self.seconds, plan) {
            (Some(count), _, _) => Length::Requests(count),
            (None, None, Some(plan)) => plan.length,
            (None, seconds, _) => Length::Time(Duration::from_secs_f64(seconds.unwrap_or(10.0))),
        }
    }

    fn asked_for(&self, plan: Option<&Plan>) -> Result<Profile, String> {
        let mut profile = plan.map_or_else(Profile::demonstration, |plan| plan.profile.clone());
        if let Some(endings) = &self.endings {
            profile.endings = endings.clone().into();
        }
        if !self.mix.is_empty() {
            profile.mix(&self.mix).map_err(|product| format!("--mix: there is no product `{product}`"))?;
        }
        profile.follow_ups.remember = self.records.is_some();
        Ok(profile)
    }
}

/// How long reversals may take to settle where no profile says it, milliseconds.
const SETTLE_MS: u64 = 120_000;

/// A profile that comes with the program, or a file.
fn plan(name: &str) -> Result<Plan, String> {
    if let Some(text) = shipped::text(name) {
        return Plan::parse(text).map_err(|error| format!("profile `{name}`: {error}"));
    }
    match std::fs::read_to_string(name) {
        Ok(text) => Plan::parse(&text).map_err(|error| format!("{name}: {error}")),
        Err(error) if name.contains(['/', '.']) => Err(format!("{name}: {error}")),
        Err(_) => shipped::open(name).map_err(|error| error.to_string()),
    }
}

#[derive(Debug, Args)]
pub(crate) struct ProfilesArguments {
    /// Print this one.
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct KillsArguments {
    /// How often to kill it.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    times: u32,
    /// The data folder of the demonstration; made where it is missing, and kept.
    #[arg(long, default_value = "data/kills")]
    data: PathBuf,
    /// The switch's program; default: `switchyard` beside this one.
    #[arg(long)]
    program: Option<PathBuf>,
    /// What to ask for: a profile's name, or a TOML file. Its length is not used.
    #[arg(short, long, value_name = "NAME|FILE", default_value = "kills")]
    profile: String,
    /// Chooses what is asked for, and when it is killed.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl KillsArguments {
    pub(crate) fn kills(&self) -> Result<Kills, String> {
        let beside = || {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            let beside = own.with_file_name("switchyard");
            if beside.exists() {
                return Ok(beside);
            }
            Err(format!("there is no {}: build it, or give --program", beside.display()))
        };
        Ok(Kills {
            program: self.program.clone().map_or_else(beside, Ok)?,
            data: self.data.clone(),
            times: self.times,
            plan: plan(&self.profile)?,
            seed: self.seed,
        })
    }
}

#[derive(Debug, Args)]
pub(crate) struct SupplierArguments {
    /// The suppliers.
    #[arg(required = true, value_name = "NAME=ADDRESS[,OPTION...]")]
    suppliers: Vec<String>,
    /// How they answer: by the demonstration's behaviours, or 00 at once without a record.
    #[arg(long, value_enum, default_value_t = Answers::Scripted)]
    mode: Answers,
    /// How long every answer takes besides, in milliseconds.
    #[arg(long, default_value_t = 0)]
    latency_ms: u32,
    /// The source of PINs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Answers {
    Scripted,
    Instant,
}

impl SupplierArguments {
    pub(crate) fn hosts(&self) -> Result<Vec<SupplierHost>, String> {
        self.suppliers
            .iter()
            .map(|text| self.host(text).map_err(|error| format!("{text}: {error}")))
            .collect()
    }

    fn host(&self, text: &str) -> Result<SupplierHost, String> {
        let (name, rest) =
            text.split_once('=').ok_or("a supplier is NAME=ADDRESS:PORT, then options after commas")?;
        let mut parts = rest.split(',');
        let listen = parts.next().unwrap_or_default();
        let mut host = SupplierHost {
            name: name.into(),
            listen: listen.parse().map_err(|_| format!("`{listen}` is not ADDRESS:PORT"))?,
            dialect: Arc::new(dialect("prepaid87")?),
            framing: Framing::DEFAULT,
            record: None,
            mode: match self.mode {
                Answers::Scripted => Mode::Scripted,
                Answers::Instant => Mode::Instant,
            },
            refuses_83: false,
            latency_ms: self.latency_ms,
            seed: self.seed,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("dialect", name)) => host.dialect = Arc::new(dialect(name)?),
                Some(("framing", toml)) => host.framing = framing(Some(toml))?,
                Some(("record", path)) => host.record = Some(PathBuf::from(path)),
                None if part == "refuses-83" => host.refuses_83 = true,
                _ => {
                    return Err(format!(
                        "there is no option `{part}`; there are dialect, framing, record, refuses-83"
                    ));
                }
            }
        }
        Ok(host)
    }
}

/// The shipped dialect of that name, or the one in that file.
fn dialect(name: &str) -> Result<Dialect, String> {
    let text = match Dialect::shipped(name) {
        Some(text) => text.to_owned(),
        None => std::fs::read_to_string(name).map_err(|error| {
            format!("`{name}` is neither a shipped dialect nor a file that can be read: {error}")
        })?,
    };
    let base = |base: &str| Dialect::shipped(base).map(str::to_owned);
    Dialect::parse(&text, base).map_err(|error| format!("dialect `{name}`: {error}"))
}

fn framing(toml: Option<&str>) -> Result<Framing, String> {
    let Some(toml) = toml else { return Ok(Framing::DEFAULT) };
    toml::from_str(toml).map_err(|error| format!("framing: {error}"))
}

fn weight(text: &str) -> Result<(String, u32), String> {
    let (product, weight) = text.split_once('=').unwrap_or((text, "1"));
    let weight = weight.parse().map_err(|_| format!("`{weight}` is no whole number"))?;
    Ok((product.into(), weight))
}

fn ending_range(text: &str) -> Result<RangeInclusive<u8>, String> {
    file::endings(text).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|rate| *rate > 0.0 && *rate <= 1e7)
        .ok_or_else(|| "above 0, at most 10000000".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|time| *time > 0.0 && *time <= 1e6)
        .ok_or_else(|| "above 0, at most 1000000".into())
}
