//! `switchyard demo`: a whole switch on this machine, to try things out.
//!
//! Owns: how the shipped configuration becomes a demonstration (data folder, ports, TLS, suppliers, stock, traffic), the page it
//! prints, and its end. Invariants: the supplier process is reached before the switch starts, and ended after it; a demonstration
//! that does not start leaves no process that it started. Deliberately absent: what a demonstration is, which the configuration
//! says.

mod live;
mod stock;
mod supplier_process;
mod traffic;

use super::Io;
use super::exit::{Exit, Failure};
use super::logging;
use super::run::{not_started, stop};
use super::signals::Signals;
use crate::config::load_shipped;
use crate::settings::Settings;
use crate::tls::demo_authority;
use crate::topology::{self, Running};
use clap::Args;
use live::Live;
use std::fmt::Write as _;
use std::io::IsTerminal;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use supplier_process::SupplierProcess;
use traffic::Traffic;

/// Conduits and the pages, in the order of their ports from `--port-base` on. The pages have no conduit's name.
const PORT_ORDER: [&str; 4] = ["plain", "tls", PAGES, "binbitmap"];
const PAGES: &str = "pages";
/// Highest first port that leaves room for the others.
const PORT_BASE_MAX: i64 = 65_535 - PORT_ORDER.len() as i64 + 1;

/// Options of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Listen on P (plain), P+1 (TLS), P+2 (pages), P+3 (binary bitmaps); 0: on any free ports.
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u16).range(0..=PORT_BASE_MAX))]
    pub port_base: Option<u16>,
    /// The data folder, made where it is missing.
    #[arg(long, value_name = "DIR", default_value = "data/demo")]
    pub data: PathBuf,
    /// End by itself after so many seconds.
    #[arg(long, value_name = "N")]
    pub seconds: Option<u64>,
    /// Send no requests of its own.
    #[arg(long)]
    pub no_traffic: bool,
    /// Requests a second that it sends by itself.
    #[arg(long, value_name = "R", default_value_t = 20.0, value_parser = rate, conflicts_with = "no_traffic")]
    pub rate: f64,
}

fn rate(text: &str) -> Result<f64, String> {
    const RATE_MAX: f64 = 100_000.0;
    let rate = text.parse::<f64>().ok().filter(|rate| *rate >= 0.1 && *rate <= RATE_MAX);
    rate.ok_or_else(|| format!("a rate is 0.1 to {RATE_MAX} requests a second; --no-traffic sends none"))
}

/// Runs the demonstration until it is asked to end.
///
/// # Errors
/// It does not start, or does not end in order.
pub fn run(args: &DemoArgs, io: &mut Io) -> Result<Exit, Failure> {
    let signals = Signals::listen()?;
    let data = &args.data;
    std::fs::create_dir_all(data)
        .map_err(|error| Failure::system(format!("cannot make {}: {error}", data.display())))?;
    logging::to_file(&data.join("demo.log"))?;
    let mut settings = load_shipped(&super::adapter_keys()).map_err(Failure::system)?;
    settings.relocate(data.clone());
    if let Some(base) = args.port_base {
        move_ports(&mut settings, base);
    }
    demo_authority(&data.join("tls")).map_err(Failure::system)?;
    stock::ensure(&settings)?;
    let mut suppliers = SupplierProcess::find_or_start(data)?;
    reach_suppliers(&mut settings, &suppliers);
    let dialects = dialects(&settings);
    let running = match topology::start(settings) {
        Ok(running) => running,
        Err(error) => return Err(give_up(suppliers, not_started(error))),
    };
    io.text(page(&running, &suppliers, &dialects, args, io));
    let conducted = conduct(args, &running, &mut suppliers, &signals);
    if let Ok(line) = &conducted {
        io.line(format!("\n{line}"));
    }
    let stopped = stop(running);
    let ended = suppliers.end();
    conducted.and(ended)?;
    stopped
}

/// A demonstration that does not start takes the supplier process with it that it started; one that was there may be another's.
fn give_up(suppliers: SupplierProcess, failure: Failure) -> Failure {
    let ended = if suppliers.was_found() { Ok(()) } else { suppliers.end() };
    match ended {
        Ok(()) => failure,
        Err(also) => failure.help(also.what),
    }
}

fn move_ports(settings: &mut Settings, base: u16) {
    for (port, name) in (u32::from(base)..).zip(PORT_ORDER) {
        // Port 0 is any free one, each time.
        let port = if base == 0 { 0 } else { port as u16 };
        if name == PAGES {
            settings.admin.listen.iter_mut().for_each(|listen| listen.set_port(port));
        }
        for conduit in settings.conduits.iter_mut().filter(|conduit| conduit.name == name) {
            conduit.way.set_port(port);
        }
    }
}

/// Points the links of suppliers at the process that serves them.
fn reach_suppliers(settings: &mut Settings, suppliers: &SupplierProcess) {
    for supplier in &mut settings.suppliers {
        if let Some(port) = suppliers.ports().get(&supplier.code) {
            supplier.links.iter_mut().for_each(|link| link.dial_at(&Ipv4Addr::LOCALHOST.to_string(), *port));
        }
    }
}

fn dialects(settings: &Settings) -> Vec<String> {
    let name =
        |conduit| settings.dialect_of(conduit).map_or_else(String::new, |dialect| dialect.name().to_owned());
    settings.conduits.iter().map(name).collect()
}

/// Sends traffic, tends the suppliers and shows figures until the end is asked for; the last figures.
fn conduct(
    args: &DemoArgs,
    running: &Running,
    suppliers: &mut SupplierProcess,
    signals: &Signals,
) -> Result<String, Failure> {
    let plain = address(running, "plain").filter(|_| !args.no_traffic);
    let traffic = plain.map(|plain| Traffic::start(plain, args.rate)).transpose()?;
    let deadline = args.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let mut live = Live::new(std::io::stdout().is_terminal());
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO)
            || signals.wait(left.unwrap_or(Duration::MAX).min(live.interval())).is_some()
        {
            break;
        }
        if let Some(words) = suppliers.tend() {
            live.say(&words);
        }
        live.show(&running.figures());
    }
    if let Some(traffic) = traffic {
        traffic.end();
    }
    Ok(live.finish(&running.figures()))
}

fn address(running: &Running, name: &str) -> Option<SocketAddr> {
    running.addresses().iter().find(|(conduit, _)| conduit == name).map(|(_, address)| *address)
}

/// What a newcomer needs to know.
fn page(
    running: &Running,
    suppliers: &SupplierProcess,
    dialects: &[String],
    args: &DemoArgs,
    io: &Io,
) -> String {
    let (bold, quiet, good, end) = (io.paint.bold, io.paint.quiet, io.paint.good, io.paint.end);
    let mut page = format!(
        "{good}Switchyard is ready{end}, after {:.2} s. Ctrl-C ends it.\n\n",
        running.ready_after.as_secs_f64()
    );
    let mut line = |what: &str, value: String| {
        let _ = writeln!(page, "  {bold}{what:<10}{end} {value}");
    };
    for ((name, address), dialect) in running.addresses().iter().zip(dialects) {
        let secure = if name == "tls" { ", TLS with a client certificate" } else { "" };
        line(name, format!("{address}  {quiet}{dialect}{secure}{end}"));
    }
    let admin = running.admin().map_or_else(|| "-".to_owned(), |admin| admin.to_string());
    line(PAGES, format!("http://{admin}"));
    let tls = args.data.join("tls");
    line("TLS files", format!("{}  {quiet}ca.pem, client-100001.pem, client-100001.key{end}", tls.display()));
    let found = if suppliers.was_found() { ", found running" } else { "" };
    let ports: Vec<_> = suppliers.ports().iter().map(|(name, port)| format!("{name} on {port}")).collect();
    line("suppliers", format!("{}  {quiet}process {}{found}{end}", ports.join(", "), suppliers.pid()));
    line("log", args.data.join("demo.log").display().to_string());
    let program = program();
    let plain = address(running, "plain").map_or_else(String::new, |address| address.to_string());
    let secure = address(running, "tls").map_or(0, |address| address.port());
    let _ = write!(
        page,
        "\nTry, in another shell:\n\n  \
         {program} send TOPUP --amount 10.00 --account 0612345678 --to {plain} --explain --admin {admin}\n  \
         {program} send VOUCHER10 --to {plain} --show-secrets\n  \
         {program} send TOPUP --account 0612345685 --to {plain}    {quiet}# a silent supplier{end}\n  \
         {program} send DATA5 --tls --to localhost:{secure} {}\n\n",
        client_files(&tls),
    );
    page
}

fn client_files(tls: &Path) -> String {
    let file = |name: &str| tls.join(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("client-100001.pem"), file("client-100001.key"));
    format!("--ca {ca} --cert {cert} --key {key}")
}

/// How this program is called from here.
fn program() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    // A bare name was found by the shell, and will be again.
    if called.components().count() == 1 && called.is_relative() {
        return called.display().to_string();
    }
    let here = std::env::current_dir().ok();
    let below = here.as_ref().and_then(|here| called.strip_prefix(here).ok());
    below.map_or_else(|| called.display().to_string(), |below| below.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::ConduitSettings;

    #[test]
    fn ports_move_in_the_documented_order() {
        let mut settings = load_shipped(&crate::cli::adapter_keys()).expect("shipped");
        move_ports(&mut settings, 9_000);
        let port = |name: &str| {
            settings
                .conduits
                .iter()
                .find(|conduit| conduit.name == name)
                .and_then(ConduitSettings::listen)
                .expect("a listener")
                .port()
        };
        let pages = settings.admin.listen.expect("served").port();
        assert_eq!([port("plain"), port("tls"), pages, port("binbitmap")], [9_000, 9_001, 9_002, 9_003]);
        move_ports(&mut settings, 0);
        assert!(
            settings.conduits.iter().all(|conduit| conduit.listen().is_some_and(|listen| listen.port() == 0))
        );
    }

    #[test]
    fn the_default_ports_are_those_of_the_configuration() {
        let settings = load_shipped(&crate::cli::adapter_keys()).expect("shipped");
        let ports: Vec<_> = settings
            .conduits
            .iter()
            .filter_map(ConduitSettings::listen)
            .map(|listen| listen.port())
            .collect();
        assert_eq!(
            (ports, settings.admin.listen.map(|listen| listen.port())),
            (vec![8_583, 8_584, 8_585], Some(8_080))
        );
    }
}
