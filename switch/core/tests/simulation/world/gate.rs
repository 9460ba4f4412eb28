//! The gate's turns, and everything that becomes visible through it: each thing is looked at before it leaves.

use super::World;
use crate::host::NOT_OURS;
use crate::support::message::Answer;
use switchyard_core::adapter::{Ask, Order};
use switchyard_core::answer::answer;
use switchyard_core::catalogue::Service;
use switchyard_core::code::Code;
use switchyard_core::fact::Fact;
use switchyard_core::gate::Released;
use switchyard_core::outcome::{Outcome, Verdict};
use switchyard_core::pack::Unpack;
use switchyard_core::request::Kind;
use switchyard_core::secret::Secret;
use switchyard_core::session::Report;
use switchyard_core::ticket::{Errand, Ticket};

impl World {
    pub(super) fn gate_turn(&mut self) {
        let now = self.now();
        self.process.gate.set_room(self.room);
        for at in 0..self.hosts.len() {
            let items = self.random.below(6);
            self.hear_reports(at, items);
        }
        for _ in 0..self.random.below(6) {
            let Some(ticket) = self.process.requests.pop_front() else { break };
            self.process.gate.ask(now, ticket);
        }
        self.spill();
        // Sometimes the turn's effects must wait for a later write.
        if self.random.chance(900) {
            self.write();
        }
        self.release();
        self.look();
    }

    /// The gate takes at most so many reports of a supplier's session. What a supplier says anew is on record at once.
    pub(super) fn hear_reports(&mut self, at: usize, items: usize) {
        let now = self.now();
        let (gate, side) = (&mut self.process.gate, &mut self.process.sides[at]);
        self.never_sent.extend(side.never_sent.drain(..));
        for report in side.reports.drain(..items.min(side.reports.len())) {
            let news = match &report {
                // Some carry an RRN that is nobody's.
                Report::Stray { stray, .. } => stray.rrn.as_str() != NOT_OURS,
                report => matches!(report, Report::Late { .. } | Report::Contradicted { .. }),
            };
            if let Report::Undone(order) = &report {
                self.process.undoing.remove(&order.flight);
            }
            let before = gate.state().last;
            gate.heard(now, side.id, report);
            assert!(!news || gate.state().last > before, "what a supplier says late is lost (R-34)");
        }
    }

    pub(super) fn write(&mut self) {
        let durable = self.disk.durable();
        let Some(batch) = self.process.gate.log().take(durable) else { return };
        let facts = self.disk.write(&batch, self.process.epoch);
        for (at, bytes) in &facts {
            let fact = Fact::unpack(bytes).expect("a fact reads back");
            if std::env::var_os("TR").is_some() {
                let t = format!("{at:?} {fact:?}");
                eprintln!("{} FACT {}", self.time_us, &t[..t.len().min(2700)]);
            }
            self.stories.tell(*at, &fact);
            self.process.tally.count(&fact);
            if let Fact::Operated(action) = fact {
                assert_eq!(self.process.acts.remove(at), Some(action.act), "what an operator was told");
            }
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
                Errand::Recall | Errand::Status | Errand::Original | Errand::Cancelled => {
                    self.process.recalls.push(ticket)
                }
                Errand::Ask | Errand::Answer => self.respond(ticket),
                Errand::Seek => panic!("what is sought is released apart"),
            }
        }
        self.process.recalls.append(&mut released.seeks);
    }

    /// `durable-before-visible`, for what goes to a supplier.
    pub(super) fn check_order(&mut self, order: &Order) {
        let story = self
            .stories
            .flights
            .get(&order.flight)
            .expect("durable-before-visible: an order before its intent is written");
        let (written, durable) = (self.disk.written(), self.disk.durable());
        let tried = self.stories.tried(order).expect("a try of its flight");
        assert_eq!((tried.supplier, tried.rrn), (order.supplier, order.rrn));
        match order.ask {
            Ask::Sale => {
                assert_eq!(story.reversed_at, None, "an original is sent after its reversal (S-7)");
                let relaxed = self.relaxed.contains(&story.key) && story.service != Service::Voucher;
                assert!(
                    tried.at < if relaxed { written } else { durable },
                    "durable-before-visible: a sale before its intent"
                );
            }
            Ask::Reversal { .. } | Ask::Status => {
                let needs = story.doubted_at.expect("durable-before-visible: a reversal before its doubt");
                assert!(needs < durable, "durable-before-visible: a reversal before its doubt");
                assert_eq!((order.stan, order.original_stan), (story.undo_stan, tried.stan));
                let before = self.process.undoing.insert(order.flight, order.supplier);
                assert_eq!(before, None, "one original has two reversals open at its supplier (S-7)");
            }
        }
    }

    /// The answer of a ticket is written.
    pub(super) fn respond(&mut self, ticket: Box<Ticket>) {
        let outcome = Outcome::unpack(&mut Unpack(&ticket.outcome)).expect("an outcome");
        self.check_answer(&ticket, &outcome);
        let (mut secret, mut body) = (Secret::new(), Vec::new());
        answer(&self.dialects, &ticket, &self.keyring, &mut secret, &mut body)
            .expect("an answer can be built");
        let read = Answer::read(&self.dialects[usize::from(ticket.dialect)], &body);
        let line = format!("answer {} to ticket {:?}, {}", read.code, &ticket.header[6..], outcome.flight);
        self.terminals.hear(&ticket, read, &self.stories);
        self.note(line);
    }

    /// `durable-before-visible`, for what goes to a terminal.
    fn check_answer(&self, ticket: &Ticket, outcome: &Outcome<'_>) {
        let durable = self.disk.durable();
        let request = &ticket.request;
        if let Some(undo) = self.stories.undos.get(&outcome.flight) {
            assert!(
                undo.at < durable,
                "durable-before-visible: a reversal is answered before its fact (S-17)"
            );
        } else if let Some(story) = self.stories.flights.get(&outcome.flight) {
            let at =
                story.answered_at.expect("durable-before-visible: an answer before its outcome is written");
            let secret = story.service == Service::Voucher && outcome.verdict == Verdict::Approved;
            let upto = if ticket.relaxed && !secret { self.disk.written() } else { self.disk.durable() };
            assert!(at < upto, "durable-before-visible: an answer before its outcome");
        } else if request.kind != Kind::CutOver {
            assert_eq!(
                outcome.verdict,
                Verdict::Declined,
                "durable-before-visible: an answer before its outcome is written"
            );
        }
        if outcome.code == Code::CANCELLED && !self.stories.flights.contains_key(&outcome.flight) {
            let reversed = match request.kind {
                Kind::Sale => self.stories.reversed_at(request),
                _ => self.stories.undone_at(request.original),
            };
            let at = reversed.expect("durable-before-visible: 17 before the reversal is written");
            assert!(at < durable, "durable-before-visible: 17 before the reversal is durable");
        }
    }

    /// The keeper reads what some of the tickets that it has want, in any order.
    pub(super) fn keep_some(&mut self) {
        for _ in 0..self.random.below(4) {
            if self.process.recalls.is_empty() {
                return;
            }
            let at = self.random.below(self.process.recalls.len());
            let ticket = self.process.recalls.remove(at);
            self.bring_back(ticket);
        }
    }

    /// The keeper reads everything that it was asked for.
    pub(super) fn keep(&mut self) {
        for ticket in std::mem::take(&mut self.process.recalls) {
            self.bring_back(ticket);
        }
    }

    fn bring_back(&mut self, mut ticket: Box<Ticket>) {
        let now = self.now();
        if ticket.errand == Errand::Seek {
            self.process.keeper.look(&mut ticket.seek);
            return self.process.gate.sought(now, ticket);
        }
        self.disk.keep(&mut ticket);
        self.process.gate.recalled(now, ticket);
    }
}
