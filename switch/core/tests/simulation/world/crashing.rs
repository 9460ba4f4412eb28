//! Crashes: the process is killed, or the power fails; and what the checker's books lose with it.

use super::World;
use crate::process::start;
use crate::support::books;
use switchyard_core::fact::Fact;
use switchyard_core::text::Text;

impl World {
    /// The process is killed, or the power fails with it.
    pub(super) fn crash(&mut self, power: bool) {
        self.note(if power { "the power fails" } else { "the process is killed" });
        self.crashes[usize::from(power)] += 1;
        self.count();
        if self.process.gate.log().facts() == 0 {
            assert!(
                self.disk.fold() == *self.process.gate.state(),
                "fold: the state is not the fold of its log"
            );
        }
        for side in &mut self.process.sides {
            self.never_sent.extend(side.never_sent.drain(..));
            for link in &side.links {
                let arrive = self.random.below(4);
                let host = &mut self.hosts[usize::from(side.id.0) - books::ALPHA];
                if let Some(flow) = host.flows.iter_mut().find(|flow| flow.connection == link.connection) {
                    flow.frames.truncate(arrive);
                }
            }
        }
        self.terminals.open.clear();
        if power {
            let survive = self.random.below(self.disk.unsynced() + 1);
            self.disk.cut(survive);
            self.recount();
        }
        // What is left is synced before anything else happens.
        self.disk.sync(usize::MAX >> 1);
        let epoch = self.process.epoch + 1;
        let keeper = std::mem::take(&mut self.process.keeper);
        self.lives.retain(|from| *from < self.disk.written());
        self.lives.push(self.disk.start(epoch).at);
        self.stories.restarted();
        self.process = start(&self.disk, &self.keyring, epoch, self.time_us, &self.shape, keeper);
        self.room = true;
    }

    /// Tells the stories again from what is left, and notes what is lost.
    pub(super) fn recount(&mut self) {
        let mut before = std::mem::take(&mut self.stories);
        self.stories.wanted = std::mem::take(&mut before.wanted);
        let mut lives = self.lives.iter().peekable();
        for (at, bytes) in self.disk.facts().filter(|(at, _)| *at >= self.log_from) {
            while lives.next_if(|from| **from <= *at).is_some() {
                self.stories.restarted();
            }
            self.stories.tell(*at, &Fact::unpack(bytes).expect("a fact reads back"));
        }
        // The undoing of a contradiction began with its fact, and is gone with it.
        for (flight, story) in before.flights.into_iter().filter(|(_, story)| story.contradicts.is_none()) {
            let left = self.stories.flights.get(&flight);
            let tries = left.map_or(0, |left| left.tries.len());
            for tried in &story.tries[tries..] {
                assert!(
                    self.relaxed.contains(&story.key) || !self.seen(tried.rrn),
                    "durable-before-visible: a sale before its intent"
                );
                self.orphans.insert(tried.rrn);
            }
            if story.answered_at.is_some() && left.is_none_or(|left| left.answered_at.is_none()) {
                assert!(
                    !self.terminals.lose(flight) || self.relaxed.contains(&story.key),
                    "durable-before-visible: an answer is gone"
                );
                self.lost += 1;
            }
        }
        for flight in before.undos.keys().filter(|flight| !self.stories.undos.contains_key(flight)) {
            assert!(!self.terminals.was_told(*flight), "durable-before-visible: a reversal is gone");
        }
    }

    /// Adds up what this life of the switch counted.
    pub(super) fn count(&mut self) {
        let gate = self.process.gate.counters;
        let mut counted = vec![
            ("sought", gate.sought),
            ("refused", gate.refused),
            ("repeats", gate.repeats),
            ("joined", gate.joined),
            ("moved", gate.moved),
            ("late", gate.late),
            ("contradicted", gate.contradicted),
            ("stale", gate.stale),
            ("reversals accepted", gate.reversals),
            ("blocked", gate.blocked),
            ("partial", gate.partial),
            ("withdrawn", gate.withdrawn),
            ("inquiries", gate.inquiries),
        ];
        for side in &self.process.sides {
            let counters = side.session.counters;
            counted.extend([
                ("asked", counters.asked),
                ("timed out", counters.timed_out),
                ("cut", counters.cut),
                ("not sent", counters.not_sent),
                ("reversals", counters.reversals_sent),
                ("status", counters.status_asked),
                ("undone", counters.undone),
                ("duplicate", counters.duplicate),
                ("unmatched", counters.unmatched),
                ("garbage", counters.garbage),
            ]);
        }
        counted.into_iter().for_each(|(name, number)| *self.counted.entry(name).or_default() += number);
    }

    pub(super) fn seen(&self, rrn: Text<12>) -> bool {
        self.hosts.iter().any(|host| host.ledger.get(&rrn).is_some_and(|deed| deed.asked > 0))
    }
}
