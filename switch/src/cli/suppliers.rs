//! `switchyard suppliers`: the demonstration's ISO 8583 suppliers, in a process of their own.
//!
//! Owns: the process: its session, its lock, `host.json` by which it is found, and its end. Invariants: one process serves a data
//! folder, and holds the lock as long as it lives; `host.json` appears whole, when all suppliers listen; nothing is left behind
//! for ever: unused for ten minutes, it ends. Deliberately absent: how suppliers answer (`switchyard_loadtest::supplier`).

use super::exit::{Exit, Failure};
use crate::config::load_shipped;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use switchyard_core::iso8583::Dialect;
use switchyard_loadtest::supplier::{Mode, SupplierHost, serve};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The adapter whose suppliers are reached over sockets.
const HOST_ADAPTER: &str = "iso8583-host";
/// The supplier that refuses accounts ending in 83 with 91, so that another can be tried.
const REFUSES_83: &str = "telco-a";
/// Without a switch for so long, the process ends.
const UNUSED_MAX: Duration = Duration::from_secs(600);
/// How often it looks whether a switch is there.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// Options of `suppliers`.
#[derive(Clone, Debug, Args)]
pub struct SuppliersArgs {
    /// The demonstration's data folder.
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// Where a supplier listens on this machine; at any free port without it.
    #[arg(long = "port", value_name = "NAME=PORT", value_parser = named_port)]
    pub ports: Vec<(String, u16)>,
}

fn named_port(text: &str) -> Result<(String, u16), String> {
    let (name, port) = text.split_once('=').ok_or("a supplier's code, `=`, and its port")?;
    let port = port.parse().map_err(|error| format!("`{port}` is no port: {error}"))?;
    Ok((name.to_owned(), port))
}

/// What `host.json` says.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct HostFile {
    /// The process.
    pub pid: u32,
    /// Where each supplier listens, on this machine.
    pub ports: BTreeMap<String, u16>,
    /// Since when, RFC 3339.
    pub started: String,
}

/// The files of the supplier process in a data folder.
#[derive(Clone, Debug)]
pub struct HostFolder(PathBuf);

impl HostFolder {
    /// The folder `suppliers`, made where it is missing.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn new(data: &Path) -> io::Result<Self> {
        let folder = data.join("suppliers");
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// Where a supplier writes what it did.
    pub fn record(&self, supplier: &str) -> PathBuf {
        self.0.join(format!("{supplier}.jsonl"))
    }

    /// Where the process writes.
    pub fn log(&self) -> PathBuf {
        self.0.join("host.log")
    }

    fn json(&self) -> PathBuf {
        self.0.join("host.json")
    }

    /// What the process says of itself.
    pub fn read(&self) -> Option<HostFile> {
        serde_json::from_slice(&std::fs::read(self.json()).ok()?).ok()
    }

    /// Writes it whole or not at all.
    fn write(&self, file: &HostFile) -> io::Result<()> {
        let making = self.0.join("host.json.making");
        std::fs::write(&making, serde_json::to_vec_pretty(file)?)?;
        std::fs::rename(&making, self.json())
    }

    /// Held by the process as long as it lives.
    pub fn lock(&self) -> io::Result<File> {
        self.open("host.lock")
    }

    /// Held, shared, by every switch that uses the suppliers.
    pub fn use_lock(&self) -> io::Result<File> {
        self.open("in-use.lock")
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(self.0.join(name))
    }
}

/// Serves until SIGTERM, or until nobody uses it any more.
///
/// # Errors
/// Another process serves this folder, or the system refuses something.
pub fn run(args: &SuppliersArgs) -> Result<Exit, Failure> {
    // A session of its own: what ends the switch's terminal or group does not end the suppliers. Refused only to the leader of a
    // group, which has one of its own already.
    let _ = nix::unistd::setsid();
    let folder = HostFolder::new(&args.data).map_err(Failure::system)?;
    let lock = folder.lock().map_err(Failure::system)?;
    if lock.try_lock().is_err() {
        return Err(Failure::new(
            Exit::Data,
            format!("suppliers are served for {} already", args.data.display()),
        ));
    }
    let hosts = hosts(&folder, &args.ports)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::system)?;
    runtime.block_on(serve_all(hosts, &folder))?;
    let _ = std::fs::remove_file(folder.json());
    Ok(Exit::Done)
}

/// The suppliers of the shipped configuration that are reached over sockets.
fn hosts(folder: &HostFolder, ports: &[(String, u16)]) -> Result<Vec<SupplierHost>, Failure> {
    let settings = load_shipped(&super::adapter_keys()).map_err(Failure::system)?;
    let mut hosts = Vec::new();
    for (seed, supplier) in
        (1..).zip(settings.suppliers.iter().filter(|supplier| supplier.adapter == HOST_ADAPTER))
    {
        let dialect =
            supplier.adapter_settings.get("dialect").and_then(|name| name.as_str()).unwrap_or("prepaid87");
        let port = ports.iter().find(|(name, _)| *name == supplier.code).map_or(0, |(_, port)| *port);
        hosts.push(SupplierHost {
            name: supplier.code.clone(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            dialect: Arc::new(Dialect::open_shipped(dialect).map_err(Failure::system)?),
            framing: supplier.framing,
            record: Some(folder.record(&supplier.code)),
            mode: Mode::Scripted,
            refuses_83: supplier.code == REFUSES_83,
            latency_ms: 0,
            seed,
        });
    }
    Ok(hosts)
}

async fn serve_all(hosts: Vec<SupplierHost>, folder: &HostFolder) -> Result<(), Failure> {
    let stop = CancellationToken::new();
    let (count, mut ports) = (hosts.len(), BTreeMap::new());
    let mut written = Ok(());
    let listening = |name: &str, address: SocketAddr| {
        ports.insert(name.to_owned(), address.port());
        if ports.len() == count {
            let started = jiff::Timestamp::now().to_string();
            written = folder.write(&HostFile { pid: std::process::id(), ports: ports.clone(), started });
        }
        if written.is_err() {
            stop.cancel();
        }
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::system)?;
    let served = tokio::select! {
        served = serve(hosts, stop.clone(), listening) => served.map_err(Failure::system),
        _ = terminate.recv() => Ok(()),
        () = unused(folder) => Ok(()),
    };
    written.map_err(Failure::system).and(served)
}

/// Waits until no switch has used the suppliers for `UNUSED_MAX`.
async fn unused(folder: &HostFolder) {
    let mut used_at = Instant::now();
    while used_at.elapsed() < UNUSED_MAX {
        tokio::time::sleep(LOOK_INTERVAL).await;
        // The lock is there for the taking only when nobody uses the suppliers; it is given back at once.
        if folder.use_lock().is_ok_and(|lock| lock.try_lock().is_err()) {
            used_at = Instant::now();
        }
    }
}
