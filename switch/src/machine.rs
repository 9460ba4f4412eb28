//! What the machine gives this process: memory, file descriptors, processor time.
//!
//! Owns: the questions to the system, and the settings that the process makes for itself (descriptors up to the hard limit, what pages new memory comes in).
//! Invariants: nothing here fails: what cannot be learnt is none, what cannot be set stays. Deliberately absent: what is done with the answers (`limits`, `door`).

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Descriptors that connections of conduits never take: journal, stock, links, pages, the operators' socket, and what libraries open. So whatever comes in from
/// outside, the next segment can be opened and an operator be heard.
pub const DESCRIPTORS_KEPT: u64 = 384;

/// Raises the limit of file descriptors to the most that the system allows, and answers it.
pub fn descriptors() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return DESCRIPTORS_KEPT };
    if soft < hard && setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft }
}

/// Connections that all conduits together may have: what the descriptors leave, at least one.
pub fn connections_max() -> u32 {
    u32::try_from(descriptors().saturating_sub(DESCRIPTORS_KEPT)).unwrap_or(u32::MAX).max(1)
}

/// Memory that the process may use, in bytes: the machine's, or that of its control group where it is less; none where nobody says.
pub fn memory_bytes() -> Option<u64> {
    let number = |file: &str| fs::read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let groups = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = groups.into_iter().find_map(number);
    let whole = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
    [group, whole].into_iter().flatten().min()
}

fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1_024)
}

/// Asks the system for new memory in small pages, whatever lies in huge ones stays there: huge ones make everything that is touched once two mebibytes, and double what an idle switch takes.
pub fn use_small_pages() {
    // Where the system has no huge pages, there is nothing to turn off.
    let _ = nix::sys::prctl::set_thp_disable(true);
}

/// From now on memory may come in huge pages where the system has them: many requests lie all over it, and each page is looked up before it is reached.
pub fn allow_huge_pages() {
    // Small ones are only slower.
    let _ = nix::sys::prctl::set_thp_disable(false);
}

/// What the system has counted of a thread's time.
#[derive(Debug)]
pub struct ThreadTime(Option<File>);

impl ThreadTime {
    /// Of the thread that calls this.
    pub fn of_this_thread() -> Self {
        Self(File::open("/proc/thread-self/schedstat").ok())
    }

    /// How long the thread has worked, or waited for a processor that others had; zero where the system does not count that.
    pub fn wanted(&self) -> Duration {
        const LINE_BYTES: usize = 96;
        let mut line = [0; LINE_BYTES];
        let read = self.0.as_ref().and_then(|file| file.read_at(&mut line, 0).ok()).unwrap_or_default();
        wanted_time(&line[..read]).unwrap_or_default()
    }
}

/// Nanoseconds that it ran, nanoseconds that it waited to run, and how often.
fn wanted_time(schedstat: &[u8]) -> Option<Duration> {
    let mut numbers = std::str::from_utf8(schedstat).ok()?.split_whitespace().map(str::parse::<u64>);
    let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(Duration::from_nanos(ran.saturating_add(waited)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_that_a_thread_wanted_is_that_of_running_and_waiting() {
        assert_eq!(wanted_time(b"2000 500 7\n"), Some(Duration::from_nanos(2_500)));
        assert_eq!((wanted_time(b""), wanted_time(b"x 1 1")), (None, None));
        let own = ThreadTime::of_this_thread();
        let before = own.wanted();
        // Where it is counted, it grows with what is done.
        while own.0.is_some() && own.wanted() == before {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn memory_is_read_by_its_name() {
        assert_eq!(total_bytes("MemFree:  1 kB\nMemTotal:       2048 kB\n"), Some(2 << 20));
        assert_eq!(total_bytes("MemFree:  1 kB\n"), None);
    }

    #[test]
    fn the_machine_has_memory_and_descriptors() {
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(descriptors() > 0 && connections_max() > 0);
    }
}
