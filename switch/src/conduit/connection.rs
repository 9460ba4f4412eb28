//! One connection of a conduit: one task, one turn a poll.
//!
//! Owns: the socket, its input, its deadlines, and how it ends. Invariants: a turn writes what is answered, reads while
//! there are credits and room, and wakes the gate once; deadlines are absolute (a byte now and then extends none of them);
//! a connection that ends in order answers what is open first; a slow reader stalls and loses only itself.
//! Deliberately absent: what a message means (`desk`), and framing (the core's).

use super::counters::Closed;
use super::desk::Desk;
use super::input::{FRAME_OVERHEAD_BYTES, Input, READ_BYTES_MAX};
use super::pressure;
use super::shared::{Credit, Outbox, Shared};
use crate::clock::Alarm;
use crate::door::Seat;
use crate::io::{Io, WriteWatch};
use bytes::BytesMut;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use switchyard_core::ids::Now;
use switchyard_core::ticket::Place;
use tokio::time::Instant;

/// Reads of one connection in a turn; then the others have theirs.
const READS_A_TURN_MAX: u32 = 4;
/// After our goodbye the client gets so long to close: a socket closed with unread bytes is reset, and answers under way
/// would be lost.
const LINGER_MS: u64 = 1_000;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It is read.
    Serving,
    /// No longer read: what is open is answered, then it ends.
    Answering(Closed),
    /// What is written goes out, then the goodbye.
    Leaving(Closed),
    /// Said goodbye; waiting for the client's.
    Lingering(Closed, Instant),
}

/// What a connection takes without its buffers: itself, and what its conduit and its task hold for it.
pub(crate) const CONNECTION_BYTES: usize = size_of::<Connection>() + size_of::<Outbox>() + 1_024;

/// A connection.
pub(super) struct Connection {
    shared: Rc<Shared>,
    outbox: Rc<Outbox>,
    io: Io,
    input: Input,
    desk: Desk,
    phase: Phase,
    watch: WriteWatch,
    alarm: Alarm,
    started: Instant,
    heard: bool,
    last_traffic: Instant,
    heard_at: Instant,
    /// Whether an echo was asked for since.
    echoed: bool,
    /// Whether a message came.
    served: bool,
    /// Since when part of a message waits for its rest.
    part_since: Option<Instant>,
    seat: Seat,
}

impl Connection {
    pub(super) fn new(
        shared: Rc<Shared>,
        outbox: Rc<Outbox>,
        place: Place,
        io: Io,
        names: Vec<String>,
        seat: Seat,
    ) -> Self {
        let now = Instant::now();
        Self {
            desk: Desk::new(Rc::clone(&shared), place, names),
            watch: WriteWatch::new(shared.settings.write_ms),
            shared,
            outbox,
            io,
            input: Input::default(),
            phase: Phase::Serving,
            alarm: Alarm::default(),
            started: now,
            heard: false,
            last_traffic: now,
            heard_at: now,
            echoed: false,
            served: false,
            part_since: None,
            seat,
        }
    }

    /// One turn; an error ends the connection at once.
    fn turn(&mut self, cx: &mut Context<'_>, instant: Instant) -> Result<(), Closed> {
        self.desk.begin_turn(instant);
        loop {
            self.desk.take_answers(&self.outbox, instant);
            self.write(cx, instant)?;
            // More answers may wait than the output had room for; if it is stuck, the socket wakes the task.
            if self.outbox.is_empty() || !self.desk.out.is_empty() {
                break;
            }
        }
        if self.phase == Phase::Serving {
            let now = self.shared.clock.at(instant);
            self.read(cx, now, instant)?;
            if self.echo_due().is_some_and(|due| instant >= due) {
                self.echoed = true;
                self.desk.echo(now, instant);
            }
            let was_full = !self.desk.has_room();
            // Only refusals and network management are written here; they are few.
            self.write(cx, instant)?;
            if (was_full && self.desk.has_room()) || self.desk.has_refused_enough() {
                cx.waker().wake_by_ref();
            }
        }
        self.desk.end_turn();
        Ok(())
    }

    fn write(&mut self, cx: &mut Context<'_>, instant: Instant) -> Result<(), Closed> {
        if self.desk.out.is_empty() && !self.io.wants_write() {
            return Ok(());
        }
        let before = self.desk.out.written_to();
        let result = self.io.poll_write(cx, &mut self.desk.out);
        if self.desk.out.written_to() > before {
            self.last_traffic = instant;
        }
        match result {
            Poll::Ready(Err(_)) => Err(Closed::Lost),
            _ => Ok(()),
        }
    }

    /// Reads and takes messages while there are credits. Its buffer is borrowed for as long.
    fn read(&mut self, cx: &mut Context<'_>, now: Now, instant: Instant) -> Result<(), Closed> {
        let shared = Rc::clone(&self.shared);
        self.input.begin(&mut shared.spares.borrow_mut());
        let result = self.read_messages(cx, now, instant);
        self.input.end(&mut shared.spares.borrow_mut());
        self.desk.wake_gate();
        match result {
            // The client may have closed only its sending side, and waits for its answers.
            Err(Closed::Client) => self.phase = Phase::Answering(Closed::Client),
            Err(why @ (Closed::Framing | Closed::Unreadable)) => self.phase = Phase::Leaving(why),
            other => return other,
        }
        Ok(())
    }

    fn read_messages(&mut self, cx: &mut Context<'_>, now: Now, instant: Instant) -> Result<(), Closed> {
        let mut reads = 0;
        loop {
            let took = self.take_messages(now, instant)?;
            if took && !self.served {
                self.served = true;
                self.seat.serve();
            }
            if !self.wants_more(cx) {
                self.part_since = None;
                return Ok(());
            }
            self.watch_part(took, instant);
            if reads == READS_A_TURN_MAX {
                cx.waker().wake_by_ref();
                return Ok(());
            }
            reads += 1;
            match self.io.poll_read(cx, self.input.tail(), READ_BYTES_MAX) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(0)) => return Err(Closed::Client),
                Poll::Ready(Ok(_)) => {
                    self.heard = true;
                    self.last_traffic = instant;
                    self.heard_at = instant;
                    self.echoed = false;
                }
                Poll::Ready(Err(_)) => return Err(Closed::Lost),
            }
        }
    }

    /// Takes the complete messages that there are credits for; answers whether it saw any. Sales without a credit stay
    /// where they are, and reversals behind them go first (S-19).
    fn take_messages(&mut self, now: Now, instant: Instant) -> Result<bool, Closed> {
        let shared = Rc::clone(&self.shared);
        let settings = &shared.settings;
        if self.desk.credit() == Credit::Any {
            self.input.rewind();
        }
        let mut took = false;
        loop {
            let next = self.input.next(&settings.framing, settings.frame_bytes_max as usize);
            let Some(frame) = next.map_err(|_| Closed::Framing)? else { return Ok(took) };
            let credit = self.desk.credit();
            if credit == Credit::None {
                return Ok(took);
            }
            took = true;
            if frame.body.is_empty() {
                shared.counters.keep_alives.add();
                self.input.take(&frame);
                continue;
            }
            // What is known to wait is not looked at again.
            if credit == Credit::Reserve && self.input.skip_known() {
                continue;
            }
            let (header, body) = self.input.parts(&frame);
            if credit == Credit::Reserve && !self.desk.may_overtake(body) {
                self.input.leave(&frame);
                continue;
            }
            let taken = self.desk.message(header, body, now, instant);
            self.input.take(&frame);
            taken?;
        }
    }

    /// Whether to read on. Without a credit the socket is left alone, and the client's own sending stalls.
    fn wants_more(&self, cx: &Context<'_>) -> bool {
        let room = READ_BYTES_MAX.max(self.shared.settings.frame_bytes_max as usize + FRAME_OVERHEAD_BYTES);
        let reads = self.desk.credit() != Credit::None && self.input.len() < room;
        if !reads || self.input.has_waiting() {
            self.desk.wait_for_tickets(cx.waker());
        }
        if !reads {
            self.shared.counters.stalled.add();
        }
        reads
    }

    fn watch_part(&mut self, took: bool, instant: Instant) {
        if !self.input.has_part() {
            self.part_since = None;
        } else if took || self.part_since.is_none() {
            self.part_since = Some(instant);
        }
    }

    /// When to ask whether the other end is still there: after a silence, once for each. Who came in has to speak first; a host that was dialled need not.
    fn echo_due(&self) -> Option<Instant> {
        let is_quiet = self.phase == Phase::Serving && self.desk.open() == 0 && self.desk.out.is_empty();
        let known = self.heard || self.shared.settings.dials().is_some();
        let asks = known && !self.echoed && is_quiet;
        after(self.heard_at, self.shared.settings.echo_ms).filter(|_| asks)
    }

    /// The moment at which to look again, or why time is up.
    fn next_deadline(&mut self, now: Instant) -> Result<Option<Instant>, Closed> {
        let settings = &self.shared.settings;
        let write = self.watch.look(&self.io, &self.desk.out, now);
        let serving = self.phase == Phase::Serving;
        let first = after(self.started, settings.first_byte_ms).filter(|_| serving && !self.heard);
        let part = self.part_since.and_then(|since| after(since, settings.frame_ms)).filter(|_| serving);
        let is_idle = serving && self.desk.open() == 0;
        let idle = after(self.last_traffic, settings.idle_ms).filter(|_| is_idle);
        let linger = match self.phase {
            Phase::Lingering(why, until) => Some((until, why)),
            _ => None,
        };
        let due = [
            write.map(|at| (at, Closed::SlowReader)),
            first.map(|at| (at, Closed::FirstByte)),
            part.map(|at| (at, Closed::FrameTime)),
            idle.map(|at| (at, Closed::Idle)),
            linger,
        ];
        match due.into_iter().flatten().min_by_key(|(at, _)| *at) {
            Some((at, why)) if now >= at => Err(why),
            earliest => {
                let looks = (serving && self.desk.is_restrained()).then(|| now + pressure::LOOK);
                Ok(earliest.map(|(at, _)| at).into_iter().chain(self.echo_due()).chain(looks).min())
            }
        }
    }

    /// Goes on with ending; ready when it has ended.
    fn poll_end(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<Closed> {
        loop {
            match self.phase {
                Phase::Serving => return Poll::Pending,
                Phase::Answering(why) => {
                    if self.desk.open() > 0 {
                        return Poll::Pending;
                    }
                    self.phase = Phase::Leaving(why);
                }
                Phase::Leaving(why) => {
                    if !self.desk.out.is_empty() {
                        return Poll::Pending;
                    }
                    let said = ready!(self.io.poll_shutdown(cx));
                    if said.is_err() || why == Closed::Client {
                        return Poll::Ready(why);
                    }
                    self.phase = Phase::Lingering(why, now + Duration::from_millis(LINGER_MS));
                }
                Phase::Lingering(why, _) => {
                    let mut unread = BytesMut::new();
                    match ready!(self.io.poll_read(cx, &mut unread, READ_BYTES_MAX)) {
                        Ok(count) if count > 0 => crate::io::wipe(&mut unread),
                        _ => return Poll::Ready(why),
                    }
                }
            }
        }
    }
}

/// `ms` after `since`; 0: never.
fn after(since: Instant, ms: u32) -> Option<Instant> {
    (ms > 0).then(|| since + Duration::from_millis(u64::from(ms)))
}

impl Future for Connection {
    type Output = Closed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Closed> {
        let this = &mut *self;
        let now = Instant::now();
        this.outbox.register(cx.waker());
        if this.outbox.stopped.get() {
            return Poll::Ready(Closed::Stopped);
        }
        if this.outbox.draining.get() && this.phase == Phase::Serving {
            this.phase = Phase::Answering(Closed::Drained);
        }
        if let Err(why) = this.turn(cx, now) {
            return Poll::Ready(why);
        }
        if let Poll::Ready(why) = this.poll_end(cx, now) {
            return Poll::Ready(why);
        }
        match this.next_deadline(now) {
            Ok(deadline) => {
                this.alarm.arm(deadline, now, cx);
                Poll::Pending
            }
            Err(why) => Poll::Ready(why),
        }
    }
}
