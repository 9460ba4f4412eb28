//! What terminals send to undo something, or to ask how it stands: reversals of every form, and inquiries.

use super::{CONDUITS, World};
use crate::support::message::Sale;
use crate::terminals::Known;

impl World {
    /// A reversal of something of late, or of something that was never asked; sometimes two of them at once.
    pub(super) fn reverse(&mut self) {
        let unseen = self.random.chance(120);
        if unseen {
            let local = self.local();
            let sale = self.terminals.new_sale(&mut self.random, local);
            self.terminals.history.push(Known { sale, sent: Vec::new() });
        }
        let at = if unseen { Some(self.terminals.history.len() - 1) } else { self.pick() };
        let Some(at) = at else { return };
        for _ in 0..if self.random.chance(150) { 2 } else { 1 } {
            let (reversal, transmission) = self.reversal(at);
            self.terminals.reversals.push(reversal.clone());
            let conduit = self.random.below(CONDUITS.len());
            if let Some(transmission) = self.send(reversal, conduit, transmission) {
                self.terminals.reversals.last_mut().expect("just put there").transmission = transmission;
            }
        }
    }

    /// A reversal that was sent is sent again: the same message, or its repeat.
    pub(super) fn reverse_again(&mut self) {
        let count = self.terminals.reversals.len();
        let from = if self.random.chance(700) { count.saturating_sub(6) } else { 0 };
        let at = from + self.random.below(count - from);
        let Some(mut reversal) = self.terminals.reversals.get(at).cloned() else { return };
        reversal.mti += u16::from(reversal.mti % 10 == 0 && self.random.chance(500));
        let conduit = self.random.below(CONDUITS.len());
        let transmission = Some(reversal.transmission.clone()).filter(|_| self.keeps_time(&reversal));
        self.send(reversal, conduit, transmission);
    }

    /// Whether a repeat has its first message's transmission time: always where that is what makes it the same message.
    fn keeps_time(&mut self, reversal: &Sale) -> bool {
        reversal.local.is_empty() || self.random.chance(300)
    }

    /// An inquiry about anything.
    pub(super) fn inquire(&mut self) {
        let Some(at) = self.pick() else { return };
        let stan = self.terminals.stan(&self.terminals.history[at].sale.terminal.clone());
        let mut inquiry = self.sent(at).inquiry(stan);
        if self.random.chance(200) {
            inquiry.local = self.terminals.history[at].sale.local.clone();
        }
        let conduit = self.random.below(CONDUITS.len());
        self.send(inquiry, conduit, None);
    }

    /// A sale as one of its messages had it; one that was never sent has a time of its own.
    fn sent(&mut self, at: usize) -> Sale {
        let Known { sale, sent } = &self.terminals.history[at];
        let transmission = self.random.pick(sent).cloned();
        let sale = sale.clone();
        let transmission = transmission.unwrap_or_else(|| {
            // Perhaps it is sent later, with just that time.
            let (_, transmission) = self.terminals.next();
            self.terminals.history[at].sent.push(transmission.clone());
            transmission
        });
        Sale { transmission, ..sale }
    }

    /// A reversal in one of the forms that name an original (S-5), and its transmission time where that is part of the form.
    fn reversal(&mut self, at: usize) -> (Sale, Option<String>) {
        let original = self.sent(at);
        let local = original.local.clone();
        let stan = match self.random.chance(300) {
            true => original.stan,
            false => self.terminals.stan(&original.terminal),
        };
        let mut reversal = original.reversal(stan);
        reversal.mti = [400, 401, 420, 421][self.random.below(4)];
        let (mut transmission, elsewhere) = (None, "0000000000".to_string());
        match self.random.below(10) {
            // By DE90, which is the usual form.
            0..5 => {}
            // By DE90 and the local time.
            5 => reversal.local = local,
            // By the local time, and DE90 without a transmission time.
            6 => {
                reversal.original = Sale { transmission: elsewhere, ..original }.named();
                reversal.local = local;
            }
            // By the local time, and DE90 with the transmission time of something else.
            7 => {
                reversal.original = Sale { transmission: "0101000000".into(), ..original }.named();
                reversal.local = local;
            }
            // By the original's own STAN and local time.
            8 => {
                (reversal.original, reversal.stan, reversal.local) =
                    (String::new(), original.stan, original.local);
            }
            // By the original's own STAN and transmission time.
            _ => {
                (reversal.original, reversal.stan) = (String::new(), original.stan);
                transmission = Some(original.transmission);
            }
        }
        match self.random.below(100) {
            0..10 => reversal.amount = reversal.amount / 2 + 1,
            10..40 => reversal.amount = 0,
            _ => {}
        }
        reversal.reason = ["", "17", "22", "68"][self.random.below(4)].into();
        (reversal, transmission)
    }
}
