//! Dialling a supplier, or a retail network's host: the connection and the client's side of the handshake.
//!
//! Owns: what a dial asks for and what comes of it. Invariants: a dial ends within its `connect_ms`, look-up and TLS
//! included; the name is looked up each time; a failed dial has sent no message, so a retry is safe; what is dialled for a
//! conduit is counted before its handshake, and has the buffers of a conduit. Deliberately absent: when to dial again (`link`, `caller`).

use super::directory::{Directory, Party, Seat};
use super::{RECEIVE_BYTES, SEND_BYTES};
use crate::io::{self, HandshakeError, Io, IoParts};
use crate::tls::{self, LinkTls};
use rustls::{ClientConnection, Connection};
use socket2::SockRef;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why a link or connection was not dialled. A retry is safe: nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It took too long.
    #[error("no connection within the time set")]
    Late,
    /// The fault of the network between, or of the other end.
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    /// The handshake failed.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// TLS that cannot be used for this name.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The process has as many connections as its descriptors allow; dialling again helps once others end.
    #[error("the switch has as many connections as its file descriptors allow")]
    Full,
    /// The switch is stopping, or the door has too much to do.
    #[error("the door takes no errands now")]
    Closed,
}

/// What a link or a conduit asks for.
#[derive(Clone, Debug)]
pub struct Dial {
    /// Who is there, for the directory and its counts.
    pub party: Party,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS; `None`: plain TCP.
    pub tls: Option<LinkTls>,
    /// Longest wait, TLS included.
    pub connect_ms: u32,
}

/// What was dialled.
#[derive(Debug)]
pub struct Dialled {
    /// The connection.
    pub io: IoParts,
    /// To where.
    pub peer: SocketAddr,
    /// The names on the other end's certificate.
    pub names: Vec<String>,
    /// Its place in the directory; drop it with the connection.
    pub seat: Seat,
}

/// The answer to a dial.
pub type Dialling = oneshot::Receiver<Result<Dialled, DialError>>;

/// Dials, on this thread.
pub(super) async fn connect(dial: Dial, directory: &Arc<Directory>) -> Result<Dialled, DialError> {
    let deadline = Instant::now() + Duration::from_millis(u64::from(dial.connect_ms));
    let connecting = TcpStream::connect((dial.host.as_str(), dial.port));
    let stream = tokio::time::timeout_at(deadline, connecting).await.map_err(|_| DialError::Late)?;
    let stream = stream.map_err(DialError::Connect)?;
    io::tune(&stream).map_err(DialError::Connect)?;
    let peer = stream.peer_addr().map_err(DialError::Connect)?;
    let seat = match &dial.party {
        Party::Supplier(_) => directory.seat(None),
        Party::Conduit(conduit) => {
            bound_buffers(&stream).map_err(DialError::Connect)?;
            directory.take(*conduit, peer).map_err(|_| DialError::Full)?
        }
    };
    let (io, names) = match dial.tls {
        None => (Io::plain(stream), Vec::new()),
        Some(tls) => {
            let connection = Connection::Client(ClientConnection::new(tls.config, tls.name)?);
            let io = io::handshake(stream, connection, deadline).await?;
            let names = io.tls().map(tls::peer_names).unwrap_or_default();
            (io, names)
        }
    };
    seat.show(dial.party, peer, names.clone());
    Ok(Dialled { io: io.into_parts().map_err(DialError::Connect)?, peer, names, seat })
}

/// As of an accepted connection: the system holds no more of it than we count.
fn bound_buffers(stream: &TcpStream) -> std::io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    socket.set_send_buffer_size(SEND_BYTES)
}
