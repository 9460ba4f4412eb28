//! What waits for the log: answers and orders, each with the position it needs.
//!
//! Owns: two queues in order of position, one for what waits for the sync and one for what waits for the write (S-17).
//! Invariants: nothing leaves before its position is durable, or written where its conduit is relaxed (`durable-before-visible`).
//! Deliberately absent: where it goes (the shell pushes it into rings).

use crate::adapter::Order;
use crate::ids::FlightNo;
use crate::log::Lsn;
use crate::ticket::Ticket;
use std::collections::VecDeque;

#[derive(Debug)]
enum Effect {
    Ticket(Box<Ticket>),
    Order(Box<Order>),
}

/// What may leave.
#[derive(Debug, Default)]
pub struct Released {
    /// To their conduits, or to the keeper first (as their errand says).
    pub tickets: Vec<Box<Ticket>>,
    /// To the keeper, and back to the gate (`Errand::Seek`).
    pub seeks: Vec<Box<Ticket>>,
    /// To their suppliers.
    pub orders: Vec<Box<Order>>,
}

/// What waits.
#[derive(Debug, Default)]
pub struct Releases {
    strict: VecDeque<(Lsn, Effect)>,
    relaxed: VecDeque<(Lsn, Effect)>,
    now: Vec<Box<Ticket>>,
    seeks: Vec<Box<Ticket>>,
}

impl Releases {
    /// A ticket that waits for nothing: a refusal that performed nothing.
    pub(super) fn now(&mut self, ticket: Box<Ticket>) {
        self.now.push(ticket);
    }

    /// A ticket that waits for nothing and is answered later: its key is looked for.
    pub(super) fn seek(&mut self, ticket: Box<Ticket>) {
        self.seeks.push(ticket);
    }

    /// A ticket that needs `at`. `last` is the newest position: what needs an older one may wait for it too, so that the queue stays in order.
    pub(super) fn ticket(&mut self, at: Lsn, last: Lsn, ticket: Box<Ticket>, relaxed: bool) {
        self.push(at, last, Effect::Ticket(ticket), relaxed);
    }

    /// An order that needs `at`.
    pub(super) fn order(&mut self, at: Lsn, order: Box<Order>, relaxed: bool) {
        self.push(at, at, Effect::Order(order), relaxed);
    }

    /// Takes the order of a flight back out, while it has not left: then nothing was asked.
    pub(super) fn withdraw(&mut self, flight: FlightNo) -> Option<Box<Order>> {
        let waits =
            |(_, effect): &(Lsn, Effect)| matches!(effect, Effect::Order(order) if order.flight == flight);
        let queue =
            [&mut self.strict, &mut self.relaxed].into_iter().find(|queue| queue.iter().any(waits))?;
        let place = queue.iter().position(waits)?;
        match queue.remove(place) {
            Some((_, Effect::Order(order))) => Some(order),
            _ => None,
        }
    }

    fn push(&mut self, at: Lsn, last: Lsn, effect: Effect, relaxed: bool) {
        let queue = if relaxed { &mut self.relaxed } else { &mut self.strict };
        let at = if queue.back().is_some_and(|(back, _)| *back > at) { last } else { at };
        queue.push_back((at, effect));
    }

    /// Whether anything waits for the sync.
    pub(super) fn awaits_sync(&self) -> bool {
        !self.strict.is_empty()
    }

    pub(super) fn release(&mut self, written: Lsn, durable: Lsn, released: &mut Released) {
        released.tickets.append(&mut self.now);
        released.seeks.append(&mut self.seeks);
        // An answer of a relaxed conduit leaves before that of the reversal that came after it.
        drain(&mut self.relaxed, written, released);
        drain(&mut self.strict, durable, released);
    }
}

/// A fact at `at` is covered once everything below a position beyond it is.
fn drain(queue: &mut VecDeque<(Lsn, Effect)>, upto: Lsn, released: &mut Released) {
    while let Some((at, _)) = queue.front() {
        if *at >= upto {
            return;
        }
        match queue.pop_front() {
            Some((_, Effect::Ticket(ticket))) => released.tickets.push(ticket),
            Some((_, Effect::Order(order))) => released.orders.push(order),
            None => return,
        }
    }
}
