//! The demonstration's supplier process, from the switch's side.
//!
//! Owns: finding it alive, starting it, starting it again when it is gone, and ending it. Invariants: a process is used again only while it holds its lock and its
//! ports answer; one that takes the place of another listens where that did, for there the links dial; whoever runs the demonstration to its end ends it; a kill of
//! the switch leaves it alone. Deliberately absent: what it does (`cli::suppliers`).

use crate::backoff::Backoff;
use crate::cli::exit::Failure;
use crate::cli::suppliers::{HostFile, HostFolder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for the process to listen.
const START_WAIT: Duration = Duration::from_secs(15);
/// Longest wait for it to end after SIGTERM.
const END_WAIT: Duration = Duration::from_secs(5);
/// Longest wait for a connection to a port of a process that is found.
const CONNECT_WAIT: Duration = Duration::from_millis(500);
/// How often its state is looked at meanwhile.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);
/// How long after its end it is started again, and the longest wait when it ends again and again, milliseconds.
const AGAIN_MS: (u32, u32) = (500, 30_000);
/// One that has lived for so long has done well: the next wait is the first one again.
const LIVES_WELL: Duration = Duration::from_secs(60);

/// The process.
pub(super) struct SupplierProcess {
    host: HostFile,
    folder: HostFolder,
    /// Its handle, where this process started it.
    child: Option<Child>,
    data: PathBuf,
    stage: Stage,
    backoff: Backoff,
    /// Held so that the process knows that it is used.
    _in_use: File,
}

/// How it is with the process.
#[derive(Clone, Copy)]
enum Stage {
    /// It serves since then.
    Serves(Instant),
    /// It is gone, and is started again then.
    Gone(Instant),
    /// It was started again, and does not listen yet; it has time until then.
    Starts(Instant),
}

impl SupplierProcess {
    /// The process that serves this data folder; started where none is alive.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn find_or_start(data: &Path) -> Result<Self, Failure> {
        let fail = |error: io::Error| {
            Failure::system(format!("the suppliers of {} cannot be started: {error}", data.display()))
        };
        let folder = HostFolder::new(data).map_err(fail)?;
        let in_use = folder.use_lock().map_err(fail)?;
        in_use.lock_shared().map_err(fail)?;
        let mut found = None;
        if is_alive(&folder).map_err(fail)? {
            found = folder.read().filter(answers);
            if found.is_none() {
                // Alive, and not to be reached: it is of no use to anyone.
                end_silent(&folder).map_err(fail)?;
            }
        }
        let (host, child) = match found {
            Some(host) => (host, None),
            None => {
                let child = spawn(data, &folder, &BTreeMap::new()).map_err(fail)?;
                let (host, child) = wait_for_host(child, &folder)?;
                (host, Some(child))
            }
        };
        let backoff = Backoff::new(AGAIN_MS.0, AGAIN_MS.1, u64::from(host.pid));
        let stage = Stage::Serves(Instant::now());
        Ok(Self { host, folder, child, data: data.to_owned(), stage, backoff, _in_use: in_use })
    }

    /// Starts it again where it is gone. Waits for nothing; call it now and then. What there is to say about it.
    pub(super) fn tend(&mut self) -> Option<String> {
        let now = Instant::now();
        let stage = self.stage;
        match stage {
            Stage::Serves(since) if self.is_gone() => {
                if now.duration_since(since) >= LIVES_WELL {
                    self.backoff.reset();
                }
                Some(self.wait_after(now, "is gone"))
            }
            Stage::Gone(until) if now >= until => self.start_again(now),
            Stage::Starts(until) => self.look_at_start(now, until),
            Stage::Serves(_) | Stage::Gone(_) => None,
        }
    }

    fn is_gone(&mut self) -> bool {
        match &mut self.child {
            Some(child) => !matches!(child.try_wait(), Ok(None)),
            None => matches!(is_alive(&self.folder), Ok(false)),
        }
    }

    /// It is to be started again after a while.
    fn wait_after(&mut self, now: Instant, what: &str) -> String {
        let wait = self.backoff.next();
        self.stage = Stage::Gone(now + wait);
        format!(
            "the supplier process {} {what}; sales at its suppliers get 91 or 68 until it is started again, in {:.1} s; see {}",
            self.pid(),
            wait.as_secs_f64(),
            self.folder.log().display()
        )
    }

    fn start_again(&mut self, now: Instant) -> Option<String> {
        match spawn(&self.data, &self.folder, &self.host.ports) {
            Ok(child) => {
                self.child = Some(child);
                self.stage = Stage::Starts(now + START_WAIT);
                None
            }
            Err(error) => Some(self.wait_after(now, &format!("cannot be started: {error}"))),
        }
    }

    fn look_at_start(&mut self, now: Instant, until: Instant) -> Option<String> {
        let pid = self.pid();
        if let Some(host) = self.folder.read().filter(|host| host.pid == pid) {
            self.host = host;
            self.stage = Stage::Serves(now);
            return Some(format!("the supplier process was started again: process {pid}"));
        }
        if self.is_gone() {
            return Some(self.wait_after(now, "ended while it started"));
        }
        if now >= until {
            // It is ours, and not waited for yet, so that its number is not another's.
            let _ = self.child.as_mut().map(|child| child.kill().and_then(|()| child.wait()));
            return Some(self.wait_after(now, "did not listen in time"));
        }
        None
    }

    /// Where each supplier listens.
    pub(super) fn ports(&self) -> &BTreeMap<String, u16> {
        &self.host.ports
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(self.host.pid, Child::id)
    }

    /// Whether it was alive before.
    pub(super) fn was_found(&self) -> bool {
        self.child.is_none()
    }

    /// Ends it, and waits for that.
    ///
    /// # Errors
    /// It does not end.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        let pid = self.pid();
        let ended = match &mut self.child {
            Some(child) => end_child(child),
            None => end(pid, &self.folder),
        };
        ended.map_err(|error| Failure::system(format!("the supplier process {pid} does not end: {error}")))
    }
}

/// Whether a process holds the lock.
fn is_alive(folder: &HostFolder) -> io::Result<bool> {
    match folder.lock()?.try_lock() {
        Ok(()) => Ok(false),
        Err(std::fs::TryLockError::WouldBlock) => Ok(true),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Whether every one of its ports takes connections.
fn answers(host: &HostFile) -> bool {
    let answers = |port: &u16| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
        TcpStream::connect_timeout(&address, CONNECT_WAIT).is_ok()
    };
    !host.ports.is_empty() && host.ports.values().all(answers)
}

/// Starts it; its suppliers listen at `ports`, those without one at any that is free.
fn spawn(data: &Path, folder: &HostFolder, ports: &BTreeMap<String, u16>) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(folder.log())?;
    Command::new(std::env::current_exe()?)
        .arg("suppliers")
        .arg("--data")
        .arg(data)
        .args(ports.iter().map(|(name, port)| format!("--port={name}={port}")))
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Waits until the process has written where it listens.
fn wait_for_host(mut child: Child, folder: &HostFolder) -> Result<(HostFile, Child), Failure> {
    let deadline = Instant::now() + START_WAIT;
    let see = format!("see {}", folder.log().display());
    loop {
        if let Some(host) = folder.read().filter(|host| host.pid == child.id()) {
            return Ok((host, child));
        }
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::park_timeout(LOOK_INTERVAL),
            Ok(None) => {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(Failure::system("the supplier process does not listen in time").help(see));
            }
            Ok(Some(status)) => {
                return Err(Failure::system(format!("the supplier process ended: {status}")).help(see));
            }
            Err(error) => {
                return Err(Failure::system(format!("the supplier process is lost: {error}")).help(see));
            }
        }
    }
}

/// Ends a process that holds the lock and does not answer. One that is only just starting answers in a moment.
fn end_silent(folder: &HostFolder) -> io::Result<()> {
    let deadline = Instant::now() + END_WAIT;
    while is_alive(folder)? {
        if let Some(host) = folder.read() {
            return end(host.pid, folder);
        }
        if Instant::now() > deadline {
            return Err(io::Error::other("a supplier process holds its lock and does not say which it is"));
        }
        std::thread::park_timeout(LOOK_INTERVAL);
    }
    Ok(())
}

/// Asks a process of our own to end, and waits for that; then insists.
fn end_child(child: &mut Child) -> io::Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
    let deadline = Instant::now() + END_WAIT;
    while child.try_wait()?.is_none() {
        // Until it is waited for, its number cannot be another's. Again and again: one that only just starts may not listen for it yet.
        let _ = kill(pid, Signal::SIGTERM);
        if Instant::now() > deadline {
            child.kill()?;
            return child.wait().map(|_| ());
        }
        std::thread::park_timeout(LOOK_INTERVAL);
    }
    Ok(())
}

/// Asks the process that holds the lock to end, and waits until it has given the lock back; then insists.
fn end(pid: u32, folder: &HostFolder) -> io::Result<()> {
    let pid = Pid::from_raw(i32::try_from(pid).map_err(io::Error::other)?);
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        // The lock tells that the process lives, so that its number cannot be another's by now.
        if !is_alive(folder)? {
            return Ok(());
        }
        let _ = kill(pid, signal);
        let deadline = Instant::now() + END_WAIT;
        while is_alive(folder)? && Instant::now() < deadline {
            std::thread::park_timeout(LOOK_INTERVAL);
        }
    }
    if is_alive(folder)? { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
}
