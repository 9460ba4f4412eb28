//! A conduit's side of the door where it listens: accepting, counting, allowing, shaking hands.
//!
//! Owns: the accept loop of one conduit. Invariants: a connection is counted before its handshake; a handshake has an
//! absolute deadline, its wait for a place included; what is turned away is counted, and logged at most once in a while.
//! Deliberately absent: what the connection says.

use super::DoorError;
use super::directory::{Directory, Party, Refused, Seat};
use crate::io::{self, HandshakeError, Io, IoParts};
use crate::settings::{AddressRange, ConduitSettings};
use crate::tls::{self, ServerTls};
use actix::{Message, Recipient};
use rustls::{Connection, ServerConnection};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Wait after an accept that failed for want of descriptors or memory.
pub(super) const ACCEPT_BACKOFF_MS: u64 = 100;
/// Least time between two log lines of one kind.
const LOG_INTERVAL_MS: u64 = 1_000;

/// A finished connection on its way to its conduit.
#[derive(Debug)]
pub struct Arrival {
    /// The connection.
    pub io: IoParts,
    /// Who is there.
    pub peer: SocketAddr,
    /// The names on the other end's certificate.
    pub names: Vec<String>,
    /// Its place in the counts.
    pub seat: Seat,
}

impl Message for Arrival {
    type Result = ();
}

/// What happened at a conduit's door. Written by the door's thread alone, read by anybody.
#[derive(Debug, Default)]
pub struct DoorCounters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Turned away: an address that is not allowed.
    pub range_refused: AtomicU64,
    /// Turned away: the process has as many connections as its descriptors allow.
    pub process_full: AtomicU64,
    /// Turned away: the conduit is full.
    pub conduit_full: AtomicU64,
    /// Turned away: the address has its share.
    pub address_full: AtomicU64,
    /// Handshakes that failed: no TLS, or no acceptable certificate.
    pub handshakes_failed: AtomicU64,
    /// Handshakes that were not done in time.
    pub handshakes_late: AtomicU64,
    /// Accepts that the system refused.
    pub accept_errors: AtomicU64,
    /// Dials begun, where the conduit dials.
    pub dials: AtomicU64,
    /// Dials that failed.
    pub dials_failed: AtomicU64,
}

impl DoorCounters {
    /// Name and value of every counter.
    pub fn read(&self) -> [(&'static str, u64); 10] {
        [
            ("accepted", &self.accepted),
            ("range_refused", &self.range_refused),
            ("process_full", &self.process_full),
            ("conduit_full", &self.conduit_full),
            ("address_full", &self.address_full),
            ("handshakes_failed", &self.handshakes_failed),
            ("handshakes_late", &self.handshakes_late),
            ("accept_errors", &self.accept_errors),
            ("dials", &self.dials),
            ("dials_failed", &self.dials_failed),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// One conduit's side of the door.
#[derive(Debug)]
pub(super) struct Gateway {
    pub(super) conduit: u16,
    pub(super) name: String,
    pub(super) address: SocketAddr,
    allow: Vec<AddressRange>,
    handshake_ms: u32,
    pub(super) tls: Option<ServerTls>,
    directory: Arc<Directory>,
    handshakes: Arc<Semaphore>,
    pub(super) counters: Arc<DoorCounters>,
    arrivals: Mutex<Option<Recipient<Arrival>>>,
    log: Mutex<Debounce>,
}

impl Gateway {
    pub(super) fn new(
        conduit: u16,
        settings: &ConduitSettings,
        address: SocketAddr,
        data: &Path,
        directory: &Arc<Directory>,
        handshakes: &Arc<Semaphore>,
    ) -> Result<Self, DoorError> {
        let tls = settings.tls.clone().map(|tls| ServerTls::new(tls, data)).transpose();
        let tls = tls.map_err(|source| DoorError::Tls { conduit: settings.name.clone(), source })?;
        Ok(Self {
            conduit,
            name: settings.name.clone(),
            address,
            allow: settings.allow.clone(),
            handshake_ms: settings.handshake_ms,
            tls,
            directory: Arc::clone(directory),
            handshakes: Arc::clone(handshakes),
            counters: Arc::default(),
            arrivals: Mutex::new(None),
            log: Mutex::new(Debounce::default()),
        })
    }

    /// Where its connections go from now on.
    pub(super) fn lead_to(&self, conduit: Recipient<Arrival>) {
        *self.arrivals.lock().unwrap_or_else(PoisonError::into_inner) = Some(conduit);
    }

    /// Accepts until `closing`.
    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener, closing: CancellationToken) {
        closing.run_until_cancelled(self.accept(&listener, &closing)).await;
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener, closing: &CancellationToken) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer, closing),
                Err(error) if is_of_one_connection(&error) => count(&self.counters.accept_errors),
                Err(error) => {
                    count(&self.counters.accept_errors);
                    self.say(|hidden| {
                        let conduit = &self.name;
                        warn!(conduit, %error, hidden, "no connection can be accepted; backing off");
                    });
                    tokio::time::sleep(Duration::from_millis(ACCEPT_BACKOFF_MS)).await;
                }
            }
        }
    }

    /// Counts a connection in, or drops it.
    fn admit(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr, closing: &CancellationToken) {
        count(&self.counters.accepted);
        if !self.allow.is_empty() && !self.allow.iter().any(|range| range.holds(peer.ip())) {
            return self.turn_away(&self.counters.range_refused, peer, "address not allowed");
        }
        let seat = match self.directory.take(self.conduit, peer) {
            Ok(seat) => seat,
            Err(Refused::Process) => {
                return self.turn_away(&self.counters.process_full, peer, "process full");
            }
            Err(Refused::Conduit) => {
                return self.turn_away(&self.counters.conduit_full, peer, "conduit full");
            }
            Err(Refused::Address) => {
                return self.turn_away(&self.counters.address_full, peer, "address has its share");
            }
        };
        if io::tune(&stream).is_err() {
            return;
        }
        if self.tls.is_none() {
            return self.hand_over(Io::plain(stream), peer, seat);
        }
        let (gateway, closing) = (Arc::clone(self), closing.clone());
        tokio::spawn(async move {
            closing.run_until_cancelled(gateway.shake(stream, peer, seat)).await;
        });
    }

    /// The handshake, its wait for a place among the others included, within the time set.
    async fn shake(&self, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        let Some(tls) = &self.tls else { return };
        let deadline = Instant::now() + Duration::from_millis(u64::from(self.handshake_ms));
        let Ok(Ok(_place)) = tokio::time::timeout_at(deadline, self.handshakes.acquire()).await else {
            return self.turn_away(&self.counters.handshakes_late, peer, "too many handshakes");
        };
        let connection = match ServerConnection::new(tls.config()) {
            Ok(connection) => Connection::Server(connection),
            Err(error) => return self.failed(peer, &HandshakeError::Refused(error)),
        };
        match io::handshake(stream, connection, deadline).await {
            Ok(io) => self.hand_over(io, peer, seat),
            Err(error) => self.failed(peer, &error),
        }
    }

    fn hand_over(&self, io: Io, peer: SocketAddr, seat: Seat) {
        let names = io.tls().map(tls::peer_names).unwrap_or_default();
        let Ok(io) = io.into_parts() else { return };
        seat.show(Party::Conduit(self.conduit), peer, names.clone());
        let arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(conduit) = &*arrivals {
            conduit.do_send(Arrival { io, peer, names, seat });
        }
    }

    fn turn_away(&self, counter: &AtomicU64, peer: SocketAddr, why: &str) {
        count(counter);
        let conduit = &self.name;
        self.say(|hidden| info!(conduit, %peer, hidden, why, "connection turned away"));
    }

    fn failed(&self, peer: SocketAddr, error: &HandshakeError) {
        count(match error {
            HandshakeError::Late => &self.counters.handshakes_late,
            _ => &self.counters.handshakes_failed,
        });
        let conduit = &self.name;
        self.say(|hidden| info!(conduit, %peer, %error, hidden, "TLS handshake failed"));
    }

    /// Logs, unless it did so a moment ago; `hidden` says how many lines were left out since.
    fn say(&self, line: impl FnOnce(u64)) {
        let hidden = self.log.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now());
        if let Some(hidden) = hidden {
            line(hidden);
        }
    }
}

/// Whether a failed accept concerns only the connection that was to be accepted (accept(2), "Error handling").
fn is_of_one_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Lets one log line through an interval, and counts the others.
#[derive(Debug, Default)]
pub struct Debounce {
    last: Option<Instant>,
    hidden: u64,
}

impl Debounce {
    /// Whether a line is due at `now`, and how many were left out since the last one.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        let interval = Duration::from_millis(LOG_INTERVAL_MS);
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < interval) {
            self.hidden += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.hidden))
    }
}
