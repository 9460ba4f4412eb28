//! Suppliers of the demonstration behind real sockets, on a thread of the test: `telco-a` and `telco-b`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread::JoinHandle;
use switchyard::settings::Settings;
use switchyard::topology::{self, Running};
use switchyard_core::iso8583::Framing;
use switchyard_loadtest::supplier::{self, Mode, SupplierHost};
use tokio_util::sync::CancellationToken;

/// Suppliers that listen until they are dropped.
pub struct Hosts {
    names: Vec<String>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    data: PathBuf,
}

impl Hosts {
    /// Starts the suppliers of those names, and points their links in `settings` at them.
    pub fn start(settings: &mut Settings, names: &[&str]) -> Self {
        Self::start_with(settings, names, |host| host)
    }

    /// Starts them as `make` makes them.
    pub fn start_with(
        settings: &mut Settings,
        names: &[&str],
        make: impl Fn(SupplierHost) -> SupplierHost,
    ) -> Self {
        let hosts: Vec<_> = names.iter().map(|name| make(host(settings, name))).collect();
        let (listens, told) = mpsc::channel();
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let tell = |name: &str, address: SocketAddr| drop(listens.send((name.to_owned(), address)));
            runtime.block_on(supplier::serve(hosts, stopped, tell)).expect("suppliers that serve");
        });
        for _ in names {
            let (name, address) = told.recv_timeout(super::PATIENCE).expect("a supplier that listens");
            let supplier =
                settings.suppliers.iter_mut().find(|supplier| supplier.code == name).expect("a supplier");
            for link in &mut supplier.links {
                link.dial_at(&address.ip().to_string(), address.port());
            }
        }
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Self { names, stop, thread: Some(thread), data: settings.data.clone() }
    }

    /// Starts a switch, and waits until these suppliers are ready: without them its conduits open after a second, and sales get 91.
    pub fn start_switch(&self, settings: Settings) -> Running {
        let running = topology::start(settings).unwrap_or_else(|error| panic!("{error}"));
        super::until("the suppliers are ready", || {
            let rows = running.figures().suppliers;
            rows.iter().filter(|row| row.ready && self.names.contains(&row.code)).count() == self.names.len()
        });
        running
    }

    /// What a supplier did so far.
    pub fn record(&self, name: &str) -> Vec<Line> {
        read_record(&record_path(&self.data, name))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        self.stop.cancel();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || !matches!(ended, Some(Err(_))), "a supplier failed");
    }
}

fn host(settings: &Settings, name: &str) -> SupplierHost {
    let supplier = settings.suppliers.iter().find(|supplier| supplier.code == name).expect("a supplier");
    let dialect = supplier.adapter_settings["dialect"].as_str().expect("a dialect's name");
    SupplierHost {
        name: name.to_owned(),
        listen: "127.0.0.1:0".parse().expect("an address"),
        dialect: settings.dialect(dialect).expect("a configured dialect").clone(),
        framing: Framing::DEFAULT,
        record: Some(record_path(&settings.data, name)),
        mode: Mode::Scripted,
        refuses_83: name == "telco-a",
        latency_ms: 0,
        seed: name.bytes().map(u64::from).sum(),
    }
}

/// Where a supplier of a data folder writes its record.
pub fn record_path(data: &Path, name: &str) -> PathBuf {
    data.join("suppliers").join(format!("{name}.jsonl"))
}

/// A line of a record.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct Line {
    pub mti: String,
    pub stan: String,
    pub rrn: String,
    pub de7: String,
    pub account: String,
    pub amount: u64,
    pub action: String,
}

/// The whole lines of a record; none where there is no record yet.
pub fn read_record(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
    whole.lines().map(|line| serde_json::from_str(line).expect("a line of a record")).collect()
}
