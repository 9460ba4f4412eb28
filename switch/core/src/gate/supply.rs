//! What the gate holds of one supplier: credits, STANs, health, breaker.
//!
//! Owns: the window (attempts open at it), advice credits, the shares of connections, STANs in use and in quarantine, the circuit breaker.
//! Invariants: an eighth of the window is kept for reversals (S-19); one supplier holds at most half of a connection's window; a STAN is used again only when
//! nothing open has it, and after a doubt only when the late window is over. The late table is bounded: beyond `late_max` attempts whose answer may still come no
//! sale is asked, so the supplier's window shrinks to nothing until answers or time make room; nothing is ever dropped from it, because what is dropped could be money.
//! The session's table has the STANs that are taken here and no others, so it is bounded with it.
//! Deliberately absent: sending, matching and time-outs (the session's).

use crate::breaker::{Breaker, Position};
use crate::catalogue::Supplier;
use crate::ids::{FlightNo, Now};
use crate::log::Lsn;
use crate::route::Health;
use crate::slab::Slab;
use crate::ticket::{Place, share_of};
use std::collections::VecDeque;

/// STANs are 1 to this (DE11, n6).
pub const STAN_MAX: u32 = 999_999;

/// A STAN that something open has, in place of the end of its quarantine.
const IN_USE: u64 = u64::MAX;

/// One supplier, as the gate sees it.
#[derive(Debug)]
pub struct Supply {
    health: Health,
    breaker: Breaker,
    window: u32,
    advices_max: u32,
    pub(super) late_max: u32,
    late_window_us: u64,
    in_flight: u32,
    advices: u32,
    shares: Slab<Place, u16>,
    /// STANs that must not be given, each with the end of its quarantine, monotonic microseconds.
    stans: Slab<u32, u64>,
    /// Ends of quarantines in order. Where `stans` says otherwise meanwhile, the entry means nothing.
    quarantine: VecDeque<(u64, u32)>,
    /// Reversals that are not at the session yet, and the position that each needs.
    pub(super) backlog: VecDeque<(Lsn, FlightNo)>,
    /// Reversals at the session.
    advising: u32,
    /// Whether no more of its reversals may be parked.
    pub(super) parked_full: bool,
    /// How often a reversal of what it sold got 96 for that.
    pub(super) parked_refused: u64,
    /// Before that nobody is told again that many are.
    pub(super) parked_told_us: u64,
    /// Before that nobody is told again that many answers may still come.
    pub(super) late_told_us: u64,
    /// How often a sale was kept from it because as many may.
    late_full: u64,
    stan_max: u32,
}

impl Default for Supply {
    fn default() -> Self {
        Self {
            health: Health { success_permille: 1_000, ..Health::default() },
            breaker: Breaker::default(),
            window: 0,
            advices_max: 0,
            late_max: 0,
            late_window_us: 0,
            in_flight: 0,
            advices: 0,
            shares: Slab::default(),
            stans: Slab::default(),
            quarantine: VecDeque::new(),
            backlog: VecDeque::new(),
            advising: 0,
            parked_full: false,
            parked_refused: 0,
            parked_told_us: 0,
            late_told_us: 0,
            late_full: 0,
            stan_max: STAN_MAX,
        }
    }
}

impl Supply {
    /// One without credits, whose STANs are 1 to `stan_max`.
    pub(super) fn new(stan_max: u32) -> Self {
        Self { stan_max: stan_max.clamp(1, STAN_MAX), ..Self::default() }
    }

    pub(super) fn configure(&mut self, supplier: &Supplier) {
        self.window = supplier.window_requests_max - supplier.window_requests_max / 8;
        self.advices_max = supplier.advices_max;
        self.late_max = supplier.late_max;
        self.late_window_us = u64::from(supplier.late_window_ms) * 1_000;
        self.breaker.configure(supplier.breaker);
        self.health.ready |= supplier.local;
    }

    /// Attempts open at it.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Attempts that may be open at it.
    pub fn window(&self) -> u32 {
        self.window
    }

    /// Attempts and reversals not at their end.
    pub fn advices(&self) -> u32 {
        self.advices
    }

    /// How often a reversal of what it sold got 96, because as many as may (`gate.parked_max`) wait for an operator.
    pub fn parked_refused(&self) -> u64 {
        self.parked_refused
    }

    /// Attempts without an answer in time whose answer may still come.
    pub fn late(&self) -> u32 {
        (self.stans.len() as u32).saturating_sub(self.in_flight)
    }

    /// Of those as many as there may be (`supplier.late_max`): beyond it no sale is asked.
    pub fn late_max(&self) -> u32 {
        self.late_max
    }

    /// How often a sale was not asked of it because as many answers as may were still awaited.
    pub fn late_full(&self) -> u64 {
        self.late_full
    }

    /// Where its breaker stands.
    pub fn breaker(&self, now: Now) -> Position {
        self.breaker.position(now)
    }

    /// How often its breaker opened.
    pub fn breaker_opened(&self) -> u64 {
        self.breaker.opened()
    }

    /// How it does; routing looks at it.
    pub(super) fn health(&self, now: Now) -> Health {
        Health { shut: !self.breaker.lets(now), ..self.health }
    }

    /// Whether sales can be sent to it changed. An open breaker lets a sale probe a link that is back.
    pub(super) fn link_ready(&mut self, ready: bool) {
        if ready {
            self.breaker.returned();
        }
        self.health.ready = ready;
    }

    /// An operator drains it, or gives it sales again.
    pub(super) fn drain(&mut self, drained: bool) {
        self.health.drained = drained;
    }

    /// Whether it may be asked, and has credits, for one more from a connection with that window.
    pub(super) fn takes(&mut self, now: Now, place: Place, window: u16) -> bool {
        self.free_quarantined(now);
        let share = self.shares.get(place).copied().unwrap_or(0);
        let stan_free = self.stans.len() < self.stan_max as usize;
        let late_full = self.late() >= self.late_max;
        self.late_full += u64::from(late_full);
        self.in_flight < self.window
            && self.advices < self.advices_max
            && !late_full
            && u32::from(share) < share_of(u32::from(window))
            && stan_free
            && !self.parked_full
            && self.health.ready
            && !self.health.drained
            && self.breaker.lets(now)
    }

    /// Takes the credits and the next free STAN after `last`; only after `takes`.
    pub(super) fn take(&mut self, now: Now, last: u32, place: Place) -> u32 {
        self.in_flight += 1;
        self.advices += 1;
        *self.shares.or_insert_with(place, || 0) += 1;
        let stan = self.next_stan(last);
        self.breaker.asked(now, stan);
        stan
    }

    /// The next advice, where the session may have one more; it then counts as handed over.
    pub(super) fn next_advice(&mut self) -> Option<(Lsn, FlightNo)> {
        if self.advising >= self.advices_max.max(1) {
            return None;
        }
        let next = self.backlog.pop_front()?;
        self.advising += 1;
        Some(next)
    }

    /// The session is done with one.
    pub(super) fn advice_back(&mut self) {
        self.advising = self.advising.saturating_sub(1);
    }

    /// Reversals that wait for a place at the session.
    pub fn backlog(&self) -> usize {
        self.backlog.len()
    }

    /// A STAN for a reversal that has none of its own yet, the next free one after `last`; none while all are in use.
    pub(super) fn take_undo_stan(&mut self, now: Now, last: u32) -> Option<u32> {
        self.free_quarantined(now);
        (self.stans.len() < self.stan_max as usize).then(|| {
            self.advices += 1;
            self.next_stan(last)
        })
    }

    fn next_stan(&mut self, last: u32) -> u32 {
        let mut stan = last % self.stan_max + 1;
        while self.stans.contains(stan) {
            stan = stan % self.stan_max + 1;
        }
        self.stans.insert(stan, IN_USE);
        stan
    }

    pub(super) fn free_quarantined(&mut self, now: Now) {
        while let Some((until_us, stan)) = self.quarantine.front().copied() {
            if until_us > now.mono_us {
                return;
            }
            self.quarantine.pop_front();
            if self.stans.get(stan) == Some(&until_us) {
                self.stans.discard(stan);
            }
        }
    }

    /// An attempt has no more claim on the window. `over`: nor on anything else.
    pub(super) fn give_back(&mut self, stan: u32, place: Option<Place>, over: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.breaker.withdrawn(stan);
        if let Some(place) = place
            && let Some(share) = self.shares.get_mut(place)
        {
            *share -= 1;
            if *share == 0 {
                self.shares.discard(place);
            }
        }
        if over {
            self.advices = self.advices.saturating_sub(1);
            self.stans.discard(stan);
        }
    }

    /// A doubt is over; its STAN stays in quarantine through the late window.
    pub(super) fn settled(&mut self, now: Now, stan: u32) {
        self.advices = self.advices.saturating_sub(1);
        self.keep_back(stan, now.mono_us + self.late_window_us);
    }

    /// Whether something open has a STAN.
    pub(super) fn is_in_use(&self, stan: u32) -> bool {
        self.stans.get(stan) == Some(&IN_USE)
    }

    /// Puts a STAN that nothing open has into quarantine until `until_us`. Call it in the order of those ends.
    pub(super) fn keep_back(&mut self, stan: u32, until_us: u64) {
        self.stans.insert(stan, until_us);
        self.quarantine.push_back((until_us, stan));
    }

    /// A doubt that was there before the process started.
    pub(super) fn reopened(&mut self, stan: u32) {
        self.advices += 1;
        self.stans.insert(stan, IN_USE);
    }

    /// An answer came in time. `known`: it says what became of the sale.
    pub(super) fn answered(&mut self, now: Now, stan: u32, latency_us: u64, known: bool) {
        let latency = u32::try_from(latency_us).unwrap_or(u32::MAX);
        let before = self.health.latency_us;
        self.health.latency_us = if before == 0 { latency } else { before - before / 16 + latency / 16 };
        if !known {
            return self.unknown(now, stan);
        }
        let success = self.health.success_permille;
        self.health.success_permille = (success - success / 16 + 63).min(1_000);
        self.breaker.answered(now, stan);
    }

    /// An outcome is unknown.
    pub(super) fn unknown(&mut self, now: Now, stan: u32) {
        let success = self.health.success_permille;
        self.health.success_permille = success - success / 16;
        self.breaker.unknown(now, stan);
    }
}

#[cfg(test)]
mod tests;
