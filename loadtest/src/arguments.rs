//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use switchyard_core::iso8583::{Dialect, Framing};
use switchyard_loadtest::load::{Length, Load, Pace};
use switchyard_loadtest::profile::Profile;
use switchyard_loadtest::supplier::{Mode, SupplierHost};

/// Load generator and scripted suppliers for Switchyard.
///
/// Exit codes: 0 done; 1 could not start or go on; 2 wrong arguments; 3 done, with requests lost, unanswered or unmatched.
#[derive(Debug, Parser)]
#[command(name = "switchyard-loadtest", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Load a conduit and report throughput, latency percentiles and outcomes.
    Run(RunArguments),
    /// Serve scripted ISO 8583 suppliers until interrupted.
    Supplier(SupplierArguments),
}

/// Without --rate the loop is closed: each connection keeps --in-flight requests open. With --rate it is open: requests leave at
/// their moments, and latencies count from the moment each was meant to leave.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The conduit, as ADDRESS:PORT.
    #[arg(default_value = "127.0.0.1:8583")]
    target: SocketAddr,
    /// How many connections.
    #[arg(short, long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    connections: u32,
    /// Closed loop: requests open on each connection.
    #[arg(short = 'w', long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Open loop: requests a second over all connections.
    #[arg(short, long, value_parser = rate)]
    rate: Option<f64>,
    /// How long to measure, in seconds.
    #[arg(short, long, default_value_t = 10.0, value_parser = seconds)]
    seconds: f64,
    /// End after so many requests instead.
    #[arg(short = 'n', long, conflicts_with = "seconds")]
    count: Option<u64>,
    /// Load without measuring before, in milliseconds; 0 with --count.
    #[arg(long)]
    warm_up_ms: Option<u64>,
    /// How long the last answers are awaited, in milliseconds.
    #[arg(long, default_value_t = 6_000)]
    drain_ms: u64,
    /// The conduit's dialect: a shipped one's name, or a file.
    #[arg(long, default_value = "prepaid87")]
    dialect: String,
    /// The conduit's framing, as in its configuration: 'length = "binary2"'.
    #[arg(long)]
    framing: Option<String>,
    /// Products and how often each is asked for; default: all of the demonstration's.
    #[arg(long, value_name = "PRODUCT=WEIGHT,...", value_delimiter = ',', value_parser = weight)]
    mix: Vec<(String, u32)>,
    /// The last two digits of accounts, cards and meters.
    #[arg(long, default_value = "00-79", value_parser = endings)]
    endings: RangeInclusive<u8>,
    /// Chooses among products, amounts and accounts.
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
    pub(crate) fn load(&self) -> Result<Load, String> {
        let mut profile = Profile::demonstration();
        profile.endings = self.endings.clone();
        if !self.mix.is_empty() {
            profile.mix(&self.mix).map_err(|product| format!("--mix: there is no product `{product}`"))?;
        }
        let pace = match self.rate {
            Some(per_second) => Pace::Open { per_second },
            None => Pace::Closed { in_flight: self.in_flight as usize },
        };
        let (length, warm_up_ms) = match self.count {
            Some(count) => (Length::Requests(count), 0),
            None => (Length::Time(Duration::from_secs_f64(self.seconds)), 1_000),
        };
        Ok(Load {
            target: self.target,
            allow_remote: self.allow_remote,
            dialect: Arc::new(dialect(&self.dialect)?),
            framing: framing(self.framing.as_deref())?,
            connections: self.connections,
            pace,
            profile,
            seed: self.seed,
            warm_up_ms: self.warm_up_ms.unwrap_or(warm_up_ms),
            length,
            drain_ms: self.drain_ms,
            watch: self.pid,
        })
    }
}

/// Each supplier is NAME=ADDRESS:PORT, then options after commas: dialect=NAME-OR-FILE, framing=TOML, record=FILE, refuses-83.
///
/// Example: switchyard-loadtest supplier telco-a=127.0.0.1:9101,record=telco-a.jsonl,refuses-83
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
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

fn endings(text: &str) -> Result<RangeInclusive<u8>, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let number = |text: &str| text.parse().ok().filter(|number| *number <= 99);
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err("two digits, or two pairs of them with a hyphen: 00-79".into()),
    }
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
