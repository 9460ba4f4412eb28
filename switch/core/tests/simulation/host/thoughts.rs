//! Second thoughts of a host: answers that say otherwise than its first one.

use super::{Host, Sending};
use crate::support::random::Random;
use crate::support::scripted::Line;

/// Most second thoughts come before, microseconds.
const THOUGHT_SOON_US: u64 = 1_000_000;
/// Longest wait before a host says otherwise, microseconds: beyond the late window too.
const THOUGHT_US_MAX: u64 = 30_000_000;

impl Host {
    /// Perhaps a sale that was answered with `code` is answered otherwise later. A refusal of what was performed is a lie; what is approved after all is performed when
    /// the approval leaves.
    pub(super) fn think_again(
        &mut self,
        answered_us: u64,
        random: &mut Random,
        connection: u64,
        sale: &Line,
        code: &str,
    ) {
        if self.calm || !random.chance(self.thoughts_permille) {
            return;
        }
        let (code, performs) = match code {
            "00" => (["05", "14", "91", "77"][random.below(4)], None),
            _ => ("00", Some(sale.rrn)),
        };
        let soon = random.chance(700);
        let due_us = answered_us + random.between(0, if soon { THOUGHT_SOON_US } else { THOUGHT_US_MAX });
        let answer = Line { reversal: false, status: false, repeat: false, ..sale.clone() }.answer(code);
        self.sendings.push(Sending { due_us, connection, body: answer.encode(), performs });
    }

    /// What a sending performs is performed as it leaves, once for each sale, and never what a reversal blocked. Whether it leaves.
    pub(crate) fn performs(&mut self, now_us: u64, sending: &Sending) -> bool {
        let Some(rrn) = sending.performs else { return true };
        let deed = self.ledger.entry(rrn).or_default();
        if deed.stands() {
            return true;
        }
        if deed.blocked || deed.again_us.is_some() {
            return false;
        }
        (deed.performed, deed.reversed, deed.again_us) = (true, false, Some(now_us));
        true
    }
}
