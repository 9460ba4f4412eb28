//! A session: everything between the gate and one supplier's adapter.
//!
//! Owns: the supplier's open attempts by STAN, their deadlines (one wheel), its links' readiness, and the counters of all that; the files below have reversals,
//! matching, and what was answered of late.
//! Invariants: an attempt is reported once: answered, timed out, cut, or never sent; after a time-out it stays matched through the late window, so no answer is lost
//! a reversal is repeated until it is answered, refused, or expires, and is never dropped (S-9); a duplicate or unmatched answer is counted.
//! What is open is bounded by the STANs that the gate gives: see `gate::supply`.
//! Deliberately absent: credits and STANs (the gate gives them), sockets and framing (the shell's), the protocol (the adapter's), and money.

mod advices;
mod answered;
mod deadlines;
mod matching;
mod report;
mod stray;

pub use advices::Tries;
pub use report::{Counters, Report};
pub use stray::Stray;

use crate::adapter::{Ask, Fault, Heard, LinkNo, Order, Out, Wire};
use crate::catalogue::Supplier;
use crate::ids::{FlightNo, Now, SupplierId};
use crate::slab::{Slab, slab_bytes};
use crate::text::Text;
use crate::wheel::Wheel;
use advices::{REVERSALS_A_TURN_MAX, Reversal};
use answered::{ANSWERED_MAX, Answered, AnsweredTable};
use deadlines::{Due, SWEEP_MIN};
use std::collections::VecDeque;
use stray::Strays;

/// An attempt of an earlier life of the switch whose answer may still come: nothing is sent, the answer is matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// At whom.
    pub supplier: SupplierId,
    /// Whose.
    pub flight: FlightNo,
    /// Which attempt of it.
    pub attempt: u8,
    /// Our STAN there.
    pub stan: u32,
    /// Our transmission time there.
    pub transmission: [u8; 10],
    /// Our RRN there.
    pub rrn: Text<12>,
    /// Until when answers are matched, monotonic microseconds.
    pub until_us: u64,
}

/// What is open under a STAN.
#[derive(Debug)]
struct Open {
    flight: FlightNo,
    attempt: u8,
    rrn: Text<12>,
    transmission: [u8; 10],
    link: LinkNo,
    /// Where its bytes begin in the link's stream; set by the shell when it queued them.
    position: Option<u64>,
    /// The sale while it is asked.
    asked: Option<Box<Order>>,
    /// Until when late answers are matched; 0 while it is asked.
    late_until_us: u64,
    /// What the last late answer said whose code is in the table: approved or not.
    said: Option<bool>,
    /// Whether one came whose code is not.
    unmapped: bool,
    /// The reversal while it is under way.
    reversal: Option<Reversal>,
}

impl Open {
    /// Whether nothing is under way: only late answers are matched.
    fn is_watched_only(&self) -> bool {
        self.asked.is_none() && self.reversal.is_none()
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    up: bool,
    ready: bool,
}

/// Bytes that every session may take, whatever its supplier: what was answered of late, and deadlines before they are swept.
pub(crate) const FIXED_BYTES: usize =
    ANSWERED_MAX * (size_of::<Answered>() + size_of::<Order>()) + 2 * SWEEP_MIN * DUE_BYTES;
/// A deadline in the wheel.
pub(crate) const DUE_BYTES: usize = size_of::<(u64, Due)>();

/// What is open under so many STANs takes.
pub(crate) fn open_bytes(stans: usize) -> usize {
    slab_bytes::<u32, Open>(stans)
}

/// The session of one supplier.
pub struct Session {
    supplier: Supplier,
    adapter: Box<dyn Wire>,
    links: Vec<Link>,
    next_link: usize,
    open: Slab<u32, Open>,
    /// Reversals that wait to be sent, in order.
    waiting: VecDeque<(u32, FlightNo)>,
    /// Reversals that may be under way without an answer, and how many are.
    places: usize,
    placed: usize,
    /// How long one may keep its place without an answer, microseconds.
    place_us: u64,
    /// Reversals that this turn may still send.
    turn_left: usize,
    /// Whether reversals are being sent, and whether a place became free meanwhile.
    sending: bool,
    freed: bool,
    /// Whether `Due::Expire` is in the wheel, and whether `Due::Continue` is.
    expiring: bool,
    continuing: bool,
    wheel: Wheel<Due>,
    /// When the wheel holds so many deadlines, those that no longer matter are swept out.
    sweep_at: usize,
    /// What fired last; kept for its room.
    due: Vec<Due>,
    answered: AnsweredTable,
    strays: Strays,
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
        let place_ms = supplier.advice_retry_ms.min(supplier.timeout_ms);
        Self {
            places: advices::places(&supplier),
            placed: 0,
            place_us: u64::from(place_ms).max(1) * 1_000,
            turn_left: REVERSALS_A_TURN_MAX,
            sending: false,
            freed: false,
            supplier,
            adapter,
            links: vec![Link::default(); links.max(1)],
            next_link: 0,
            open: Slab::default(),
            waiting: VecDeque::new(),
            expiring: false,
            continuing: false,
            wheel: Wheel::new(now.mono_us),
            sweep_at: SWEEP_MIN,
            due: Vec::new(),
            answered: AnsweredTable::default(),
            strays: Strays::default(),
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

    /// Deadlines in the wheel.
    pub fn deadlines(&self) -> usize {
        self.wheel.len()
    }

    /// Reversals that wait to be sent.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Matches answers to an attempt of an earlier life of the switch, once, at the start.
    pub fn watch(&mut self, watch: &Watch) {
        self.wheel.put(watch.until_us, Due::Forget(watch.stan, watch.flight));
        // A doubt that came back is there twice; the later end counts.
        let open = self.open.or_insert_with(watch.stan, || Open {
            flight: watch.flight,
            attempt: watch.attempt,
            rrn: watch.rrn,
            transmission: watch.transmission,
            link: 0,
            position: None,
            asked: None,
            late_until_us: watch.until_us,
            said: None,
            unmapped: false,
            reversal: None,
        });
        open.late_until_us = open.late_until_us.max(watch.until_us);
    }

    /// What the adapter wants sent since the last `sent`: the shell queues `Out::sends` in order and tells each one's position by `queued`.
    pub fn out(&self) -> &Out {
        &self.out
    }

    /// The `send`-th of `out().sends` begins at `position` of its link's stream.
    pub fn queued(&mut self, send: usize, position: u64) {
        if let Some(Some(stan)) = self.sends.get(send)
            && let Some(open) = self.open.get_mut(*stan)
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
        let Some(open) = self.open.get_mut(stan).filter(|open| open.position.is_none() && !more) else {
            return;
        };
        if let Some(order) = open.asked.take() {
            self.open.discard(stan);
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
            .map(|(stan, _)| stan)
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
        let Some(open) = self.open.get_mut(stan) else { return };
        let sent = open.position.is_some_and(|position| position < written);
        let Some(order) = open.asked.take() else { return };
        if sent {
            open.late_until_us = late_until_us;
            self.wheel.put(late_until_us, Due::Forget(stan, order.flight));
            self.counters.cut += 1;
            self.reports.push_back(Report::Cut(order));
        } else {
            self.open.discard(stan);
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
            Ask::Reversal { .. } | Ask::Status => self.undo(now, order),
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
        self.answered.forget(order.stan);
        self.sweep();
        self.wheel.put(order.deadline_us, Due::Answer(order.stan, order.flight));
        self.open.insert(
            order.stan,
            Open {
                flight: order.flight,
                attempt: order.attempt,
                rrn: order.rrn,
                transmission: order.transmission,
                link,
                position: None,
                asked: Some(order),
                late_until_us: 0,
                said: None,
                unmapped: false,
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

    fn hear(&mut self, now: Now, heard: Heard<'_>) {
        self.adapter.heard(now, heard, &mut self.out);
        self.sends.resize(self.out.sends.len(), None);
        self.collect(now);
    }

    /// Takes what the adapter left in `out` for the session.
    fn collect(&mut self, now: Now) {
        while let Some((at_us, token)) = self.out.wakes.pop() {
            self.wheel.put(at_us, Due::Adapter(token));
        }
        while let Some(fault) = self.out.faults.pop() {
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
        if std::mem::take(&mut self.freed) {
            self.send_reversals(now);
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
}
