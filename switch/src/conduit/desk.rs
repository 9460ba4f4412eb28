//! What becomes of a connection's messages, and how its answers are written.
//!
//! Owns: the sign-on state of one connection, its open requests, its output. Invariants: every message has exactly one of
//! these ends: handed to the gate, answered here, or ignored and counted (S-20); an answer goes out in the framing its
//! request came in; a network that a certificate does not stand for is refused.
//! Deliberately absent: sockets and deadlines (`connection`), and every check of a message (the core's `request`).

use super::budget::LineNumber;
use super::counters::Closed;
use super::recent::Recent;
use super::restraint::Restraint;
use super::shared::{Credit, Shared, Snapshot};
use crate::io::OutBuffer;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use switchyard_core::answer;
use switchyard_core::catalogue::Catalogue;
use switchyard_core::code::Code;
use switchyard_core::echo;
use switchyard_core::ids::Now;
use switchyard_core::request::{self, Ignored, Management, Read, Rules};
use switchyard_core::text::Text;
use switchyard_core::ticket::{Place, Ticket, share_of};
use tokio::time::Instant;
use tracing::error;

/// Messages in a row without readable MTI and STAN that close a connection (S-20).
const UNREADABLE_MAX: u32 = 10;
/// Answers are written while fewer bytes wait. The others wait as tickets, which their window bounds.
pub(crate) const OUTPUT_BYTES_MAX: usize = 64 * 1024;
/// The same for a connection without a backlog, while others use up the process's bound.
pub(crate) const OUTPUT_BYTES_OVER: usize = 4 * 1024;
/// Messages that fill a turn of one connection, about: four reads of 16 KiB.
pub(super) const TURN_MESSAGES: u32 = 512;
/// Refusals of one connection in a turn: a tenth of it, so that who sends nothing but what is refused takes a tenth of what the others do (design: backpressure).
const REFUSALS_A_TURN_MAX: u32 = TURN_MESSAGES / 10;

/// Largest STAN (DE11, n6).
const STAN_MAX: u32 = 999_999;

/// One connection's messages.
pub(super) struct Desk {
    shared: Rc<Shared>,
    place: Place,
    /// The names on the other end's certificate, where names are bound.
    names: Option<Vec<String>>,
    snapshot: Rc<Snapshot>,
    /// Networks that the names stand for.
    bound: Option<Vec<u32>>,
    signed_on: Vec<u32>,
    open: u32,
    unreadable: u32,
    /// STAN of the last echo that was asked for.
    stan: u32,
    pushed: bool,
    /// Refusals of this turn.
    refused: u32,
    /// For those of the gate.
    restraint: Restraint,
    /// Of the open requests.
    recent: Recent,
    held_bytes: u64,
    /// In the line for tickets.
    number: LineNumber,
    /// Whether this is the turn for which it was called.
    is_called: bool,
    /// What waits to be written.
    pub(super) out: OutBuffer,
}

impl Desk {
    pub(super) fn new(shared: Rc<Shared>, place: Place, names: Vec<String>) -> Self {
        let names = shared.settings.binds_names().then_some(names);
        let snapshot = Rc::clone(&shared.snapshot.borrow());
        let bound = names.as_deref().map(|names| networks_of(&snapshot.catalogue, names));
        Self {
            shared,
            place,
            names,
            snapshot,
            bound,
            signed_on: Vec::new(),
            open: 0,
            unreadable: 0,
            stan: 0,
            pushed: false,
            refused: 0,
            restraint: Restraint::default(),
            recent: Recent::default(),
            held_bytes: 0,
            number: LineNumber::default(),
            is_called: false,
            out: OutBuffer::new(),
        }
    }

    /// Requests that are not answered.
    pub(super) fn open(&self) -> u32 {
        self.open
    }

    /// A turn begins.
    pub(super) fn begin_turn(&mut self, instant: Instant) {
        self.refused = 0;
        self.is_called = self.shared.tickets.is_called(&self.number);
        self.shared.look(instant);
        self.recent.begin_turn(self.shared.clock.at(instant));
        self.restraint.begin_turn(self.shared.pressure.is_full());
        self.out.borrow_room(&mut self.shared.rooms.borrow_mut());
        self.follow_reload();
    }

    /// Whether the turn's refusals are used up: it goes on in the next turn, when the other connections have had theirs.
    pub(super) fn has_refused_enough(&self) -> bool {
        self.refused >= REFUSALS_A_TURN_MAX
    }

    /// Whether sales wait until answers come, or the pressure on the yard ends.
    pub(super) fn is_restrained(&self) -> bool {
        // Not more at a time than one supplier may have: nothing that waited is taken to be refused.
        let share = share_of(self.shared.settings.window_requests);
        (self.recent.open() >= share && self.shared.tickets.is_limited()) || self.restraint.holds(self.open)
    }

    /// What may be admitted now. Refusals need room for their response, so there is none without.
    pub(super) fn credit(&self) -> Credit {
        if !self.has_room() || self.has_refused_enough() {
            return Credit::None;
        }
        self.own_credit().min(self.shared.tickets.credit(&self.number))
    }

    /// What its window, and its refusals, leave.
    fn own_credit(&self) -> Credit {
        let window = Credit::of(self.open, self.shared.settings.window_requests);
        if self.is_restrained() { window.min(Credit::Reserve) } else { window }
    }

    /// Waits for tickets, where they are what it lacks; the task is woken for them.
    pub(super) fn wait_for_tickets(&self, waker: &Waker) {
        let tickets = &self.shared.tickets;
        if self.own_credit() == Credit::Any && tickets.credit(&self.number) != Credit::Any {
            tickets.wait(&self.number, waker);
            self.shared.watch();
        }
    }

    /// Whether another answer may be written: within the connection's bound; while the process's is used up, only a little, and only where there was no backlog.
    pub(super) fn has_room(&self) -> bool {
        let waits = self.out.len();
        if !self.shared.output.is_over() {
            return waits < OUTPUT_BYTES_MAX;
        }
        waits == 0 || (self.held_bytes == 0 && waits < OUTPUT_BYTES_OVER)
    }

    /// Whether a message may go before sales that wait for a credit: 04xx, 08xx, and what is ignored anyhow.
    pub(super) fn may_overtake(&self, body: &[u8]) -> bool {
        let mti = self.shared.dialect.mti_of(body);
        mti.is_none_or(|mti| matches!(mti.class_digit(), 4 | 8) || mti.is_response())
    }

    /// Takes a message.
    ///
    /// # Errors
    /// It was one too many that cannot be read.
    pub(super) fn message(
        &mut self,
        header: &[u8],
        body: &[u8],
        now: Now,
        received: Instant,
    ) -> Result<(), Closed> {
        let shared = Rc::clone(&self.shared);
        shared.counters.messages.add();
        let mut ticket = shared.pool.borrow_mut().take();
        self.label(&mut ticket, header, now);
        let rules = Rules {
            catalogue: &self.snapshot.catalogue,
            networks: &self.snapshot.networks,
            bound: self.bound.as_deref(),
            sign_on: shared.settings.sign_on,
            signed_on: &self.signed_on,
            window_h: shared.window_h,
            keys: &shared.keys,
            blocked: &self.snapshot.blocked,
        };
        match request::read(&shared.dialect, body, now, &rules, &mut ticket) {
            Read::Gate => self.admit(ticket, body, now, received),
            Read::Refuse(code) => {
                shared.put(ticket);
                self.refuse(header, body, code, now, received);
            }
            Read::Manage(management, network) => {
                shared.put(ticket);
                shared.counters.managed.add();
                let code = self.manage(management, network);
                self.respond(header, body, code, now, received);
            }
            Read::Ignore(Ignored::Response) => {
                shared.put(ticket);
                shared.counters.responses_in.add();
            }
            Read::Ignore(Ignored::Unreadable) => {
                shared.put(ticket);
                return self.unreadable();
            }
        }
        self.unreadable = 0;
        Ok(())
    }

    fn label(&self, ticket: &mut Ticket, header: &[u8], now: Now) {
        let settings = &self.shared.settings;
        ticket.place = self.place;
        ticket.dialect = settings.dialect as u16;
        ticket.received_us = now.mono_us;
        ticket.deadline_us = now.mono_us + u64::from(settings.deadline_ms) * 1_000;
        ticket.relaxed = settings.durability == crate::settings::Durability::Relaxed;
        ticket.window = u16::try_from(settings.window_requests).unwrap_or(u16::MAX);
        ticket.header.extend_from_slice(header);
    }

    fn unreadable(&mut self) -> Result<(), Closed> {
        self.shared.counters.unreadable.add();
        self.unreadable += 1;
        if self.unreadable >= UNREADABLE_MAX { Err(Closed::Unreadable) } else { Ok(()) }
    }

    fn refuse(&mut self, header: &[u8], body: &[u8], code: Code, now: Now, received: Instant) {
        if code == Code::FORMAT {
            self.shared.counters.format_errors.add();
        }
        self.shared.counters.refused.add();
        self.refused += 1;
        self.respond(header, body, code, now, received);
    }

    fn admit(&mut self, ticket: Box<Ticket>, body: &[u8], now: Now, received: Instant) {
        let counters = Arc::clone(&self.shared.counters);
        let gate = &self.shared.gate;
        let first = matches!(ticket.mti.class_digit(), 4 | 8);
        let ring = if first { &gate.first } else { &gate.requests };
        match ring.push(ticket) {
            Ok(()) => {
                if !first {
                    self.restraint.take();
                }
                self.recent.take();
                counters.admitted.add();
                counters.tickets.set(u64::from(self.shared.pool.borrow().out()));
                self.open += 1;
                self.pushed = true;
            }
            Err(ticket) => {
                counters.ring_full.add();
                let header = ticket.header.clone();
                self.shared.put(ticket);
                self.respond(&header, body, Code::FAULT, now, received);
            }
        }
    }

    /// Tells the gate of what was admitted since.
    pub(super) fn wake_gate(&mut self) {
        if std::mem::take(&mut self.pushed) {
            self.shared.gate.wake();
        }
    }

    /// Answers network management; without a network it concerns all for which the connection may speak.
    fn manage(&mut self, management: Management, network: Option<u32>) -> Code {
        match (management, network) {
            (Management::SignOn, Some(network)) => {
                if !self.signed_on.contains(&network) {
                    self.signed_on.push(network);
                }
            }
            (Management::SignOn, None) => self.signed_on = self.speaks_for(),
            (Management::SignOff, Some(network)) => self.signed_on.retain(|known| *known != network),
            (Management::SignOff, None) => self.signed_on.clear(),
            (Management::Echo, _) => {}
            (Management::Unsupported, _) => return Code::UNSUPPORTED,
        }
        Code::APPROVED
    }

    fn speaks_for(&self) -> Vec<u32> {
        match &self.bound {
            Some(bound) => bound.clone(),
            None if self.snapshot.networks.is_empty() => {
                (0u32..).zip(&self.snapshot.catalogue.networks).map(|(at, _)| at).collect()
            }
            None => self.snapshot.networks.clone(),
        }
    }

    /// Asks the client whether it is still there. Its answer is counted like any response that matches nothing.
    pub(super) fn echo(&mut self, now: Now, instant: Instant) {
        let shared = Rc::clone(&self.shared);
        self.stan = self.stan % STAN_MAX + 1;
        let stan = self.stan;
        let build = |out: &mut Vec<u8>| Ok(echo::ask(&shared.dialect, stan, now, out)?);
        self.frame(&[], instant, build);
    }

    /// Answers a message here.
    fn respond(&mut self, header: &[u8], body: &[u8], code: Code, now: Now, received: Instant) {
        let shared = Rc::clone(&self.shared);
        let (rrn, snapshot) = (shared.rrn(), Rc::clone(&self.snapshot));
        let day = |code: Option<Text<11>>| {
            let network = code.and_then(|code| snapshot.catalogue.network(code));
            shared.day(now, network.map(|(_, network)| network))
        };
        let build = |out: &mut Vec<u8>| answer::refuse(&shared.dialect, body, code, rrn, day, out);
        self.frame(header, received, build);
    }

    /// Writes the answers that wait, while there is room, and takes their credits back.
    pub(super) fn take_answers(&mut self, outbox: &super::shared::Outbox, now: Instant) {
        while self.has_room() {
            let Some(ticket) = outbox.take() else { return };
            self.answer(ticket, now);
        }
    }

    fn answer(&mut self, ticket: Box<Ticket>, now: Instant) {
        let shared = Rc::clone(&self.shared);
        let mut secret = shared.secret.borrow_mut();
        let build =
            |out: &mut Vec<u8>| answer::answer(&shared.dialects, &ticket, &shared.keyring, &mut secret, out);
        if self.frame(&ticket.header, now, build) {
            shared.counters.answered.add();
        }
        self.open -= 1;
        self.restraint.answered(ticket.refused);
        self.recent.answered(ticket.received_us);
        shared.put(ticket);
    }

    /// Writes one message, framed. What cannot be built is not answered: any other code would be untrue, for the outcome
    /// stands, and a repeat asks for it again.
    fn frame(
        &mut self,
        header: &[u8],
        now: Instant,
        build: impl FnOnce(&mut Vec<u8>) -> Result<usize, answer::Unanswerable>,
    ) -> bool {
        let shared = &self.shared;
        let out = self.out.tail();
        let begin = out.len();
        let mark = shared.settings.framing.open(header, out);
        let why = match build(out) {
            Ok(_) => match shared.settings.framing.close(mark, out) {
                Ok(()) => return true,
                Err(why) => why.to_string(),
            },
            Err(why) => why.to_string(),
        };
        out.truncate(begin);
        shared.counters.unanswerable.add();
        if let Some(hidden) = shared.log.borrow_mut().due(now) {
            error!(conduit = shared.settings.name, why, hidden, "a message cannot be written");
        }
        false
    }

    /// A turn ends: accounts for what waits after its writes, and lets others have their turn.
    pub(super) fn end_turn(&mut self) {
        if self.is_called {
            self.shared.tickets.end_call(&self.number);
        }
        self.out.return_room(&mut self.shared.rooms.borrow_mut());
        let waits = self.out.len() as u64;
        if waits != self.held_bytes {
            self.shared.output.change(self.held_bytes, waits);
            self.held_bytes = waits;
        }
    }

    /// Takes over a reloaded catalogue: networks keep their sign-on by their code.
    fn follow_reload(&mut self) {
        let shared = Rc::clone(&self.shared);
        let current = shared.snapshot.borrow();
        if Rc::ptr_eq(&self.snapshot, &current) {
            return;
        }
        let old = std::mem::replace(&mut self.snapshot, Rc::clone(&current));
        let moved = self.signed_on.iter().filter_map(|at| {
            let network = old.catalogue.networks.get(*at as usize)?;
            Some(current.catalogue.network(network.code)?.0)
        });
        self.signed_on = moved.collect();
        self.bound = self.names.as_deref().map(|names| networks_of(&current.catalogue, names));
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.shared.tickets.leave(&self.number);
        self.shared.output.change(self.held_bytes, 0);
    }
}

/// The networks that a certificate with these names stands for: those that list one of them, or whose code it is.
fn networks_of(catalogue: &Catalogue, names: &[String]) -> Vec<u32> {
    let stands = |name: &String, network: &switchyard_core::catalogue::Network| {
        name == network.code.as_str() || network.certificate_names.contains(name)
    };
    (0u32..)
        .zip(&catalogue.networks)
        .filter(|(_, network)| names.iter().any(|name| stands(name, network)))
        .map(|(at, _)| at)
        .collect()
}
