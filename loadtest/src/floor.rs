//! The floor: the least that anything between terminals and a supplier can do.
//!
//! Owns: a relay of one thread that gives every request a STAN of its own on the one link to a supplier, and every answer the STAN of its request back. It checks
//! nothing, remembers nothing, and reads no more of a message than the place of its STAN, in the dialect `prepaid87` behind a length of two bytes. What a machine
//! needs for that at the moment is the measure for what a switch needs on it.
//! Invariants: an answer goes to the connection that asked; as long as fewer than [`SLOTS`] requests are open, each is told from all others.
//! Deliberately absent: everything that a switch is there for. A message that it cannot follow ends its connection.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::LocalSet;

/// Requests that can be open at once.
pub const SLOTS: usize = 100_000;

const READ_BYTES: usize = 64 * 1024;
const LENGTH_BYTES: usize = 2;
const STAN_BYTES: usize = 6;
type Stan = [u8; STAN_BYTES];

/// Relays between who connects to `listener` and the supplier at `supplier`, until the link to the supplier ends. Its tasks are local: run it with `block_on` of a
/// current-thread runtime.
///
/// # Errors
/// It cannot accept, or reach the supplier, or the link ends.
pub async fn relay(listener: TcpListener, supplier: SocketAddr) -> io::Result<()> {
    let (answers, link) = connect(supplier).await?.into_split();
    let relay =
        Rc::new(Relay { link: Mutex::new(link), open: RefCell::new(Open::new()), outs: RefCell::default() });
    let accepting = {
        let relay = Rc::clone(&relay);
        async move {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let (requests, out) = stream.into_split();
                let connection = relay.welcome(out);
                let relay = Rc::clone(&relay);
                // A connection that ends or cannot be followed concerns nobody else.
                tokio::task::spawn_local(async move { relay.carry_requests(requests, connection).await });
            }
        }
    };
    let local = LocalSet::new();
    local
        .run_until(async {
            tokio::select! {
                ended = relay.carry_answers(answers) => ended,
                failed = accepting => failed,
            }
        })
        .await
}

async fn connect(supplier: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(supplier).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

struct Relay {
    link: Mutex<OwnedWriteHalf>,
    open: RefCell<Open>,
    /// By number of the connection: where its answers go, and those that wait to be written.
    outs: RefCell<Vec<Rc<Out>>>,
}

struct Out {
    stream: Mutex<OwnedWriteHalf>,
    waiting: RefCell<Vec<u8>>,
}

/// Who asked, and by which STAN, by the STAN that the supplier knows.
struct Open {
    asked: Vec<(u32, Stan)>,
    next: usize,
}

impl Open {
    fn new() -> Self {
        Self { asked: vec![(0, [0; STAN_BYTES]); SLOTS], next: 0 }
    }

    fn put(&mut self, connection: u32, stan: Stan) -> Stan {
        self.next = (self.next + 1) % SLOTS;
        self.asked[self.next] = (connection, stan);
        digits(self.next)
    }

    fn asked_by(&self, stan: &Stan) -> Option<(u32, Stan)> {
        let number = stan
            .iter()
            .try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + usize::from(digit - b'0')))?;
        self.asked.get(number).copied()
    }
}

fn digits(mut number: usize) -> Stan {
    let mut stan = [b'0'; STAN_BYTES];
    for digit in stan.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
    stan
}

impl Relay {
    fn welcome(&self, out: OwnedWriteHalf) -> u32 {
        let mut outs = self.outs.borrow_mut();
        outs.push(Rc::new(Out { stream: Mutex::new(out), waiting: RefCell::default() }));
        (outs.len() - 1) as u32
    }

    async fn carry_requests(&self, mut requests: OwnedReadHalf, connection: u32) -> io::Result<()> {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        loop {
            read(&mut requests, &mut input).await?;
            let whole = each_frame(&mut input, |frame| {
                let stan = stan_of(frame)?;
                *stan = self.open.borrow_mut().put(connection, *stan);
                Ok(())
            })?;
            self.link.lock().await.write_all(&input[..whole]).await?;
            input.advance(whole);
        }
    }

    async fn carry_answers(&self, mut answers: OwnedReadHalf) -> io::Result<()> {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        let mut touched = Vec::new();
        loop {
            read(&mut answers, &mut input).await?;
            let whole = each_frame(&mut input, |frame| {
                let stan = stan_of(frame)?;
                let Some((connection, asked)) = self.open.borrow().asked_by(stan) else { return Ok(()) };
                *stan = asked;
                let outs = self.outs.borrow();
                let Some(out) = outs.get(connection as usize) else { return Ok(()) };
                if out.waiting.borrow().is_empty() {
                    touched.push(Rc::clone(out));
                }
                out.waiting.borrow_mut().extend_from_slice(frame);
                Ok(())
            })?;
            input.advance(whole);
            for out in touched.drain(..) {
                out.flush().await;
            }
        }
    }
}

impl Out {
    async fn flush(&self) {
        let mut bytes = self.waiting.take();
        // Who is gone gets nothing.
        let _ = self.stream.lock().await.write_all(&bytes).await;
        bytes.clear();
        self.waiting.replace(bytes);
    }
}

async fn read(stream: &mut OwnedReadHalf, input: &mut BytesMut) -> io::Result<()> {
    input.reserve(READ_BYTES / 4);
    match stream.read_buf(input).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Does that with every whole frame, its length included, and gives how many bytes they are.
fn each_frame(input: &mut [u8], mut act: impl FnMut(&mut [u8]) -> io::Result<()>) -> io::Result<usize> {
    let mut from = 0;
    while let Some(length) = input[from..].first_chunk::<LENGTH_BYTES>() {
        let frame = from..from + LENGTH_BYTES + usize::from(u16::from_be_bytes(*length));
        let Some(bytes) = input.get_mut(frame.clone()) else { break };
        act(bytes)?;
        from = frame.end;
    }
    Ok(from)
}

/// Where the STAN (DE11) of a frame is: behind the MTI, the bitmaps, and those of DE2 to DE10 that the first bitmap has.
fn stan_of(frame: &mut [u8]) -> io::Result<&mut Stan> {
    const BITMAP: usize = LENGTH_BYTES + 4;
    const BITMAP_DIGITS: usize = 16;
    const FIXED_BYTES: [(u32, usize); 8] =
        [(3, 6), (4, 12), (5, 12), (6, 12), (7, 10), (8, 8), (9, 8), (10, 8)];
    let strange = || io::Error::from(io::ErrorKind::InvalidData);
    let digits =
        frame.get(BITMAP..BITMAP + BITMAP_DIGITS).and_then(|digits| std::str::from_utf8(digits).ok());
    let bitmap = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()).ok_or_else(strange)?;
    let has = |element: u32| bitmap >> (64 - element) & 1 == 1;
    let mut at = BITMAP + BITMAP_DIGITS + if has(1) { BITMAP_DIGITS } else { 0 };
    if has(2) {
        let length =
            frame.get(at..at + 2).and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<usize>().ok());
        at += 2 + length.ok_or_else(strange)?;
    }
    at += FIXED_BYTES.iter().filter(|(element, _)| has(*element)).map(|(_, bytes)| bytes).sum::<usize>();
    frame.get_mut(at..).and_then(<[u8]>::first_chunk_mut).filter(|_| has(11)).ok_or_else(strange)
}

#[cfg(test)]
mod tests;
