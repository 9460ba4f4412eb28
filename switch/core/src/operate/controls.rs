//! What operators' acts and networks' cut-overs leave set, and a restart must not forget.
//!
//! Invariants: the same controls give the same bytes, whatever order they were set in.
//! Deliberately absent: when they change (`state`).

use super::Fingerprint;
use crate::ids::{NetworkId, SupplierId};
use crate::pack::{Pack, Unpack, Unreadable};
use crate::text::Text;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;

/// Terminals that operators have blocked, by DE41.
pub type Blocked = FxHashSet<Text<8>>;

/// A network's last cut-over by a message: a repeat of it closes no other day (S-16).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LastCutOver {
    /// DE11 of the message.
    pub stan: u32,
    /// DE7 of the message; zeros where it had none.
    pub transmission: [u8; 10],
    /// The day that it began, YYYYMMDD.
    pub date: u32,
}

impl LastCutOver {
    /// Whether a message is that one again: same STAN and DE7; or, while the day stands that it began, its STAN alone in a repeat (0801) or where
    /// messages have no DE7.
    pub fn is_repeated_by(&self, stan: u32, transmission: [u8; 10], is_repeat: bool, today: u32) -> bool {
        let stands = self.date == today;
        let (timed, same) = (transmission != [0; 10], self.transmission == transmission);
        self.stan == stan && (same && (timed || stands) || is_repeat && stands)
    }
}

/// What operators and networks have set, and a restart must not forget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controls {
    blocked: Arc<Blocked>,
    drained: FxHashSet<SupplierId>,
    cut_overs: FxHashMap<NetworkId, LastCutOver>,
    key: Option<Fingerprint>,
}

impl Controls {
    /// The terminals that operators have blocked: a snapshot for conduits, who check against it without asking anybody.
    pub fn blocked(&self) -> &Arc<Blocked> {
        &self.blocked
    }

    /// Whether an operator has drained a supplier.
    pub fn is_drained(&self, supplier: SupplierId) -> bool {
        self.drained.contains(&supplier)
    }

    /// A network's last cut-over by a message.
    pub fn last_cut_over(&self, network: NetworkId) -> Option<LastCutOver> {
        self.cut_overs.get(&network).copied()
    }

    /// The key-encryption key that the last rotation on record put in place; none before the first.
    pub fn key(&self) -> Option<Fingerprint> {
        self.key
    }

    pub(crate) fn set_key(&mut self, key: Fingerprint) {
        self.key = Some(key);
    }

    pub(crate) fn set_blocked(&mut self, terminal: Text<8>, blocked: bool) {
        let terminals = Arc::make_mut(&mut self.blocked);
        if blocked {
            terminals.insert(terminal);
        } else {
            terminals.remove(&terminal);
        }
    }

    pub(crate) fn set_drained(&mut self, supplier: SupplierId, drained: bool) {
        if drained {
            self.drained.insert(supplier);
        } else {
            self.drained.remove(&supplier);
        }
    }

    pub(crate) fn set_cut_over(&mut self, network: NetworkId, last: LastCutOver) {
        self.cut_overs.insert(network, last);
    }

    /// Reads packed controls.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        let mut controls = Self::default();
        for _ in 0..from.u32()? {
            controls.set_blocked(from.text()?, true);
        }
        for _ in 0..from.u32()? {
            controls.set_drained(from.supplier()?, true);
        }
        for _ in 0..from.u32()? {
            let network = from.network()?;
            let last = LastCutOver { stan: from.u32()?, transmission: from.array()?, date: from.u32()? };
            controls.set_cut_over(network, last);
        }
        if from.flag()? {
            controls.set_key(from.array()?);
        }
        Ok(controls)
    }
}

impl Pack for Controls {
    /// Each list with its length, in order: the same controls give the same bytes.
    fn pack(&self, out: &mut Vec<u8>) {
        let mut blocked: Vec<_> = self.blocked.iter().collect();
        blocked.sort_unstable();
        (blocked.len() as u32).pack(out);
        blocked.iter().for_each(|terminal| terminal.pack(out));
        let mut drained: Vec<_> = self.drained.iter().collect();
        drained.sort_unstable();
        (drained.len() as u32).pack(out);
        drained.iter().for_each(|supplier| supplier.pack(out));
        let mut cut_overs: Vec<_> = self.cut_overs.iter().collect();
        cut_overs.sort_unstable_by_key(|(network, _)| **network);
        (cut_overs.len() as u32).pack(out);
        for (network, last) in cut_overs {
            network.pack(out);
            last.stan.pack(out);
            last.transmission.pack(out);
            last.date.pack(out);
        }
        self.key.is_some().pack(out);
        if let Some(key) = self.key {
            key.pack(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_read_back_in_one_form() {
        let mut controls = Controls::default();
        for terminal in ["T9", "T1", "T5"] {
            controls.set_blocked(Text::new(terminal.as_bytes()).unwrap_or_default(), true);
        }
        controls.set_drained(SupplierId(3), true);
        controls.set_drained(SupplierId(1), true);
        let last = LastCutOver { stan: 7, transmission: *b"1121220509", date: 20_261_122 };
        controls.set_cut_over(NetworkId(2), last);
        controls.set_key([7; 8]);
        let mut bytes = Vec::new();
        controls.pack(&mut bytes);
        let read = Controls::unpack(&mut Unpack(&bytes));
        assert_eq!(read.as_ref(), Ok(&controls));
        let mut again = Vec::new();
        read.unwrap_or_default().pack(&mut again);
        assert_eq!(again, bytes);
        assert!((0..bytes.len()).all(|cut| Controls::unpack(&mut Unpack(&bytes[..cut])).is_err()));
    }

    #[test]
    fn a_cut_over_is_repeated_by_itself_alone() {
        let last = LastCutOver { stan: 7, transmission: *b"1121220509", date: 20_261_122 };
        let (same, other) = (*b"1121220509", *b"1121220511");
        assert!(last.is_repeated_by(7, same, false, 20_261_122));
        assert!(
            last.is_repeated_by(7, same, false, 20_261_123),
            "it comes late, and is still the same message"
        );
        assert!(last.is_repeated_by(7, other, true, 20_261_122));
        assert!(!last.is_repeated_by(7, other, true, 20_261_123));
        assert!(!last.is_repeated_by(7, other, false, 20_261_122));
        assert!(!last.is_repeated_by(8, same, false, 20_261_122));
        let untimed = LastCutOver { transmission: [0; 10], ..last };
        assert!(untimed.is_repeated_by(7, [0; 10], false, 20_261_122));
        assert!(!untimed.is_repeated_by(7, [0; 10], false, 20_261_123), "every day may use one STAN");
    }
}
