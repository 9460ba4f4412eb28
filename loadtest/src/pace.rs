//! Waiting to the microsecond.
//!
//! Owns: `Timer`, a timer file descriptor in the runtime's poll.
//! Invariants: it never fires early.
//! Deliberately absent: what is done when it fires. (The runtime's own timers have a resolution of a
//! millisecond, which an open loop would show as latency.)

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use std::io;
use std::os::fd::AsFd;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

/// A timer.
pub(crate) struct Timer {
    timer: TimerFd,
    /// The same timer, to be awaited: like the end of a pipe it is polled, then read.
    fired: Receiver,
}

impl Timer {
    /// Must be called within a runtime.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?;
        let fired = Receiver::from_owned_fd_unchecked(timer.as_fd().try_clone_to_owned()?)?;
        Ok(Self { timer, fired })
    }

    /// Waits that long.
    pub(crate) async fn wait(&mut self, time: Duration) -> io::Result<()> {
        // A time of zero would disarm the timer instead of firing it.
        let time = TimeSpec::from_duration(time.max(Duration::from_nanos(1)));
        self.timer.set(Expiration::OneShot(time), TimerSetTimeFlags::empty())?;
        // Eight bytes come, the number of expirations. Room for more lets the runtime see that nothing is left.
        match self.fired.read(&mut [0; 16]).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[tokio::test]
    async fn it_never_fires_early() {
        let mut timer = Timer::new().unwrap_or_else(|error| panic!("{error}"));
        for us in [0, 50, 700] {
            let (start, time) = (Instant::now(), Duration::from_micros(us));
            timer.wait(time).await.unwrap_or_else(|error| panic!("{error}"));
            assert!(start.elapsed() >= time);
        }
    }
}
