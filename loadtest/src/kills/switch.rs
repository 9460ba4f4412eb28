//! The demonstration as a process: started on any free ports, killed, ended.
//!
//! Owns: `Switch`. Invariants: it is ready when it was started; one that is dropped is killed, and the suppliers that a killed
//! demonstration leaves are ended. Deliberately absent: what is sent to it.

use super::KillsError;
use crate::site::Site;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{self, Receiver};

/// Longest wait until it is ready, and until it has ended.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether it has ended.
const LOOK: Duration = Duration::from_millis(10);
/// Lines that wait to be read.
const LINES_MAX: usize = 64;
/// What the page that it prints says of addresses: conduits and pages.
const ADDRESSES: [&str; 4] = ["plain", "tls", "binbitmap", "pages"];

/// A running demonstration.
pub(super) struct Switch {
    child: Child,
    data: PathBuf,
    addresses: HashMap<String, SocketAddr>,
    /// How long it took until it was ready, as it says itself.
    pub(super) ready_s: f64,
    /// Ended in order, or killed so that another one finds its suppliers.
    left: bool,
}

impl Switch {
    /// Starts it, and waits until it is ready.
    pub(super) async fn start(program: &Path, data: &Path) -> Result<Self, KillsError> {
        let (mut switch, mut lines) = Self::spawn(program, data)?;
        let ready = tokio::time::timeout(PATIENCE, switch.read_page(&mut lines)).await;
        // What it prints later is read and dropped, so that it never waits for a reader.
        match ready {
            Ok(true) => Ok(switch),
            Ok(false) => Err(switch.failed("ended before it was ready")),
            Err(_) => Err(switch.failed("was not ready in time")),
        }
    }

    /// Starts it and kills it so much later; whether it was not ready yet.
    pub(super) async fn start_and_kill(
        program: &Path,
        data: &Path,
        after: Duration,
    ) -> Result<bool, KillsError> {
        let (mut switch, mut lines) = Self::spawn(program, data)?;
        let ready = tokio::time::timeout(after, switch.read_page(&mut lines)).await;
        switch.kill()?;
        match ready {
            Ok(false) => Err(switch.failed("ended before it was ready")),
            Ok(true) => Ok(false),
            Err(_) => Ok(true),
        }
    }

    fn spawn(program: &Path, data: &Path) -> Result<(Self, Receiver<String>), KillsError> {
        let mut command = Command::new(program);
        command.args(["demo", "--no-traffic", "--port-base", "0", "--color", "never", "--data"]).arg(data);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = spawned
            .map_err(|error| KillsError::Switch(format!("cannot start {}: {error}", program.display())))?;
        let lines = child.stdout.take().map(follow);
        let switch =
            Self { child, data: data.to_owned(), addresses: HashMap::new(), ready_s: 0.0, left: false };
        let lines = lines.ok_or_else(|| switch.failed("has no output"))?;
        Ok((switch, lines))
    }

    /// Reads where it listens; false when it ended before it said so.
    async fn read_page(&mut self, lines: &mut Receiver<String>) -> bool {
        while self.addresses.len() < ADDRESSES.len() {
            let Some(line) = lines.recv().await else { return false };
            if let Some(after) = line.strip_prefix("Switchyard is ready, after ") {
                self.ready_s = after.split(' ').next().and_then(|s| s.parse().ok()).unwrap_or(0.0);
            }
            let mut words = line.split_whitespace();
            if let (Some(name), Some(at)) = (words.next(), words.next())
                && ADDRESSES.contains(&name)
                && let Ok(address) = at.trim_start_matches("http://").parse()
            {
                self.addresses.insert(name.to_owned(), address);
            }
        }
        true
    }

    fn failed(&self, what: &str) -> KillsError {
        KillsError::Switch(format!("the switch {what}; {} says more", self.data.join("demo.log").display()))
    }

    /// Where a conduit is.
    pub(super) fn site(&self, conduit: &str) -> Site {
        Site { conduit: self.addresses[conduit], pages: self.addresses.get("pages").copied() }
    }

    /// Kills it at once. Its suppliers live on.
    pub(super) fn kill(&mut self) -> Result<(), KillsError> {
        self.left = true;
        let killed = self.child.kill().and_then(|()| self.child.wait());
        killed.map(drop).map_err(|error| KillsError::Switch(format!("the switch cannot be killed: {error}")))
    }

    /// Ends it in order, with its suppliers.
    pub(super) async fn end(mut self) -> Result<(), KillsError> {
        terminate(self.child.id());
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if let Ok(Some(status)) = self.child.try_wait() {
                self.left = status.success();
                return if self.left { Ok(()) } else { Err(self.failed("did not end in order")) };
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(self.failed("did not end in time"))
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if !self.left {
            // Whether it ended by itself or not: nobody starts it again.
            let _ = self.kill();
            self.end_suppliers();
        }
    }
}

impl Switch {
    /// Ends the suppliers that a killed demonstration has left, whose process it has written down.
    fn end_suppliers(&self) {
        let Ok(text) = std::fs::read_to_string(self.data.join("suppliers").join("host.json")) else { return };
        let host = serde_json::from_str::<serde_json::Value>(&text).ok();
        if let Some(pid) = host.and_then(|host| host["pid"].as_u64()).and_then(|pid| u32::try_from(pid).ok())
        {
            terminate(pid);
        }
    }
}

fn terminate(pid: u32) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// The lines of an output, as they come. It is read to its end, so that the program never waits.
fn follow(output: ChildStdout) -> Receiver<String> {
    let (tell, told) = mpsc::channel(LINES_MAX);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Once the page is read nobody listens any more.
            let _ = tell.try_send(line);
        }
    });
    told
}
