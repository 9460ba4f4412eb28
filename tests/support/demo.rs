//! The demonstration as a process of its own, on free ports: started, killed, started again.

use super::hosts::{Line, read_record, record_path};
use super::{Client, PATIENCE, child, tls, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_switchyard");

/// A running demonstration without traffic of its own. It ends when it is dropped, with its suppliers.
pub struct Demo {
    child: Child,
    addresses: HashMap<String, SocketAddr>,
    /// How long it took until it was ready, as it says itself.
    pub ready_s: f64,
    data: PathBuf,
    lines: Receiver<String>,
}

impl Demo {
    /// Starts it on a data folder, and waits until it is ready.
    pub fn start(data: &Path) -> Self {
        Self::start_as(Command::new(PROGRAM), data)
    }

    /// Starts it by a command that ends in the program: a tracer may stand before it.
    pub fn start_as(mut command: Command, data: &Path) -> Self {
        let demo = Self::try_start(&mut command, data);
        demo.unwrap_or_else(|| panic!("not ready: {:?}", std::fs::read_to_string(data.join("demo.log"))))
    }

    /// Starts one that may end before it is ready: then none.
    pub fn try_start(command: &mut Command, data: &Path) -> Option<Self> {
        command.args(["demo", "--no-traffic", "--port-base", "0", "--color", "never", "--data"]).arg(data);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the program");
        let lines = follow(child.stdout.take().expect("its output"));
        let mut demo = Self { child, addresses: HashMap::new(), ready_s: 0.0, data: data.to_owned(), lines };
        (demo.is_ready() && demo.has_suppliers()).then_some(demo)
    }

    /// Waits until every supplier is ready, for which conduits wait a second at the most; false when it ended before.
    fn has_suppliers(&mut self) -> bool {
        let url = format!("http://{}/metrics", self.address("pages"));
        let (child, mut lives) = (&mut self.child, true);
        until("the suppliers are ready", || {
            lives = matches!(child.try_wait(), Ok(None));
            let metrics = ureq::get(&url).call().and_then(|mut answer| answer.body_mut().read_to_string());
            let is_ready =
                |line: &str| !line.starts_with("switchyard_supplier_ready{") || line.ends_with(" 1");
            !lives || metrics.is_ok_and(|metrics| metrics.lines().all(is_ready))
        });
        lives
    }

    /// Waits until it has printed where it listens; false when it ended before.
    fn is_ready(&mut self) -> bool {
        while self.addresses.len() < 4 {
            let line = match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => line,
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("neither ready nor over"),
            };
            if let Some(after) = line.strip_prefix("Switchyard is ready, after ") {
                self.ready_s = after.split(' ').next().and_then(|s| s.parse().ok()).expect("seconds");
            }
            let mut words = line.split_whitespace();
            if let (Some(name @ ("plain" | "tls" | "binbitmap" | "pages")), Some(at)) =
                (words.next(), words.next())
            {
                let address = at.trim_start_matches("http://").parse().expect("an address");
                self.addresses.insert(name.to_owned(), address);
            }
        }
        true
    }

    pub fn address(&self, name: &str) -> SocketAddr {
        self.addresses[name]
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client of the conduit of that name.
    pub fn client(&self, conduit: &str) -> Client {
        match conduit {
            "tls" => tls::client(self.address("tls"), &self.data, "prepaid87"),
            "binbitmap" => Client::connect(self.address("binbitmap"), "prepaid87-binbitmap"),
            name => Client::connect(self.address(name), "prepaid87"),
        }
    }

    /// What a page answers.
    pub fn page(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.address("pages"));
        let mut answer = ureq::get(&url).call().unwrap_or_else(|error| panic!("{url}: {error}"));
        answer.body_mut().read_to_string().expect("text")
    }

    /// Everything that it printed since it was ready, and was not asked for yet.
    pub fn printed(&self) -> String {
        self.lines.try_iter().map(|line| line + "\n").collect()
    }

    /// Accounts with what is posted and what is reserved, minor units.
    pub fn positions(&self) -> Vec<(String, i64, i64)> {
        #[derive(serde::Deserialize)]
        struct Position {
            account: String,
            posted_minor: i64,
            reserved_minor: i64,
        }
        let positions: Vec<Position> = serde_json::from_str(&self.page("/api/positions")).expect("positions");
        positions.into_iter().map(|p| (p.account, p.posted_minor, p.reserved_minor)).collect()
    }

    /// What a supplier did so far.
    pub fn record(&self, name: &str) -> Vec<Line> {
        read_record(&record_path(&self.data, name))
    }

    /// Kills it at once. Its suppliers live on.
    pub fn kill(&mut self) {
        self.child.kill().expect("a process to kill");
        self.child.wait().expect("its end");
    }

    /// The process behind a tracer.
    fn traced(&self) -> Pid {
        *child::traced(&self.child).first().expect("a tracer's child")
    }

    /// Kills the process behind a tracer; the tracer ends with it.
    pub fn kill_traced(&mut self) {
        kill(self.traced(), Signal::SIGKILL).expect("a process to kill");
        self.wait();
    }

    /// Ends the process behind a tracer in order, with its suppliers.
    pub fn end_traced(mut self) {
        kill(self.traced(), Signal::SIGTERM).expect("a process to end");
        assert_eq!(self.wait(), Some(0));
    }

    /// Waits until it ends by itself; its exit code, none where a signal ended it.
    pub fn wait(&mut self) -> Option<i32> {
        child::ended(&mut self.child).code()
    }

    /// Ends it in order, with its suppliers.
    pub fn end(mut self) {
        child::terminate(&self.child);
        let status = child::ended(&mut self.child);
        assert!(status.success(), "{status:?}");
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        child::put_down(&mut self.child);
        // A demonstration that was killed leaves its suppliers, and says where they are.
        if std::thread::panicking() {
            end_suppliers(&self.data);
        }
    }
}

/// Ends the suppliers that a killed demonstration has left.
pub fn end_suppliers(data: &Path) {
    let Ok(text) = std::fs::read_to_string(data.join("suppliers").join("host.json")) else { return };
    let Ok(host) = serde_json::from_str::<serde_json::Value>(&text) else { return };
    if let Some(pid) = host["pid"].as_i64() {
        let _ = kill(Pid::from_raw(pid as i32), Signal::SIGTERM);
    }
}

/// The lines of an output, as they come; read to its end so that the program never waits.
fn follow(output: ChildStdout) -> Receiver<String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    told
}
