//! Ctrl-C and SIGTERM.
//!
//! Owns: the thread that listens for them. Invariants: the first one asks for an end in order; a second one ends the process at
//! once, which is safe at any moment because undurable effects were never released. Deliberately absent: SIGHUP.

use super::exit::{Exit, Failure};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Tells when the process is asked to end.
pub struct Signals {
    asked: Receiver<()>,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system refuses the thread or the handlers.
    pub fn listen() -> Result<Self, Failure> {
        let (tell, asked) = mpsc::sync_channel(1);
        let fail = |error| Failure::system(format!("cannot listen for signals: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(fail)?;
        let (interrupt, terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(fail)?, signal(SignalKind::terminate()).map_err(fail)?)
        };
        let listen = move || {
            runtime.block_on(wait(interrupt, terminate, || {
                let _ = tell.try_send(());
            }));
        };
        std::thread::Builder::new().name("signals".into()).spawn(listen).map_err(fail)?;
        Ok(Self { asked })
    }

    /// Waits for the first signal, at most so long; whether it came.
    pub fn wait(&self, longest: Duration) -> bool {
        !matches!(self.asked.recv_timeout(longest), Err(RecvTimeoutError::Timeout))
    }
}

async fn wait(mut interrupt: Signal, mut terminate: Signal, first: impl FnOnce()) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    first();
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    eprintln!("switchyard: ended at once; every answer that was given stands, the next start recovers");
    std::process::exit(Exit::Aborted.code().into());
}
