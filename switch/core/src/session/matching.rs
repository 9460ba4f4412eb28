//! Answers matched to what they answer.
//!
//! Owns: the match by STAN, RRN and transmission time; late, duplicate and contradictory answers.
//! Invariants: the first answer in time stands; what comes after an unknown outcome, or says otherwise than the first, is reported once each time it says something
//! new, so that nothing is lost and a supplier that repeats itself writes nothing into the journal.
//! Deliberately absent: what an answer changes (the gate's), and how many strays are told (`stray`).

use super::{Due, Report, Session, Stray};
use crate::adapter::{Answer, Out, Reply, ReplyTo};
use crate::catalogue::Meaning;
use crate::ids::Now;

impl Session {
    /// Matches a reply: STAN, then our RRN and transmission time where it carries them.
    pub(super) fn reply(&mut self, now: Now, reply: &Reply) {
        let known = self.open.get(&reply.stan).is_some_and(|open| {
            reply.rrn.is_none_or(|rrn| rrn.is_empty() || rrn == open.rrn)
                && (reply.to != ReplyTo::Sale
                    || reply.transmission.is_none_or(|transmission| transmission == open.transmission))
        });
        match (known, reply.to) {
            (true, ReplyTo::Sale) => self.sale_reply(now, reply),
            (true, ReplyTo::Reversal) => self.reversal_reply(now, reply),
            (true, ReplyTo::Status) => self.status_reply(now, reply),
            (false, _) => self.stray(now, reply),
        }
    }

    fn sale_reply(&mut self, now: Now, reply: &Reply) {
        let late_until_us = now.mono_us + self.late_window_us();
        let meaning = self.supplier.codes.sale(reply.code);
        let Some(open) = self.open.get_mut(&reply.stan) else { return };
        let Some(mut order) = open.asked.take() else {
            return self.late_reply(reply, meaning);
        };
        order.link = Some(open.link);
        order.answer.clear();
        fill(&mut order.answer, reply, meaning, &self.out);
        self.counters.answered += 1;
        // An answer that nobody understands is no answer: the one that says what became of the sale may still come.
        if meaning == Meaning::Unknown {
            open.late_until_us = late_until_us;
            self.wheel.put(late_until_us, Due::Forget(reply.stan, order.flight));
        } else {
            self.answered.sale(&order, meaning == Meaning::Approved);
            self.open.remove(&reply.stan);
        }
        self.reports.push_back(Report::Answered(order));
    }

    /// An answer after the outcome was unknown.
    fn late_reply(&mut self, reply: &Reply, meaning: Meaning) {
        let Some(open) = self.open.get_mut(&reply.stan) else { return };
        let said = meaning.performed();
        // What nobody understands takes nothing back that was said before (S-11).
        let (same, contradicts) = match said {
            None => (std::mem::replace(&mut open.unmapped, true), false),
            Some(approved) => {
                let before = open.said.replace(approved);
                (before == Some(approved), before == Some(!approved))
            }
        };
        if same {
            self.counters.duplicate += 1;
            return;
        }
        self.counters.late += 1;
        self.counters.contradictory += u64::from(contradicts);
        // What the supplier says it performed need not be asked for.
        if let Some(reversal) = open.reversal.as_mut().filter(|_| said == Some(true)) {
            reversal.asks_status = false;
        }
        let (flight, attempt) = (open.flight, open.attempt);
        let mut answer = Box::<Answer>::default();
        fill(&mut answer, reply, meaning, &self.out);
        self.reports.push_back(Report::Late { flight, attempt, answer });
    }

    /// A reply to nothing that is open: a duplicate, a contradiction, or nothing that is known.
    pub(super) fn stray(&mut self, now: Now, reply: &Reply) {
        let meaning = self.supplier.codes.sale(reply.code);
        let approved = meaning == Meaning::Approved;
        let before = self.answered.find(reply.stan);
        let Some(before) = before.filter(|before| reply.rrn.is_none_or(|rrn| rrn == before.rrn)) else {
            return self.unmatched(now, reply, meaning);
        };
        let same = before.approved == approved || before.contradicted;
        if reply.to != ReplyTo::Sale || !before.sale || same {
            self.counters.duplicate += 1;
            return;
        }
        before.contradicted = true;
        let (flight, attempt, undo) = (before.flight, before.attempt, before.take());
        self.counters.contradictory += 1;
        let mut answer = Box::<Answer>::default();
        fill(&mut answer, reply, meaning, &self.out);
        self.reports.push_back(Report::Contradicted { flight, attempt, answer, undo });
    }

    /// A reply to nothing that is known: one to a sale is told, for it may say otherwise than what was said then.
    fn unmatched(&mut self, now: Now, reply: &Reply, meaning: Meaning) {
        self.counters.unmatched += 1;
        if reply.to != ReplyTo::Sale {
            return;
        }
        let approved = meaning == Meaning::Approved;
        self.counters.unmatched_approved += u64::from(approved);
        if let Some(untold) = self.strays.tell(now) {
            let (stan, code, rrn) = (reply.stan, reply.code, reply.rrn.unwrap_or_default());
            let stray = Box::new(Stray { rrn, stan, code, approved, untold });
            let mut answer = Box::<Answer>::default();
            fill(&mut answer, reply, meaning, &self.out);
            self.reports.push_back(Report::Stray { stray, answer });
        }
    }
}

/// Takes over what a reply says.
fn fill(answer: &mut Answer, reply: &Reply, meaning: Meaning, out: &Out) {
    answer.code = reply.code;
    answer.sale = Some(meaning);
    answer.approval = reply.approval;
    answer.details.0.extend_from_slice(out.details.get(reply.details.clone()).unwrap_or_default());
    answer.secret.set(out.secrets.expose().get(reply.secret.clone()).unwrap_or_default());
}
