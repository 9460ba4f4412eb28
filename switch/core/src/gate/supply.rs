//! What the gate holds of one supplier: credits, STANs, health.
//!
//! Owns: the window (attempts open at it), advice credits, the shares of connections, STANs in use and in quarantine.
//! Invariants: an eighth of the window is kept for reversals (S-19); one supplier holds at most half of a connection's window; a STAN is used again only when
//! nothing open has it, and after a doubt only when the late window is over.
//! Deliberately absent: sending, matching and time-outs (the session's).

use crate::catalogue::Supplier;
use crate::ids::{FlightNo, Now};
use crate::log::Lsn;
use crate::route::Health;
use crate::ticket::Place;
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::VecDeque;

/// STANs are 1 to this.
const STAN_MAX: u32 = 999_999;

/// One supplier, as the gate sees it.
#[derive(Debug, Default)]
pub struct Supply {
    /// How it does; routing looks at it.
    pub health: Health,
    window: u32,
    advices_max: u32,
    late_window_us: u64,
    in_flight: u32,
    advices: u32,
    shares: FxHashMap<Place, u16>,
    stans: FxHashSet<u32>,
    quarantine: VecDeque<(u64, u32)>,
    /// Reversals that are not at the session yet, and the position that each needs.
    pub(super) backlog: VecDeque<(Lsn, FlightNo)>,
    /// Reversals at the session.
    advising: u32,
}

impl Supply {
    pub(super) fn configure(&mut self, supplier: &Supplier) {
        self.window = supplier.window_requests_max - supplier.window_requests_max / 8;
        self.advices_max = supplier.advices_max;
        self.late_window_us = u64::from(supplier.late_window_ms) * 1_000;
        self.health.ready |= supplier.local;
        if self.health.success_permille == 0 {
            self.health.success_permille = 1_000;
        }
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

    /// Whether it has credits for one more from a connection with that window.
    pub(super) fn takes(&self, place: Place, window: u16) -> bool {
        let share = self.shares.get(&place).copied().unwrap_or(0);
        let stan_free = self.stans.len() < STAN_MAX as usize;
        self.in_flight < self.window
            && self.advices < self.advices_max
            && share < (window / 2).max(1)
            && stan_free
    }

    /// Takes the credits and the next free STAN after `last`.
    pub(super) fn take(&mut self, now: Now, last: u32, place: Place) -> u32 {
        self.free_quarantined(now);
        self.in_flight += 1;
        self.advices += 1;
        *self.shares.entry(place).or_default() += 1;
        self.next_stan(last)
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
        (self.stans.len() < STAN_MAX as usize).then(|| {
            self.advices += 1;
            self.next_stan(last)
        })
    }

    fn next_stan(&mut self, last: u32) -> u32 {
        let mut stan = last % STAN_MAX + 1;
        while !self.stans.insert(stan) {
            stan = stan % STAN_MAX + 1;
        }
        stan
    }

    fn free_quarantined(&mut self, now: Now) {
        while let Some((until_us, stan)) = self.quarantine.front().copied() {
            if until_us > now.mono_us {
                return;
            }
            self.quarantine.pop_front();
            self.stans.remove(&stan);
        }
    }

    /// An attempt has no more claim on the window. `over`: nor on anything else.
    pub(super) fn give_back(&mut self, stan: u32, place: Option<Place>, over: bool) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(place) = place
            && let Some(share) = self.shares.get_mut(&place)
        {
            *share -= 1;
            if *share == 0 {
                self.shares.remove(&place);
            }
        }
        if over {
            self.advices = self.advices.saturating_sub(1);
            self.stans.remove(&stan);
        }
    }

    /// A doubt is over; its STAN stays in quarantine through the late window.
    pub(super) fn settled(&mut self, now: Now, stan: u32) {
        self.advices = self.advices.saturating_sub(1);
        self.quarantine.push_back((now.mono_us + self.late_window_us, stan));
    }

    /// A doubt that was there before the process started, or is there again. Its STAN leaves the quarantine, whose end must not free it.
    pub(super) fn reopened(&mut self, stan: u32) {
        self.advices += 1;
        self.quarantine.retain(|(_, quarantined)| *quarantined != stan);
        self.stans.insert(stan);
    }

    /// An answer came in time.
    pub(super) fn answered(&mut self, latency_us: u64) {
        let latency = u32::try_from(latency_us).unwrap_or(u32::MAX);
        let before = self.health.latency_us;
        self.health.latency_us = if before == 0 { latency } else { before - before / 16 + latency / 16 };
        let success = self.health.success_permille;
        self.health.success_permille = (success - success / 16 + 63).min(1_000);
    }

    /// No answer came in time.
    pub(super) fn unknown(&mut self) {
        let success = self.health.success_permille;
        self.health.success_permille = success - success / 16;
    }
}
