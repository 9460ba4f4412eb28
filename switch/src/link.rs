//! A link: one configured connection of a supplier, dialled again whenever it is lost, or waited for where the supplier dials.
//!
//! Owns: the connection's states, its backoff, its frames in and out, and the positions that tell what was handed to the
//! socket. Invariants: positions count all bytes ever queued on the link and never go back, over reconnections too;
//! `LinkEvent::Down` says to where bytes were handed to the socket, so that "never sent" is certain (S-12); output and
//! input are bounded; a supplier that takes no bytes for `write_ms` loses its link; where the supplier dials in, one connection at a
//! time is the link, and another takes its place only when nothing was heard on it for a while.
//! Deliberately absent: a task (its supplier's actor polls it), the protocol (sign-on and echo are the adapter's), and
//! what a lost link means for what was asked on it (the session's).

use crate::backoff::Backoff;
use crate::clock::Alarm;
use crate::door::{Berth, Debounce, Dial, DialError, Dialled, Dialling, DoorHandle, Party, Seat};
use crate::io::{Io, OutBuffer, WriteWatch, wipe};
use crate::settings::{DialSettings, SupplierSettings};
use crate::tls::DialTls;
use bytes::{Buf, BytesMut};
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use switchyard_core::iso8583::{FrameError, Framing};
use tokio::time::Instant;
use tracing::info;

/// Most bytes that wait on a link. The window bounds them long before; more would be a bug.
pub const LINK_OUTPUT_BYTES_MAX: usize = 4 << 20;
/// Most bytes read at a time.
const READ_BYTES_MAX: usize = 64 * 1024;

/// What a link may take: what waits to be written, and what was read and is not yet a message. Room grows by doubling.
pub(crate) fn bytes_max(frame_bytes_max: usize) -> usize {
    2 * (LINK_OUTPUT_BYTES_MAX + READ_BYTES_MAX + frame_bytes_max)
}

/// What happened on a link.
#[derive(Debug)]
pub enum LinkEvent {
    /// It is connected; nothing was sent on it yet.
    Up,
    /// A message arrived: `Link::frame` has it until the next poll.
    Frame,
    /// It is gone. It is dialled again by itself.
    Down {
        /// Bytes before this position were, or may have been, handed to the socket; those from it on certainly not.
        written_to: u64,
        /// Why.
        reason: DownReason,
    },
}

/// Why a link went down.
#[derive(Debug, thiserror::Error)]
pub enum DownReason {
    /// The supplier closed it.
    #[error("the supplier closed the link")]
    Closed,
    /// The network's fault, or the supplier's.
    #[error("the link was lost: {0}")]
    Lost(std::io::Error),
    /// The supplier's framing is broken.
    #[error("the supplier broke the framing: {0}")]
    Frame(FrameError),
    /// The supplier takes no bytes.
    #[error("the supplier took no bytes in the time set")]
    Slow,
    /// Nothing was heard on it for a while, and the supplier dialled in again.
    #[error("a newer connection of the supplier took its place")]
    Replaced,
    /// `Link::close` was called.
    #[error("the switch closed the link")]
    Asked,
}

/// Why a message was not queued. Nothing of it was, so asking another supplier is safe (S-12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotQueued {
    /// The link is not up.
    #[error("the link is down")]
    Down,
    /// Too much waits already.
    #[error("the link's output is full")]
    Full,
    /// The framing cannot express its length.
    #[error("{0}")]
    Frame(FrameError),
}

/// What a link counts, for the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Dials begun.
    pub dials: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Times that it came up.
    pub ups: u64,
    /// Messages received.
    pub frames_in: u64,
    /// Messages queued.
    pub frames_out: u64,
    /// Keep-alives received (length zero).
    pub keep_alives: u64,
    /// Connections of a supplier that were refused because the link was up.
    pub refused: u64,
}

/// How a link comes to be.
#[derive(Debug)]
pub enum Way {
    /// The switch dials; with TLS or without.
    Dial(DialSettings, Option<Arc<DialTls>>),
    /// The supplier dials in here.
    Berth(Berth),
}

#[derive(Debug)]
enum Source {
    Dial(Dial, Option<Arc<DialTls>>),
    /// Where the supplier dials in, and the connection that takes the place of the one before.
    Berth(Berth, Option<Dialled>),
}

#[derive(Debug)]
enum State {
    /// Until the next dial, or until the supplier dials.
    Waiting(Instant),
    Dialling(Dialling),
    Up(Box<Connected>),
    /// `stop` was called.
    Stopped,
}

#[derive(Debug)]
struct Connected {
    io: Io,
    peer: SocketAddr,
    input: BytesMut,
    /// How far `input` is done with.
    at: usize,
    /// The body of the last frame.
    body: Range<usize>,
    watch: WriteWatch,
    /// When bytes arrived last; kept only where another connection may take its place.
    heard: Option<Instant>,
    /// Why it is no longer of use, once what had arrived is read.
    broken: Option<DownReason>,
    _seat: Seat,
}

/// A link. Poll it only from its supplier's actor.
#[derive(Debug)]
pub struct Link {
    supplier: Arc<str>,
    source: Source,
    framing: Framing,
    frame_bytes_max: usize,
    write_ms: u32,
    backoff: Backoff,
    door: DoorHandle,
    state: State,
    out: OutBuffer,
    alarm: Alarm,
    /// Who polls it, to be woken by `close`.
    waker: Option<Waker>,
    log: Debounce,
    counters: LinkCounters,
}

impl Link {
    /// A link that dials, or listens, as soon as it is polled. `seed` makes its jitter; give each link another.
    pub fn new(supplier: &SupplierSettings, way: Way, door: DoorHandle, seed: u64) -> Self {
        let code: Arc<str> = Arc::from(supplier.code.as_str());
        let source = match way {
            Way::Berth(berth) => Source::Berth(berth, None),
            Way::Dial(DialSettings { host, port, .. }, tls) => {
                let (party, connect_ms) = (Party::Supplier(Arc::clone(&code)), supplier.connect_ms);
                Source::Dial(Dial { party, host, port, tls: None, connect_ms }, tls)
            }
        };
        Self {
            supplier: code,
            source,
            framing: supplier.framing,
            frame_bytes_max: supplier.frame_bytes_max as usize,
            write_ms: supplier.write_ms,
            backoff: Backoff::new(supplier.reconnect_first_ms, supplier.reconnect_max_ms, seed),
            door,
            state: State::Waiting(Instant::now()),
            out: OutBuffer::new(),
            alarm: Alarm::default(),
            waker: None,
            log: Debounce::default(),
            counters: LinkCounters::default(),
        }
    }

    /// Whether it is connected.
    pub fn is_up(&self) -> bool {
        matches!(self.state, State::Up(_))
    }

    /// To where it is connected.
    pub fn peer(&self) -> Option<SocketAddr> {
        match &self.state {
            State::Up(up) => Some(up.peer),
            _ => None,
        }
    }

    /// What it counted.
    pub fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// The position after the last byte queued.
    pub fn queued_to(&self) -> u64 {
        self.out.queued_to()
    }

    /// The position after the last byte that was, or may have been, handed to the socket. Of use while the link is
    /// up; `LinkEvent::Down` has the last one.
    pub fn written_to(&self) -> u64 {
        self.out.written_to()
    }

    /// What happened next. Poll it until it is pending, at most so often a turn; `flush` after.
    pub fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        loop {
            match &mut self.state {
                State::Stopped => return Poll::Pending,
                State::Waiting(until) => match &mut self.source {
                    Source::Berth(berth, next) => {
                        let arrived = match next.take() {
                            Some(next) => next,
                            None => ready!(berth.poll_arrival(cx, &self.door)),
                        };
                        if let Some(event) = self.dialled(Ok(arrived)) {
                            return Poll::Ready(event);
                        }
                    }
                    Source::Dial(dial, tls) => {
                        let (until, now) = (*until, Instant::now());
                        if now < until {
                            self.alarm.arm(Some(until), now, cx);
                            return Poll::Pending;
                        }
                        self.counters.dials += 1;
                        let tls = tls.as_ref().map(|tls| tls.current());
                        let dial = Dial { tls, ..dial.clone() };
                        self.state = State::Dialling(self.door.dial(dial));
                    }
                },
                State::Dialling(dialling) => {
                    let answer = ready!(Pin::new(dialling).poll(cx)).unwrap_or(Err(DialError::Closed));
                    if let Some(event) = self.dialled(answer) {
                        return Poll::Ready(event);
                    }
                }
                State::Up(_) => {
                    self.hear_arrivals(cx);
                    return self.poll_connected(cx);
                }
            }
        }
    }

    /// The body of the frame that `LinkEvent::Frame` announced; empty at any other time.
    pub fn frame(&self) -> &[u8] {
        match &self.state {
            State::Up(up) => up.input.get(up.body.clone()).unwrap_or_default(),
            _ => &[],
        }
    }

    /// Queues a message, framed, and answers the position at which it begins. Nothing is sent before `flush`.
    ///
    /// # Errors
    /// [`NotQueued`]: nothing of it was queued.
    pub fn queue(&mut self, body: &[u8]) -> Result<u64, NotQueued> {
        if !self.is_up() {
            return Err(NotQueued::Down);
        }
        if self.out.len() + body.len() > LINK_OUTPUT_BYTES_MAX {
            return Err(NotQueued::Full);
        }
        let begin = self.out.queued_to();
        let out = self.out.tail();
        let mark = self.framing.open(&[], out);
        out.extend_from_slice(body);
        self.framing.close(mark, out).map_err(NotQueued::Frame)?;
        self.counters.frames_out += 1;
        Ok(begin)
    }

    /// Writes what is queued, once. A link that breaks over it says so at the next `poll_event`, which it wakes for.
    pub fn flush(&mut self, cx: &mut Context<'_>) {
        let State::Up(up) = &mut self.state else { return };
        if up.broken.is_some() || (self.out.is_empty() && !up.io.wants_write()) {
            return;
        }
        if let Poll::Ready(Err(error)) = up.io.poll_write(cx, &mut self.out) {
            up.broken = Some(DownReason::Lost(error));
            cx.waker().wake_by_ref();
            return;
        }
        let now = Instant::now();
        let due = up.watch.look(&up.io, &self.out, now);
        self.alarm.arm(due, now, cx);
    }

    /// Closes the link; `LinkEvent::Down` follows at the next `poll_event`, for which this wakes, then it is dialled again.
    pub fn close(&mut self) {
        if let State::Up(up) = &mut self.state {
            up.broken = Some(DownReason::Asked);
            if let Some(waker) = &self.waker {
                waker.wake_by_ref();
            }
        }
    }

    /// Closes it for good, for a supplier that is retired or a switch that ends. What waits is not written: flush first.
    pub fn stop(&mut self) {
        self.state = State::Stopped;
        self.out.discard();
    }

    fn dialled(&mut self, answer: Result<Dialled, DialError>) -> Option<LinkEvent> {
        let connected = answer.and_then(|dialled| {
            let io = Io::from_parts(dialled.io).map_err(DialError::Connect)?;
            Ok((io, dialled.peer, dialled.seat))
        });
        match connected {
            Ok((io, peer, seat)) => {
                info!(supplier = &*self.supplier, %peer, "link up");
                self.counters.ups += 1;
                self.state = State::Up(Box::new(Connected {
                    io,
                    peer,
                    input: BytesMut::new(),
                    at: 0,
                    body: 0..0,
                    watch: WriteWatch::new(self.write_ms),
                    heard: matches!(self.source, Source::Berth(..)).then(Instant::now),
                    broken: None,
                    _seat: seat,
                }));
                Some(LinkEvent::Up)
            }
            Err(error) => {
                self.counters.dials_failed += 1;
                let now = Instant::now();
                if let Some(hidden) = self.log.due(now) {
                    let to = self.source.to_string();
                    info!(supplier = &*self.supplier, to, %error, hidden, "link not connected");
                }
                self.state = State::Waiting(now + self.backoff.next());
                None
            }
        }
    }

    /// The supplier dials in again while the link is up: it is refused, or takes over from a connection that is silent.
    fn hear_arrivals(&mut self, cx: &mut Context<'_>) {
        let (State::Up(up), Source::Berth(berth, next)) = (&mut self.state, &mut self.source) else { return };
        while next.is_none()
            && let Poll::Ready(arrived) = berth.poll_arrival(cx, &self.door)
        {
            let now = Instant::now();
            if up.heard.is_none_or(|heard| now.saturating_duration_since(heard) >= berth.takeover()) {
                up.broken = Some(DownReason::Replaced);
                *next = Some(arrived);
                return;
            }
            self.counters.refused += 1;
            if let Some(hidden) = self.log.due(now) {
                let (supplier, peer) = (&*self.supplier, arrived.peer);
                info!(supplier, %peer, hidden, "a supplier's connection turned away: the link is up");
            }
        }
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<LinkEvent> {
        let State::Up(up) = &mut self.state else { return Poll::Pending };
        if matches!(up.broken, Some(DownReason::Asked)) {
            // What was said before is said, such as the answer to a sign-off; a link that takes nothing is not waited for.
            let _ = up.io.poll_write(cx, &mut self.out);
        }
        if !self.waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        let counters = &mut self.counters;
        let reason = match ready!(up.poll_frame(cx, &self.framing, self.frame_bytes_max, counters, &self.out))
        {
            Ok(()) => {
                self.backoff.reset();
                return Poll::Ready(LinkEvent::Frame);
            }
            Err(reason) => reason,
        };
        let written_to = self.out.written_to();
        self.out.discard();
        let now = Instant::now();
        if let Some(hidden) = self.log.due(now) {
            info!(supplier = &*self.supplier, peer = %up.peer, %reason, hidden, "link down");
        }
        self.state = State::Waiting(now + self.backoff.next());
        Poll::Ready(LinkEvent::Down { written_to, reason })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dial(dial, _) => write!(f, "{}:{}", dial.host, dial.port),
            Self::Berth(berth, _) => write!(f, "{}", berth.address()),
        }
    }
}

impl Connected {
    /// The next frame, into `body`. Pending also while the output is stuck and its time not over.
    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        framing: &Framing,
        frame_bytes_max: usize,
        counters: &mut LinkCounters,
        out: &OutBuffer,
    ) -> Poll<Result<(), DownReason>> {
        self.body = 0..0;
        if matches!(self.broken, Some(DownReason::Asked)) {
            return Poll::Ready(Err(DownReason::Asked));
        }
        loop {
            match framing.next(&self.input[self.at..], frame_bytes_max) {
                Err(error) => return Poll::Ready(Err(DownReason::Frame(error))),
                Ok(Some(frame)) => {
                    let begin = self.at;
                    self.at += frame.total;
                    if frame.body.is_empty() {
                        counters.keep_alives += 1;
                        continue;
                    }
                    counters.frames_in += 1;
                    self.body = begin + frame.body.start..begin + frame.body.end;
                    return Poll::Ready(Ok(()));
                }
                Ok(None) => ready!(self.poll_more(cx, out))?,
            }
        }
    }

    /// Reads on, after wiping what is done with: an answer may have carried a PIN.
    fn poll_more(&mut self, cx: &mut Context<'_>, out: &OutBuffer) -> Poll<Result<(), DownReason>> {
        wipe(&mut self.input[..self.at]);
        self.input.advance(self.at);
        self.at = 0;
        match self.io.poll_read(cx, &mut self.input, READ_BYTES_MAX) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(DownReason::Closed)),
            Poll::Ready(Ok(_)) => {
                self.heard = self.heard.map(|_| Instant::now());
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(DownReason::Lost(error))),
            Poll::Pending => match self.broken.take() {
                Some(reason) => Poll::Ready(Err(reason)),
                None if self.is_stuck(out) => Poll::Ready(Err(DownReason::Slow)),
                None => Poll::Pending,
            },
        }
    }

    fn is_stuck(&mut self, out: &OutBuffer) -> bool {
        if out.is_empty() && !self.io.wants_write() {
            return false;
        }
        let now = Instant::now();
        self.watch.look(&self.io, out, now).is_some_and(|due| now >= due)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        wipe(&mut self.input);
    }
}

#[cfg(test)]
mod tests;
