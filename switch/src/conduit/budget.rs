//! What all conduits of the process share a bound on: messages under way, and answers that wait for slow readers.
//!
//! Owns: `TicketBudget` and `OutputBudget`. Invariants: what is taken is given back, whatever became of the connection; an eighth of the tickets is kept for
//! reversals and network management (S-19); a connection that finds no ticket is woken once some are free, and never spins for them.
//! Deliberately absent: the tickets themselves (each conduit recycles its own), and the window of one connection.

use super::shared::{Credit, reserve_of};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Fewest tickets of a process: an eighth of them is kept (S-19).
const TICKETS_MIN: u32 = 8;
/// Connections that wait for tickets are woken when one in so many is free: a ticket that comes back is never spent on waking one connection that does not want it.
const STARVED_WAKE: u32 = 16;

/// The bound on messages under way, over all conduits of the process.
#[derive(Debug)]
pub struct TicketBudget {
    out: AtomicU32,
    tickets_max: u32,
    /// Counts the times that waiting connections were woken, from 1.
    wave: AtomicU64,
    /// Whether anybody waits: spares everybody else the lock.
    awaited: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

/// Whether a connection waits for tickets: the wave that it waits for, 0 before the first time.
pub(super) type Starving = Cell<u64>;

impl TicketBudget {
    /// A budget of `tickets_max`, at least 8.
    pub fn new(tickets_max: u32) -> Self {
        Self {
            out: AtomicU32::new(0),
            tickets_max: tickets_max.max(TICKETS_MIN),
            wave: AtomicU64::new(1),
            awaited: AtomicBool::new(false),
            waiting: Mutex::new(Vec::new()),
        }
    }

    /// Messages under way.
    pub fn out(&self) -> u32 {
        self.out.load(Ordering::SeqCst)
    }

    pub(super) fn credit(&self) -> Credit {
        Credit::of(self.out(), self.tickets_max)
    }

    /// Takes one. Ask `credit` first: nobody is refused here.
    pub(super) fn take(&self) {
        self.out.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives one back, and wakes those who wait once a sixteenth is free beside the reserve.
    pub(super) fn put(&self) {
        let out = self.out.fetch_sub(1, Ordering::SeqCst) - 1;
        if self.awaited.load(Ordering::SeqCst) && self.is_plenty(out) {
            self.wake_all();
        }
    }

    fn is_plenty(&self, out: u32) -> bool {
        out < self.tickets_max - reserve_of(self.tickets_max) - self.tickets_max / STARVED_WAKE
    }

    /// Has the task woken once there are tickets again.
    pub(super) fn starve(&self, starving: &Starving, waker: &Waker) {
        let mut waiting = self.waiting();
        let wave = self.wave.load(Ordering::SeqCst);
        if starving.replace(wave) != wave {
            waiting.push(waker.clone());
            self.awaited.store(true, Ordering::SeqCst);
        }
        drop(waiting);
        // The tickets may have come back just before anybody was seen to wait.
        if self.is_plenty(self.out()) {
            self.wake_all();
        }
    }

    fn wake_all(&self) {
        let mut waiting = self.waiting();
        self.awaited.store(false, Ordering::SeqCst);
        self.wave.fetch_add(1, Ordering::SeqCst);
        for waker in waiting.drain(..) {
            waker.wake();
        }
    }

    /// Nothing panics while it is held, so what is in it is whole.
    fn waiting(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bound on answers that wait for slow readers, over all connections of the process.
#[derive(Debug)]
pub struct OutputBudget {
    used_bytes: AtomicU64,
    max_bytes: u64,
}

impl OutputBudget {
    /// A budget of `max_bytes`.
    pub fn new(max_bytes: u64) -> Self {
        Self { used_bytes: AtomicU64::new(0), max_bytes }
    }

    /// Bytes that wait.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn is_over(&self) -> bool {
        self.used_bytes() > self.max_bytes
    }

    /// A connection that held `before` holds `after`.
    pub(super) fn change(&self, before: u64, after: u64) {
        if after > before {
            self.used_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.used_bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conduit::shared::Pool;
    use std::sync::Arc;
    use std::task::Wake;

    #[derive(Default)]
    struct Woken(AtomicU32);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn connections_without_tickets_are_woken_together_and_once() {
        let budget = TicketBudget::new(32);
        (0..28).for_each(|_| budget.take());
        assert_eq!(budget.credit(), Credit::Reserve);
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let connections = [Starving::default(), Starving::default()];
        for connection in connections.iter().chain(&connections) {
            budget.starve(connection, &waker);
        }
        while woken.0.load(Ordering::SeqCst) == 0 {
            budget.put();
        }
        assert_eq!((budget.out(), woken.0.load(Ordering::SeqCst)), (25, 2));
        budget.put();
        assert_eq!(woken.0.load(Ordering::SeqCst), 2, "nobody waits any more");
        budget.starve(&connections[0], &waker);
        budget.put();
        assert_eq!(woken.0.load(Ordering::SeqCst), 3, "who waits again is woken again");
    }

    #[test]
    fn the_bound_is_that_of_all_conduits_together() {
        let budget = Arc::new(TicketBudget::new(16));
        let mut pools = [Pool::new(Arc::clone(&budget)), Pool::new(Arc::clone(&budget))];
        let mut tickets: Vec<_> = (0..14).map(|at| pools[at % 2].take()).collect();
        assert_eq!(pools[0].credit(), Credit::Reserve);
        tickets.extend([pools[0].take(), pools[1].take()]);
        assert_eq!((pools[0].credit(), pools[1].credit(), budget.out()), (Credit::None, Credit::None, 16));
        tickets.into_iter().enumerate().for_each(|(at, ticket)| pools[at % 2].put(ticket));
        assert_eq!((pools[0].out(), pools[1].out(), budget.out()), (0, 0, 0));
    }

    #[test]
    fn who_starves_when_there_is_plenty_is_woken_at_once() {
        let budget = TicketBudget::new(8);
        let woken = Arc::new(Woken::default());
        budget.starve(&Starving::default(), &Waker::from(Arc::clone(&woken)));
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    }
}
