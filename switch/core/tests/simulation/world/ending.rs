//! How a run ends: first quiet, then the account of everything that happened.

use super::{CONDUITS, World};
use crate::process::LINKS;
use crate::story::Stand;
use crate::support::message::Sale;
use switchyard_core::flight::Phase;

impl World {
    /// Everything moves on by so much time.
    pub(super) fn move_on(&mut self, by_us: u64) {
        self.time_us += by_us;
        for at in 0..self.hosts.len() {
            for link in 0..LINKS {
                self.raise(at, link);
                self.process.sides[at].hand_over(self.time_us, link, u64::MAX >> 1, &mut self.hosts[at]);
            }
            while let Some(flow) = self.hosts[at].flows.iter().position(|flow| !flow.frames.is_empty()) {
                self.deliver_from(at, flow);
            }
        }
        self.emit();
        let now = self.now();
        for _ in 0..3 {
            for side in &mut self.process.sides {
                side.turn(now, usize::MAX);
                self.never_sent.extend(side.never_sent.drain(..));
            }
            (0..self.hosts.len()).for_each(|at| self.hear_reports(at, usize::MAX));
            while let Some(ticket) = self.process.requests.pop_front() {
                self.process.gate.ask(now, ticket);
            }
            self.write();
            self.disk.sync(usize::MAX >> 1);
            self.release();
            self.keep();
        }
        self.look();
    }

    /// First the suppliers say nothing: every terminal must get its answer all the same (S-13). Then they answer, and everything must come to its end.
    pub(super) fn settle(&mut self) {
        self.room = true;
        self.process.gate.set_room(true);
        self.hosts.iter_mut().for_each(|host| host.mute = true);
        self.back_to_usual();
        self.note("the suppliers fall silent");
        for _ in 0..8 {
            self.move_on(1_000_000);
        }
        assert!(
            self.terminals.open.is_empty(),
            "answered-once: {} tickets have no answer",
            self.terminals.open.len()
        );
        assert_eq!(self.process.gate.waiting(), 0, "bounded: flights wait that nobody waits for");
        for host in &mut self.hosts {
            (host.mute, host.calm) = (false, true);
        }
        self.note("the suppliers answer again");
        for _ in 0..80 {
            self.move_on(1_000_000);
        }
        let gate = &self.process.gate;
        for supplier in &gate.catalogue().suppliers {
            let supply = gate.supply(supplier.id).expect("known");
            assert_eq!(
                (supply.in_flight(), supply.advices()),
                (0, 0),
                "bounded: credits of {}",
                supplier.code
            );
        }
        for side in &self.process.sides {
            assert_eq!(side.session.open(), 0, "bounded: the session of {:?}", side.id);
        }
        assert!(gate.state().flights().all(|flight| flight.phase.is_over() || flight.phase == Phase::Parked));
    }

    pub(super) fn account_for_everything(&mut self) {
        assert!(self.disk.fold() == *self.process.gate.state(), "fold: the state is not the fold of its log");
        let ends = [
            Stand::Sold,
            Stand::Approved,
            Stand::Declined,
            Stand::Cancelled,
            Stand::Settled,
            Stand::Parked,
            Stand::Withdrawn,
            Stand::Unloaded,
            Stand::Closed,
        ];
        for (flight, story) in &self.stories.flights {
            assert!(ends.contains(&story.stand), "one-terminal-outcome: {flight} is {:?}", story.stand);
        }
        self.account_for_deeds();
        // Everything that was ever asked is asked again: what was told before must be told again.
        for known in std::mem::take(&mut self.terminals.history) {
            let conduit = self.random.below(CONDUITS.len());
            self.send(Sale { mti: 201, ..known.sale }, conduit, None);
            self.move_on(1_000);
        }
        for reversal in std::mem::take(&mut self.terminals.reversals) {
            let conduit = self.random.below(CONDUITS.len());
            let transmission = reversal.local.is_empty().then(|| reversal.transmission.clone());
            self.send(reversal, conduit, transmission);
            self.move_on(1_000);
        }
        for _ in 0..60 {
            self.move_on(1_000_000);
        }
        assert!(self.terminals.open.is_empty(), "answered-once");
        assert!(self.disk.fold() == *self.process.gate.state(), "fold: the state is not the fold of its log");
        let counters = self.process.gate.counters;
        assert_eq!(counters.tickets, counters.answers, "answered-once");
        self.account_for_deeds();
        self.account_for_words();
        assert!(self.process.acts.is_empty(), "an operator was told of what is not in the log");
        self.count();
    }
}
