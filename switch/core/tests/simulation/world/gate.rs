//! The gate's turns, and everything that becomes visible through it: each thing is looked at before it leaves.

use super::World;
use crate::story::Stand;
use crate::support::message::Answer;
use switchyard_core::account::Account;
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::answer::answer;
use switchyard_core::catalogue::Service;
use switchyard_core::fact::Fact;
use switchyard_core::gate::Released;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Unpack;
use switchyard_core::secret::Secret;
use switchyard_core::ticket::{Errand, Ticket};

impl World {
    pub(super) fn gate_turn(&mut self) {
        let now = self.now();
        let gate = &mut self.process.gate;
        gate.set_room(self.room);
        for side in &mut self.process.sides {
            self.never_sent.extend(side.never_sent.drain(..));
            let items = self.random.below(6);
            for report in side.reports.drain(..items.min(side.reports.len())) {
                gate.heard(now, side.id, report);
            }
        }
        for _ in 0..self.random.below(6) {
            let Some(ticket) = self.process.requests.pop_front() else { break };
            gate.ask(now, ticket);
        }
        // Sometimes the turn's effects must wait for a later write.
        if self.random.chance(900) {
            self.write();
        }
        self.release();
        self.look();
    }

    pub(super) fn write(&mut self) {
        let durable = self.disk.durable();
        let Some(batch) = self.process.gate.log().take(durable) else { return };
        let facts = self.disk.write(&batch, self.process.epoch);
        for (at, bytes) in &facts {
            self.stories.tell(*at, &Fact::unpack(bytes).expect("a fact reads back"));
        }
    }

    pub(super) fn release(&mut self) {
        let (written, durable) = (self.disk.written(), self.disk.durable());
        let mut released = Released::default();
        self.process.gate.release(written, durable, &mut released);
        for order in released.orders {
            self.check_order(&order);
            let side = self.process.sides.iter_mut().find(|side| side.id == order.supplier);
            side.expect("an order for a supplier over a wire").orders.push_back(order);
        }
        for ticket in released.tickets {
            match ticket.errand {
                Errand::Recall => self.process.recalls.push_back(ticket),
                _ => self.respond(ticket),
            }
        }
    }

    /// `durable-before-visible`, for what goes to a supplier.
    pub(super) fn check_order(&mut self, order: &Order) {
        let story = self
            .stories
            .flights
            .get(&order.flight)
            .expect("durable-before-visible: an order before its intent is written");
        let (written, durable) = (self.disk.written(), self.disk.durable());
        let tried = &story.tries[usize::from(order.attempt) - 1];
        assert_eq!((tried.supplier, tried.rrn), (order.supplier, order.rrn));
        match order.ask {
            Ask::Sale => {
                let relaxed = self.relaxed.contains(&story.key) && story.service != Service::Voucher;
                assert!(
                    tried.at < if relaxed { written } else { durable },
                    "durable-before-visible: a sale before its intent"
                );
            }
            Ask::Reversal { .. } => {
                let needs = story.doubted_at.expect("durable-before-visible: a reversal before its doubt");
                assert!(needs < durable, "durable-before-visible: a reversal before its doubt");
            }
        }
    }

    /// The answer of a ticket is written.
    pub(super) fn respond(&mut self, ticket: Box<Ticket>) {
        let outcome = Outcome::unpack(&mut Unpack(&ticket.outcome)).expect("an outcome");
        let story = self.stories.flights.get(&outcome.flight);
        if let Some(story) = story {
            let at =
                story.answered_at.expect("durable-before-visible: an answer before its outcome is written");
            let secret = story.service == Service::Voucher && outcome.verdict == Verdict::Approved;
            let upto = if ticket.relaxed && !secret { self.disk.written() } else { self.disk.durable() };
            assert!(at < upto, "durable-before-visible: an answer before its outcome");
        } else if ticket.request.kind != switchyard_core::request::Kind::CutOver {
            assert_eq!(
                outcome.verdict,
                Verdict::Declined,
                "durable-before-visible: an answer before its outcome is written"
            );
        }
        let (mut secret, mut body) = (Secret::new(), Vec::new());
        answer(&self.dialects, &ticket, &self.keyring, &mut secret, &mut body)
            .expect("an answer can be built");
        let read = Answer::read(&self.dialects[usize::from(ticket.dialect)], &body);
        let line = format!("answer {} to ticket {:?}, {}", read.code, &ticket.header[6..], outcome.flight);
        self.terminals.hear(&ticket, read, story);
        self.note(line);
    }

    /// The keeper reads stored answers.
    pub(super) fn keep(&mut self) {
        while let Some(mut ticket) = self.process.recalls.pop_front() {
            self.disk.keep(&mut ticket);
            self.respond(ticket);
        }
    }

    /// What must hold at every moment.
    pub(super) fn look(&mut self) {
        let gate = &mut self.process.gate;
        assert_eq!(gate.misfit(), None);
        assert_eq!(gate.state().accounts.sum(), 0, "money-conserved");
        if gate.log().facts() > 0 {
            return;
        }
        for supplier in gate.catalogue().suppliers.iter().filter(|supplier| !supplier.local) {
            let supply = gate.supply(supplier.id).expect("known");
            let asked = self.stories.count(supplier.id, Stand::Asked);
            let doubts = self.stories.count(supplier.id, Stand::Doubt);
            let held = (supply.in_flight() as usize, supply.advices() as usize);
            assert!(held.0 <= supply.window() as usize, "bounded: the window of {}", supplier.code);
            // What a crash left open holds an advice credit, and none of the window.
            assert_eq!(held, (asked, asked + doubts), "bounded: the credits of {}", supplier.code);
        }
        for network in &gate.catalogue().networks {
            let balance = gate.state().accounts.balance(Account::Network(network.id));
            let reserved = self.stories.reserved.get(&network.id).copied().unwrap_or(0);
            let posted = self.stories.posted.get(&network.id).copied().unwrap_or(0);
            assert_eq!(
                (balance.posted.0, balance.reserved.0),
                (posted, reserved),
                "money-conserved: {}",
                network.code
            );
            assert!(posted - reserved >= -network.funding.line().0, "a network sold more than it can pay");
        }
    }
}
