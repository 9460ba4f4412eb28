//! Scripted suppliers: ISO 8583 hosts behind real sockets, one process for several.
//!
//! Owns: listeners, connections, delayed answers and record files; `script` decides the answers.
//! Invariants: the lines of a turn are in the record file (one `write(2)`) before any answer of that turn
//! leaves (one `write(2)`); a supplier whose record cannot be written stops; answers that wait are bounded.
//! Deliberately absent: syncing the record. It survives the end of the process, not that of the machine.

mod script;

use bytes::{Buf, BytesMut};
use script::{Script, Turn};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use switchyard_adapters::record;
use switchyard_core::iso8583::{Dialect, Framing};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Largest message that a scripted supplier reads, in bytes.
const FRAME_BYTES_MAX: usize = 8_192;
/// Room for what one read takes, in bytes.
const READ_BYTES: usize = 64 * 1_024;
/// Most answers that wait for their time on one connection; requests beyond that are not answered.
const LATER_MAX: usize = 65_536;

/// How a scripted supplier answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// By the behaviours of the demonstration, with a memory and a record.
    #[default]
    Scripted,
    /// 00 at once, without memory and record: a supplier for measuring what stands before it.
    Instant,
}

/// One scripted supplier.
#[derive(Clone, Debug)]
pub struct SupplierHost {
    /// Its name, for messages.
    pub name: String,
    /// Where it listens; port 0: any that is free.
    pub listen: SocketAddr,
    /// What it speaks.
    pub dialect: Arc<Dialect>,
    /// How its messages are framed.
    pub framing: Framing,
    /// Where it writes what it did; it remembers by it when it starts again.
    pub record: Option<PathBuf>,
    /// How it answers.
    pub mode: Mode,
    /// Whether accounts that end in 83 are refused with 91.
    pub refuses_83: bool,
    /// How long every answer takes beyond what its behaviour says, in milliseconds.
    pub latency_ms: u32,
    /// The source of its PINs.
    pub seed: u64,
}

impl SupplierHost {
    /// One that answers 00 at once, without memory and record, in messages of the usual framing.
    pub fn instant(name: &str, listen: SocketAddr, dialect: Arc<Dialect>) -> Self {
        Self {
            name: name.to_owned(),
            listen,
            dialect,
            framing: Framing::DEFAULT,
            record: None,
            mode: Mode::Instant,
            refuses_83: false,
            latency_ms: 0,
            seed: 1,
        }
    }
}

/// Why a scripted supplier could not start or go on. Nothing that was answered is lost.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Its address cannot be listened on: choose another, or end what listens there.
    #[error("supplier {name} cannot listen on {listen}: {error}")]
    Listen {
        /// Which supplier.
        name: String,
        /// Where.
        listen: SocketAddr,
        /// Why.
        error: io::Error,
    },
    /// Its record cannot be read or written: see to the disk and the folder's permissions.
    #[error("supplier {name} cannot keep its record {}: {error}", path.display())]
    Record {
        /// Which supplier.
        name: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// Listens for all `hosts`, says so through `listening`, and serves them until `stop`. Its tasks are local: run
/// it with `block_on` of a current-thread runtime.
///
/// # Errors
/// The first supplier that cannot listen or keep its record; the others stop with it.
pub async fn serve(
    hosts: Vec<SupplierHost>,
    stop: CancellationToken,
    mut listening: impl FnMut(&str, SocketAddr),
) -> Result<(), HostError> {
    let mut bound = Vec::new();
    for host in hosts {
        let host = bind(host).await?;
        listening(&host.name, host.address);
        bound.push(host);
    }
    let local = LocalSet::new();
    let failed = Rc::new(RefCell::new(None));
    for host in bound {
        let (stop, failed) = (stop.clone(), Rc::clone(&failed));
        local.spawn_local(async move {
            if let Err(error) = host.serve(stop.clone()).await {
                failed.borrow_mut().get_or_insert(error);
                stop.cancel();
            }
        });
    }
    local.run_until(stop.cancelled()).await;
    let failure = failed.borrow_mut().take();
    failure.map_or(Ok(()), Err)
}

/// A supplier that listens and serves nobody yet.
struct Bound {
    name: String,
    address: SocketAddr,
    listener: TcpListener,
    record_path: PathBuf,
    host: Rc<RefCell<Host>>,
}

/// What the connections of a supplier share.
struct Host {
    script: Script,
    record: Option<File>,
    framing: Framing,
}

async fn bind(host: SupplierHost) -> Result<Bound, HostError> {
    let SupplierHost { name, listen, framing, record, .. } = host.clone();
    let cannot_listen = |error| HostError::Listen { name: name.clone(), listen, error };
    let listener = TcpListener::bind(listen).await.map_err(cannot_listen)?;
    let address = listener.local_addr().map_err(cannot_listen)?;
    let mut script = Script::new(&host);
    let record_path = record.unwrap_or_default();
    let record = if record_path.as_os_str().is_empty() {
        None
    } else {
        let opened = open_record(&record_path, &mut script);
        let cannot_keep = |error| HostError::Record { name: name.clone(), path: record_path.clone(), error };
        Some(opened.map_err(cannot_keep)?)
    };
    let host = Rc::new(RefCell::new(Host { script, record, framing }));
    Ok(Bound { name, address, listener, record_path, host })
}

/// Opens a record for appending; what it says is remembered, a part of a line at its end is cut off.
fn open_record(path: &Path, script: &mut Script) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let mut past = Vec::new();
    file.read_to_end(&mut past)?;
    let whole = record::whole_lines(&past);
    if whole < past.len() {
        file.set_len(whole as u64)?;
    }
    script.remember(&past[..whole]);
    Ok(file)
}

impl Bound {
    async fn serve(self, stop: CancellationToken) -> Result<(), HostError> {
        let (fail, mut failure) = tokio::sync::mpsc::channel(1);
        loop {
            let stream = tokio::select! {
                accepted = self.listener.accept() => accepted,
                Some(error) = failure.recv() => {
                    return Err(HostError::Record { name: self.name, path: self.record_path, error });
                }
                () = stop.cancelled() => return Ok(()),
            };
            let Ok((stream, _)) = stream else {
                // Out of file descriptors, most likely: wait for some to come back.
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let (host, fail) = (Rc::clone(&self.host), fail.clone());
            tokio::task::spawn_local(async move {
                if let Err(End::Record(error)) = converse(stream, &host).await {
                    let _ = fail.try_send(error);
                }
            });
        }
    }
}

/// How long accepting pauses after it failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why a connection ended.
enum End {
    /// The peer, the network or the script ended it.
    Link,
    /// The record could not be written.
    Record(io::Error),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Link
    }
}

/// Answers that wait for their time, in order of it.
#[derive(Default)]
struct Later {
    frames: BTreeMap<(Instant, u64), Vec<u8>>,
    number: u64,
}

impl Later {
    fn put(&mut self, at: Instant, frame: Vec<u8>) {
        if self.frames.len() < LATER_MAX {
            self.number += 1;
            self.frames.insert((at, self.number), frame);
        }
    }

    fn next(&self) -> Option<Instant> {
        self.frames.first_key_value().map(|((at, _), _)| *at)
    }

    fn take_due(&mut self, now: Instant, out: &mut Vec<u8>) {
        while let Some(entry) = self.frames.first_entry().filter(|entry| entry.key().0 <= now) {
            out.extend_from_slice(&entry.remove());
        }
    }
}

/// Reads, answers and writes, a turn at a time, until the link ends.
async fn converse(mut stream: TcpStream, host: &RefCell<Host>) -> Result<(), End> {
    stream.set_nodelay(true)?;
    let mut input = BytesMut::with_capacity(READ_BYTES);
    let mut turn = Turn::default();
    let mut later = Later::default();
    loop {
        match later.next() {
            None => read(&mut stream, &mut input).await?,
            Some(due) => tokio::select! {
                done = read(&mut stream, &mut input) => done?,
                () = tokio::time::sleep_until(due) => {}
            },
        }
        host.borrow_mut().take_turn(&mut input, &mut turn)?;
        let now = Instant::now();
        for (delay_ms, frame) in turn.later.drain(..) {
            later.put(now + Duration::from_millis(u64::from(delay_ms)), frame);
        }
        later.take_due(now, &mut turn.out);
        if !turn.out.is_empty() {
            stream.write_all(&turn.out).await?;
        }
        if turn.drop_link {
            return Err(End::Link);
        }
        turn.out.clear();
    }
}

async fn read(stream: &mut TcpStream, input: &mut BytesMut) -> Result<(), End> {
    input.reserve(READ_BYTES / 4);
    match stream.read_buf(input).await? {
        0 => Err(End::Link),
        _ => Ok(()),
    }
}

impl Host {
    /// Answers every whole frame of the input, then writes the record of all of them.
    fn take_turn(&mut self, input: &mut BytesMut, turn: &mut Turn) -> Result<(), End> {
        let wall_ms =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        while !turn.drop_link {
            let frame = match self.framing.next(input, FRAME_BYTES_MAX) {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => {
                    turn.drop_link = true;
                    break;
                }
            };
            self.script.hear(wall_ms, &input[frame.header], &input[frame.body], turn);
            input.advance(frame.total);
        }
        if let Some(file) = &mut self.record
            && !turn.records.is_empty()
        {
            file.write_all(&turn.records).map_err(End::Record)?;
        }
        turn.records.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
