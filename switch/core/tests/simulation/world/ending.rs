//! How a run ends: first quiet, then the account of everything that happened.

use super::{CONDUITS, World};
use crate::process::LINKS;
use crate::story::Stand;
use crate::support::message::Sale;
use switchyard_core::flight::Phase;
use switchyard_core::session::Report;

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
                for report in side.reports.drain(..) {
                    if let Report::Undone(order) = &report {
                        self.process.undoing.remove(&order.flight);
                    }
                    self.process.gate.heard(now, side.id, report);
                }
                self.never_sent.extend(side.never_sent.drain(..));
            }
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
        assert!(gate.state().flights().all(|flight| matches!(flight.phase, Phase::Settled | Phase::Parked)));
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
        ];
        let mut owners = std::collections::HashMap::new();
        for (flight, story) in &self.stories.flights {
            assert!(ends.contains(&story.stand), "one-terminal-outcome: {flight} is {:?}", story.stand);
            let last = story.tries.len() - 1;
            for (at, tried) in story.tries.iter().enumerate() {
                owners.insert(tried.rrn, (*flight, story.stand, at == last));
            }
            if story.stand == Stand::Approved {
                let rrn = story.tries[last].rrn;
                let performed = self
                    .hosts
                    .iter()
                    .filter(|host| host.ledger.get(&rrn).is_some_and(|deed| deed.stands()))
                    .count();
                assert_eq!(
                    performed, 1,
                    "performed-once: {flight} is approved and was performed {performed} times"
                );
            }
        }
        for host in &self.hosts {
            for (rrn, deed) in &host.ledger {
                assert!(
                    !self.never_sent.contains(rrn) || deed.asked == 0,
                    "a sale that was never sent arrived: {rrn}"
                );
                if !deed.stands() || self.orphans.contains(rrn) {
                    continue;
                }
                let owner = owners.get(rrn);
                let right = matches!(owner, Some((_, Stand::Approved | Stand::Parked, true)));
                assert!(right, "performed-once: {rrn} stands at the supplier, and is {owner:?}");
            }
        }
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
        self.count();
    }
}
