//! Processes that tests start: how they end.

use super::until;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::process::{Child, ExitStatus};

/// Sends SIGTERM.
pub fn terminate(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).expect("a process to end");
}

/// Sends SIGHUP.
pub fn hang_up(child: &Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGHUP).expect("a process");
}

/// Waits until it ends by itself.
pub fn ended(child: &mut Child) -> ExitStatus {
    let mut status = None;
    until("the process ends", || {
        status = child.try_wait().expect("its state");
        status.is_some()
    });
    status.expect("its end")
}

/// The processes behind a tracer.
pub fn traced(tracer: &Child) -> Vec<Pid> {
    let tracer = tracer.id();
    let children = std::fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children"));
    let children = children.unwrap_or_default();
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).map(Pid::from_raw).collect()
}

/// Kills it where it still runs. Behind a tracer the program is its child, and would live on.
pub fn put_down(child: &mut Child) {
    if let Ok(None) = child.try_wait() {
        for pid in traced(child) {
            let _ = kill(pid, Signal::SIGKILL);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}
