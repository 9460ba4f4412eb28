//! What the connections of a conduit share.
//!
//! Owns: the pool of tickets, the snapshot in use, the outbox of a connection.
//! Invariants: all of it lives on the conduit's thread, so cells suffice, and none is borrowed across a poll; an eighth of
//! every window is kept for reversals and network management (S-19); what a peak has left behind is given back.
//! Deliberately absent: what conduits share with each other (`budget`), and what belongs to one connection alone.

use super::budget::{OutputBudget, TicketBudget};
use super::counters::ConduitCounters;
use super::input::Spares;
use super::pressure::{LOOK, Pressure};
use crate::clock::Clock;
use crate::days::Days;
use crate::door::Debounce;
use crate::io::Rooms;
use crate::ring::Ring;
use crate::settings::ConduitSettings;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;
use switchyard_core::catalogue::{Catalogue, Network};
use switchyard_core::ids::{FlightNo, NetworkId, Now};
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::operate::Blocked;
use switchyard_core::seal::Keyring;
use switchyard_core::secret::Secret;
use switchyard_core::stamp;
use switchyard_core::state::Day;
use switchyard_core::text::Text;
use switchyard_core::ticket::Ticket;
use tokio::time::Instant;

/// The part of a window that is kept for 04xx and 08xx: one in so many (S-19).
const RESERVE: u32 = 8;
/// Free tickets that a conduit keeps: what comes back beyond them was a peak.
pub(crate) const TICKETS_KEPT: usize = 4_096;
/// Room of a ticket that is kept; the usual message needs a quarter of it.
pub(crate) const TICKET_BYTES_KEPT: usize = 4 * 1_024;
const DAY_MS: u64 = 86_400_000;

/// How much of `window` is kept for reversals and network management.
pub(crate) fn reserve_of(window: u32) -> u32 {
    (window / RESERVE).max(1)
}

/// The rings to the gate.
#[derive(Clone, Debug)]
pub struct GateRings {
    /// Requests.
    pub requests: Arc<Ring<Box<Ticket>>>,
    /// Reversals and network management, which the gate drains first. May be the same ring.
    pub first: Arc<Ring<Box<Ticket>>>,
}

impl GateRings {
    pub(super) fn wake(&self) {
        self.requests.wake();
        if !Arc::ptr_eq(&self.requests, &self.first) {
            self.first.wake();
        }
    }
}

/// What may be admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Credit {
    /// Nothing: reading stops.
    None,
    /// Only 04xx and 08xx: the reserve.
    Reserve,
    /// Anything.
    Any,
}

impl Credit {
    /// What `open` of `window` leaves.
    pub(super) fn of(open: u32, window: u32) -> Self {
        if open >= window {
            Self::None
        } else if open >= window - reserve_of(window) {
            Self::Reserve
        } else {
            Self::Any
        }
    }
}

/// The tickets of a conduit, recycled.
#[derive(Debug)]
pub(super) struct Pool {
    #[expect(clippy::vec_box, reason = "tickets travel boxed; the pool keeps the boxes")]
    free: Vec<Box<Ticket>>,
    out: u32,
    /// What all conduits together may have under way.
    budget: Arc<TicketBudget>,
}

impl Pool {
    pub(super) fn new(budget: Arc<TicketBudget>) -> Self {
        Self { free: Vec::new(), out: 0, budget }
    }

    /// An empty ticket. Ask `credit` first: the pool makes one whenever none is free.
    pub(super) fn take(&mut self) -> Box<Ticket> {
        self.out += 1;
        self.budget.take();
        self.free.pop().unwrap_or_default()
    }

    /// Takes one back, wiped. After a peak, and after long messages, the memory goes back too.
    pub(super) fn put(&mut self, mut ticket: Box<Ticket>) {
        ticket.clear();
        self.out -= 1;
        self.budget.put();
        if self.free.len() < TICKETS_KEPT && ticket.room_bytes() <= TICKET_BYTES_KEPT {
            self.free.push(ticket);
        }
    }

    pub(super) fn out(&self) -> u32 {
        self.out
    }
}

/// Where the conduit's actor leaves what a connection must write, and what it must do.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    answered: RefCell<VecDeque<Box<Ticket>>>,
    waker: RefCell<Option<Waker>>,
    /// Answer what is open, then close.
    pub(super) draining: Cell<bool>,
    /// Close now.
    pub(super) stopped: Cell<bool>,
}

impl Outbox {
    /// Leaves an answered ticket; answers whether it is the first, so that the connection must be woken.
    pub(super) fn leave(&self, ticket: Box<Ticket>) -> bool {
        let mut answered = self.answered.borrow_mut();
        answered.push_back(ticket);
        answered.len() == 1
    }

    pub(super) fn take(&self) -> Option<Box<Ticket>> {
        self.answered.borrow_mut().pop_front()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answered.borrow().is_empty()
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn register(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// The catalogue, and who of it may use the conduit.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) catalogue: Arc<Catalogue>,
    /// Networks (indexes) allowed; empty: all.
    pub(super) networks: Vec<u32>,
    /// Terminals that operators have blocked.
    pub(super) blocked: Arc<Blocked>,
}

/// What the connections of a conduit share.
pub(super) struct Shared {
    pub(super) index: u16,
    pub(super) settings: ConduitSettings,
    pub(super) dialect: Arc<Dialect>,
    pub(super) dialects: Arc<[Arc<Dialect>]>,
    pub(super) window_h: u32,
    pub(super) keys: KeyHash,
    pub(super) keyring: Arc<Keyring>,
    pub(super) gate: GateRings,
    pub(super) output: Arc<OutputBudget>,
    pub(super) counters: Arc<ConduitCounters>,
    pub(super) clock: Clock,
    pub(super) pool: RefCell<Pool>,
    /// The bound that the pool keeps to.
    pub(super) tickets: Arc<TicketBudget>,
    /// On the thread that all conduits share.
    pub(super) pressure: Rc<Pressure>,
    /// Whether somebody looks while connections wait for tickets.
    pub(super) watched: Cell<bool>,
    pub(super) spares: RefCell<Spares>,
    pub(super) rooms: RefCell<Rooms>,
    pub(super) snapshot: RefCell<Rc<Snapshot>>,
    /// Where a PIN lies while its response is written; empty between responses.
    pub(super) secret: RefCell<Secret>,
    pub(super) log: RefCell<Debounce>,
    pub(super) refusals: Arc<AtomicU64>,
    pub(super) days: Arc<Days>,
    /// A network whose day on record is over, and the day that nothing has begun yet.
    pub(super) next: Cell<(NetworkId, Day)>,
    /// A day since 1970 and its DE15 digits.
    pub(super) today: Cell<(u64, [u8; 4])>,
}

impl Shared {
    /// Looks how much there is to do, when it is time to, and limits sales by it.
    pub(super) fn look(&self, now: Instant) {
        if self.pressure.look(now, self.tickets.out(), self.tickets.is_awaited()) {
            self.tickets.limit_sales(self.pressure.sales_max());
        }
    }

    /// Sees to it that somebody looks while connections wait for tickets: what all of them wait for may be slow.
    pub(super) fn watch(self: &Rc<Self>) {
        if self.watched.replace(true) {
            return;
        }
        let shared = Rc::clone(self);
        actix_rt::spawn(async move {
            while shared.tickets.is_awaited() {
                tokio::time::sleep(LOOK).await;
                shared.look(Instant::now());
            }
            shared.watched.set(false);
        });
    }

    /// Takes a ticket back.
    pub(super) fn put(&self, ticket: Box<Ticket>) {
        let mut pool = self.pool.borrow_mut();
        pool.put(ticket);
        self.counters.tickets.set(u64::from(pool.out()));
    }

    /// Takes back a ticket whose connection is gone.
    pub(super) fn put_stale(&self, ticket: Box<Ticket>) {
        self.counters.stale.add();
        self.put(ticket);
    }

    /// An RRN for a message that never becomes a flight.
    pub(super) fn rrn(&self) -> Text<12> {
        FlightNo(self.refusals.fetch_add(1, Ordering::Relaxed)).rrn(0)
    }

    /// DE15 of a response that is made here: the network's business day (S-16); of a network that nobody knows, today in UTC.
    pub(super) fn day(&self, now: Now, network: Option<&Network>) -> [u8; 4] {
        match network {
            Some(network) => self.business_day(now, network).digits(),
            None => self.today(now),
        }
    }

    fn business_day(&self, now: Now, network: &Network) -> Day {
        let known = self.days.of(network.id);
        if let Some(day) = known.filter(|day| now.wall_ms < day.until_ms) {
            return day;
        }
        // Between two days: the next one begins with the first sale, and until then the calendar is asked once.
        let (whose, next) = self.next.get();
        if whose == network.id && now.wall_ms < next.until_ms {
            return next;
        }
        let next = stamp::day_at(known, now.wall_ms, &network.cut_over);
        self.next.set((network.id, next));
        next
    }

    fn today(&self, now: Now) -> [u8; 4] {
        let (known, digits) = self.today.get();
        let day = now.wall_ms / DAY_MS;
        if day == known {
            return digits;
        }
        let digits = stamp::month_day(now.wall_ms);
        self.today.set((day, digits));
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_eighth_is_kept_for_reversals() {
        assert_eq!(Credit::of(0, 8), Credit::Any);
        assert_eq!(Credit::of(6, 8), Credit::Any);
        assert_eq!(Credit::of(7, 8), Credit::Reserve);
        assert_eq!(Credit::of(8, 8), Credit::None);
        assert_eq!(Credit::of(111, 128), Credit::Any);
        assert_eq!(Credit::of(112, 128), Credit::Reserve);
    }

    #[test]
    fn tickets_are_recycled_empty() {
        let mut pool = Pool::new(Arc::new(TicketBudget::new(8)));
        let mut ticket = pool.take();
        ticket.frame.extend_from_slice(b"0200");
        let room = ticket.frame.as_ptr();
        pool.put(ticket);
        let again = pool.take();
        assert_eq!((again.frame.len(), again.frame.as_ptr(), pool.out()), (0, room, 1));
    }

    #[test]
    fn a_ticket_of_a_long_message_is_not_kept() {
        let mut pool = Pool::new(Arc::new(TicketBudget::new(8)));
        for (length, kept) in [(100, 1), (TICKET_BYTES_KEPT + 1, 0)] {
            let mut ticket = pool.take();
            ticket.frame.resize(length, b'x');
            pool.put(ticket);
            assert_eq!((pool.free.len(), pool.out()), (kept, 0));
        }
    }
}
