//! Dialling a supplier: the connection and the client's side of the handshake.
//!
//! Owns: what a dial asks for and what comes of it. Invariants: a dial ends within its `connect_ms`, look-up and TLS
//! included; a failed dial has sent no message, so a retry is safe. Deliberately absent: when to dial again (`link`).

use super::directory::{Directory, Party, Seat};
use crate::io::{self, HandshakeError, Io, IoParts};
use crate::tls::{self, LinkTls};
use rustls::{ClientConnection, Connection};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why a link was not dialled. A retry is safe: nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// It took too long.
    #[error("no connection within the time set")]
    Late,
    /// The network's or the supplier's fault.
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    /// The handshake failed.
    #[error("{0}")]
    Handshake(#[from] HandshakeError),
    /// TLS that cannot be used for this name.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// The switch is stopping, or the door has too much to do.
    #[error("the door takes no errands now")]
    Closed,
}

/// What a link asks for.
#[derive(Clone, Debug)]
pub struct Dial {
    /// The supplier's code, for the directory.
    pub supplier: Arc<str>,
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// TLS; `None`: plain TCP.
    pub tls: Option<LinkTls>,
    /// Longest wait, TLS included.
    pub connect_ms: u32,
}

/// A link that was dialled.
#[derive(Debug)]
pub struct Dialled {
    /// The connection.
    pub io: IoParts,
    /// To where.
    pub peer: SocketAddr,
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
    let (io, names) = match dial.tls {
        None => (Io::plain(stream), Vec::new()),
        Some(tls) => {
            let connection = Connection::Client(ClientConnection::new(tls.config, tls.name)?);
            let io = io::handshake(stream, connection, deadline).await?;
            let names = io.tls().map(tls::peer_names).unwrap_or_default();
            (io, names)
        }
    };
    let seat = directory.seat(None);
    seat.show(Party::Supplier(dial.supplier), peer, names);
    Ok(Dialled { io: io.into_parts().map_err(DialError::Connect)?, peer, seat })
}
