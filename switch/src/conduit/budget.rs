//! What all conduits of the process share a bound on: messages under way, and answers that wait for slow readers.
//!
//! Owns: `TicketBudget`, with the line of connections that wait for tickets, and `OutputBudget`. Invariants: what is taken is given back, whatever became of the connection; an
//! eighth of the tickets is kept for reversals and network management (S-19); who finds no ticket for a sale waits in line, is called in turn, and never spins; nobody takes
//! what those before it wait for. Deliberately absent: the tickets themselves (each conduit recycles its own), how many sales are good for the yard (`pressure`), and the
//! window of one connection.

use super::shared::{Credit, reserve_of};
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Fewest tickets of a process: an eighth of them is kept (S-19).
const TICKETS_MIN: u32 = 8;
/// One connection is called for so many free tickets: it takes what waits on it at once, for messages that come together are cheaper.
const CALL_TICKETS: u32 = 64;
/// Where there are few tickets, for one in so many.
const CALLS_MIN: u32 = 8;

/// The bound on messages under way, over all conduits of the process.
#[derive(Debug)]
pub struct TicketBudget {
    out: AtomicU32,
    tickets_max: u32,
    /// Sales are taken while fewer messages are under way.
    sales_max: AtomicU32,
    line: Mutex<Line>,
    /// Whether anybody waits: spares everybody else the lock.
    awaited: AtomicBool,
    /// Who has a number up to this one was called.
    called: AtomicU64,
}

/// Connections that wait for tickets, numbered from 1 in the order in which they came.
#[derive(Debug, Default)]
struct Line {
    /// Numbers given out.
    given: u64,
    /// Those not called yet; none for who has gone.
    waiting: VecDeque<Option<Waker>>,
}

/// A connection's number in the line, from the moment it waits to the end of the turn for which it was called; 0 otherwise.
pub(super) type LineNumber = Cell<u64>;

impl TicketBudget {
    /// A budget of `tickets_max`, at least 8.
    pub fn new(tickets_max: u32) -> Self {
        let budget = Self {
            out: AtomicU32::new(0),
            tickets_max: tickets_max.max(TICKETS_MIN),
            sales_max: AtomicU32::new(0),
            line: Mutex::default(),
            awaited: AtomicBool::new(false),
            called: AtomicU64::new(0),
        };
        budget.limit_sales(u32::MAX);
        budget
    }

    /// Messages under way.
    pub fn out(&self) -> u32 {
        self.out.load(Ordering::SeqCst)
    }

    /// Whether connections wait for tickets.
    pub(super) fn is_awaited(&self) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    /// From now on sales are taken while fewer than `sales_max` messages are under way, and while there are tickets beside the reserve.
    pub(super) fn limit_sales(&self, sales_max: u32) {
        let most = self.tickets_max - reserve_of(self.tickets_max);
        self.sales_max.store(sales_max.min(most), Ordering::SeqCst);
        self.go_on();
    }

    /// Whether fewer sales are taken than there are tickets for.
    pub(super) fn is_limited(&self) -> bool {
        self.sales_max.load(Ordering::SeqCst) < self.tickets_max - reserve_of(self.tickets_max)
    }

    /// What a connection may take now. Who is called takes all that waits on it, so that nothing of it waits for another round.
    pub(super) fn credit(&self, number: &LineNumber) -> Credit {
        let hard = Credit::of(self.out(), self.tickets_max);
        let is_free = self.free() > 0 && !self.is_awaited();
        if is_free || self.is_called(number) { hard } else { hard.min(Credit::Reserve) }
    }

    /// Takes one. Ask `credit` first: nobody is refused here.
    pub(super) fn take(&self) {
        self.out.fetch_add(1, Ordering::SeqCst);
    }

    /// Gives one back, and calls who is next when enough are free.
    pub(super) fn put(&self) {
        self.out.fetch_sub(1, Ordering::SeqCst);
        if self.is_awaited() {
            let free = self.free();
            if free > 0 && free.is_multiple_of(self.call_tickets()) {
                self.call();
            }
        }
    }

    /// Puts a connection in line, at the end if it was called already; its task is woken when its turn comes.
    pub(super) fn wait(&self, number: &LineNumber, waker: &Waker) {
        if number.get() == 0 || self.is_called(number) {
            let mut line = self.line();
            line.given += 1;
            number.set(line.given);
            line.waiting.push_back(Some(waker.clone()));
            self.awaited.store(true, Ordering::SeqCst);
        }
        // Tickets may have come back just before anybody was seen to wait.
        if self.free() >= self.call_tickets() {
            self.call();
        }
    }

    /// Whether it is the turn of this number.
    pub(super) fn is_called(&self, number: &LineNumber) -> bool {
        (1..=self.called.load(Ordering::SeqCst)).contains(&number.get())
    }

    /// A turn for which the connection was called is over: what it has left is for the next.
    pub(super) fn end_call(&self, number: &LineNumber) {
        // It may wait again already, at the end.
        if self.is_called(number) {
            number.set(0);
        }
        self.go_on();
    }

    /// A connection is gone. Call it once, whether it waits or not.
    pub(super) fn leave(&self, number: &LineNumber) {
        let at = number.replace(0);
        if at == 0 {
            return;
        }
        let mut line = self.line();
        let behind = usize::try_from(line.given - at).unwrap_or(usize::MAX);
        let place = line.waiting.len().checked_sub(behind.saturating_add(1));
        if let Some(waiting) = place.and_then(|place| line.waiting.get_mut(place)) {
            *waiting = None;
        }
        drop(line);
        // Its turn may have been now.
        self.go_on();
    }

    fn go_on(&self) {
        if self.is_awaited() && self.free() > 0 {
            self.call();
        }
    }

    /// Calls who is next.
    fn call(&self) {
        let mut line = self.line();
        let next = std::iter::from_fn(|| line.waiting.pop_front()).flatten().next();
        self.called.store(line.given - line.waiting.len() as u64, Ordering::SeqCst);
        self.awaited.store(!line.waiting.is_empty(), Ordering::SeqCst);
        drop(line);
        if let Some(waker) = next {
            waker.wake();
        }
    }

    fn free(&self) -> u32 {
        self.sales_max.load(Ordering::SeqCst).saturating_sub(self.out())
    }

    fn call_tickets(&self) -> u32 {
        (self.sales_max.load(Ordering::SeqCst) / CALLS_MIN).clamp(1, CALL_TICKETS)
    }

    /// Nothing panics while it is held, so what is in it is whole.
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// A budget with so many tickets taken, and connections.
    fn budget<const N: usize>(tickets_max: u32, taken: u32) -> (TicketBudget, [(LineNumber, Arc<Woken>); N]) {
        let budget = TicketBudget::new(tickets_max);
        (0..taken).for_each(|_| budget.take());
        (budget, std::array::from_fn(|_| Default::default()))
    }

    fn wait(budget: &TicketBudget, connections: &[(LineNumber, Arc<Woken>)]) {
        for (number, woken) in connections {
            budget.wait(number, &Waker::from(Arc::clone(woken)));
        }
    }

    /// How often each was woken.
    fn woken<const N: usize>(connections: &[(LineNumber, Arc<Woken>); N]) -> [u32; N] {
        connections.each_ref().map(|(_, woken)| woken.0.load(Ordering::SeqCst))
    }

    #[test]
    fn connections_without_tickets_are_called_in_the_order_in_which_they_came() {
        let (budget, all) = budget(32, 28);
        wait(&budget, &all);
        wait(&budget, &all);
        assert_eq!(woken::<3>(&all), [0, 0, 0]);
        // For three tickets, an eighth of 28, one is called.
        (0..3).for_each(|_| budget.put());
        assert_eq!(woken(&all), [1, 0, 0]);
        let credits = all.each_ref().map(|(number, _)| budget.credit(number));
        assert_eq!(credits, [Credit::Any, Credit::Reserve, Credit::Reserve]);
        assert_eq!(
            budget.credit(&LineNumber::default()),
            Credit::Reserve,
            "who comes later waits behind them"
        );
        // It takes one, and leaves the others to the next.
        budget.take();
        budget.end_call(&all[0].0);
        assert_eq!(woken(&all), [1, 1, 0]);
        (0..2).for_each(|_| budget.take());
        wait(&budget, &all[1..2]);
        budget.end_call(&all[1].0);
        assert_eq!(woken(&all), [1, 1, 0], "there is none for the third");
        (0..3).for_each(|_| budget.put());
        assert_eq!(woken(&all), [1, 1, 1]);
        budget.end_call(&all[2].0);
        assert_eq!((woken(&all), budget.is_awaited()), ([1, 2, 1], false));
        assert_eq!(budget.credit(&LineNumber::default()), Credit::Any);
    }

    #[test]
    fn who_has_gone_stands_in_nobodys_way() {
        let (budget, all) = budget(32, 28);
        wait(&budget, &all);
        budget.leave(&all[1].0);
        (0..3).for_each(|_| budget.put());
        // The first one goes in its turn, the second was gone before.
        budget.leave(&all[0].0);
        assert_eq!((woken::<3>(&all), budget.is_awaited()), ([1, 0, 1], false));
        all.iter().for_each(|(number, _)| budget.leave(number));
    }

    #[test]
    fn a_limit_on_sales_that_grows_lets_who_waits_go_on() {
        let (budget, all) = budget(1_000, 300);
        budget.limit_sales(256);
        wait(&budget, &all);
        assert_eq!((budget.credit(&all[0].0), woken::<2>(&all)), (Credit::Reserve, [0, 0]));
        assert!(budget.is_limited());
        budget.limit_sales(512);
        assert_eq!((budget.credit(&all[0].0), woken(&all)), (Credit::Any, [1, 0]));
        budget.limit_sales(u32::MAX);
        assert_eq!((woken(&all), budget.is_limited()), ([1, 1], false));
        (300..875).for_each(|_| budget.take());
        assert_eq!(budget.credit(&LineNumber::default()), Credit::Reserve);
    }

    #[test]
    fn the_bound_is_that_of_all_conduits_together() {
        let budget = Arc::new(TicketBudget::new(16));
        let mut pools = [Pool::new(Arc::clone(&budget)), Pool::new(Arc::clone(&budget))];
        let number = LineNumber::default();
        let mut tickets: Vec<_> = (0..14).map(|at| pools[at % 2].take()).collect();
        assert_eq!(budget.credit(&number), Credit::Reserve);
        tickets.extend([pools[0].take(), pools[1].take()]);
        assert_eq!((budget.credit(&number), budget.out()), (Credit::None, 16));
        tickets.into_iter().enumerate().for_each(|(at, ticket)| pools[at % 2].put(ticket));
        assert_eq!((pools[0].out(), pools[1].out(), budget.out()), (0, 0, 0));
    }

    #[test]
    fn who_waits_when_there_is_plenty_is_called_at_once() {
        let (budget, all) = budget(8, 0);
        wait(&budget, &all);
        assert_eq!(woken::<1>(&all), [1]);
    }
}
