//! Bytes in and out of one connection, plain or TLS, by polling.
//!
//! Owns: `Io`, a socket with its finished TLS handshake; `OutBuffer`, what waits to be written; the handshake.
//! Invariants: one `poll_write` is one `write(2)` where the connection is plain; after a short read or write
//! no system call is wasted on learning that there is no more (the runtime clears the readiness itself);
//! `OutBuffer::written_to` never claims less than what the socket was handed, so that "never sent" is certain
//! (S-12); bytes that were written are wiped, for they may show a PIN (S-18);
//! what a record held is wiped in rustls' buffer as soon as it was taken.
//! Deliberately absent: framing, deadlines of a connection, and who is at the other end.

mod out;

pub(crate) use out::{OUT_SLACK_BYTES, ROOMS_BYTES};
pub use out::{OutBuffer, Rooms, WriteWatch, wipe};

use bytes::{BufMut, BytesMut};
use rustls::Connection;
use socket2::{SockRef, TcpKeepalive};
use std::future::{Future, poll_fn};
use std::io::{self, BufRead, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Silence after which the kernel probes whether the other end still lives.
const KEEPALIVE_S: u64 = 30;
/// Time between those probes.
const KEEPALIVE_INTERVAL_S: u64 = 10;
/// Bytes that the kernel could not deliver for so long end the connection (RFC 5482).
const USER_TIMEOUT_MS: u64 = 30_000;
/// Longest wait for the other end to take a TLS alert before the socket closes.
const ALERT_LINGER_MS: u64 = 500;

/// A connection between two threads: registered with no runtime.
#[derive(Debug)]
pub struct IoParts {
    stream: std::net::TcpStream,
    tls: Option<Box<Connection>>,
}

/// One connection: a socket, and TLS where it is spoken.
#[derive(Debug)]
pub struct Io {
    stream: TcpStream,
    tls: Option<Box<Connection>>,
    /// Whether close_notify was queued.
    said_goodbye: bool,
}

impl Io {
    /// A plain connection.
    pub fn plain(stream: TcpStream) -> Self {
        Self { stream, tls: None, said_goodbye: false }
    }

    /// Takes it off this thread's runtime.
    ///
    /// # Errors
    /// The system's, where the socket cannot be taken off; the connection is closed then.
    pub fn into_parts(self) -> io::Result<IoParts> {
        Ok(IoParts { stream: self.stream.into_std()?, tls: self.tls })
    }

    /// Puts it on this thread's runtime.
    ///
    /// # Errors
    /// The system's, where it cannot be watched; the connection is closed then.
    pub fn from_parts(parts: IoParts) -> io::Result<Self> {
        let stream = TcpStream::from_std(parts.stream)?;
        Ok(Self { stream, tls: parts.tls, said_goodbye: false })
    }

    /// A plain connection that belongs to no runtime yet.
    ///
    /// # Errors
    /// The system's, where the socket cannot be put on this thread's runtime.
    pub fn from_std(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self::plain(TcpStream::from_std(stream)?))
    }

    /// The other end's address.
    ///
    /// # Errors
    /// The system's, where the connection is gone.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }

    /// Its TLS, where it is spoken.
    pub fn tls(&self) -> Option<&Connection> {
        self.tls.as_deref()
    }

    /// Whether TLS has bytes of its own, or encrypted ones, that wait for the socket.
    pub fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Appends at most `max` bytes; 0 means that the other end is done. Poll until it is pending: after a
    /// short read that costs no system call.
    ///
    /// # Errors
    /// The system's, or `InvalidData` where what came is not TLS; the alert waits to be written.
    pub fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
        max: usize,
    ) -> Poll<io::Result<usize>> {
        let Self { stream, tls, .. } = self;
        match tls {
            None => poll_read_plain(stream, cx, into, max),
            Some(tls) => poll_read_tls(stream, tls, cx, into, max),
        }
    }

    /// Writes what waits. Ready when nothing waits any more.
    ///
    /// # Errors
    /// The system's; the connection is of no use then.
    pub fn poll_write(&mut self, cx: &mut Context<'_>, out: &mut OutBuffer) -> Poll<io::Result<()>> {
        let Self { stream, tls, .. } = self;
        match tls {
            None => poll_write_plain(stream, cx, out),
            Some(tls) => poll_write_tls(stream, tls, cx, out),
        }
    }

    /// Says goodbye (TLS close_notify) and closes the sending side. What waits in an `OutBuffer` is not
    /// written: write it first.
    ///
    /// # Errors
    /// The system's; the connection is gone then.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(tls) = &mut self.tls {
            if !self.said_goodbye {
                tls.send_close_notify();
                self.said_goodbye = true;
            }
            ready!(poll_flush_tls(&mut self.stream, tls, cx))?;
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Sets what every connection has: no delay, keep-alives, an end to undeliverable bytes.
///
/// # Errors
/// The system's, where the socket is gone.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(KEEPALIVE_S))
        .with_interval(Duration::from_secs(KEEPALIVE_INTERVAL_S));
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(Duration::from_millis(USER_TIMEOUT_MS)))
}

fn poll_read_plain(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
    max: usize,
) -> Poll<io::Result<usize>> {
    into.reserve(max);
    let mut limited = into.limit(max);
    let read = std::pin::pin!(stream.read_buf(&mut limited));
    read.poll(cx)
}

fn poll_write_plain(
    stream: &mut TcpStream,
    cx: &mut Context<'_>,
    out: &mut OutBuffer,
) -> Poll<io::Result<()>> {
    while !out.is_empty() {
        let count = ready!(Pin::new(&mut *stream).poll_write(cx, out.pending()))?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        out.advance(count);
    }
    Poll::Ready(Ok(()))
}

fn poll_read_tls(
    stream: &mut TcpStream,
    tls: &mut Connection,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
    max: usize,
) -> Poll<io::Result<usize>> {
    loop {
        match take_plaintext(tls, into, max) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
            Ok(count) => {
                // Whatever this says, nothing was read.
                let _ = tls.read_tls(&mut Wiper);
                return Poll::Ready(Ok(count));
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
        ready!(poll_records(stream, tls, cx))?;
    }
}

/// Moves plaintext that lies ready, at most `max` bytes; `WouldBlock` where none does.
fn take_plaintext(tls: &mut Connection, into: &mut BytesMut, max: usize) -> io::Result<usize> {
    let mut reader = tls.reader();
    let mut taken = 0;
    loop {
        let chunk = match reader.fill_buf() {
            Ok(chunk) => chunk,
            Err(_) if taken > 0 => return Ok(taken),
            Err(error) => return Err(error),
        };
        let count = chunk.len().min(max - taken);
        if count == 0 {
            return Ok(taken);
        }
        into.extend_from_slice(&chunk[..count]);
        reader.consume(count);
        taken += count;
    }
}

/// Reads and opens what the socket has, once.
fn poll_records(stream: &mut TcpStream, tls: &mut Connection, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    match tls.read_tls(&mut Polled { stream, cx }) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
        Err(error) => return Poll::Ready(Err(error)),
    }
    if let Err(error) = tls.process_new_packets() {
        // The alert tells the other end why; it goes out if the socket takes it now.
        let _ = poll_flush_tls(stream, tls, cx);
        return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
    }
    Poll::Ready(Ok(()))
}

fn poll_write_tls(
    stream: &mut TcpStream,
    tls: &mut Connection,
    cx: &mut Context<'_>,
    out: &mut OutBuffer,
) -> Poll<io::Result<()>> {
    loop {
        // Nothing is encrypted while earlier records wait: what is not encrypted was certainly not sent.
        ready!(poll_flush_tls(stream, tls, cx))?;
        if out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let count = tls.writer().write(out.pending())?;
        if count == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        out.advance(count);
    }
}

fn poll_flush_tls(
    stream: &mut TcpStream,
    tls: &mut Connection,
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while tls.wants_write() {
        match tls.write_tls(&mut Polled { stream, cx }) {
            Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The socket as rustls wants it: `WouldBlock` where polling is pending.
struct Polled<'a, 'b> {
    stream: &'a mut TcpStream,
    cx: &'a mut Context<'b>,
}

fn or_would_block<T>(polled: Poll<io::Result<T>>) -> io::Result<T> {
    match polled {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl Read for Polled<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = ReadBuf::new(buffer);
        or_would_block(Pin::new(&mut *self.stream).poll_read(self.cx, &mut read))?;
        Ok(read.filled().len())
    }
}

impl Write for Polled<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.stream).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.stream).poll_write_vectored(self.cx, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has nothing to read, and wipes the room where it should go: rustls opens records where they lie in its buffer, and leaves them
/// there until later ones cover them.
struct Wiper;

impl Read for Wiper {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        buffer.fill(0);
        Err(io::ErrorKind::WouldBlock.into())
    }
}

/// Why a handshake did not end well. The other end's fault; it may connect again.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// It took too long.
    #[error("the handshake was not done in time")]
    Late,
    /// The other end went away.
    #[error("the connection was lost in the handshake: {0}")]
    Lost(#[from] io::Error),
    /// What came was not TLS, or not acceptable; the other end was told by an alert.
    #[error("TLS was refused: {0}")]
    Refused(rustls::Error),
}

/// Does a TLS handshake, as either side, and answers the connection ready for use.
///
/// # Errors
/// [`HandshakeError`]; the socket is closed then, after the alert where there is one.
pub async fn handshake(
    mut stream: TcpStream,
    connection: Connection,
    deadline: Instant,
) -> Result<Io, HandshakeError> {
    let mut tls = Box::new(connection);
    let shaken = tokio::time::timeout_at(deadline, shake(&mut stream, &mut tls)).await;
    match shaken.unwrap_or(Err(HandshakeError::Late)) {
        Ok(()) => Ok(Io { stream, tls: Some(tls), said_goodbye: false }),
        Err(error) => {
            if matches!(error, HandshakeError::Refused(_)) {
                let linger = Duration::from_millis(ALERT_LINGER_MS);
                let _ = tokio::time::timeout(linger, send_alert(&mut stream, &mut tls)).await;
            }
            Err(error)
        }
    }
}

async fn shake(stream: &mut TcpStream, tls: &mut Connection) -> Result<(), HandshakeError> {
    loop {
        poll_fn(|cx| poll_flush_tls(stream, tls, cx)).await?;
        if !tls.is_handshaking() {
            return Ok(());
        }
        let count = poll_fn(|cx| match tls.read_tls(&mut Polled { stream, cx }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            other => Poll::Ready(other),
        })
        .await?;
        if count == 0 {
            return Err(HandshakeError::Lost(io::ErrorKind::UnexpectedEof.into()));
        }
        tls.process_new_packets().map_err(HandshakeError::Refused)?;
    }
}

/// Sends the alert that waits, then waits for the other end to close. A socket closed with unread bytes is
/// reset, and the alert would be lost with it.
async fn send_alert(stream: &mut TcpStream, tls: &mut Connection) -> io::Result<()> {
    poll_fn(|cx| poll_flush_tls(stream, tls, cx)).await?;
    poll_fn(|cx| Pin::new(&mut *stream).poll_shutdown(cx)).await?;
    let mut unread = [0; 1024];
    while stream.read(&mut unread).await? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::net::TcpListener;

    async fn pair() -> (Io, Io) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        tune(&accepted).unwrap();
        (Io::plain(dialled), Io::plain(accepted))
    }

    fn run(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
    }

    #[test]
    fn bytes_written_at_one_end_are_read_at_the_other() {
        run(async {
            let (mut here, there) = pair().await;
            let mut there = Io::from_parts(there.into_parts().unwrap()).unwrap();
            let mut out = OutBuffer::new();
            out.tail().extend_from_slice(b"one message");
            poll_fn(|cx| here.poll_write(cx, &mut out)).await.unwrap();
            assert_eq!((out.written_to(), out.queued_to()), (11, 11));
            let mut input = BytesMut::new();
            assert_eq!(poll_fn(|cx| there.poll_read(cx, &mut input, 3)).await.unwrap(), 3);
            assert_eq!(poll_fn(|cx| there.poll_read(cx, &mut input, 99)).await.unwrap(), 8);
            assert_eq!(&input[..], b"one message");
            poll_fn(|cx| here.poll_shutdown(cx)).await.unwrap();
            assert_eq!(poll_fn(|cx| there.poll_read(cx, &mut input, 99)).await.unwrap(), 0);
        });
    }

    #[test]
    fn what_the_socket_does_not_take_is_not_called_written() {
        run(async {
            let (mut here, _there) = pair().await;
            let mut out = OutBuffer::new();
            out.tail().resize(64 << 20, 7);
            let mut cx = Context::from_waker(Waker::noop());
            while poll_fn(|_| Poll::Ready(here.poll_write(&mut cx, &mut out))).await.is_ready() {}
            assert!(out.written_to() > 0 && out.written_to() < out.queued_to());
            assert_eq!(out.queued_to() - out.written_to(), out.len() as u64);
        });
    }
}
