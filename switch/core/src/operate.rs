//! What operators do: acts, each a fact with who, when and why.
//!
//! Owns: `Instruction` (what an operator wants), `Act` (what was done), `Action` (an act with who, when and why) and its form on disk, and `Controls`: what acts
//! leave behind in the state (`controls`).
//! Invariants: an act is a result and holds everything needed to apply it; a reason is printable ASCII, so that it is shown as it was given.
//! Deliberately absent: whether an instruction may be carried out (the gate's), who may give one (the shell's), and money (`account`).

mod controls;

pub use controls::{Blocked, Controls, LastCutOver};

use crate::account::Account;
use crate::ids::{FlightNo, NetworkId, ProductId, SupplierId};
use crate::money::Minor;
use crate::pack::{Pack, Unpack, Unreadable};
use crate::text::Text;

/// Longest reason, in characters.
pub const REASON_MAX: usize = 120;

/// Why an operator did something: printable ASCII.
pub type Reason = Text<REASON_MAX>;

/// Who did something: the user at the other end of the operators' socket, as the system says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operator {
    /// The user's number.
    pub uid: u32,
    /// The user's name at that moment; empty where the system knew none.
    pub name: Text<32>,
}

/// Who gets the amount of a parked reversal (S-9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Party {
    /// The retail network: the sale does not stand.
    Network = 1,
    /// The supplier: the sale stands.
    Supplier = 2,
}

/// Where that amount comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Payer {
    /// From nowhere: it lies where it is to go.
    Nobody = 1,
    /// From the network's position: it had its money back before the supplier performed the sale after all.
    Network = 2,
    /// From the supplier's suspense account.
    Suspense = 3,
}

/// What an operator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Money comes into a position.
    Credit {
        /// Whose.
        network: NetworkId,
        /// The merchant whose own position is meant; none: the network's.
        merchant: Option<Text<15>>,
        /// Minor units, more than zero.
        amount: Minor,
    },
    /// Money is taken out of a position.
    Debit {
        /// Whose.
        network: NetworkId,
        /// The merchant whose own position is meant; none: the network's.
        merchant: Option<Text<15>>,
        /// Minor units, more than zero.
        amount: Minor,
    },
    /// A terminal is blocked (58), or no longer.
    Terminal {
        /// DE41.
        terminal: Text<8>,
        /// Whether it is to be blocked.
        blocked: bool,
    },
    /// A supplier gets no new sales, or gets them again.
    Supplier {
        /// Which.
        supplier: SupplierId,
        /// Whether it is to be drained.
        drained: bool,
    },
    /// A network's business day is to be closed (S-16).
    CloseDay {
        /// Whose.
        network: NetworkId,
        /// Whether one that has begun early already is to be closed as well.
        again: bool,
    },
    /// A batch of vouchers was loaded; its own fact is there.
    Load {
        /// Of which product.
        product: ProductId,
        /// The batch's name.
        batch: Text<40>,
        /// How many vouchers.
        count: u32,
    },
    /// A parked reversal is to be sent again.
    Retry {
        /// Of which flight.
        flight: FlightNo,
    },
    /// A parked reversal is to be ended (S-9).
    Settle {
        /// Of which flight.
        flight: FlightNo,
        /// Who gets its amount.
        to: Party,
    },
    /// The key-encryption key was exchanged; the key files say so already.
    RotateKeys {
        /// Fingerprint of the key before.
        old: Fingerprint,
        /// Fingerprint of the key after.
        new: Fingerprint,
        /// Since when that one is in use, Unix milliseconds.
        since_ms: u64,
        /// How many retired keys the new one opens.
        retired: u32,
    },
}

/// What is shown of a key-encryption key: enough to tell it from others, and nothing that it could be found by.
pub type Fingerprint = [u8; 8];

/// What an operator did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Money came in: from the contra account into a network's, or into a merchant's own.
    Credited {
        /// Whose.
        network: NetworkId,
        /// The merchant whose own position it was; none: the network's.
        merchant: Option<Text<15>>,
        /// Minor units.
        amount: Minor,
    },
    /// Money went out: from a network's account, or from a merchant's own, into the contra account.
    Debited {
        /// Whose.
        network: NetworkId,
        /// The merchant whose own position it was; none: the network's.
        merchant: Option<Text<15>>,
        /// Minor units.
        amount: Minor,
    },
    /// A terminal was blocked or unblocked.
    Terminal {
        /// DE41.
        terminal: Text<8>,
        /// Whether it is blocked from now on.
        blocked: bool,
    },
    /// A supplier was drained or resumed.
    Supplier {
        /// Which.
        supplier: SupplierId,
        /// Whether it is drained from now on.
        drained: bool,
    },
    /// A network's business day was closed, and the next one began.
    DayClosed {
        /// Whose.
        network: NetworkId,
        /// The day that began, YYYYMMDD.
        date: u32,
        /// When it ends, Unix milliseconds.
        until_ms: u64,
    },
    /// A batch of vouchers was loaded.
    Loaded {
        /// Of which product.
        product: ProductId,
        /// The batch's name.
        batch: Text<40>,
        /// How many vouchers.
        count: u32,
    },
    /// A parked reversal goes out again.
    Retried {
        /// Of which flight.
        flight: FlightNo,
        /// Its new STAN at the supplier.
        stan: u32,
    },
    /// A parked reversal was ended.
    Settled {
        /// Of which flight.
        flight: FlightNo,
        /// Where its amount came from.
        payer: Payer,
        /// Who got it.
        to: Party,
    },
    /// The key-encryption key was exchanged for another one (S-18).
    KeysRotated {
        /// Fingerprint of the key before.
        old: Fingerprint,
        /// Fingerprint of the key after.
        new: Fingerprint,
        /// Since when that one is in use, Unix milliseconds: a rotation while the switch stands still is told by its next start.
        since_ms: u64,
        /// How many retired keys the new one opens.
        retired: u32,
    },
}

impl Act {
    /// Whether a number in the journal is that of an act.
    pub const fn is_number(number: u8) -> bool {
        matches!(number, 20..=27 | 29 | 32 | 33)
    }

    /// The account that money came into or went out of; none for other acts.
    pub fn account(&self) -> Option<Account> {
        match *self {
            Self::Credited { network, merchant, .. } | Self::Debited { network, merchant, .. } => {
                Some(merchant.map_or(Account::Network(network), Account::Merchant))
            }
            _ => None,
        }
    }

    /// The flight that it is about.
    pub fn flight(&self) -> Option<FlightNo> {
        match self {
            Self::Retried { flight, .. } | Self::Settled { flight, .. } => Some(*flight),
            _ => None,
        }
    }

    /// Its number in the journal, never used again for anything else.
    pub fn number(&self) -> u8 {
        match self {
            Self::Credited { merchant: None, .. } => 20,
            Self::Debited { merchant: None, .. } => 21,
            Self::Terminal { .. } => 22,
            Self::Supplier { .. } => 23,
            Self::DayClosed { .. } => 24,
            Self::Loaded { .. } => 25,
            Self::Retried { .. } => 26,
            Self::Settled { .. } => 27,
            Self::KeysRotated { .. } => 29,
            Self::Credited { merchant: Some(_), .. } => 32,
            Self::Debited { merchant: Some(_), .. } => 33,
        }
    }

    fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Self::Credited { network, merchant, amount } | Self::Debited { network, merchant, amount } => {
                network.pack(out);
                amount.pack(out);
                if let Some(merchant) = merchant {
                    merchant.pack(out);
                }
            }
            Self::Terminal { terminal, blocked } => {
                terminal.pack(out);
                u8::from(*blocked).pack(out);
            }
            Self::Supplier { supplier, drained } => {
                supplier.pack(out);
                u8::from(*drained).pack(out);
            }
            Self::DayClosed { network, date, until_ms } => {
                network.pack(out);
                date.pack(out);
                until_ms.pack(out);
            }
            Self::Loaded { product, batch, count } => {
                product.pack(out);
                batch.pack(out);
                count.pack(out);
            }
            Self::Retried { flight, stan } => {
                flight.pack(out);
                stan.pack(out);
            }
            Self::Settled { flight, payer, to } => {
                flight.pack(out);
                out.extend_from_slice(&[*payer as u8, *to as u8]);
            }
            Self::KeysRotated { old, new, since_ms, retired } => {
                old.pack(out);
                new.pack(out);
                since_ms.pack(out);
                retired.pack(out);
            }
        }
    }

    fn unpack(number: u8, from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(match number {
            20 => Self::Credited { network: from.network()?, merchant: None, amount: from.minor()? },
            21 => Self::Debited { network: from.network()?, merchant: None, amount: from.minor()? },
            29 => Self::KeysRotated {
                old: from.array()?,
                new: from.array()?,
                since_ms: from.u64()?,
                retired: from.u32()?,
            },
            32 => {
                let (network, amount) = (from.network()?, from.minor()?);
                Self::Credited { network, merchant: Some(from.text()?), amount }
            }
            33 => {
                let (network, amount) = (from.network()?, from.minor()?);
                Self::Debited { network, merchant: Some(from.text()?), amount }
            }
            22 => Self::Terminal { terminal: from.text()?, blocked: from.byte()? != 0 },
            23 => Self::Supplier { supplier: from.supplier()?, drained: from.byte()? != 0 },
            24 => Self::DayClosed { network: from.network()?, date: from.u32()?, until_ms: from.u64()? },
            25 => Self::Loaded { product: from.product()?, batch: from.text()?, count: from.u32()? },
            26 => Self::Retried { flight: from.flight()?, stan: from.u32()? },
            27 => Self::Settled {
                flight: from.flight()?,
                payer: payer(from.byte()?)?,
                to: party(from.byte()?)?,
            },
            _ => return Err(Unreadable),
        })
    }
}

fn payer(number: u8) -> Result<Payer, Unreadable> {
    let all = [Payer::Nobody, Payer::Network, Payer::Suspense];
    all.into_iter().find(|payer| *payer as u8 == number).ok_or(Unreadable)
}

fn party(number: u8) -> Result<Party, Unreadable> {
    [Party::Network, Party::Supplier].into_iter().find(|party| *party as u8 == number).ok_or(Unreadable)
}

/// An act, with who, when and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Action {
    /// When, Unix milliseconds.
    pub at_ms: u64,
    /// Who.
    pub by: Operator,
    /// Why; empty where the act needs no reason.
    pub reason: Reason,
    /// What.
    pub act: Act,
}

impl Action {
    /// Reads what follows the number of an act.
    ///
    /// # Errors
    /// The bytes are none.
    pub fn unpack(number: u8, from: &mut Unpack<'_>) -> Result<Self, Unreadable> {
        Ok(Self {
            at_ms: from.u64()?,
            by: Operator { uid: from.u32()?, name: from.text()? },
            reason: from.text()?,
            act: Act::unpack(number, from)?,
        })
    }
}

impl Pack for Action {
    /// The act's number, who, when and why, then the act.
    fn pack(&self, out: &mut Vec<u8>) {
        self.act.number().pack(out);
        self.at_ms.pack(out);
        self.by.uid.pack(out);
        self.by.name.pack(out);
        self.reason.pack(out);
        self.act.pack(out);
    }
}

/// A reason as it is kept: 1 to `REASON_MAX` printable ASCII characters, none of them a space at an end.
pub fn reason(text: &str) -> Option<Reason> {
    let text = text.trim();
    let printable = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    (printable && !text.is_empty()).then(|| Text::new(text.as_bytes()))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_what_can_be_printed() {
        assert_eq!(
            reason(" paid in, ticket 17 ").map(|reason| reason.to_string()),
            Some("paid in, ticket 17".into())
        );
        for wrong in ["", "  ", "two\nlines", "caf\u{e9}", &"x".repeat(REASON_MAX + 1)] {
            assert_eq!(reason(wrong), None, "{wrong}");
        }
    }
}
