//! What the log says of operators' acts.

use super::{Held, Stand, Stories, add};
use switchyard_core::ids::{FlightNo, NetworkId};
use switchyard_core::log::Lsn;
use switchyard_core::operate::{Act, Action, Party, Payer};
use switchyard_core::text::Text;

impl Stories {
    pub(super) fn operated(&mut self, at: Lsn, action: &Action) {
        match action.act {
            Act::Credited { network, merchant, amount } => self.paid_in(network, merchant, amount.0),
            Act::Debited { network, merchant, amount } => self.paid_in(network, merchant, -amount.0),
            Act::Terminal { terminal, blocked: true } => {
                assert!(self.blocked_terminals.insert(terminal), "{terminal} is blocked twice");
            }
            Act::Terminal { terminal, blocked: false } => {
                assert!(self.blocked_terminals.remove(&terminal), "{terminal} was not blocked");
            }
            Act::Supplier { supplier, drained: true } => {
                assert!(self.drained.insert(supplier), "{supplier:?} is drained twice");
            }
            Act::Supplier { supplier, drained: false } => {
                assert!(self.drained.remove(&supplier), "{supplier:?} was not drained");
            }
            Act::DayClosed { network, date, .. } => self.day_closed(network, date),
            Act::Retried { flight, stan } => self.retried(at, action.at_ms, flight, stan),
            Act::Settled { flight, payer, to } => self.settled_by_hand(flight, payer, to),
            Act::Loaded { .. } | Act::KeysRotated { .. } => {}
        }
    }

    /// Into a network's position, or a merchant's own.
    fn paid_in(&mut self, network: NetworkId, merchant: Option<Text<15>>, amount: i64) {
        if let Some(merchant) = merchant {
            return add(&mut self.merchants, merchant, amount);
        }
        add(&mut self.posted, network, amount);
        add(&mut self.paid, network, amount);
    }

    fn retried(&mut self, at: Lsn, at_ms: u64, number: FlightNo, stan: u32) {
        let story = self.story(number, &[Stand::Parked]);
        assert_ne!(story.last().stan, 0, "a supplier over a wire");
        story.stand = Stand::Doubt;
        (story.undo_stan, story.doubted_at) = (stan, Some(at));
        let supplier = story.last().supplier;
        self.claim(at_ms, supplier, stan, number);
    }

    /// An operator ended a parked reversal: its amount goes where it was told to (S-9).
    fn settled_by_hand(&mut self, number: FlightNo, payer: Payer, to: Party) {
        let story = self.story(number, &[Stand::Parked]);
        story.stand = Stand::Closed;
        let (network, amount, supplier) = (story.network, story.amount, story.last().supplier);
        let held = std::mem::take(&mut story.held);
        assert_eq!(
            held == Held::Suspense,
            payer == Payer::Suspense,
            "what is in suspense is paid from there"
        );
        match payer {
            Payer::Nobody => {}
            Payer::Network => {
                assert_eq!(to, Party::Supplier);
                add(&mut self.posted, network, -amount);
                add(&mut self.suppliers, supplier, amount);
                add(&mut self.forced, network, amount);
            }
            Payer::Suspense => {
                add(&mut self.suspense, supplier, -amount);
                match to {
                    Party::Network => add(&mut self.posted, network, amount),
                    Party::Supplier => add(&mut self.suppliers, supplier, amount),
                }
            }
        }
    }
}
