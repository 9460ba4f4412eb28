//! Where a supplier dials in: one listener for one link.
//!
//! Owns: the accept loop of such a link, and `Berth`, the link's end of it. Invariants: an address that is not allowed costs
//! no handshake; few handshakes run at a time, each with a deadline; a certificate without one of the names set is refused; at
//! most one finished connection waits for its link, and nobody is accepted once the link is gone.
//! Deliberately absent: which connection is the link (`link` decides), and messages.

use super::directory::{Directory, Party};
use super::gateway::{ACCEPT_BACKOFF_MS, Debounce};
use super::{Dialled, DoorError, DoorHandle, Errand};
use crate::io::{self, HandshakeError, Io};
use crate::settings::{AddressRange, ListenSettings, SupplierSettings};
use crate::tls::{self, ServerTls};
use rustls::{Connection, ServerConnection};
use socket2::Socket;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tracing::{info, warn};

/// Connections at a time that are in their handshake, for one link: one that hangs holds no other up.
pub const BERTH_HANDSHAKES_MAX: usize = 4;

/// A link's end: the connections of a supplier that dials in.
#[derive(Debug)]
pub struct Berth {
    address: SocketAddr,
    takeover: Duration,
    /// What is told to the door when the link is polled first.
    opening: Option<(Socket, Arc<Quay>, mpsc::Sender<Dialled>)>,
    arrivals: mpsc::Receiver<Dialled>,
}

impl Berth {
    /// Binds, and gives the door's end too; nobody can connect before the first `poll_arrival`. Relative paths of certificates are below `data`.
    pub(super) fn new(
        supplier: &SupplierSettings,
        settings: &ListenSettings,
        data: &Path,
        directory: &Arc<Directory>,
        handshakes: &Arc<Semaphore>,
    ) -> Result<(Self, Arc<Quay>), DoorError> {
        let code = || supplier.code.clone();
        let listen = |source| DoorError::Berth { supplier: code(), address: settings.listen, source };
        let socket = super::bind(settings.listen).map_err(listen)?;
        let bound = socket.local_addr().map_err(listen)?.as_socket();
        let tls = settings.tls.clone().map(|tls| ServerTls::new(tls, data)).transpose();
        let tls = tls.map_err(|source| DoorError::BerthTls { supplier: code(), source })?;
        let quay = Quay {
            supplier: Arc::from(supplier.code.as_str()),
            allow: settings.allow.clone(),
            tls,
            names: settings.certificate_names.clone(),
            connect_ms: supplier.connect_ms,
            directory: Arc::clone(directory),
            handshakes: Arc::clone(handshakes),
            places: Arc::new(Semaphore::new(BERTH_HANDSHAKES_MAX)),
            log: Mutex::new(Debounce::default()),
        };
        let (arrived, arrivals) = mpsc::channel(1);
        let quay = Arc::new(quay);
        let berth = Self {
            address: bound.unwrap_or(settings.listen),
            takeover: Duration::from_millis(u64::from(settings.takeover_ms)),
            opening: Some((socket, Arc::clone(&quay), arrived)),
            arrivals,
        };
        Ok((berth, quay))
    }

    /// Where it listens; the port that the system chose where the settings say 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How long a connection must have been silent before another takes its place.
    pub fn takeover(&self) -> Duration {
        self.takeover
    }

    /// The next connection. Listens from the first call on.
    pub fn poll_arrival(&mut self, cx: &mut Context<'_>, door: &DoorHandle) -> Poll<Dialled> {
        if let Some((socket, quay, arrived)) = self.opening.take() {
            match socket.listen(super::BACKLOG) {
                Ok(()) => door.tell(Errand::Berth(socket.into(), quay, arrived)),
                Err(error) => warn!(supplier = &*quay.supplier, %error, "the link cannot listen"),
            }
        }
        match self.arrivals.poll_recv(cx) {
            Poll::Ready(Some(dialled)) => Poll::Ready(dialled),
            // The door is closed for good; nobody comes any more.
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// The door's end.
#[derive(Debug)]
pub(super) struct Quay {
    supplier: Arc<str>,
    allow: Vec<AddressRange>,
    tls: Option<ServerTls>,
    names: Vec<String>,
    connect_ms: u32,
    directory: Arc<Directory>,
    /// Handshakes over all listeners.
    handshakes: Arc<Semaphore>,
    /// Those of this one.
    places: Arc<Semaphore>,
    log: Mutex<Debounce>,
}

impl Quay {
    /// Reads the files of TLS again. New handshakes use what they hold now, connections keep what they have.
    pub(super) fn reload(&self) -> Result<(), DoorError> {
        let wrong = |source| DoorError::BerthTls { supplier: self.supplier.to_string(), source };
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload().map_err(wrong))
    }

    /// Accepts until the link is gone.
    pub(super) async fn serve(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        arrived: mpsc::Sender<Dialled>,
    ) {
        let supplier = &*self.supplier;
        match TcpListener::from_std(listener) {
            Ok(listener) => tokio::select! {
                () = arrived.closed() => {}
                () = self.accept(&listener, &arrived) => {}
            },
            Err(error) => warn!(supplier, %error, "the link cannot listen"),
        }
    }

    async fn accept(self: &Arc<Self>, listener: &TcpListener, arrived: &mpsc::Sender<Dialled>) {
        loop {
            // Without a place the system keeps them waiting.
            let Ok(place) = Arc::clone(&self.places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((_, peer)) if !self.allows(peer) => self.turned_away(peer, "address not allowed"),
                Ok((stream, peer)) => {
                    let (quay, arrived) = (Arc::clone(self), arrived.clone());
                    tokio::spawn(async move {
                        let told = quay.welcome(stream, peer).await.and_then(|dialled| {
                            arrived.try_send(dialled).map_err(|_| "another connection waits".to_owned())
                        });
                        if let Err(why) = told {
                            quay.turned_away(peer, &why);
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    let supplier = &*self.supplier;
                    self.say(|hidden| warn!(supplier, %error, hidden, "no connection can be accepted; backing off"));
                    tokio::time::sleep(Duration::from_millis(ACCEPT_BACKOFF_MS)).await;
                }
            }
        }
    }

    fn allows(&self, peer: SocketAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|range| range.holds(peer.ip()))
    }

    /// The handshake, where there is one, and whose certificate it was.
    async fn welcome(&self, stream: TcpStream, peer: SocketAddr) -> Result<Dialled, String> {
        io::tune(&stream).map_err(|error| error.to_string())?;
        let io = match &self.tls {
            None => Io::plain(stream),
            Some(tls) => self.shake(stream, tls).await.map_err(|error| error.to_string())?,
        };
        let names = io.tls().map(tls::peer_names).unwrap_or_default();
        if !self.names.is_empty() && !self.names.iter().any(|name| names.contains(name)) {
            return Err(format!("its certificate is of {}", names.join(", ")));
        }
        let seat = self.directory.seat(None);
        seat.show(Party::Supplier(Arc::clone(&self.supplier)), peer, names.clone());
        Ok(Dialled { io: io.into_parts().map_err(|error| error.to_string())?, peer, names, seat })
    }

    async fn shake(&self, stream: TcpStream, tls: &ServerTls) -> Result<Io, HandshakeError> {
        let deadline = Instant::now() + Duration::from_millis(u64::from(self.connect_ms));
        let Ok(Ok(_place)) = tokio::time::timeout_at(deadline, self.handshakes.acquire()).await else {
            return Err(HandshakeError::Late);
        };
        let connection = ServerConnection::new(tls.config()).map_err(HandshakeError::Refused)?;
        io::handshake(stream, Connection::Server(connection), deadline).await
    }

    fn turned_away(&self, peer: SocketAddr, why: &str) {
        let supplier = &*self.supplier;
        self.say(|hidden| info!(supplier, %peer, hidden, why, "a supplier's connection turned away"));
    }

    fn say(&self, line: impl FnOnce(u64)) {
        let hidden = self.log.lock().unwrap_or_else(PoisonError::into_inner).due(Instant::now());
        if let Some(hidden) = hidden {
            line(hidden);
        }
    }
}
