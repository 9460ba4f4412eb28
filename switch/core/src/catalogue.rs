//! What is sold, by whom, to whom: an immutable snapshot of the configuration.
//!
//! Owns: networks, merchants, terminals, products, suppliers, routes, prefix tables, and their indexes.
//! Invariants: every index in it points into the same snapshot; a ticket keeps the snapshot it was
//! admitted with; ids of networks, products and suppliers are the journal's (`bind`).
//! Deliberately absent: anything that changes while the switch runs (positions, stock, health), and
//! how a snapshot is read from files.

use crate::breaker::BreakerRules;
use crate::code::Code;
use crate::ids::{NetworkId, ProductId, SupplierId};
use crate::money::Minor;
use crate::text::Text;
use rustc_hash::FxHashMap;

/// A retail network (DE32).
#[derive(Clone, Debug)]
pub struct Network {
    /// The journal's id; 0 until `bind`.
    pub id: NetworkId,
    /// DE32.
    pub code: Text<11>,
    /// For people.
    pub name: String,
    /// A suspended network gets 31.
    pub suspended: bool,
    /// How its sales are paid for.
    pub funding: Funding,
    /// ISO 4217 numeric code of its position.
    pub currency: u16,
    /// When its business day ends (S-16).
    pub cut_over: CutOver,
    /// Names (CN or DNS) that a client certificate may carry for it; empty: any of the conduit's authority.
    pub certificate_names: Vec<String>,
}

/// How the sales of a network, or of a merchant with a position of its own, are paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funding {
    /// Money it paid in before; the opening amount is deposited when its owner is first seen.
    Prefunded {
        /// Minor units.
        opening: Minor,
    },
    /// It may owe up to this much.
    Credit {
        /// Minor units.
        line: Minor,
    },
}

impl Funding {
    /// How far below zero the position may go, in minor units.
    pub fn line(self) -> Minor {
        match self {
            Self::Prefunded { .. } => Minor::ZERO,
            Self::Credit { line } => line,
        }
    }
}

/// When a business day ends: a time of day in a time zone.
#[derive(Clone, Debug)]
pub struct CutOver {
    /// Minutes after midnight, 0 to 1439.
    pub minute: u16,
    /// The time zone.
    pub zone: jiff::tz::TimeZone,
}

/// A merchant (DE42).
#[derive(Clone, Debug)]
pub struct Merchant {
    /// DE42, without trailing spaces.
    pub code: Text<15>,
    /// Index of its network.
    pub network: u32,
    /// Its own position, beside its network's; none: only its network's counts.
    pub funding: Option<Funding>,
}

/// A terminal (DE41).
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// DE41, without trailing spaces.
    pub code: Text<8>,
    /// Index of its merchant.
    pub merchant: u32,
    /// A blocked terminal gets 58.
    pub blocked: bool,
}

/// What kind of thing a product is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// A PIN, from stock or just in time.
    Voucher,
    /// Value into an account, in real time.
    Recharge,
    /// A card activated at the till.
    Activation,
    /// A bill or a meter.
    BillPayment,
    /// Value into an account that the switch holds.
    StoredValue,
}

impl Service {
    /// All of them, for tables and help.
    pub const ALL: [Self; 5] =
        [Self::Voucher, Self::Recharge, Self::Activation, Self::BillPayment, Self::StoredValue];

    /// The name in configuration and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Voucher => "voucher",
            Self::Recharge => "recharge",
            Self::Activation => "activation",
            Self::BillPayment => "bill-payment",
            Self::StoredValue => "stored-value",
        }
    }

    /// The first two digits of the processing code (DE3) that ask for it.
    pub fn processing(self) -> u8 {
        match self {
            Self::Voucher => 0,
            Self::Recharge | Self::StoredValue => 21,
            Self::Activation => 28,
            Self::BillPayment => 50,
        }
    }
}

/// Which amounts a product may be sold for, in minor units, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AmountRule {
    /// Smallest.
    pub min: Minor,
    /// Largest; equal to `min` for a fixed amount.
    pub max: Minor,
}

impl AmountRule {
    /// Whether `amount` may be sold.
    pub fn allows(self, amount: Minor) -> bool {
        self.min <= amount && amount <= self.max
    }
}

/// What a product needs as its account or card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRule {
    /// Where it comes from.
    pub source: AccountSource,
    /// Fewest characters.
    pub length_min: u8,
    /// Most characters, at most 30.
    pub length_max: u8,
    /// Only digits.
    pub digits: bool,
    /// It must begin with one of these; empty: with anything.
    pub prefixes: Vec<Text<30>>,
}

/// Where a product's account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountSource {
    /// The product needs none.
    None,
    /// DE48 tag 02.
    Account,
    /// The PAN of DE2 or of the track in DE35.
    Card,
}

/// What is sold.
#[derive(Clone, Debug)]
pub struct Product {
    /// The journal's id; 0 until `bind`.
    pub id: ProductId,
    /// SKU or EAN, DE48 tag 01.
    pub code: Text<20>,
    /// For people.
    pub name: String,
    /// What kind of thing it is.
    pub service: Service,
    /// ISO 4217 numeric code.
    pub currency: u16,
    /// Decimal places of that currency.
    pub exponent: u8,
    /// Which amounts.
    pub amount: AmountRule,
    /// Which account or card.
    pub account: AccountRule,
    /// Networks (indexes) that may sell it; empty: all.
    pub networks: Vec<u32>,
    /// How to choose among the candidates.
    pub policy: Policy,
    /// Index of the prefix table that narrows the candidates by account, longest match.
    pub prefix_table: Option<u32>,
    /// Who can provide it; at most `CANDIDATES_MAX`.
    pub candidates: Vec<Candidate>,
}

/// Most candidates that a product may have.
pub const CANDIDATES_MAX: usize = 8;

/// How to choose among a product's candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Lowest `priority` number first.
    Priority,
    /// At random, in proportion to `weight`.
    Weight,
    /// Lowest `cost` first.
    LeastCost,
    /// Lowest recent latency first.
    LowestLatency,
    /// Highest recent success rate first.
    SuccessRate,
}

impl Policy {
    /// All of them, for tables and help.
    pub const ALL: [Self; 5] =
        [Self::Priority, Self::Weight, Self::LeastCost, Self::LowestLatency, Self::SuccessRate];

    /// The name in configuration and explanations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Weight => "weight",
            Self::LeastCost => "least-cost",
            Self::LowestLatency => "lowest-latency",
            Self::SuccessRate => "success-rate",
        }
    }
}

/// One supplier that can provide a product, and when.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Index of the supplier.
    pub supplier: u32,
    /// The supplier's own code for the product.
    pub product: Text<20>,
    /// For `Policy::Priority`; lower is earlier. Equal policies' ties are broken by it, then by order.
    pub priority: u16,
    /// For `Policy::Weight`; 0 never chosen first.
    pub weight: u16,
    /// For `Policy::LeastCost`: what the supplier takes of the face value, in hundredths of a percent.
    pub cost_bp: i32,
    /// When it may be used.
    pub conditions: Conditions,
}

/// When a candidate may be used; an empty list allows all.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// Amounts, minor units.
    pub amount: Option<AmountRule>,
    /// Times of day.
    pub windows: Vec<TimeWindow>,
    /// Networks (indexes).
    pub networks: Vec<u32>,
    /// Terminals whose code begins with one of these.
    pub terminals: Vec<Text<8>>,
}

/// A time of day, in UTC minutes; from `from` (included) to `until` (excluded); may pass midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindow {
    /// 0 to 1439.
    pub from: u16,
    /// 0 to 1440.
    pub until: u16,
}

impl TimeWindow {
    /// Whether minute `minute` of the UTC day lies in it.
    pub fn holds(self, minute: u16) -> bool {
        if self.from <= self.until {
            self.from <= minute && minute < self.until
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

/// Account prefixes and the supplier each one means; the longest match counts.
#[derive(Clone, Debug, Default)]
pub struct PrefixTable {
    /// For people.
    pub name: String,
    /// Sorted by prefix: see `add`.
    entries: Vec<(Text<30>, u32)>,
}

impl PrefixTable {
    /// A table without entries.
    pub fn new(name: String) -> Self {
        Self { name, entries: Vec::new() }
    }

    /// Adds a prefix; answers false where it was there already.
    pub fn add(&mut self, prefix: Text<30>, supplier: u32) -> bool {
        match self.entries.binary_search_by(|(known, _)| known.as_bytes().cmp(prefix.as_bytes())) {
            Ok(_) => false,
            Err(place) => {
                self.entries.insert(place, (prefix, supplier));
                true
            }
        }
    }

    /// The longest prefix of `account` in the table, and its supplier's index.
    pub fn longest(&self, account: &[u8]) -> Option<(Text<30>, u32)> {
        (1..=account.len()).rev().find_map(|length| {
            let prefix = account.get(..length)?;
            let place = self.entries.binary_search_by(|(known, _)| known.as_bytes().cmp(prefix)).ok()?;
            self.entries.get(place).copied()
        })
    }
}

/// What a supplier's answer means for a sale (S-11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Performed.
    Approved,
    /// Not performed, final; the terminal gets this code.
    Declined(Code),
    /// Certainly not performed and will not be: another supplier may be asked. If there is none, the
    /// terminal gets this code.
    NotPerformed(Code),
    /// Not known. Every code that the table does not have.
    Unknown,
}

impl Meaning {
    /// Whether the sale was performed; none where that is not known.
    pub fn performed(self) -> Option<bool> {
        match self {
            Self::Approved => Some(true),
            Self::Declined(_) | Self::NotPerformed(_) => Some(false),
            Self::Unknown => None,
        }
    }
}

/// What a supplier's answer to a reversal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReversalMeaning {
    /// It is undone.
    Reversed,
    /// The supplier does not know the original (S-8).
    NotFound,
    /// It will not undo it: parked (S-9).
    Refused,
    /// Ask again.
    Retry,
}

/// What a supplier's answer to a question for a sale's status means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusMeaning {
    /// It was performed.
    Performed,
    /// It was not. Believed only when the late window is over: until then the sale may still be on its way to the supplier (S-8).
    NotPerformed,
    /// Ask again.
    Unknown,
}

/// What is done at a supplier about an unknown outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AfterUnknown {
    /// It is reversed.
    #[default]
    Reverse,
    /// The supplier is asked for the sale's status first, and it is reversed unless it was not performed.
    Status,
}

/// A supplier's codes.
#[derive(Clone, Debug, Default)]
pub struct CodeTable {
    /// Codes of answers to sales.
    pub sale: FxHashMap<Text<4>, Meaning>,
    /// Codes of answers to reversals.
    pub reversal: FxHashMap<Text<4>, ReversalMeaning>,
    /// Codes of answers to questions for a status.
    pub status: FxHashMap<Text<4>, StatusMeaning>,
}

impl CodeTable {
    /// What `code` means for a sale; not in the table: unknown (S-11).
    pub fn sale(&self, code: Text<4>) -> Meaning {
        self.sale.get(&code).copied().unwrap_or(Meaning::Unknown)
    }

    /// What `code` means for a reversal; not in the table: ask again.
    pub fn reversal(&self, code: Text<4>) -> ReversalMeaning {
        self.reversal.get(&code).copied().unwrap_or(ReversalMeaning::Retry)
    }

    /// What `code` means for a status; not in the table: ask again.
    pub fn status(&self, code: Text<4>) -> StatusMeaning {
        self.status.get(&code).copied().unwrap_or(StatusMeaning::Unknown)
    }
}

/// A supplier, as the core needs it.
#[derive(Clone, Debug)]
pub struct Supplier {
    /// The journal's id; 0 until `bind`.
    pub id: SupplierId,
    /// Its code, DE48 tag 03.
    pub code: Text<12>,
    /// For people.
    pub name: String,
    /// The adapter's registered name.
    pub adapter: String,
    /// Whether the adapter is local: decided by the gate itself, no window, no time-out.
    pub local: bool,
    /// Requests that may be open at it, 1 to 100,000. An eighth is kept for reversals (S-19).
    pub window_requests_max: u32,
    /// Advices (reversals not yet settled) that may be open at it.
    pub advices_max: u32,
    /// Attempts without an answer in time whose answer may still come: doubts, and those whose STAN is in quarantine. Beyond it no sale is asked.
    pub late_max: u32,
    /// After this long without an answer the outcome is unknown.
    pub timeout_ms: u32,
    /// How long an answer is still matched after the time-out.
    pub late_window_ms: u32,
    /// First wait before a reversal is repeated; doubles up to `advice_retry_max_ms`.
    pub advice_retry_ms: u32,
    /// Longest wait between repeats of a reversal.
    pub advice_retry_max_ms: u32,
    /// A reversal not answered for so long is parked.
    pub advice_expires_ms: u64,
    /// What is done about an unknown outcome.
    pub after_unknown: AfterUnknown,
    /// Whether a reversal of something unknown blocks the original at the supplier for ever (S-8).
    pub reversal_blocks_original: bool,
    /// When it is left alone for a while.
    pub breaker: BreakerRules,
    /// What its codes mean.
    pub codes: CodeTable,
}

/// The snapshot.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// Retail networks.
    pub networks: Vec<Network>,
    /// Merchants.
    pub merchants: Vec<Merchant>,
    /// Terminals.
    pub terminals: Vec<Terminal>,
    /// Products.
    pub products: Vec<Product>,
    /// Suppliers.
    pub suppliers: Vec<Supplier>,
    /// Prefix tables.
    pub prefix_tables: Vec<PrefixTable>,
    network_index: FxHashMap<Text<11>, u32>,
    merchant_index: FxHashMap<Text<15>, u32>,
    terminal_index: FxHashMap<Text<8>, u32>,
    product_index: FxHashMap<Text<20>, u32>,
    supplier_index: FxHashMap<Text<12>, u32>,
}

/// What a catalogue cannot hold twice.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{code}` is there twice")]
pub struct Twice {
    /// "network", "merchant" and so on.
    pub what: &'static str,
    /// The code in question.
    pub code: String,
}

fn index<K: std::hash::Hash + Eq + Copy + std::fmt::Display>(
    what: &'static str,
    codes: impl Iterator<Item = K>,
    twice: &mut Vec<Twice>,
) -> FxHashMap<K, u32> {
    let mut index = FxHashMap::default();
    for (at, code) in (0u32..).zip(codes) {
        if index.insert(code, at).is_some() {
            twice.push(Twice { what, code: code.to_string() });
        }
    }
    index
}

impl Catalogue {
    /// Makes the indexes from the lists. Call it once, after filling them.
    ///
    /// # Errors
    /// Every code that is there twice.
    pub fn index(&mut self) -> Result<(), Vec<Twice>> {
        let mut twice = Vec::new();
        self.network_index = index("network", self.networks.iter().map(|n| n.code), &mut twice);
        self.merchant_index = index("merchant", self.merchants.iter().map(|m| m.code), &mut twice);
        self.terminal_index = index("terminal", self.terminals.iter().map(|t| t.code), &mut twice);
        self.product_index = index("product", self.products.iter().map(|p| p.code), &mut twice);
        self.supplier_index = index("supplier", self.suppliers.iter().map(|s| s.code), &mut twice);
        if twice.is_empty() { Ok(()) } else { Err(twice) }
    }

    /// The network of that code, with its index.
    pub fn network(&self, code: Text<11>) -> Option<(u32, &Network)> {
        let at = *self.network_index.get(&code)?;
        Some((at, self.networks.get(at as usize)?))
    }

    /// The merchant of that code, with its index.
    pub fn merchant(&self, code: Text<15>) -> Option<(u32, &Merchant)> {
        let at = *self.merchant_index.get(&code)?;
        Some((at, self.merchants.get(at as usize)?))
    }

    /// The terminal of that code, with its index.
    pub fn terminal(&self, code: Text<8>) -> Option<(u32, &Terminal)> {
        let at = *self.terminal_index.get(&code)?;
        Some((at, self.terminals.get(at as usize)?))
    }

    /// The product of that code, with its index.
    pub fn product(&self, code: Text<20>) -> Option<(u32, &Product)> {
        let at = *self.product_index.get(&code)?;
        Some((at, self.products.get(at as usize)?))
    }

    /// The supplier of that code, with its index.
    pub fn supplier(&self, code: Text<12>) -> Option<(u32, &Supplier)> {
        let at = *self.supplier_index.get(&code)?;
        Some((at, self.suppliers.get(at as usize)?))
    }

    /// The supplier with the journal's id `id`.
    pub fn supplier_of(&self, id: SupplierId) -> Option<(u32, &Supplier)> {
        (0u32..).zip(&self.suppliers).find(|(_, supplier)| supplier.id == id)
    }

    /// The product with the journal's id `id`.
    pub fn product_of(&self, id: ProductId) -> Option<(u32, &Product)> {
        (0u32..).zip(&self.products).find(|(_, product)| product.id == id)
    }

    /// The network with the journal's id `id`.
    pub fn network_of(&self, id: NetworkId) -> Option<(u32, &Network)> {
        (0u32..).zip(&self.networks).find(|(_, network)| network.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_counts() {
        let mut table = PrefixTable::new("numbers".into());
        for (prefix, supplier) in [("06", 1), ("0612", 2), ("07", 3)] {
            assert!(table.add(Text::new(prefix.as_bytes()).unwrap_or_default(), supplier));
        }
        let found = |account: &str| table.longest(account.as_bytes()).map(|(_, supplier)| supplier);
        assert_eq!(found("0611111111"), Some(1));
        assert_eq!(found("0612345678"), Some(2));
        assert_eq!(found("0712345678"), Some(3));
        assert_eq!(found("0812345678"), None);
        assert_eq!(found(""), None);
    }

    #[test]
    fn a_time_window_may_pass_midnight() {
        let night = TimeWindow { from: 1_320, until: 360 };
        assert!(night.holds(1_400) && night.holds(0) && !night.holds(720));
    }
}
