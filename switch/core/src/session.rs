//! A session: everything between the gate and one supplier's adapter.
//!
//! Owns: the supplier's open attempts by STAN, their deadlines (one wheel), its links' readiness, reversals and their repeats, matching, and the counters of all that.
//! Invariants: an attempt is reported once: answered, timed out, cut, or never sent; after a time-out it stays matched through the late window, so no answer is lost;
//! a reversal is repeated until it is answered, refused, or expires, and is never dropped (S-9); a duplicate or unmatched answer is counted.
//! Deliberately absent: credits and STANs (the gate gives them), sockets and framing (the shell's), the protocol (the adapter's), and money.

use crate::adapter::{Ask, Fault, Heard, LinkNo, Order, Out, Reply, ReplyTo, Wire};
use crate::catalogue::{Meaning, ReversalMeaning, Supplier};
use crate::ids::{FlightNo, Now};
use crate::text::Text;
use crate::wheel::Wheel;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// What the session tells the gate.
#[derive(Debug)]
pub enum Report {
    /// A sale was answered; `answer.sale` says what that means.
    Answered(Box<Order>),
    /// No answer in time.
    TimedOut(Box<Order>),
    /// The link was lost after bytes of the request had been handed to its socket.
    Cut(Box<Order>),
    /// No byte was handed to a socket (S-12).
    NotSent(Box<Order>),
    /// A reversal came to its end; `answer.reversal` says how, none: it expired.
    Undone(Box<Order>),
    /// An answer to a sale came after the outcome was unknown.
    Late {
        /// Whose.
        flight: FlightNo,
        /// The supplier's code.
        code: Text<4>,
        /// Whether it is an approval.
        approved: bool,
    },
    /// Whether orders can be sent at all changed.
    Ready(bool),
}

/// What the session counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Sales handed to a link.
    pub asked: u64,
    /// Sales answered in time.
    pub answered: u64,
    /// Sales without an answer in time.
    pub timed_out: u64,
    /// Sales whose link was lost.
    pub cut: u64,
    /// Sales never sent.
    pub not_sent: u64,
    /// Reversals sent, repeats too.
    pub reversals_sent: u64,
    /// Reversals that came to their end.
    pub undone: u64,
    /// Answers after the time-out.
    pub late: u64,
    /// Answers to something answered before.
    pub duplicate: u64,
    /// Answers to nothing that is known.
    pub unmatched: u64,
    /// Frames that are no message.
    pub garbage: u64,
    /// Messages that were not expected.
    pub unexpected: u64,
}

/// A deadline.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The attempt with that STAN, of that flight, has had its time.
    Answer(u32, FlightNo),
    /// The late window of that STAN, of that flight, is over.
    Forget(u32, FlightNo),
    /// The reversal with that STAN, of that flight, is to be sent (again).
    Repeat(u32, FlightNo),
    /// Reversals that wait for a link are looked through for those that have expired.
    Expire,
    /// The adapter asked to be woken.
    Adapter(u64),
}

/// What is open under a STAN.
#[derive(Debug)]
struct Open {
    flight: FlightNo,
    rrn: Text<12>,
    transmission: [u8; 10],
    link: LinkNo,
    /// Where its bytes begin in the link's stream; set by the shell when it queued them.
    position: Option<u64>,
    /// The sale while it is asked.
    asked: Option<Box<Order>>,
    /// Until when late answers are matched; 0 while it is asked.
    late_until_us: u64,
    /// The reversal while it is under way.
    reversal: Option<Reversal>,
}

#[derive(Debug)]
struct Reversal {
    order: Box<Order>,
    started_us: u64,
    wait_us: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    up: bool,
    ready: bool,
}

/// What is held under a STAN, with its key.
pub(crate) const OPEN_BYTES: usize = size_of::<(u32, Open)>();
/// A deadline in the wheel.
pub(crate) const DUE_BYTES: usize = size_of::<(u64, Due)>();

/// Answers remembered, to tell a duplicate from one that belongs to nothing.
const ANSWERED_KEPT: usize = 4_096;

/// Reversals sent in one turn: an outage's backlog is paced, so that sales are not starved.
const REVERSALS_A_TURN_MAX: usize = 64;

/// How often reversals that wait for a link are looked through for those that have expired, microseconds.
const EXPIRE_US: u64 = 1_000_000;

/// The session of one supplier.
pub struct Session {
    supplier: Supplier,
    adapter: Box<dyn Wire>,
    links: Vec<Link>,
    next_link: usize,
    open: FxHashMap<u32, Open>,
    waiting: VecDeque<(u32, FlightNo)>,
    /// Whether `Due::Expire` is in the wheel.
    expiring: bool,
    wheel: Wheel<Due>,
    answered: Vec<(u32, Text<12>)>,
    out: Out,
    /// The STAN that each send of `out` belongs to, none for housekeeping.
    sends: Vec<Option<u32>>,
    reports: VecDeque<Report>,
    ready: bool,
    leaving: bool,
    /// What happened, counted.
    pub counters: Counters,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("supplier", &self.supplier.code)
            .field("open", &self.open.len())
            .finish()
    }
}

impl Session {
    /// The session of `supplier`, with so many links, all down.
    pub fn new(supplier: Supplier, adapter: Box<dyn Wire>, links: usize, now: Now) -> Self {
        Self {
            supplier,
            adapter,
            links: vec![Link::default(); links.max(1)],
            next_link: 0,
            open: FxHashMap::default(),
            waiting: VecDeque::new(),
            expiring: false,
            wheel: Wheel::new(now.mono_us),
            answered: vec![(0, Text::EMPTY); ANSWERED_KEPT],
            out: Out::default(),
            sends: Vec::new(),
            reports: VecDeque::new(),
            ready: false,
            leaving: false,
            counters: Counters::default(),
        }
    }

    /// The supplier.
    pub fn supplier(&self) -> &Supplier {
        &self.supplier
    }

    /// Starts: an adapter without links is ready at once.
    pub fn start(&mut self, now: Now) {
        if !self.adapter.needs_links() {
            self.up(now, 0);
            self.link_ready(now, 0);
        }
    }

    /// Attempts and reversals that are open.
    pub fn open(&self) -> usize {
        self.open.len()
    }

    /// What the adapter wants sent since the last `sent`: the shell queues `Out::sends` in order and tells each one's position by `queued`.
    pub fn out(&self) -> &Out {
        &self.out
    }

    /// The `send`-th of `out().sends` begins at `position` of its link's stream.
    pub fn queued(&mut self, send: usize, position: u64) {
        if let Some(Some(stan)) = self.sends.get(send)
            && let Some(open) = self.open.get_mut(stan)
        {
            // Where an order makes several messages, the first one counts: a byte of any of them may have done something.
            open.position.get_or_insert(position);
        }
    }

    /// The `send`-th of `out().sends` could not be queued: its link is down, or too much waits on it. A sale of which nothing was queued was never sent, and is reported at once rather
    /// than when its time is over (S-12); a reversal is sent again by itself.
    pub fn not_queued(&mut self, send: usize) {
        let Some(Some(stan)) = self.sends.get(send).copied() else { return };
        // Another message of the same order may still be queued: then something is sent, and time decides.
        let more = self.sends[send + 1..].contains(&Some(stan));
        let Some(open) = self.open.get_mut(&stan).filter(|open| open.position.is_none() && !more) else {
            return;
        };
        if let Some(order) = open.asked.take() {
            self.open.remove(&stan);
            self.not_sent(order);
        }
    }

    /// Reports that the gate has not taken.
    pub fn backlog(&self) -> usize {
        self.reports.len()
    }

    /// Everything in `out` was done.
    pub fn sent(&mut self) {
        self.out.clear();
        self.sends.clear();
    }

    /// The next report for the gate.
    pub fn report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// When to call `tick` again, monotonic microseconds.
    pub fn wake_us(&mut self) -> Option<u64> {
        self.wheel.wake_us()
    }

    /// The transport of a link is up.
    pub fn up(&mut self, now: Now, link: LinkNo) {
        if let Some(state) = self.links.get_mut(usize::from(link)) {
            *state = Link { up: true, ready: false };
        }
        self.hear(now, Heard::Up(link));
    }

    /// The transport of a link is gone; bytes before `written` were handed to its socket.
    pub fn down(&mut self, now: Now, link: LinkNo, written: u64) {
        if let Some(state) = self.links.get_mut(usize::from(link)) {
            *state = Link::default();
        }
        self.hear(now, Heard::Down(link));
        let mut lost: Vec<u32> = self
            .open
            .iter()
            .filter(|(_, open)| open.link == link && open.asked.is_some())
            .map(|(stan, _)| *stan)
            .collect();
        lost.sort_unstable();
        for stan in lost {
            self.lose(now, stan, written);
        }
        self.tell_ready();
    }

    /// A sale whose link is gone: never sent, or cut.
    fn lose(&mut self, now: Now, stan: u32, written: u64) {
        let late_until_us = now.mono_us + self.late_window_us();
        let Some(open) = self.open.get_mut(&stan) else { return };
        let sent = open.position.is_some_and(|position| position < written);
        let Some(order) = open.asked.take() else { return };
        if sent {
            open.late_until_us = late_until_us;
            self.wheel.put(late_until_us, Due::Forget(stan, order.flight));
            self.counters.cut += 1;
            self.reports.push_back(Report::Cut(order));
        } else {
            self.open.remove(&stan);
            self.counters.not_sent += 1;
            self.reports.push_back(Report::NotSent(order));
        }
    }

    fn late_window_us(&self) -> u64 {
        u64::from(self.supplier.late_window_ms) * 1_000
    }

    /// A frame's body arrived on a link.
    pub fn frame(&mut self, now: Now, link: LinkNo, body: &[u8]) {
        self.hear(now, Heard::Frame(link, body));
    }

    /// Says goodbye on every link; no new sales are taken.
    pub fn leave(&mut self, now: Now) {
        self.leaving = true;
        self.tell_ready();
        for link in 0..self.links.len() as LinkNo {
            if self.links[usize::from(link)].up {
                self.hear(now, Heard::Leave(link));
            }
        }
    }

    /// Takes sales again after `leave`.
    pub fn resume(&mut self) {
        self.leaving = false;
        self.tell_ready();
    }

    /// An order from the gate.
    pub fn order(&mut self, now: Now, order: Box<Order>) {
        match order.ask {
            Ask::Sale => self.ask(now, order),
            Ask::Reversal { .. } => self.undo(now, order),
        }
    }

    fn ask(&mut self, now: Now, mut order: Box<Order>) {
        // What is overdue before it is sent need not be undone if it is never sent (S-12).
        if order.deadline_us <= now.mono_us {
            return self.not_sent(order);
        }
        let Some(link) = self.choose(None) else { return self.not_sent(order) };
        if self.adapter.ask(now, &order, link, &mut self.out).is_err() {
            return self.not_sent(order);
        }
        order.sent_us = now.mono_us;
        self.sends.resize(self.out.sends.len(), Some(order.stan));
        self.counters.asked += 1;
        self.wheel.put(order.deadline_us, Due::Answer(order.stan, order.flight));
        self.open.insert(
            order.stan,
            Open {
                flight: order.flight,
                rrn: order.rrn,
                transmission: order.transmission,
                link,
                position: None,
                asked: Some(order),
                late_until_us: 0,
                reversal: None,
            },
        );
        self.collect(now);
    }

    fn not_sent(&mut self, order: Box<Order>) {
        self.counters.not_sent += 1;
        self.reports.push_back(Report::NotSent(order));
    }

    /// A ready link, the wanted one if it is, else the next in turn.
    fn choose(&mut self, wanted: Option<LinkNo>) -> Option<LinkNo> {
        if let Some(link) = wanted
            && self.links.get(usize::from(link)).is_some_and(|link| link.ready)
        {
            return Some(link);
        }
        let count = self.links.len();
        let found =
            (0..count).map(|step| (self.next_link + step) % count).find(|at| self.links[*at].ready)?;
        self.next_link = (found + 1) % count;
        Some(found as LinkNo)
    }

    /// A reversal from the gate: it is sent as soon as a link is ready.
    fn undo(&mut self, now: Now, mut order: Box<Order>) {
        let (stan, flight) = (order.stan, order.flight);
        order.answer.clear();
        order.tries = 0;
        // A reversal of another life of the switch, or of an answer that could not be understood: the sale may still be answered, and an approval must be noticed.
        let late_until_us = now.mono_us + self.late_window_us();
        let open = self.open.entry(stan).or_insert_with(|| Open {
            flight,
            rrn: order.rrn,
            transmission: order.transmission,
            link: order.link.unwrap_or(0),
            position: None,
            asked: None,
            late_until_us,
            reversal: None,
        });
        let wait_us = u64::from(self.supplier.advice_retry_ms).max(1) * 1_000;
        open.reversal = Some(Reversal { order, started_us: now.mono_us, wait_us });
        self.waiting.push_back((stan, flight));
        self.send_reversals(now);
    }

    /// Sends reversals that wait, at most so many a turn.
    fn send_reversals(&mut self, now: Now) {
        for _ in 0..REVERSALS_A_TURN_MAX.min(self.waiting.len()) {
            let Some((stan, flight)) = self.waiting.pop_front() else { return };
            let wanted = match self.open.get(&stan) {
                Some(open) if open.flight == flight && open.reversal.is_some() => open.link,
                _ => continue,
            };
            let Some(link) = self.choose(Some(wanted)) else {
                self.waiting.push_front((stan, flight));
                return self.expire_later(now);
            };
            self.send_reversal(now, stan, link);
        }
    }

    /// A reversal expires even while no link is there to send it (S-9).
    fn expire_later(&mut self, now: Now) {
        if !self.expiring {
            self.expiring = true;
            self.wheel.put(now.mono_us + EXPIRE_US, Due::Expire);
        }
    }

    /// Ends the reversals that have waited for a link for too long.
    fn expire(&mut self, now: Now) {
        self.expiring = false;
        for (stan, flight) in std::mem::take(&mut self.waiting) {
            if self.open.get(&stan).is_some_and(|open| open.flight == flight && self.expired(now, open)) {
                self.end_reversal(now, stan);
            } else {
                self.waiting.push_back((stan, flight));
            }
        }
    }

    fn expired(&self, now: Now, open: &Open) -> bool {
        let expires_us = self.supplier.advice_expires_ms.saturating_mul(1_000);
        open.reversal
            .as_ref()
            .is_some_and(|reversal| now.mono_us.saturating_sub(reversal.started_us) >= expires_us)
    }

    fn send_reversal(&mut self, now: Now, stan: u32, link: LinkNo) {
        let max_us = u64::from(self.supplier.advice_retry_max_ms).max(1) * 1_000;
        let Some(open) = self.open.get_mut(&stan) else { return };
        let Some(reversal) = open.reversal.as_mut() else { return };
        reversal.order.ask = Ask::Reversal { repeat: reversal.order.tries > 0 };
        reversal.order.tries = reversal.order.tries.saturating_add(1);
        let (flight, wait_us) = (open.flight, reversal.wait_us);
        reversal.wait_us = (wait_us * 2).min(max_us.max(wait_us));
        // A reversal that the protocol cannot express stays and is tried again: it is parked when it expires.
        if self.adapter.ask(now, &reversal.order, link, &mut self.out).is_ok() {
            self.counters.reversals_sent += 1;
            self.sends.resize(self.out.sends.len(), None);
        }
        self.wheel.put(now.mono_us + wait_us, Due::Repeat(stan, flight));
        self.collect(now);
    }

    /// Fires what is due.
    pub fn tick(&mut self, now: Now) {
        let mut due = Vec::new();
        self.wheel.due(now.mono_us, |what| due.push(what));
        for what in due {
            match what {
                Due::Answer(stan, flight) => self.time_out(now, stan, flight),
                Due::Forget(stan, flight) => self.forget(now, stan, flight),
                Due::Repeat(stan, flight) => self.repeat(now, stan, flight),
                Due::Expire => self.expire(now),
                Due::Adapter(token) => self.hear(now, Heard::Wake(token)),
            }
        }
        self.send_reversals(now);
    }

    fn time_out(&mut self, now: Now, stan: u32, flight: FlightNo) {
        let late_until_us = now.mono_us + self.late_window_us();
        let Some(open) = self.open.get_mut(&stan).filter(|open| open.flight == flight) else { return };
        let Some(mut order) = open.asked.take() else { return };
        open.late_until_us = late_until_us;
        order.link = Some(open.link);
        self.wheel.put(late_until_us, Due::Forget(stan, flight));
        self.counters.timed_out += 1;
        self.reports.push_back(Report::TimedOut(order));
    }

    fn forget(&mut self, now: Now, stan: u32, flight: FlightNo) {
        let over = self.open.get(&stan).is_some_and(|open| {
            open.flight == flight
                && open.asked.is_none()
                && open.reversal.is_none()
                && open.late_until_us <= now.mono_us
        });
        if over {
            self.open.remove(&stan);
        }
    }

    fn repeat(&mut self, now: Now, stan: u32, flight: FlightNo) {
        let Some(open) = self.open.get(&stan).filter(|open| open.flight == flight && open.reversal.is_some())
        else {
            return;
        };
        if self.expired(now, open) {
            return self.end_reversal(now, stan);
        }
        self.waiting.push_back((stan, flight));
    }

    fn end_reversal(&mut self, now: Now, stan: u32) {
        let Some(open) = self.open.get_mut(&stan) else { return };
        let Some(reversal) = open.reversal.take() else { return };
        let late_until_us = open.late_until_us;
        let flight = open.flight;
        self.wheel.put(late_until_us.max(now.mono_us), Due::Forget(stan, flight));
        self.counters.undone += 1;
        self.reports.push_back(Report::Undone(reversal.order));
    }

    fn hear(&mut self, now: Now, heard: Heard<'_>) {
        self.adapter.heard(now, heard, &mut self.out);
        self.sends.resize(self.out.sends.len(), None);
        self.collect(now);
    }

    /// Takes what the adapter left in `out` for the session.
    fn collect(&mut self, now: Now) {
        for (at_us, token) in std::mem::take(&mut self.out.wakes) {
            self.wheel.put(at_us, Due::Adapter(token));
        }
        for fault in std::mem::take(&mut self.out.faults) {
            match fault {
                Fault::Garbage(_) => self.counters.garbage += 1,
                Fault::Unexpected(_) => self.counters.unexpected += 1,
            }
        }
        if !self.out.replies.is_empty() {
            let mut replies = std::mem::take(&mut self.out.replies);
            for reply in &replies {
                self.reply(now, reply);
            }
            replies.clear();
            self.out.replies = replies;
            self.out.details.clear();
            self.out.secrets.clear();
        }
        for link in std::mem::take(&mut self.out.ready) {
            self.link_ready(now, link);
        }
    }

    fn link_ready(&mut self, now: Now, link: LinkNo) {
        if let Some(state) = self.links.get_mut(usize::from(link))
            && state.up
        {
            state.ready = true;
        }
        self.tell_ready();
        self.send_reversals(now);
    }

    /// Tells the gate when it changed whether sales can be sent.
    fn tell_ready(&mut self) {
        let ready = !self.leaving && self.links.iter().any(|link| link.ready);
        if ready != self.ready {
            self.ready = ready;
            self.reports.push_back(Report::Ready(ready));
        }
    }

    /// Matches a reply: STAN, then our RRN and transmission time where it carries them.
    fn reply(&mut self, now: Now, reply: &Reply) {
        let known = self.open.get(&reply.stan).is_some_and(|open| {
            reply.rrn.is_none_or(|rrn| rrn.is_empty() || rrn == open.rrn)
                && (reply.to == ReplyTo::Reversal
                    || reply.transmission.is_none_or(|transmission| transmission == open.transmission))
        });
        match (known, reply.to) {
            (true, ReplyTo::Sale) => self.sale_reply(reply),
            (true, ReplyTo::Reversal) => self.reversal_reply(now, reply),
            (false, _) => self.stray(reply),
        }
    }

    fn stray(&mut self, reply: &Reply) {
        let (stan, rrn) = self.answered[reply.stan as usize % ANSWERED_KEPT];
        if stan == reply.stan && reply.rrn.is_none_or(|known| known == rrn) {
            self.counters.duplicate += 1;
        } else {
            self.counters.unmatched += 1;
        }
    }

    fn sale_reply(&mut self, reply: &Reply) {
        let meaning = self.supplier.codes.sale(reply.code);
        let Some(open) = self.open.get_mut(&reply.stan) else { return };
        let Some(mut order) = open.asked.take() else {
            let flight = open.flight;
            self.counters.late += 1;
            let approved = meaning == Meaning::Approved;
            return self.reports.push_back(Report::Late { flight, code: reply.code, approved });
        };
        let (link, rrn) = (open.link, open.rrn);
        order.link = Some(link);
        order.answer.clear();
        order.answer.code = reply.code;
        order.answer.sale = Some(meaning);
        order.answer.approval = reply.approval;
        order
            .answer
            .details
            .0
            .extend_from_slice(self.out.details.get(reply.details.clone()).unwrap_or_default());
        order.answer.secret.set(self.out.secrets.expose().get(reply.secret.clone()).unwrap_or_default());
        self.answered[reply.stan as usize % ANSWERED_KEPT] = (reply.stan, rrn);
        self.counters.answered += 1;
        self.open.remove(&reply.stan);
        self.reports.push_back(Report::Answered(order));
    }

    /// An answer to a reversal: the end of it, or not yet (S-8).
    fn reversal_reply(&mut self, now: Now, reply: &Reply) {
        let meaning = self.supplier.codes.reversal(reply.code);
        let blocks = self.supplier.reversal_blocks_original;
        let late_window_us = self.late_window_us();
        let Some(reversal) = self.open.get_mut(&reply.stan).and_then(|open| open.reversal.as_mut()) else {
            return self.stray(reply);
        };
        let waited_us = now.mono_us.saturating_sub(reversal.started_us);
        let ends = match meaning {
            ReversalMeaning::Reversed | ReversalMeaning::Refused => true,
            ReversalMeaning::NotFound => blocks || waited_us >= late_window_us,
            ReversalMeaning::Retry => false,
        };
        if ends {
            reversal.order.answer.code = reply.code;
            reversal.order.answer.reversal = Some(meaning);
            let rrn = reversal.order.rrn;
            self.answered[reply.stan as usize % ANSWERED_KEPT] = (reply.stan, rrn);
            self.end_reversal(now, reply.stan);
        }
    }
}
