//! A conduit's side of the door where the switch dials: connections to a retail network's host, kept open.
//!
//! Owns: when such a connection is dialled, and what the log says of it. Invariants: as many connections as the settings say, never
//! more, each counted with those that were accepted; a lost one is dialled again after a wait that doubles, with jitter, and
//! starts anew once a message came or the connection has outlived the longest wait; the log has the first connection, and
//! trouble when it begins, when it changes and when it is over; nothing is dialled once the door closes.
//! Deliberately absent: limits on who connects (the switch chose whom to call), and what the connection says.

use super::DoorError;
use super::dial::{self, Dial, DialError, Dialled};
use super::directory::{Directory, Party};
use super::gateway::{Arrival, DoorCounters, count};
use crate::backoff::Backoff;
use crate::settings::{ClientTls, ConduitDial, ConduitSettings};
use crate::tls::LinkTls;
use actix::Recipient;
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What the files of TLS hold now.
fn read(files: Option<&(ClientTls, PathBuf)>, conduit: &str) -> Result<Option<LinkTls>, DoorError> {
    let tls = files.map(|(tls, data)| LinkTls::new(tls, data)).transpose();
    tls.map_err(|source| DoorError::Tls { conduit: conduit.to_owned(), source })
}

/// One conduit's dialling.
#[derive(Debug)]
pub(super) struct Caller {
    conduit: u16,
    name: String,
    /// What is dialled, as people write it.
    to: String,
    /// What the next dial takes; a reload puts another one here.
    dial: ArcSwap<Dial>,
    /// TLS towards the host, and the folder that relative paths are below.
    tls: Option<(ClientTls, PathBuf)>,
    connections: u32,
    reconnect_first_ms: u32,
    reconnect_max_ms: u32,
    directory: Arc<Directory>,
    pub(super) counters: Arc<DoorCounters>,
    /// What keeps it from being connected, as the log said last; empty: nothing was tried yet.
    trouble: Mutex<Option<String>>,
}

impl Caller {
    /// Reads what TLS needs; dials nothing. Relative paths of certificates are below `data`.
    pub(super) fn new(
        conduit: u16,
        settings: &ConduitSettings,
        way: &ConduitDial,
        data: &Path,
        directory: &Arc<Directory>,
    ) -> Result<Self, DoorError> {
        let files = way.to.tls.clone().map(|tls| (tls, data.to_path_buf()));
        let tls = read(files.as_ref(), &settings.name)?;
        Ok(Self {
            conduit,
            name: settings.name.clone(),
            to: way.to.to_string(),
            dial: ArcSwap::from_pointee(Dial {
                party: Party::Conduit(conduit),
                host: way.to.host.clone(),
                port: way.to.port,
                tls,
                connect_ms: way.connect_ms,
            }),
            tls: files,
            connections: settings.connections_max,
            reconnect_first_ms: way.reconnect_first_ms,
            reconnect_max_ms: way.reconnect_max_ms,
            directory: Arc::clone(directory),
            counters: Arc::default(),
            trouble: Mutex::new(Some(String::new())),
        })
    }

    /// Reads the files of TLS again. New dials use what they hold now, connections keep what they have.
    pub(super) fn reload(&self) -> Result<(), DoorError> {
        let tls = read(self.tls.as_ref(), &self.name)?;
        self.dial.store(Arc::new(Dial { tls, ..self.dial() }));
        Ok(())
    }

    /// What is dialled next.
    pub(super) fn dial(&self) -> Dial {
        Dial::clone(&self.dial.load())
    }

    /// Which conduit, by its index.
    pub(super) fn conduit(&self) -> u16 {
        self.conduit
    }

    /// Keeps every connection until `closing`; each goes to `conduit` when it is there. Returns at once.
    pub(super) fn serve(self: &Arc<Self>, conduit: &Recipient<Arrival>, closing: &CancellationToken) {
        for at in 0..self.connections {
            let (caller, conduit, closing) = (Arc::clone(self), conduit.clone(), closing.clone());
            tokio::spawn(async move {
                closing.run_until_cancelled(caller.keep(at, &conduit)).await;
            });
        }
    }

    /// Keeps one connection.
    async fn keep(&self, at: u32, conduit: &Recipient<Arrival>) {
        let seed = u64::from(std::process::id()) << 32 | u64::from(self.conduit) << 16 | u64::from(at + 1);
        let mut backoff = Backoff::new(self.reconnect_first_ms, self.reconnect_max_ms, seed);
        loop {
            count(&self.counters.dials);
            match dial::connect(self.dial(), &self.directory).await {
                Ok(dialled) => {
                    self.connected(&dialled);
                    self.outlive(dialled, conduit, &mut backoff).await;
                }
                Err(error) => self.failed(&error),
            }
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Hands a connection over, and waits for its end.
    async fn outlive(&self, dialled: Dialled, conduit: &Recipient<Arrival>, backoff: &mut Backoff) {
        let Dialled { io, peer, names, mut seat } = dialled;
        let since = Instant::now();
        let served = seat.watch();
        conduit.do_send(Arrival { io, peer, names, seat });
        let longest = Duration::from_millis(u64::from(self.reconnect_max_ms));
        if ended(served).await || since.elapsed() >= longest {
            backoff.reset();
        }
    }

    fn connected(&self, dialled: &Dialled) {
        let (conduit, to, peer) = (&self.name, &self.to, dialled.peer);
        let was = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take();
        if was.is_some() {
            info!(conduit, to, %peer, "the retail network's host is connected");
        }
    }

    /// A line for each trouble, not for each dial: a host may be away for days.
    fn failed(&self, error: &DialError) {
        count(&self.counters.dials_failed);
        if matches!(error, DialError::Full) {
            count(&self.counters.process_full);
        }
        let what = error.to_string();
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_ref() != Some(&what) {
            let (conduit, to) = (&self.name, &self.to);
            warn!(conduit, to, %error, "the retail network's host is not connected; it is dialled until it is");
            *trouble = Some(what);
        }
    }
}

/// Waits until the connection has ended; whether a message came on it.
async fn ended(mut served: watch::Receiver<bool>) -> bool {
    while served.changed().await.is_ok() {}
    *served.borrow()
}
