//! What a process uses, as Linux tells it.
//!
//! Owns: `Usage`, read from `/proc`.
//! Invariants: CPU time is that of all threads, those that ended included; its resolution is a clock tick (10 ms).
//! Deliberately absent: other systems; there `Usage::of` answers an error.

use nix::unistd::{SysconfVar, sysconf};
use std::fs;
use std::io;

/// What a process has used until now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// CPU time, user and system, seconds.
    pub cpu_s: f64,
    /// Resident memory, KiB.
    pub rss_kib: u64,
    /// Largest resident memory so far, KiB.
    pub rss_max_kib: u64,
}

impl Usage {
    /// Reads the usage of process `pid`.
    ///
    /// # Errors
    /// There is no such process, or no `/proc`.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let ticks = ticks(&stat).ok_or_else(|| io::Error::other("the process's stat file cannot be read"))?;
        let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
        Ok(Self {
            cpu_s: ticks as f64 / per_second as f64,
            rss_kib: kib(&status, "VmRSS:"),
            rss_max_kib: kib(&status, "VmHWM:"),
        })
    }
}

/// User and system time, fields 14 and 15 of proc(5)'s stat. The second field is a name in parentheses that may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn kib(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_is_passed_over() {
        let stat = "7 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0 99 1000 20";
        assert_eq!(ticks(stat), Some(300));
        assert_eq!(ticks("7 (cut"), None);
    }

    #[test]
    fn memory_is_read_by_its_name() {
        let status = "Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n";
        assert_eq!((kib(status, "VmRSS:"), kib(status, "VmHWM:"), kib(status, "VmPeak:")), (1_024, 2_048, 0));
    }

    #[test]
    fn this_process_uses_memory() {
        let usage = Usage::of(std::process::id()).unwrap_or_else(|error| panic!("{error}"));
        assert!(usage.rss_kib > 0 && usage.rss_max_kib >= usage.rss_kib);
    }
}
