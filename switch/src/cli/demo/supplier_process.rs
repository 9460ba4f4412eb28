//! The demonstration's supplier process, from the switch's side.
//!
//! Owns: finding it alive, starting it, and ending it. Invariants: a process is used again only while it holds its lock and its
//! ports answer; whoever runs the demonstration to its end ends it; a kill of the switch leaves it alone. Deliberately absent:
//! what it does (`cli::suppliers`).

use crate::cli::exit::Failure;
use crate::cli::suppliers::{HostFile, HostFolder};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
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

/// The process.
pub(super) struct SupplierProcess {
    host: HostFile,
    folder: HostFolder,
    /// Its handle, where this process started it.
    child: Option<Child>,
    /// Held so that the process knows that it is used.
    _in_use: File,
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
        if is_alive(&folder).map_err(fail)? {
            match folder.read().filter(answers) {
                Some(host) => return Ok(Self { host, folder, child: None, _in_use: in_use }),
                // Alive, and not to be reached: it is of no use to anyone.
                None => end_silent(&folder).map_err(fail)?,
            }
        }
        let child = spawn(data, &folder).map_err(fail)?;
        let (host, child) = wait_for_host(child, &folder)?;
        Ok(Self { host, folder, child: Some(child), _in_use: in_use })
    }

    /// Where each supplier listens.
    pub(super) fn ports(&self) -> &BTreeMap<String, u16> {
        &self.host.ports
    }

    /// The process.
    pub(super) fn pid(&self) -> u32 {
        self.host.pid
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
        let fail = |error: io::Error| {
            Failure::system(format!("the supplier process {} does not end: {error}", self.host.pid))
        };
        end(self.host.pid, &self.folder).map_err(fail)?;
        if let Some(child) = &mut self.child {
            child.wait().map_err(fail)?;
        }
        Ok(())
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

fn spawn(data: &Path, folder: &HostFolder) -> io::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(folder.log())?;
    Command::new(std::env::current_exe()?)
        .arg("suppliers")
        .arg("--data")
        .arg(data)
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
