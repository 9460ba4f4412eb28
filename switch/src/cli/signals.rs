//! Ctrl-C and SIGTERM, and SIGHUP where it is wanted.
//!
//! Owns: the thread that listens for them. Invariants: the first Ctrl-C or SIGTERM asks for an end in order; a second one ends the process at
//! once, which is safe at any moment because undurable effects were never released; no request for an end is lost behind others. Deliberately absent: what is done then.

use super::exit::{Exit, Failure};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What the process is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To end in order.
    End,
    /// To read its certificates again.
    Renew,
}

/// What was asked for and not yet taken up.
#[derive(Debug, Default)]
struct Wishes {
    state: Mutex<Wished>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Wished {
    end: bool,
    renew: bool,
}

impl Wishes {
    fn ask(&self, asked: Asked) {
        let mut wished = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match asked {
            Asked::End => wished.end = true,
            Asked::Renew => wished.renew = true,
        }
        self.changed.notify_all();
    }

    /// Waits for something that is asked for, at most so long; the end goes first, and stays.
    fn wait(&self, longest: Duration) -> Option<Asked> {
        let wished = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = |wished: &mut Wished| !wished.end && !wished.renew;
        let waited = self.changed.wait_timeout_while(wished, longest, nothing);
        let mut wished = waited.unwrap_or_else(PoisonError::into_inner).0;
        if wished.end {
            return Some(Asked::End);
        }
        std::mem::take(&mut wished.renew).then_some(Asked::Renew)
    }
}

/// Tells what the process is asked for.
pub struct Signals {
    wishes: Arc<Wishes>,
}

impl Signals {
    /// Begins to listen for Ctrl-C and SIGTERM.
    ///
    /// # Errors
    /// The system refuses the thread or the handlers.
    pub fn listen() -> Result<Self, Failure> {
        Self::listen_for(None)
    }

    /// Begins to listen for SIGHUP too, which then no longer ends the process.
    ///
    /// # Errors
    /// The system refuses the thread or the handlers.
    pub fn listen_with_hangup() -> Result<Self, Failure> {
        Self::listen_for(Some(SignalKind::hangup()))
    }

    fn listen_for(hangup: Option<SignalKind>) -> Result<Self, Failure> {
        let fail = |error| Failure::system(format!("cannot listen for signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(fail)?;
        let (interrupt, terminate, hangup) = {
            let _inside = runtime.enter();
            let hangup = hangup.map(signal).transpose().map_err(fail)?;
            let interrupt = signal(SignalKind::interrupt()).map_err(fail)?;
            (interrupt, signal(SignalKind::terminate()).map_err(fail)?, hangup)
        };
        let wishes = Arc::new(Wishes::default());
        let told = Arc::clone(&wishes);
        let listen = move || runtime.block_on(wait(interrupt, terminate, hangup, &told));
        std::thread::Builder::new().name("signals".into()).spawn(listen).map_err(fail)?;
        Ok(Self { wishes })
    }

    /// Waits for a signal, at most so long: what is asked for.
    pub fn wait(&self, longest: Duration) -> Option<Asked> {
        self.wishes.wait(longest)
    }
}

async fn wait(mut interrupt: Signal, mut terminate: Signal, mut hangup: Option<Signal>, wishes: &Wishes) {
    let mut asked = 0;
    while asked < 2 {
        tokio::select! {
            _ = interrupt.recv() => asked += 1,
            _ = terminate.recv() => asked += 1,
            () = next(&mut hangup) => wishes.ask(Asked::Renew),
        }
        if asked == 1 {
            wishes.ask(Asked::End);
        }
    }
    eprintln!("switchyard: ended at once; every answer that was given stands, the next start recovers");
    std::process::exit(Exit::Aborted.code().into());
}

/// The next one, where it is listened for.
async fn next(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_not_lost_behind_other_wishes() {
        let wishes = Wishes::default();
        assert_eq!(wishes.wait(Duration::ZERO), None);
        for _ in 0..3 {
            wishes.ask(Asked::Renew);
        }
        assert_eq!(wishes.wait(Duration::MAX), Some(Asked::Renew));
        assert_eq!(wishes.wait(Duration::ZERO), None, "once, however often it was asked");
        wishes.ask(Asked::Renew);
        wishes.ask(Asked::End);
        assert_eq!(wishes.wait(Duration::MAX), Some(Asked::End));
        assert_eq!(wishes.wait(Duration::ZERO), Some(Asked::End), "it stays");
    }
}
