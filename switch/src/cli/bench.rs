//! `switchyard bench`: what a transaction costs on this machine.
//!
//! Owns: a switch, a bare relay in its place (the floor), suppliers that answer at once, and a load, each a process of its own on loopback; and the table of what was
//! measured.
//! Invariants: it ends by itself, and ends what it started; its data lie in a temporary folder that goes with it; CPU time is the switch process's alone.
//! The floor and the switch take turns, so what the machine is at the moment concerns both.
//! Deliberately absent: verdicts. Figures of one machine compare with each other, by ratios, in one run.

mod restart;

use super::exit::Exit;
use clap::{Args, Subcommand, ValueEnum};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchyard_core::iso8583::Dialect;
use switchyard_loadtest::floor;
use switchyard_loadtest::load::{self, Length, Load, Pace};
use switchyard_loadtest::profile::Profile;
use switchyard_loadtest::report::{LiveCounters, ProcessFigures, Report};
use switchyard_loadtest::supplier::{self, SupplierHost};
use tokio::net::TcpListener as TokioListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// How long a process may take to listen; a switch over a long journal without checkpoints takes its time.
const START: Duration = Duration::from_secs(120);
/// How long a process may take to end when it was asked to.
const END: Duration = Duration::from_secs(20);
/// How often a process is looked at that is awaited.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long requests are sent before they are measured.
const WARM_UP_MS: u64 = 1_000;
/// How long answers are awaited at the end.
const DRAIN_MS: u64 = 6_000;

/// Options of `bench`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchArgs {
    /// Another measurement.
    #[command(subcommand)]
    what: Option<BenchCommand>,
    /// Connections x requests in flight on each; several after commas.
    #[arg(long, value_name = "CxW,...", value_delimiter = ',', default_value = "1x1,8x16,32x64", value_parser = shape)]
    shapes: Vec<(u32, usize)>,
    /// When answers may leave: after the write, after the sync, or both, one after the other.
    #[arg(long, value_enum, default_value_t = Durabilities::Both)]
    durability: Durabilities,
    /// Also an open loop of so many requests a second over 32 connections; 0: none.
    #[arg(long, value_name = "RATE", default_value_t = 5_000.0)]
    rate: f64,
    /// Seconds measured, for each line of the table.
    #[arg(long, short, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// Times that each line is measured; the table has the medians.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// What is asked for, as PRODUCT=WEIGHT after commas: DATA5 goes to a supplier's host, VOUCHER10 to the stock, WALLET to accounts held here.
    #[arg(long, value_name = "PRODUCT=WEIGHT,...", value_delimiter = ',', default_value = "DATA5=1", value_parser = weight)]
    mix: Vec<(String, u32)>,
    /// Print JSON, one object a line of the table.
    #[arg(long)]
    json: bool,
    /// Only the part of the suppliers; the bench starts it itself.
    #[arg(long, hide = true, num_args = 2, value_names = ["A", "B"])]
    suppliers: Vec<SocketAddr>,
    /// Only the part of the floor, between this address and a supplier's; the bench starts it itself.
    #[arg(long, hide = true, num_args = 2, value_names = ["LISTEN", "SUPPLIER"])]
    floor: Vec<SocketAddr>,
}

/// Other measurements.
#[derive(Clone, Debug, Subcommand)]
enum BenchCommand {
    /// Measure how long a start takes over a long journal: after a kill, after a stop in order, and without checkpoints.
    ///
    /// The journal is written through the same log, state and checkpoints that the switch uses, on the shipped configuration; all requests are in the window. The
    /// times depend on whether the system still holds the files in memory; it does here.
    #[command(after_help = "Examples:\n  \
        switchyard bench restart                                    # 10 million records; 4 GB of disk\n  \
        switchyard bench restart --records 1000000 --folder /var/tmp --json")]
    Restart(restart::RestartArgs),
}

/// Which durabilities are measured (S-17).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Durabilities {
    Relaxed,
    Strict,
    Both,
}

fn shape(text: &str) -> Result<(u32, usize), String> {
    let parsed = text.split_once(['x', '×']).and_then(|(c, w)| Some((c.parse().ok()?, w.parse().ok()?)));
    parsed
        .filter(|(c, w)| *c > 0 && *w > 0)
        .ok_or_else(|| "connections x requests in flight, such as 8x16".into())
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|time| (0.1..=3_600.0).contains(time)).ok_or_else(|| "0.1 to 3600".into())
}

fn weight(text: &str) -> Result<(String, u32), String> {
    let (product, weight) = text.split_once('=').unwrap_or((text, "1"));
    let weight = weight.parse().map_err(|_| format!("`{weight}` is no whole number"))?;
    Ok((product.into(), weight))
}

/// Measures, and prints the table.
///
/// # Errors
/// What could not be started or measured, for people.
pub fn run(args: &BenchArgs) -> Result<Exit, String> {
    if let Some(BenchCommand::Restart(args)) = &args.what {
        return restart::run(args);
    }
    if let [a, b] = args.suppliers[..] {
        return serve_suppliers(a, b).map(|()| Exit::Done);
    }
    if let [listen, supplier] = args.floor[..] {
        return serve_floor(listen, supplier).map(|()| Exit::Done);
    }
    let runtime = runtime()?;
    if !args.json {
        println!("{HEAD}");
    }
    let subjects = subjects(args.durability);
    let mut rows: Vec<Pacing> = args.shapes.iter().map(|(c, w)| Pacing::closed(*c, *w)).collect();
    if args.rate > 0.0 {
        rows.push(Pacing::open(args.rate));
    }
    for row in rows {
        let mut reports = vec![Vec::new(); subjects.len()];
        for _ in 0..args.runs {
            for (subject, reports) in subjects.iter().zip(&mut reports) {
                // A process of its own for each run: none pays for what another left in the window.
                let bed = Bed::start(*subject)?;
                reports.push(runtime.block_on(measure(&bed, &row, args))?);
            }
        }
        print(&row, &subjects, &reports, args.json)?;
    }
    Ok(Exit::Done)
}

fn runtime() -> Result<Runtime, String> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())
}

/// What is between the load and the suppliers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    /// A bare relay.
    Floor,
    /// The switch, with answers that leave after the write.
    Relaxed,
    /// The switch, with answers that leave after the sync.
    Strict,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Self::Floor => "floor",
            Self::Relaxed => "relaxed",
            Self::Strict => "strict",
        }
    }
}

fn subjects(asked: Durabilities) -> Vec<Subject> {
    match asked {
        Durabilities::Relaxed => vec![Subject::Floor, Subject::Relaxed],
        Durabilities::Strict => vec![Subject::Floor, Subject::Strict],
        Durabilities::Both => vec![Subject::Floor, Subject::Relaxed, Subject::Strict],
    }
}

/// One line of the table.
struct Pacing {
    name: String,
    connections: u32,
    pace: Pace,
}

impl Pacing {
    fn closed(connections: u32, in_flight: usize) -> Self {
        Self { name: format!("{connections}x{in_flight}"), connections, pace: Pace::Closed { in_flight } }
    }

    fn open(per_second: f64) -> Self {
        Self { name: format!("{per_second:.0}/s"), connections: 32, pace: Pace::Open { per_second } }
    }
}

const HEAD: &str =
    "load      durability    tx/s  CPU µs/tx  x floor   p50 µs   p99 µs p99.9 µs  RSS MiB  not 00";

/// The medians of a line's runs.
struct Figures {
    per_second: f64,
    cpu_us: f64,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    rss_mib: f64,
    not_approved: f64,
}

impl Figures {
    fn of(reports: &[Report]) -> Self {
        let median = |of: &dyn Fn(&Report) -> f64| {
            let mut values: Vec<f64> = reports.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let process =
            |of: fn(&ProcessFigures) -> f64| median(&|report| report.process.as_ref().map_or(0.0, of));
        Self {
            per_second: median(&|report| report.throughput),
            cpu_us: process(|process| process.cpu_us_per_transaction),
            p50_us: median(&|report| report.latency_us.p50),
            p99_us: median(&|report| report.latency_us.p99),
            p999_us: median(&|report| report.latency_us.p999),
            rss_mib: process(|process| process.rss_max_kib as f64 / 1_024.0),
            not_approved: median(&not_approved),
        }
    }
}

fn not_approved(report: &Report) -> f64 {
    let total: u64 = report.outcomes.values().sum();
    let approved = report.outcomes.get("00").copied().unwrap_or(0);
    let errors = &report.errors;
    (total - approved + errors.lost + errors.unanswered + errors.unmatched + errors.unreadable) as f64
}

fn print(row: &Pacing, subjects: &[Subject], reports: &[Vec<Report>], json: bool) -> Result<(), String> {
    let figures: Vec<Figures> = reports.iter().map(|reports| Figures::of(reports)).collect();
    let floor_us = figures.first().map_or(0.0, |floor| floor.cpu_us);
    for ((subject, of), reports) in subjects.iter().zip(&figures).zip(reports) {
        let Figures { per_second, cpu_us, p50_us, p99_us, p999_us, rss_mib, not_approved } = of;
        let (name, floors) = (subject.name(), cpu_us / floor_us);
        if json {
            let line = serde_json::json!({
                "load": row.name, "durability": name, "runs": reports.len(), "per_second": per_second, "cpu_us_per_tx": cpu_us,
                "cpu_floors": floors, "p50_us": p50_us, "p99_us": p99_us, "p999_us": p999_us, "rss_mib": rss_mib,
                "not_approved": not_approved,
            });
            println!("{line}");
        } else {
            println!(
                "{:<9} {name:<9} {per_second:>9.0} {cpu_us:>10.2} {floors:>8.2} {p50_us:>8.0} {p99_us:>8.0} {p999_us:>8.0} {rss_mib:>8.0} {not_approved:>7.0}",
                row.name
            );
        }
    }
    Ok(())
}

async fn measure(bed: &Bed, row: &Pacing, args: &BenchArgs) -> Result<Report, String> {
    let mut profile = Profile::demonstration();
    profile.mix(&args.mix).map_err(|product| format!("--mix: there is no product `{product}`"))?;
    let dialect = Arc::new(Dialect::open_shipped("prepaid87").map_err(|error| error.to_string())?);
    let length = Length::Time(Duration::from_secs_f64(args.seconds));
    let plain = Load::plain(bed.conduit, dialect, profile, row.pace.clone(), length);
    let load = Load {
        connections: row.connections,
        warm_up_ms: WARM_UP_MS,
        drain_ms: DRAIN_MS,
        watch: Some(bed.subject.0.id()),
        ..plain
    };
    load::run(load, CancellationToken::new(), Arc::new(LiveCounters::default()))
        .await
        .map_err(|e| e.to_string())
}

/// A process that ends with its owner.
struct Owned(Child);

impl Drop for Owned {
    /// Asks it to end, so that a build that counts what it runs can write its counts, and insists where it does not.
    fn drop(&mut self) {
        // It may have ended already.
        let asked =
            i32::try_from(self.0.id()).is_ok_and(|pid| kill(Pid::from_raw(pid), Signal::SIGTERM).is_ok());
        let until = Instant::now() + END;
        while asked && matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::park_timeout(LOOK_INTERVAL);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is measured and its suppliers. Dropped in this order: processes, then their folder.
struct Bed {
    subject: Owned,
    _suppliers: Owned,
    _folder: Folder,
    conduit: SocketAddr,
}

impl Bed {
    fn start(subject: Subject) -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("switchyard-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        let folder = Folder(folder);
        let [conduit, a, b] = [free_port()?, free_port()?, free_port()?];
        let suppliers = Self::suppliers(a, b)?;
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let log = std::fs::File::create(folder.0.join("subject.log")).map_err(|error| error.to_string())?;
        let mut command = Command::new(&own);
        if subject == Subject::Floor {
            command.args(["bench", "--floor", &conduit.to_string(), &a.to_string()]);
        } else {
            configure(&folder.0, subject == Subject::Relaxed, conduit, a, b)?;
            command.arg("run").arg("--config").arg(folder.0.join("switchyard.toml"));
        }
        let mut process = spawn(command.stdout(Stdio::null()).stderr(log))?;
        if let Err(error) = wait_until_listening(conduit, &mut process) {
            let log = std::fs::read_to_string(folder.0.join("subject.log")).unwrap_or_default();
            return Err(format!("{error}\n{log}"));
        }
        Ok(Self { subject: process, _suppliers: suppliers, _folder: folder, conduit })
    }

    /// The suppliers' process, listening.
    fn suppliers(a: SocketAddr, b: SocketAddr) -> Result<Owned, String> {
        let own = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(own);
        command.arg("bench").arg("--suppliers").arg(a.to_string()).arg(b.to_string());
        let mut suppliers = spawn(command.stdout(Stdio::null()))?;
        wait_until_listening(a, &mut suppliers)?;
        Ok(suppliers)
    }
}

fn spawn(command: &mut Command) -> Result<Owned, String> {
    command.stdin(Stdio::null()).spawn().map(Owned).map_err(|error| error.to_string())
}

fn free_port() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

/// Waits until the process listens there.
fn wait_until_listening(address: SocketAddr, process: &mut Owned) -> Result<(), String> {
    let until = Instant::now() + START;
    while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
        if let Ok(Some(status)) = process.0.try_wait() {
            return Err(format!("a process that was started ended at once: {status}"));
        }
        if Instant::now() > until {
            return Err(format!("nothing listens on {address} after {} s", START.as_secs()));
        }
        std::thread::park_timeout(LOOK_INTERVAL);
    }
    Ok(())
}

/// The demonstration's configuration, with one conduit, a network that can pay for everything, and wide windows at the suppliers.
fn configure(
    folder: &Path,
    relaxed: bool,
    conduit: SocketAddr,
    a: SocketAddr,
    b: SocketAddr,
) -> Result<(), String> {
    let durability = if relaxed { "relaxed" } else { "strict" };
    let main = format!(
        "data = \"data\"\ninclude = [\"networks.toml\", \"products.toml\", \"suppliers/*.toml\"]\n\
         merchants = [\"merchants.csv\"]\nterminals = [\"terminals.csv\"]\n[keys]\ncreate = true\n\
         [[conduit]]\nname = \"bench\"\nlisten = \"{conduit}\"\ndialect = \"prepaid87\"\ndurability = \"{durability}\"\n"
    );
    for (name, text) in crate::config::SHIPPED {
        let text = match *name {
            "switchyard.toml" => main.clone(),
            "networks.toml" => text
                .replace("opening = \"10_000_000.00\"", "opening = \"900_000_000_000.00\"")
                .replace("\ncredit_line = \"500_000.00\"", "\ncredit_line = \"900_000_000_000.00\""),
            "suppliers/telco-a.toml" => bench_supplier(text, "9583", a),
            "suppliers/telco-b.toml" => bench_supplier(text, "9584", b),
            _ => (*text).to_owned(),
        };
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(|error| error.to_string())?;
        }
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(())
}

fn bench_supplier(text: &str, shipped_port: &str, at: SocketAddr) -> String {
    text.replace(
        &format!("port = {}_{}", &shipped_port[..1], &shipped_port[1..]),
        &format!("port = {}", at.port()),
    )
    .replace(&format!("port = {shipped_port}"), &format!("port = {}", at.port()))
    .replace("#window_requests = 1_024", "window_requests = 16_384")
}

/// The suppliers' process: two hosts that answer at once.
fn serve_suppliers(a: SocketAddr, b: SocketAddr) -> Result<(), String> {
    let host = |name: &str, listen, dialect: &str| {
        let dialect = Dialect::open_shipped(dialect).map_err(|error| error.to_string())?;
        Ok::<_, String>(SupplierHost::instant(name, listen, dialect.into()))
    };
    let hosts = vec![host("telco-a", a, "prepaid87")?, host("telco-b", b, "prepaid87-bcd")?];
    runtime()?
        .block_on(supplier::serve(hosts, CancellationToken::new(), |_, _| {}))
        .map_err(|error| error.to_string())
}

/// The floor's process.
fn serve_floor(listen: SocketAddr, supplier: SocketAddr) -> Result<(), String> {
    let relaying = async { floor::relay(TokioListener::bind(listen).await?, supplier).await };
    runtime()?.block_on(relaying).map_err(|error| error.to_string())
}
