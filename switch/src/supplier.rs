//! A supplier's actor: its session, adapter and links, on the yard.
//!
//! Owns: `switchyard_core::session::Session`, the links, the record file of a simulated supplier, and the supplier's ends of the rings.
//! Invariants: one write a link and turn; records are written before what they record leaves; a report leaves only when its ring has room, so none is lost.
//! Deliberately absent: matching, time-outs and repeats (the session's), the protocol (the adapter's), credits (the gate's).

mod tries;

pub use tries::{AskTries, TriesOf};

use crate::board::{Board, show};
use crate::clock::{Alarm, Clock};
use crate::link::{Link, LinkEvent};
use crate::ring::{Ring, Turn};
use actix::{Actor, AsyncContext, Context, Handler, Message};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};
use switchyard_core::adapter::{LinkNo, Order};
use switchyard_core::ids::{Now, SupplierId};
use switchyard_core::session::{Report, Session};
use tokio::time::Instant;

/// Most frames taken from a link, and most orders taken, in one turn: as many as the gate's.
const TURN_ITEMS_MAX: usize = 128;

/// Reports that may wait for the gate before the links are left alone: what a supplier sends beyond that waits in its own socket.
pub(crate) const REPORTS_KEPT_MAX: usize = 4_096;

/// The actor.
#[derive(Debug)]
pub struct SupplierActor {
    id: SupplierId,
    session: Session,
    links: Vec<Link>,
    record: Option<File>,
    orders: Arc<Ring<Box<Order>>>,
    reports: Arc<Ring<(SupplierId, Report)>>,
    board: Arc<Board>,
    row: usize,
    clock: Clock,
    alarm: Alarm,
    ready: bool,
    stopped: bool,
}

impl SupplierActor {
    /// The actor of `session`; `row` is its place on the board.
    #[expect(clippy::too_many_arguments, reason = "the parts of one actor, joined in the topology alone")]
    pub fn new(
        id: SupplierId,
        session: Session,
        links: Vec<Link>,
        record: Option<File>,
        orders: Arc<Ring<Box<Order>>>,
        reports: Arc<Ring<(SupplierId, Report)>>,
        board: Arc<Board>,
        row: usize,
        clock: Clock,
    ) -> Self {
        let alarm = Alarm::default();
        Self {
            id,
            session,
            links,
            record,
            orders,
            reports,
            board,
            row,
            clock,
            alarm,
            ready: false,
            stopped: false,
        }
    }

    fn turn(&mut self, _: &mut Context<Self>, cx: &mut TaskContext<'_>) {
        let now = self.clock.now();
        self.orders.register(cx.waker());
        let mut more = self.listen(now, cx);
        more |= self.take_orders(now);
        self.session.tick(now);
        self.carry_out();
        self.report();
        // The gate's ring was full: nothing else might wake this actor for what is left.
        more |= self.session.backlog() > 0;
        for link in &mut self.links {
            link.flush(cx);
        }
        self.show();
        let wake = self.session.wake_us().map(|at_us| self.clock.instant(at_us));
        self.alarm.arm(wake, Instant::now(), cx);
        if more {
            cx.waker().wake_by_ref();
        }
    }

    /// Hears what came on the links.
    fn listen(&mut self, now: Now, cx: &mut TaskContext<'_>) -> bool {
        let mut more = false;
        for at in 0..self.links.len() {
            if self.session.backlog() >= REPORTS_KEPT_MAX {
                return true;
            }
            let mut items = 0;
            while let Poll::Ready(event) = self.links[at].poll_event(cx) {
                let number = at as LinkNo;
                match event {
                    LinkEvent::Up => self.session.up(now, number),
                    LinkEvent::Frame => self.session.frame(now, number, self.links[at].frame()),
                    LinkEvent::Down { written_to, .. } => self.session.down(now, number, written_to),
                }
                items += 1;
                // What was said before the link went down must not be queued on the next connection.
                self.carry_out();
                if items == TURN_ITEMS_MAX {
                    more = true;
                    break;
                }
            }
        }
        more
    }

    fn take_orders(&mut self, now: Now) -> bool {
        for _ in 0..TURN_ITEMS_MAX {
            let Some(order) = self.orders.pop() else { return false };
            self.session.order(now, order);
        }
        !self.orders.is_empty()
    }

    /// Does what the adapter wants done: records first, then messages.
    fn carry_out(&mut self) {
        if self.session.out().is_empty() {
            return;
        }
        self.write_records();
        let sends = self.session.out().sends.len();
        for at in 0..sends {
            let out = self.session.out();
            let (link, range) = out.sends[at].clone();
            let Some(link) = self.links.get_mut(usize::from(link)) else { continue };
            match link.queue(&out.bytes[range]) {
                Ok(position) => self.session.queued(at, position),
                Err(_) => self.session.not_queued(at),
            }
        }
        for at in 0..self.session.out().close.len() {
            let link = self.session.out().close[at];
            if let Some(link) = self.links.get_mut(usize::from(link)) {
                link.close();
            }
        }
        self.session.sent();
    }

    fn write_records(&mut self) {
        let records = &self.session.out().records;
        if records.is_empty() {
            return;
        }
        if let Some(Err(error)) = self.record.as_mut().map(|file| file.write_all(records)) {
            tracing::error!(%error, supplier = %self.session.supplier().code, "the supplier's record cannot be written");
        }
    }

    fn report(&mut self) {
        let mut any = false;
        while self.reports.len() < self.reports.capacity() {
            let Some(report) = self.session.report() else { break };
            if let Report::Ready(ready) = &report {
                self.ready = *ready;
            }
            any = true;
            if self.reports.push((self.id, report)).is_err() {
                tracing::error!("the gate's ring of reports is full");
            }
        }
        if any {
            self.reports.wake();
        }
    }

    fn show(&self) {
        let Some((_, row)) = self.board.suppliers.get(self.row) else { return };
        let counters = self.session.counters;
        show(&row.asked, counters.asked);
        show(&row.answered, counters.answered);
        show(&row.timed_out, counters.timed_out);
        show(&row.cut, counters.cut);
        show(&row.not_sent, counters.not_sent);
        show(&row.reversals_sent, counters.reversals_sent);
        show(&row.status_asked, counters.status_asked);
        show(&row.undone, counters.undone);
        show(&row.late, counters.late);
        show(&row.duplicate, counters.duplicate);
        show(&row.contradictory, counters.contradictory);
        show(&row.unmatched, counters.unmatched);
        show(&row.unmatched_approved, counters.unmatched_approved);
        show(&row.garbage, counters.garbage);
        show(&row.unexpected, counters.unexpected);
        show(&row.open, self.session.open() as u64);
        show(&row.reversals_waiting, self.session.waiting() as u64);
        show(&row.links_up, self.links.iter().filter(|link| link.is_up()).count() as u64);
        show(&row.ready, u64::from(self.ready));
    }
}

impl Actor for SupplierActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.session.start(self.clock.now());
        ctx.spawn(Turn::new(Self::turn));
    }
}

/// Says goodbye on every link: no new sales, sign-off.
#[derive(Debug)]
pub struct Leave;

impl Message for Leave {
    type Result = ();
}

impl Handler<Leave> for SupplierActor {
    type Result = ();

    fn handle(&mut self, _: Leave, _: &mut Self::Context) {
        if !self.stopped {
            self.stopped = true;
            self.session.leave(self.clock.now());
            self.orders.wake();
        }
    }
}
