//! A conduit: the connections of one listener, or to one host that is dialled, from the door to the gate and back.
//!
//! Owns: the slab of connections, the pool of tickets, the ring of answers, the counters. Invariants: `answered-once`
//! (tickets admitted = answered + stale + on their way); a ticket's place names slot and generation, so an answer never
//! reaches another connection than the one that asked; a client that disconnects reverses nothing (S-13).
//! Deliberately absent: accepting and handshakes (`door`), and every decision about a request (the gate's).

mod budget;
mod connection;
mod counters;
mod desk;
mod input;
mod pressure;
mod recent;
mod restraint;
mod shared;

pub use budget::{OutputBudget, TicketBudget};
pub use counters::{Closed, ConduitCounters, Counter};
pub use pressure::Pressure;
pub use shared::GateRings;

pub(crate) use connection::CONNECTION_BYTES;
pub(crate) use desk::{OUTPUT_BYTES_MAX, OUTPUT_BYTES_OVER};
pub(crate) use input::input_bytes_max;
pub(crate) use shared::{TICKET_BYTES_KEPT, TICKETS_KEPT, reserve_of};

use crate::clock::Clock;
use crate::days::Days;
use crate::door::{Arrival, Debounce};
use crate::io::Io;
use crate::ring::{Ring, Turn};
use crate::settings::ConduitSettings;
use actix::{Actor, AsyncContext, Context, Handler, Message};
use connection::Connection;
use shared::{Outbox, Pool, Shared, Snapshot};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task;
use switchyard_core::catalogue::Catalogue;
use switchyard_core::iso8583::Dialect;
use switchyard_core::keyhash::KeyHash;
use switchyard_core::operate::Blocked;
use switchyard_core::seal::Keyring;
use switchyard_core::secret::Secret;
use switchyard_core::ticket::{Place, Ticket};
use tokio::sync::oneshot;
use tracing::debug;

/// Answers handed to connections in a turn; then the others on the thread have theirs.
const ANSWERS_A_TURN_MAX: usize = 1_024;

/// What a conduit is made of.
#[derive(Debug)]
pub struct ConduitParts {
    /// Its index, as in `Place` and at the door.
    pub index: u16,
    /// Its settings.
    pub settings: ConduitSettings,
    /// All dialects, as tickets index them.
    pub dialects: Arc<[Arc<Dialect>]>,
    /// The snapshot that messages are checked against.
    pub catalogue: Arc<Catalogue>,
    /// Terminals that operators have blocked.
    pub blocked: Arc<Blocked>,
    /// The networks' business days.
    pub days: Arc<Days>,
    /// The duplicate window, in hours (S-3).
    pub window_h: u32,
    /// Key of the hashes of keys and contents.
    pub keys: KeyHash,
    /// What opens sealed secrets.
    pub keyring: Arc<Keyring>,
    /// Where requests go.
    pub gate: GateRings,
    /// Where answers come from; room for all tickets.
    pub answers: Arc<Ring<Box<Ticket>>>,
    /// The process's bound on messages under way.
    pub tickets: Arc<TicketBudget>,
    /// The process's bound on output that waits.
    pub output: Arc<OutputBudget>,
    /// The pressure on the thread, looked at once for all of its conduits.
    pub pressure: Rc<Pressure>,
    /// What it counts.
    pub counters: Arc<ConduitCounters>,
    /// The process's clock.
    pub clock: Clock,
    /// Numbers the messages that are answered here and have no RRN, from `FlightNo::first_refusal` on; one for all conduits,
    /// so that no RRN is given twice.
    pub refusals: Arc<AtomicU64>,
}

/// A connection's place in the slab.
#[derive(Default)]
struct Slot {
    generation: u32,
    outbox: Option<Rc<Outbox>>,
}

/// The actor of a conduit.
pub struct Conduit {
    shared: Rc<Shared>,
    answers: Arc<Ring<Box<Ticket>>>,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// Slots with answers of this turn.
    dirty: Vec<u32>,
    draining: bool,
    drained: Vec<oneshot::Sender<()>>,
}

impl Conduit {
    /// A conduit without connections. `None` where the settings name a dialect that is not there.
    pub fn new(parts: ConduitParts) -> Option<Self> {
        let dialect = Arc::clone(parts.dialects.get(parts.settings.dialect)?);
        let networks = parts.settings.networks.clone();
        let snapshot = Rc::new(Snapshot { catalogue: parts.catalogue, networks, blocked: parts.blocked });
        let shared = Shared {
            index: parts.index,
            settings: parts.settings,
            dialect,
            dialects: parts.dialects,
            window_h: parts.window_h,
            keys: parts.keys,
            keyring: parts.keyring,
            gate: parts.gate,
            output: parts.output,
            counters: parts.counters,
            clock: parts.clock,
            pool: RefCell::new(Pool::new(Arc::clone(&parts.tickets))),
            tickets: parts.tickets,
            pressure: parts.pressure,
            watched: Cell::default(),
            spares: RefCell::default(),
            rooms: RefCell::default(),
            snapshot: RefCell::new(snapshot),
            secret: RefCell::new(Secret::new()),
            log: RefCell::new(Debounce::default()),
            refusals: parts.refusals,
            days: parts.days,
            next: Cell::default(),
            today: Cell::new((0, *b"0101")),
        };
        Some(Self {
            shared: Rc::new(shared),
            answers: parts.answers,
            slots: Vec::new(),
            free: Vec::new(),
            dirty: Vec::new(),
            draining: false,
            drained: Vec::new(),
        })
    }

    fn turn(&mut self, _: &mut Context<Self>, cx: &mut task::Context<'_>) {
        self.answers.register(cx.waker());
        let mut left = ANSWERS_A_TURN_MAX;
        while let Some(ticket) = self.answers.pop() {
            self.deliver(ticket);
            left -= 1;
            if left == 0 {
                cx.waker().wake_by_ref();
                break;
            }
        }
        for slot in self.dirty.drain(..) {
            if let Some(Slot { outbox: Some(outbox), .. }) = self.slots.get(slot as usize) {
                outbox.wake();
            }
        }
    }

    fn deliver(&mut self, ticket: Box<Ticket>) {
        let place = ticket.place;
        match self.slots.get(place.slot as usize) {
            Some(Slot { generation, outbox: Some(outbox) }) if *generation == place.generation => {
                if outbox.leave(ticket) {
                    self.dirty.push(place.slot);
                }
            }
            _ => self.shared.put_stale(ticket),
        }
    }

    fn seat(&mut self) -> (Place, Rc<Outbox>) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            (self.slots.len() - 1) as u32
        });
        let outbox = Rc::new(Outbox::default());
        let place = &mut self.slots[slot as usize];
        place.outbox = Some(Rc::clone(&outbox));
        (Place { conduit: self.shared.index, slot, generation: place.generation }, outbox)
    }

    fn connections(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    fn outboxes(&self) -> impl Iterator<Item = &Rc<Outbox>> {
        self.slots.iter().filter_map(|slot| slot.outbox.as_ref())
    }

    fn tell_drained(&mut self) {
        if self.draining && self.connections() == 0 {
            for drained in self.drained.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = drained.send(());
            }
        }
    }
}

impl Actor for Conduit {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(Turn::new(Self::turn));
    }
}

impl Handler<Arrival> for Conduit {
    type Result = ();

    fn handle(&mut self, arrival: Arrival, ctx: &mut Self::Context) {
        if self.draining {
            return;
        }
        let Ok(io) = Io::from_parts(arrival.io) else { return };
        let (place, outbox) = self.seat();
        self.shared.counters.connections.set(self.connections() as u64);
        let shared = Rc::clone(&self.shared);
        let connection = Connection::new(shared, outbox, place, io, arrival.names, arrival.seat);
        let conduit = ctx.address();
        let peer = arrival.peer;
        actix_rt::spawn(async move {
            let why = connection.await;
            conduit.do_send(Ended { place, why, peer });
        });
    }
}

/// A connection's task has ended.
struct Ended {
    place: Place,
    why: Closed,
    peer: std::net::SocketAddr,
}

impl Message for Ended {
    type Result = ();
}

impl Handler<Ended> for Conduit {
    type Result = ();

    fn handle(&mut self, ended: Ended, _: &mut Self::Context) {
        debug!(conduit = self.shared.settings.name, peer = %ended.peer, why = ended.why.name(), "connection closed");
        let slot = &mut self.slots[ended.place.slot as usize];
        slot.generation = slot.generation.wrapping_add(1);
        if let Some(outbox) = slot.outbox.take() {
            while let Some(ticket) = outbox.take() {
                self.shared.put_stale(ticket);
            }
        }
        self.free.push(ended.place.slot);
        let counters = &self.shared.counters;
        counters.closed[ended.why as usize].add();
        counters.connections.set(self.connections() as u64);
        self.tell_drained();
    }
}

/// Stop reading, answer what is open, close. `done` is told when no connection is left.
#[derive(Debug)]
pub struct Drain {
    /// Told when it is done; dropped with the actor.
    pub done: oneshot::Sender<()>,
}

impl Message for Drain {
    type Result = ();
}

impl Handler<Drain> for Conduit {
    type Result = ();

    fn handle(&mut self, drain: Drain, _: &mut Self::Context) {
        self.draining = true;
        self.drained.push(drain.done);
        for outbox in self.outboxes() {
            outbox.draining.set(true);
            outbox.wake();
        }
        self.tell_drained();
    }
}

/// Close every connection now. What is open stays with the gate; its outcomes are fetched by repeats.
#[derive(Debug)]
pub struct Close;

impl Message for Close {
    type Result = ();
}

impl Handler<Close> for Conduit {
    type Result = ();

    fn handle(&mut self, _: Close, _: &mut Self::Context) {
        self.draining = true;
        for outbox in self.outboxes() {
            outbox.stopped.set(true);
            outbox.wake();
        }
    }
}

/// Check messages against another snapshot from now on. Tickets under way keep theirs.
#[derive(Debug)]
pub struct Reload {
    /// The snapshot.
    pub catalogue: Arc<Catalogue>,
    /// Networks (indexes in it) that may use the conduit; empty: all.
    pub networks: Vec<u32>,
}

impl Message for Reload {
    type Result = ();
}

impl Handler<Reload> for Conduit {
    type Result = ();

    fn handle(&mut self, reload: Reload, _: &mut Self::Context) {
        let Reload { catalogue, networks } = reload;
        let mut snapshot = self.shared.snapshot.borrow_mut();
        let blocked = Arc::clone(&snapshot.blocked);
        *snapshot = Rc::new(Snapshot { catalogue, networks, blocked });
    }
}

/// Refuse these terminals, and no others beside those of the catalogue, from now on: what operators have blocked.
#[derive(Debug)]
pub struct Block(pub Arc<Blocked>);

impl Message for Block {
    type Result = ();
}

impl Handler<Block> for Conduit {
    type Result = ();

    fn handle(&mut self, Block(blocked): Block, _: &mut Self::Context) {
        let mut snapshot = self.shared.snapshot.borrow_mut();
        let (catalogue, networks) = (Arc::clone(&snapshot.catalogue), snapshot.networks.clone());
        *snapshot = Rc::new(Snapshot { catalogue, networks, blocked });
    }
}

#[cfg(test)]
mod tests;
