//! What was answered in time of late: to tell a duplicate, and an answer that contradicts the first one, from one that belongs to nothing.
//!
//! Owns: a table of the newest answered attempts by STAN.
//! Invariants: bounded; it grows with what is answered and is not allocated before; a STAN that is asked anew is forgotten.
//! Deliberately absent: what is done about a contradiction (the gate's). What an answer contradicts that is older than the table is a stray, and told as such (`stray`).

use crate::adapter::Order;
use crate::ids::FlightNo;
use crate::text::Text;

/// Answered attempts remembered, a power of two. At a thousand a second: sixteen seconds.
pub(super) const ANSWERED_MAX: usize = 16_384;
/// Room at the beginning.
const ANSWERED_FIRST: usize = 64;

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Answered {
    stan: u32,
    pub(super) rrn: Text<12>,
    pub(super) flight: FlightNo,
    pub(super) attempt: u8,
    /// Whether it is a sale's answer, and not a reversal's.
    pub(super) sale: bool,
    /// Whether it was approved.
    pub(super) approved: bool,
    /// Whether another answer contradicted it: once is enough.
    pub(super) contradicted: bool,
    /// The sale as it was asked, without its card number, where it was answered and not approved. The box stays for the next one.
    kept: Option<Box<Order>>,
}

impl Answered {
    /// Whether the supplier said, at first or in contradiction to that, that it performed the sale.
    pub(super) fn is_performed(&self) -> bool {
        self.sale && (self.approved || self.contradicted)
    }

    /// The sale that was not approved, to be undone.
    pub(super) fn take(&mut self) -> Option<Box<Order>> {
        if self.approved { None } else { self.kept.take() }
    }
}

/// The table.
#[derive(Debug, Default)]
pub(super) struct AnsweredTable {
    slots: Vec<Answered>,
    count: usize,
}

impl AnsweredTable {
    /// Remembers the answer to a sale.
    pub(super) fn sale(&mut self, order: &Order, approved: bool) {
        let slot = self.slot_for(order.stan);
        let kept = slot.kept.take();
        *slot = Answered {
            stan: order.stan,
            rrn: order.rrn,
            flight: order.flight,
            attempt: order.attempt,
            sale: true,
            approved,
            contradicted: false,
            kept,
        };
        if !approved {
            copy(order, slot.kept.get_or_insert_default());
        }
    }

    /// Remembers that a reversal came to its end with an answer.
    pub(super) fn reversal(&mut self, order: &Order) {
        let slot = self.slot_for(order.stan);
        let kept = slot.kept.take();
        *slot = Answered { stan: order.stan, rrn: order.rrn, kept, ..Answered::default() };
    }

    /// What was answered under a STAN of late.
    pub(super) fn find(&mut self, stan: u32) -> Option<&mut Answered> {
        let at = self.place(stan)?;
        Some(&mut self.slots[at]).filter(|slot| slot.stan == stan)
    }

    /// A STAN is asked anew.
    pub(super) fn forget(&mut self, stan: u32) {
        if let Some(slot) = self.find(stan) {
            slot.stan = 0;
        }
    }

    fn place(&self, stan: u32) -> Option<usize> {
        (!self.slots.is_empty()).then(|| stan as usize & (self.slots.len() - 1))
    }

    fn slot_for(&mut self, stan: u32) -> &mut Answered {
        self.count += 1;
        if self.count > self.slots.len() && self.slots.len() < ANSWERED_MAX {
            self.grow();
        }
        let at = stan as usize & (self.slots.len() - 1);
        &mut self.slots[at]
    }

    fn grow(&mut self) {
        let room = (self.slots.len() * 2).max(ANSWERED_FIRST);
        let before = std::mem::take(&mut self.slots);
        self.slots.resize_with(room, Answered::default);
        for slot in before.into_iter().filter(|slot| slot.stan != 0) {
            let at = slot.stan as usize & (room - 1);
            self.slots[at] = slot;
        }
    }
}

/// Copies what a reversal needs, without the card number: it is not kept longer than its sale.
fn copy(from: &Order, to: &mut Order) {
    to.flight = from.flight;
    to.attempt = from.attempt;
    to.supplier = from.supplier;
    to.stan = from.stan;
    to.transmission = from.transmission;
    to.rrn = from.rrn;
    to.service = from.service;
    to.product = from.product;
    to.amount = from.amount;
    to.currency = from.currency;
    to.account = from.account;
    to.terminal = from.terminal;
    to.merchant = from.merchant;
    to.network = from.network;
    to.local = from.local;
    to.link = from.link;
}
