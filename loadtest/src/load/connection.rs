//! One connection of a load.
//!
//! Owns: its socket, what waits to be written, and how many requests are open on it.
//! Invariants: what could not be written at once is written before anything else; a connection that ends
//! loses its open requests and is made again.
//! Deliberately absent: TLS.

use super::{Pace, Run};
use bytes::{Buf, BytesMut};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;

/// Room for what one read takes, in bytes.
const READ_BYTES: usize = 64 * 1_024;
/// How long a lost connection waits before it is made again.
const RECONNECT: Duration = Duration::from_millis(100);

/// One connection.
#[derive(Default)]
pub(super) struct Connection {
    writer: RefCell<Option<Rc<OwnedWriteHalf>>>,
    /// What waits to be written.
    pub(super) out: RefCell<Vec<u8>>,
    /// Requests open on it.
    pub(super) open: Cell<usize>,
    /// Something could not be written at once, or is to be asked.
    woken: Notify,
}

impl Connection {
    /// Whether requests may be asked on it.
    pub(super) fn is_up(&self) -> bool {
        self.writer.borrow().is_some()
    }

    /// Whether a request may be asked on it, where so many may be open.
    pub(super) fn has_room(&self, in_flight_max: usize) -> bool {
        self.is_up() && self.open.get() < in_flight_max
    }

    /// Writes what waits; what does not go now is left to the connection's task.
    pub(super) fn flush_or_wake(&self) {
        let writer = self.writer.borrow().clone();
        if let Some(writer) = writer
            && !matches!(self.flush(&writer), Ok(true))
        {
            self.woken.notify_one();
        }
    }

    /// Writes as much as goes; whether that was all.
    fn flush(&self, writer: &OwnedWriteHalf) -> io::Result<bool> {
        let mut out = self.out.borrow_mut();
        let mut written = 0;
        let result = loop {
            if written == out.len() {
                break Ok(true);
            }
            match writer.try_write(&out[written..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(false),
                Err(error) => break Err(error),
            }
        };
        out.drain(..written);
        result
    }
}

/// Asks what may be asked on every connection, so that what is to follow goes on where no answers come in.
pub(super) fn top_up_all(run: &Run) {
    let now_ns = run.begin_turn();
    for (at, connection) in run.connections.iter().enumerate().filter(|(_, connection)| connection.is_up()) {
        top_up(run, at, now_ns);
        connection.flush_or_wake();
    }
}

/// Connects to `target`.
pub(super) async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Serves connection `at`, and makes it again whenever it ends.
pub(super) async fn serve(run: Rc<Run>, at: usize, stream: TcpStream) {
    let connection = &run.connections[at];
    let mut stream = Some(stream);
    // The task ends with the load's set of tasks: until then what is asked again needs connections.
    loop {
        if let Some(stream) = stream.take() {
            let (reader, writer) = stream.into_split();
            let writer = Rc::new(writer);
            *connection.writer.borrow_mut() = Some(Rc::clone(&writer));
            // Whatever the reason: the requests that were open get no answer any more.
            let _ = converse(&run, at, reader, &writer).await;
            *connection.writer.borrow_mut() = None;
            connection.out.borrow_mut().clear();
            connection.open.set(0);
            run.disconnects.set(run.disconnects.get() + 1);
            run.engine.borrow_mut().lose(at as u32);
            run.end_turn();
        }
        tokio::time::sleep(RECONNECT).await;
        let to = run.site.borrow().conduit;
        stream = connect(to).await.ok();
    }
}

async fn converse(
    run: &Run,
    at: usize,
    mut reader: OwnedReadHalf,
    writer: &OwnedWriteHalf,
) -> io::Result<()> {
    let connection = &run.connections[at];
    let mut input = BytesMut::with_capacity(READ_BYTES);
    top_up(run, at, run.begin_turn());
    let mut all_written = connection.flush(writer)?;
    loop {
        input.reserve(READ_BYTES / 4);
        tokio::select! {
            read = reader.read_buf(&mut input) => {
                if read? == 0 {
                    return Ok(());
                }
                hear(run, at, &mut input)?;
            }
            ready = writer.writable(), if !all_written => ready?,
            () = connection.woken.notified(), if all_written => {}
        }
        all_written = connection.flush(writer)?;
    }
}

/// Reads the answers that arrived, and asks as many requests again in a closed loop.
fn hear(run: &Run, at: usize, input: &mut BytesMut) -> io::Result<()> {
    let connection = &run.connections[at];
    let now_ns = run.begin_turn();
    let heard = run.engine.borrow_mut().hear(at as u32, now_ns, input);
    let (used, answered) = heard.map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
    input.advance(used);
    connection.open.set(connection.open.get().saturating_sub(answered));
    top_up(run, at, now_ns);
    run.end_turn();
    Ok(())
}

/// Requests open on each connection while an open loop comes to its end.
const CLOSING_IN_FLIGHT: usize = 16;

/// Asks as many as may be open; in an open loop only at the end, when there are no moments any more.
fn top_up(run: &Run, at: usize, now_ns: u64) {
    let in_flight = match run.load.pace {
        Pace::Closed { in_flight } => in_flight,
        _ if run.ended.get() => CLOSING_IN_FLIGHT,
        _ => return,
    };
    while run.connections[at].open.get() < in_flight && run.ask(at, now_ns) {}
}
