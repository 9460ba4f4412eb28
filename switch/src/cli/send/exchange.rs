//! One question and its answer over a connection.
//!
//! Owns: connecting, plain or with TLS, and waiting for the answer. Invariants: every wait ends at the deadline; whether bytes of
//! the question left is always known, because it decides whether a retry is safe. Deliberately absent: what the messages say.

use crate::cli::exit::{Exit, Failure};
use crate::settings::ClientTls;
use crate::tls::LinkTls;
use rustls::{ClientConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::{Duration, Instant};
use switchyard_core::iso8583::Framing;

/// Longest answer that is read, in bytes.
const FRAME_BYTES_MAX: usize = u16::MAX as usize;
/// Room for what one read takes, in bytes.
const READ_BYTES: usize = 16 * 1_024;

/// How a TLS alert begins that a server sends before it speaks of anything else: the record's type, and the version's first byte (RFC 8446, 5.1 and 6).
const TLS_ALERT: [u8; 2] = [21, 3];

/// A connection to a conduit.
pub(super) struct Conversation {
    stream: Stream,
    target: String,
    deadline: Instant,
}

enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

/// An answer.
pub(super) struct Answer {
    /// The message.
    pub(super) message: Vec<u8>,
    /// From sending to having it.
    pub(super) elapsed: Duration,
    /// Messages that came before it and answer something else.
    pub(super) passed_over: usize,
}

impl Conversation {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there, or TLS fails. Nothing was sent.
    pub(super) fn connect(target: &str, tls: Option<&ClientTls>, timeout: Duration) -> Result<Self, Failure> {
        let deadline = Instant::now() + timeout;
        let socket = connect(target, timeout)?;
        let target = target.to_owned();
        let stream = match tls {
            None => Stream::Plain(socket),
            Some(tls) => Stream::Tls(Box::new(handshake(socket, tls, &target, deadline)?)),
        };
        Ok(Self { stream, target, deadline })
    }

    /// Sends a message, and waits for the answer that `is_answer` knows.
    ///
    /// # Errors
    /// No answer: the outcome is unknown, and a repeat tells it.
    pub(super) fn exchange(
        &mut self,
        framing: &Framing,
        message: &[u8],
        mut is_answer: impl FnMut(&[u8]) -> bool,
    ) -> Result<Answer, Failure> {
        let mut frame = Vec::with_capacity(message.len() + 64);
        let mark = framing.open(&[], &mut frame);
        frame.extend_from_slice(message);
        framing.close(mark, &mut frame).map_err(Failure::usage)?;
        let sent_at = Instant::now();
        self.limit().and_then(|()| self.stream.write(&frame)).map_err(|error| self.no_answer(&error))?;
        let mut input = Vec::new();
        let mut passed_over = 0;
        loop {
            while let Some(frame) =
                framing.next(&input, FRAME_BYTES_MAX).map_err(|error| self.not_understood(&error))?
            {
                let message = input[frame.body].to_vec();
                input.drain(..frame.total);
                if is_answer(&message) {
                    return Ok(Answer { message, elapsed: sent_at.elapsed(), passed_over });
                }
                passed_over += usize::from(!message.is_empty());
            }
            self.read(&mut input).map_err(|failure| self.unless_tls(failure, &input))?;
        }
    }

    fn read(&mut self, input: &mut Vec<u8>) -> Result<(), Failure> {
        let mut buffer = [0; READ_BYTES];
        match self.limit().and_then(|()| self.stream.read(&mut buffer)) {
            Ok(0) => Err(self.no_answer(&io::Error::from(io::ErrorKind::UnexpectedEof))),
            Ok(read) => {
                input.extend_from_slice(&buffer[..read]);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(self.no_answer(&error)),
        }
    }

    /// A port that speaks TLS answers what is none with an alert, and closes: then the message was read by nobody.
    fn unless_tls(&self, failure: Failure, input: &[u8]) -> Failure {
        match &self.stream {
            Stream::Plain(_) if input.starts_with(&TLS_ALERT) => {
                let what = format!(
                    "{} speaks TLS, and was sent a plain message: nothing was performed",
                    self.target
                );
                let help = "--tls, with --ca, --cert and --key; or a plain conduit (the demonstration's is port 8583)";
                Failure::new(Exit::Unreachable, what).help(help)
            }
            _ => failure,
        }
    }

    /// Lets the next read or write take no longer than the deadline allows.
    fn limit(&self) -> io::Result<()> {
        limit(self.stream.socket(), self.deadline)
    }

    fn no_answer(&self, error: &io::Error) -> Failure {
        let what = match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "did not answer in time".to_owned(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                "closed the connection without an answer".to_owned()
            }
            // With TLS 1.3 a refused client certificate shows only now.
            _ if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
                return self.refused(error);
            }
            _ => format!("did not answer: {error}"),
        };
        Failure::new(Exit::Unknown, format!("{} {what}: the outcome is unknown", self.target))
    }

    fn refused(&self, error: &io::Error) -> Failure {
        tls_refused(&self.target, error)
    }

    fn not_understood(&self, error: &dyn std::fmt::Display) -> Failure {
        Failure::new(Exit::Unknown, format!("{} answered in another framing: {error}", self.target))
            .help("see --framing and --header-bytes, and whether the port speaks TLS: --tls")
    }
}

fn limit(socket: &TcpStream, deadline: Instant) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    socket.set_read_timeout(Some(left))?;
    socket.set_write_timeout(Some(left))
}

fn connect(target: &str, timeout: Duration) -> Result<TcpStream, Failure> {
    let addresses: Vec<SocketAddr> = target
        .to_socket_addrs()
        .map_err(|error| {
            Failure::usage(format!("`{target}` is no address: {error}"))
                .help("give HOST:PORT, such as 127.0.0.1:8583")
        })?
        .collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(Failure::new(Exit::Unreachable, format!("cannot connect to {target}: {last}")).help(
        "is the switch running? `switchyard demo` starts one on 127.0.0.1:8583; --to names another address",
    ))
}

fn handshake(
    mut socket: TcpStream,
    tls: &ClientTls,
    target: &str,
    deadline: Instant,
) -> Result<StreamOwned<ClientConnection, TcpStream>, Failure> {
    let files = |error: &dyn std::fmt::Display| {
        Failure::usage(error)
            .help("the demonstration's are in DIR/tls: ca.pem, client-100001.pem, client-100001.key")
    };
    let link = LinkTls::new(tls, Path::new("")).map_err(|error| files(&error))?;
    let mut connection = ClientConnection::new(link.config, link.name).map_err(|error| files(&error))?;
    while connection.is_handshaking() {
        limit(&socket, deadline).map_err(|error| tls_refused(target, &error))?;
        connection.complete_io(&mut socket).map_err(|error| tls_refused(target, &error))?;
    }
    Ok(StreamOwned::new(connection, socket))
}

fn tls_refused(target: &str, error: &io::Error) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "no answer to the handshake in time".to_owned()
        }
        _ => error.to_string(),
    };
    let failure = Failure::new(Exit::Unreachable, format!("TLS with {target} failed: {what}"));
    failure.help("is it a TLS conduit (the demonstration's is port 8584; a plain one is asked without --tls), and are --ca, --cert and --key of its authority?")
}
