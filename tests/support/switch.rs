//! A switch as a process of its own, on the shipped configuration with changes: for tests that measure what it takes.

use super::{PATIENCE, child, settings, until};
use crate::support::hosts::Hosts;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use switchyard::config::SHIPPED;
use switchyard_core::index::ENTRY_MEMORY_BYTES;
use switchyard_loadtest::supplier::SupplierHost;

/// The networks can pay for everything.
pub const RICH: [(&str, &str, &str); 2] = [
    ("networks.toml", "opening = \"10_000_000.00\"", "opening = \"900_000_000_000.00\""),
    ("networks.toml", "\ncredit_line = \"500_000.00\"", "\ncredit_line = \"900_000_000_000.00\""),
];

/// The process, and the suppliers on a thread of the test. Both end when it is dropped.
pub struct Switch {
    child: Child,
    addresses: HashMap<String, SocketAddr>,
    hosts: Hosts,
}

impl Switch {
    /// Starts it in `folder`. A change names a file, a text in it, and what stands in its place.
    pub fn start(folder: &Path, changes: &[(&str, &str, &str)]) -> Self {
        Self::start_with(folder, changes, |host| host)
    }

    /// Starts it with suppliers that `make` makes others.
    pub fn start_with(
        folder: &Path,
        changes: &[(&str, &str, &str)],
        make: impl Fn(SupplierHost) -> SupplierHost,
    ) -> Self {
        let names = ["telco-a", "telco-b"];
        let mut known = settings(&folder.join("data"));
        let hosts = Hosts::start_with(&mut known, &names, make);
        let mut changes: Vec<_> =
            changes.iter().map(|(file, from, to)| (*file, (*from).to_owned(), (*to).to_owned())).collect();
        for (name, file, port) in
            [("telco-a", "suppliers/telco-a.toml", "9583"), ("telco-b", "suppliers/telco-b.toml", "9584")]
        {
            let supplier = known.suppliers.iter().find(|supplier| supplier.code == name).expect("a supplier");
            let listens: SocketAddr = supplier.links[0].to_string().parse().expect("an address");
            let listens = listens.port();
            changes.push((file, format!("port = {port}"), format!("port = {listens}")));
        }
        configure(folder, &changes);
        let (child, addresses) = run(Command::new(super::demo::PROGRAM), folder);
        let switch = Self { child, addresses, hosts };
        // Conduits open after a second without them, and sales get 91.
        let suppliers = known.suppliers.len() as u64;
        until("the suppliers are ready", || switch.metric("switchyard_supplier_ready") == suppliers);
        switch
    }

    pub fn address(&self, conduit: &str) -> SocketAddr {
        self.addresses[conduit]
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Memory that is its own, in bytes: neither code nor files.
    pub fn own_bytes(&self) -> u64 {
        self.status_bytes("RssAnon:")
    }

    /// All of it that lies in memory, in bytes, as the system tells those who run it.
    pub fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    fn status_bytes(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("its state");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("its memory");
        let kib: u64 = line.split_whitespace().next().and_then(|kib| kib.parse().ok()).expect("a number");
        kib * 1_024
    }

    /// What filters take of requests that lie in files, in bytes.
    pub fn filter_bytes(&self) -> u64 {
        let requests = self.metric("switchyard_gate_window_requests") as usize;
        let said = self.metric("switchyard_gate_window_bytes") as usize;
        said.saturating_sub(requests * ENTRY_MEMORY_BYTES) as u64
    }

    /// Memory of its own beside the duplicate window, which grows with what is sold up to a bound of its own: entries, and filters of what lies in files. In bytes.
    pub fn memory(&self) -> u64 {
        let held = self.metric("switchyard_gate_window_held_bytes");
        self.own_bytes().saturating_sub(held + self.filter_bytes())
    }

    /// A number of its metrics, summed over labels.
    pub fn metric(&self, name: &str) -> u64 {
        metric(self.addresses["pages"], name)
    }

    /// Ends it in order.
    pub fn end(mut self) {
        child::terminate(&self.child);
        let status = child::ended(&mut self.child);
        assert!(status.success(), "{status:?}");
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        child::put_down(&mut self.child);
    }
}

/// A number of the metrics at that address, summed over labels that are not named.
pub fn metric(pages: SocketAddr, name: &str) -> u64 {
    let url = format!("http://{pages}/metrics");
    let mut answer = ureq::get(&url).call().unwrap_or_else(|error| panic!("{url}: {error}"));
    let text = answer.body_mut().read_to_string().expect("text");
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let is_whole = rest.starts_with([' ', '{']);
        is_whole.then(|| line.rsplit(' ').next()?.parse::<f64>().ok())?
    });
    values.sum::<f64>() as u64
}

/// Writes the shipped configuration with its changes, each of which must apply; every port is chosen by the system.
pub fn configure(folder: &Path, changes: &[(&str, String, String)]) {
    for (name, text) in SHIPPED {
        let mut text = (*text).to_owned();
        if *name == "switchyard.toml" {
            text = text.replace("data = \"../data\"", "data = \"data\"");
            for port in ["8080", "8583", "8584", "8585"] {
                text =
                    text.replace(&format!("\nlisten = \"127.0.0.1:{port}\""), "\nlisten = \"127.0.0.1:0\"");
            }
        }
        for (_, from, to) in changes.iter().filter(|(file, _, _)| file == name) {
            assert!(text.contains(from.as_str()), "{name} has no `{from}`");
            text = text.replace(from.as_str(), to);
        }
        let path = folder.join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file written");
    }
}

/// Runs the program, with what `command` has before the subcommand, and waits until it says where it listens.
pub fn run(mut command: Command, folder: &Path) -> (Child, HashMap<String, SocketAddr>) {
    let log = fs::File::create(folder.join("switch.log")).expect("a log");
    let mut child = command
        .args(["run", "--color", "never", "--config"])
        .arg(folder.join("switchyard.toml"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("the program");
    let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| drop(tell.send(line))));
    let mut addresses = HashMap::new();
    while addresses.len() < 4 {
        let line = told.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            panic!("not ready: {}", fs::read_to_string(folder.join("switch.log")).unwrap_or_default())
        });
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            ["conduit", name, at] => addresses.insert(name.to_owned(), at.parse().expect("an address")),
            ["pages", at] => addresses
                .insert("pages".to_owned(), at.trim_start_matches("http://").parse().expect("an address")),
            _ => None,
        };
    }
    (child, addresses)
}
