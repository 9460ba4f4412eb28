//! Reversals on their way: stored by the gate, forwarded here.
//!
//! Owns: which reversals wait, which hold a place, their repeats and waits.
//! Invariants: a reversal is repeated until it is answered, refused, or expires, and is never dropped (S-9); a sale has one reversal at a time, so what is said of
//! one original is in order; at most an eighth of the window is under way without an answer (S-19), so that a backlog neither starves sales nor floods a supplier
//! that has just come back, and the supplier itself sets the pace; a reversal that is not answered gives its place up after a while, and only later is repeated.
//! Deliberately absent: how many the gate hands over, and what an end means (the gate's).

use super::{Due, Open, Report, Session};
use crate::adapter::{Ask, LinkNo, Order, Reply};
use crate::catalogue::{AfterUnknown, ReversalMeaning, StatusMeaning, Supplier};
use crate::ids::{FlightNo, Now};
use crate::route::mix;

/// Reversals sent in one turn at most: what keeps a turn short.
pub(super) const REVERSALS_A_TURN_MAX: usize = 256;

/// How often reversals that wait for a link are looked through for those that have expired, microseconds.
const EXPIRE_US: u64 = 1_000_000;

/// A reversal under way.
#[derive(Debug)]
pub(super) struct Reversal {
    order: Box<Order>,
    started_us: u64,
    /// The wait before the next repeat, without its jitter.
    wait_us: u64,
    /// When it is repeated; a deadline before that is of an earlier sending.
    repeat_us: u64,
    /// Whether it stands among those that wait to be sent.
    queued: bool,
    /// Whether it holds one of the places.
    placed: bool,
    /// Whether the supplier is asked for the sale's status, before it is reversed.
    pub(super) asks_status: bool,
}

/// How far a reversal is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// How often it was sent since it came to the session; a start, and an operator's retry, begin anew.
    pub sent: u16,
    /// When it is sent next where it is not answered, monotonic microseconds; none while it waits for a link or for a place.
    pub next_us: Option<u64>,
}

/// Reversals that may be under way without an answer: the eighth that is kept for them (S-19).
pub(super) fn places(supplier: &Supplier) -> usize {
    (supplier.window_requests_max as usize / 8).max(1)
}

impl Session {
    /// How far the reversal of a flight is that is open under `stan`; none where none is.
    pub fn tries(&self, stan: u32, flight: FlightNo) -> Option<Tries> {
        let open = self.open.get(stan).filter(|open| open.flight == flight)?;
        let reversal = open.reversal.as_ref()?;
        let next_us = (!reversal.queued).then_some(reversal.repeat_us);
        Some(Tries { sent: reversal.order.tries, next_us })
    }

    /// A reversal from the gate: it is sent as soon as there is a link and a place.
    pub(super) fn undo(&mut self, now: Now, mut order: Box<Order>) {
        let (stan, flight, attempt) = (order.stan, order.flight, order.attempt);
        order.answer.clear();
        order.tries = 0;
        // A reversal of another life of the switch, or of an answer that could not be understood: the sale may still be answered, and an approval must be noticed.
        let late_until_us = now.mono_us + self.late_window_us();
        // Where only late answers to something else are matched under its STAN, they must not stand in its way.
        if self.open.get(stan).is_some_and(|open| open.flight != flight && open.is_watched_only()) {
            self.open.discard(stan);
        }
        let open = self.open.or_insert_with(stan, || Open {
            flight,
            attempt,
            rrn: order.rrn,
            transmission: order.transmission,
            link: order.link.unwrap_or(0),
            position: None,
            asked: None,
            late_until_us,
            said: None,
            unmapped: false,
            reversal: None,
        });
        let wait_us = u64::from(self.supplier.advice_retry_ms).max(1) * 1_000;
        let placed = open.reversal.as_ref().is_some_and(|before| before.placed);
        // A reversal under a STAN of its own is that of a sale which the supplier approved, in time or later: it need not be asked.
        let unknown = order.original_stan == 0 || order.original_stan == stan;
        // Nor need it be where it has said that it performed the sale: for a terminal that had reversed it, or after a refusal.
        let said = self.answered.find(stan).filter(|answered| answered.rrn == order.rrn);
        let performed = order.performed
            || open.said == Some(true)
            || said.is_some_and(|answered| answered.is_performed());
        let asks_status = unknown && self.supplier.after_unknown == AfterUnknown::Status && !performed;
        let started_us = now.mono_us;
        open.reversal =
            Some(Reversal { order, started_us, wait_us, repeat_us: 0, queued: true, placed, asks_status });
        self.waiting.push_back((stan, flight));
        self.send_reversals(now);
    }

    /// Sends reversals that wait, as many as there are places.
    pub(super) fn send_reversals(&mut self, now: Now) {
        // An adapter that answers at once frees a place while this runs.
        if !std::mem::replace(&mut self.sending, true) {
            self.send_waiting(now);
            self.sending = false;
        }
    }

    fn send_waiting(&mut self, now: Now) {
        while self.placed < self.places && !self.waiting.is_empty() {
            if self.turn_left == 0 {
                return self.continue_soon(now);
            }
            let Some((stan, flight)) = self.waiting.pop_front() else { return };
            let Some(open) = self.open.get(stan).filter(|open| open.flight == flight) else { continue };
            let Some(reversal) = open.reversal.as_ref().filter(|reversal| reversal.queued) else { continue };
            if self.expired(now, reversal) {
                self.end_reversal(now, stan);
                continue;
            }
            let Some(link) = self.choose(Some(open.link)) else {
                self.waiting.push_front((stan, flight));
                return self.expire_later(now);
            };
            self.turn_left -= 1;
            self.send_reversal(now, stan, link);
        }
    }

    /// The turn has sent enough; the next one goes on.
    fn continue_soon(&mut self, now: Now) {
        if !self.continuing {
            self.continuing = true;
            self.wheel.put(now.mono_us, Due::Continue);
        }
    }

    fn send_reversal(&mut self, now: Now, stan: u32, link: LinkNo) {
        let max_us = u64::from(self.supplier.advice_retry_max_ms).max(1) * 1_000;
        let Some(open) = self.open.get_mut(stan) else { return };
        let Some(reversal) = open.reversal.as_mut() else { return };
        // Repeats count from the first reversal: what was asked before changed nothing.
        if reversal.asks_status {
            reversal.order.ask = Ask::Status;
        } else {
            reversal.order.ask = Ask::Reversal { repeat: reversal.order.tries > 0 };
            reversal.order.tries = reversal.order.tries.saturating_add(1);
        }
        reversal.queued = false;
        let (flight, wait_us) = (open.flight, reversal.wait_us);
        // The wait tells the tries apart, those of a status too.
        let seed = flight.0 ^ wait_us << 20;
        reversal.wait_us = (wait_us * 2).min(max_us.max(wait_us));
        let repeat_us = now.mono_us + wait_us + jitter_us(seed, wait_us);
        reversal.repeat_us = repeat_us;
        // A reversal that the protocol cannot express stays and is tried again: it is parked when it expires.
        if self.adapter.ask(now, &reversal.order, link, &mut self.out).is_ok() {
            match reversal.order.ask {
                Ask::Status => self.counters.status_asked += 1,
                _ => self.counters.reversals_sent += 1,
            }
            self.sends.resize(self.out.sends.len(), None);
            if !std::mem::replace(&mut reversal.placed, true) {
                self.placed += 1;
            }
            self.wheel.put(now.mono_us + self.place_us, Due::Yield(stan, flight));
        } else {
            // A supplier that cannot be asked for a status is not.
            reversal.asks_status = false;
        }
        self.wheel.put(repeat_us, Due::Repeat(stan, flight));
        self.collect(now);
    }

    /// A reversal was not answered for so long that another one may have its place.
    pub(super) fn yield_place(&mut self, stan: u32, flight: FlightNo) {
        let Some(open) = self.open.get_mut(stan).filter(|open| open.flight == flight) else { return };
        if let Some(reversal) = open.reversal.as_mut()
            && std::mem::take(&mut reversal.placed)
        {
            self.placed -= 1;
        }
    }

    pub(super) fn repeat(&mut self, now: Now, stan: u32, flight: FlightNo) {
        let Some(open) = self.open.get(stan).filter(|open| open.flight == flight) else { return };
        let due = |reversal: &&Reversal| !reversal.queued && reversal.repeat_us <= now.mono_us;
        let Some(reversal) = open.reversal.as_ref().filter(due) else { return };
        if self.expired(now, reversal) {
            return self.end_reversal(now, stan);
        }
        if let Some(reversal) = self.open.get_mut(stan).and_then(|open| open.reversal.as_mut()) {
            reversal.queued = true;
            self.waiting.push_back((stan, flight));
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
    pub(super) fn expire(&mut self, now: Now) {
        self.expiring = false;
        for (stan, flight) in std::mem::take(&mut self.waiting) {
            let open = self.open.get(stan).filter(|open| open.flight == flight);
            let Some(reversal) = open.and_then(|open| open.reversal.as_ref()) else { continue };
            if self.expired(now, reversal) {
                self.end_reversal(now, stan);
            } else {
                self.waiting.push_back((stan, flight));
            }
        }
    }

    fn expired(&self, now: Now, reversal: &Reversal) -> bool {
        let expires_us = self.supplier.advice_expires_ms.saturating_mul(1_000);
        now.mono_us.saturating_sub(reversal.started_us) >= expires_us
    }

    fn end_reversal(&mut self, now: Now, stan: u32) {
        let late_until_us = now.mono_us + self.late_window_us();
        let Some(open) = self.open.get_mut(stan) else { return };
        let Some(reversal) = open.reversal.take() else { return };
        self.placed -= usize::from(reversal.placed);
        // What comes after this end is news, even where it says what was said before: an approval begins a new reversal (S-8), for as long as the gate gives the STAN to
        // nobody else.
        (open.said, open.unmapped, open.late_until_us) = (None, false, late_until_us);
        self.wheel.put(late_until_us, Due::Forget(stan, open.flight));
        // Answers to the sale come under its own STAN, where the reversal has another one.
        let (sale_stan, rrn) = (reversal.order.original_stan, reversal.order.rrn);
        if let Some(sale) = self.open.get_mut(sale_stan).filter(|sale| sale.rrn == rrn) {
            (sale.said, sale.unmapped) = (None, false);
        }
        self.counters.undone += 1;
        self.reports.push_back(Report::Undone(reversal.order));
    }

    /// An answer to a reversal: the end of it, or not yet (S-8).
    pub(super) fn reversal_reply(&mut self, now: Now, reply: &Reply) {
        let meaning = self.supplier.codes.reversal(reply.code);
        let blocks = self.supplier.reversal_blocks_original;
        let late_window_us = self.late_window_us();
        let Some(reversal) = self.open.get_mut(reply.stan).and_then(|open| open.reversal.as_mut()) else {
            return self.stray(now, reply);
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
            self.answered.reversal(&reversal.order);
            self.end_reversal(now, reply.stan);
        } else if std::mem::take(&mut reversal.placed) {
            self.placed -= 1;
        }
        // The rest of what arrived comes first.
        self.freed = true;
    }

    /// An answer to a question for a status: performed, it is reversed; not performed, it is over when it can no longer arrive (S-8).
    pub(super) fn status_reply(&mut self, now: Now, reply: &Reply) {
        let meaning = self.supplier.codes.status(reply.code);
        let late_window_us = self.late_window_us();
        let Some(open) = self.open.get_mut(reply.stan) else { return };
        let flight = open.flight;
        let Some(reversal) = open.reversal.as_mut().filter(|reversal| reversal.asks_status) else {
            return self.stray(now, reply);
        };
        if std::mem::take(&mut reversal.placed) {
            self.placed -= 1;
        }
        let waited_us = now.mono_us.saturating_sub(reversal.started_us);
        match meaning {
            StatusMeaning::Performed => {
                reversal.asks_status = false;
                reversal.wait_us = u64::from(self.supplier.advice_retry_ms).max(1) * 1_000;
                if !std::mem::replace(&mut reversal.queued, true) {
                    self.waiting.push_back((reply.stan, flight));
                }
            }
            StatusMeaning::NotPerformed if waited_us >= late_window_us => {
                reversal.order.answer.code = reply.code;
                reversal.order.answer.status = Some(meaning);
                self.end_reversal(now, reply.stan);
            }
            StatusMeaning::NotPerformed | StatusMeaning::Unknown => {}
        }
        self.freed = true;
    }
}

/// Up to a quarter of the wait more, the same for the same reversal and try: what fell silent together is not repeated together.
fn jitter_us(seed: u64, wait_us: u64) -> u64 {
    mix(seed) % (wait_us / 4).max(1)
}
