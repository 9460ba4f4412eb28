//! What a load asks for: products and their mix, accounts, terminals.
//!
//! Owns: `Profile` and the demonstration's one; [`file`](mod@file) reads others, [`shipped`] lists those that come with the program.
//! Invariants: a profile is data; the generator turns it into frames.
//! Deliberately absent: how fast, over how many connections, and for how long (`load`).

pub mod file;
pub mod shipped;

use std::ops::RangeInclusive;
use switchyard_core::catalogue::Service;

/// What a load asks for.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What is asked for, and how often.
    pub items: Vec<Item>,
    /// Who asks, in turn.
    pub terminals: Vec<Terminal>,
    /// The last two digits of accounts, cards and meters.
    pub endings: Endings,
    /// What follows a sale: repeats and reversals.
    pub follow_ups: FollowUps,
}

/// The last two digits of accounts, cards and meters, which say how a simulated supplier behaves: each of 0 to 99 as often as it
/// is chosen beside the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endings(Vec<u8>);

impl Endings {
    /// Ranges of endings with their weights; each range shares its weight among its endings.
    pub fn weighted(behaviours: &[(RangeInclusive<u8>, u32)]) -> Self {
        let lengths = behaviours.iter().map(|(range, _)| range.len());
        // So many turns that every range can be divided evenly.
        let turns = lengths.fold(1, lcm);
        let mut endings = Vec::new();
        for (range, weight) in behaviours {
            let each = turns / range.len().max(1) * *weight as usize;
            endings.extend(range.clone().flat_map(|ending| std::iter::repeat_n(ending, each)));
        }
        Self(endings)
    }

    /// Each ending as often as its weight says; empty where nothing has one.
    pub(crate) fn table(&self) -> &[u8] {
        &self.0
    }
}

impl From<RangeInclusive<u8>> for Endings {
    fn from(range: RangeInclusive<u8>) -> Self {
        Self::weighted(&[(range, 1)])
    }
}

fn lcm(left: usize, right: usize) -> usize {
    let gcd = |mut left: usize, mut right: usize| {
        while right > 0 {
            (left, right) = (right, left % right);
        }
        left
    };
    left / gcd(left, right.max(1)) * right.max(1)
}

/// What follows a sale, as shares of 0.0 to 1.0. All zero: nothing, and nothing is remembered of a sale once it is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FollowUps {
    /// Of all sales: repeated (0201) once they are answered.
    pub repeat_answered: f64,
    /// Of all sales: repeated while they are under way.
    pub repeat_in_flight: f64,
    /// Of approved sales: reversed.
    pub reverse_approved: f64,
    /// Of all sales: reversed while they are under way.
    pub reverse_in_flight: f64,
    /// Of sales answered with 68: reversed.
    pub reverse_timed_out: f64,
    /// Of all sales: reversed before they were ever sent; half of them are sent then.
    pub reverse_unknown: f64,
    /// Of answered reversals: repeated (0401, 0421).
    pub reversal_repeated: f64,
    /// Of reversed sales: the sale is repeated after its reversal.
    pub repeat_reversed: f64,
    /// Of reversals: sent as advices (0420).
    pub advices: f64,
    /// Of reversals: under a STAN of their own, not the original's.
    pub own_stans: f64,
    /// Whether every sale is repeated once more at the end.
    pub repeat_all: bool,
    /// Whether sales are remembered though nothing follows them: for a check.
    pub remember: bool,
}

impl FollowUps {
    /// Whether anything follows, so that sales must be remembered.
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// One product of a mix.
#[derive(Clone, Debug)]
pub struct Item {
    /// Its code, DE48 tag 01.
    pub product: String,
    /// Which processing code asks for it.
    pub service: Service,
    /// Amounts asked for, minor units: multiples of the smallest up to the largest.
    pub amounts: RangeInclusive<u64>,
    /// ISO 4217 numeric.
    pub currency: u16,
    /// Which accounts.
    pub account: Account,
    /// How often beside the others; 0: never.
    pub weight: u32,
    /// Whether the switch sells it by itself, so that no supplier has a record of it.
    pub local: bool,
}

/// How a product's accounts are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// The product needs none.
    None,
    /// In DE48 tag 02: one of these beginnings, then digits up to `length` characters.
    Account {
        /// Beginnings.
        prefixes: Vec<String>,
        /// Characters in all.
        length: usize,
    },
    /// In DE2: this beginning, then digits up to `length`.
    Card {
        /// The issuer's first digits.
        prefix: String,
        /// Digits in all; even, so that packed dialects need no filling.
        length: usize,
    },
}

/// One terminal.
#[derive(Clone, Debug)]
pub struct Terminal {
    /// DE41.
    pub terminal: String,
    /// DE42.
    pub merchant: String,
    /// DE32.
    pub network: String,
}

/// Currency of the demonstration.
const EURO: u16 = 978;
/// Terminals of the demonstration; one of them is blocked and never asks.
const TERMINALS: u32 = 1_000;
const BLOCKED: u32 = 999;

impl Profile {
    /// The demonstration's products, terminals and accounts that are approved.
    pub fn demonstration() -> Self {
        let account = |prefixes: &[&str], length| Account::Account {
            prefixes: prefixes.iter().map(|prefix| (*prefix).into()).collect(),
            length,
        };
        let item = |product: &str, service, amounts, account, weight| Item {
            product: product.into(),
            service,
            amounts,
            currency: EURO,
            account,
            weight,
            local: matches!(product, "VOUCHER10" | "VOUCHER20" | "WALLET"),
        };
        Self {
            items: vec![
                item("TOPUP", Service::Recharge, 500..=20_000, account(&["06", "07", "03"], 12), 50),
                item("DATA5", Service::Recharge, 500..=500, account(&["06"], 12), 10),
                item("VOUCHER10", Service::Voucher, 1_000..=1_000, Account::None, 10),
                item("VOUCHER20", Service::Voucher, 2_000..=2_000, Account::None, 5),
                item("VOUCHERJIT", Service::Voucher, 1_500..=1_500, Account::None, 5),
                item("GIFT25", Service::Activation, 2_500..=2_500, card("600649", 16), 5),
                item("ENERGY", Service::BillPayment, 500..=50_000, account(&["54"], 11), 10),
                item("WALLET", Service::StoredValue, 100..=1_000, account(&["W000"], 8), 5),
            ],
            terminals: (1..=TERMINALS).filter(|number| *number != BLOCKED).map(terminal).collect(),
            endings: (0..=79).into(),
            follow_ups: FollowUps::default(),
        }
    }

    /// Asks for the smallest amount of each product only: the networks' money lasts longer.
    pub fn smallest_amounts(&mut self) {
        for item in &mut self.items {
            item.amounts = *item.amounts.start()..=*item.amounts.start();
        }
    }

    /// Sets the weights by product, all others to 0; answers the first product that the profile does not have.
    ///
    /// # Errors
    /// The unknown product's code.
    pub fn mix(&mut self, weights: &[(String, u32)]) -> Result<(), String> {
        for item in &mut self.items {
            item.weight = 0;
        }
        for (product, weight) in weights {
            let item = self.items.iter_mut().find(|item| item.product == *product);
            item.ok_or_else(|| product.clone())?.weight = *weight;
        }
        Ok(())
    }
}

fn card(prefix: &str, length: usize) -> Account {
    Account::Card { prefix: prefix.into(), length }
}

/// Ten terminals to a merchant, ten merchants to each of the two networks in turn.
fn terminal(number: u32) -> Terminal {
    let merchant = number.div_ceil(10);
    let network = if ((merchant - 1) / 10).is_multiple_of(2) { "100001" } else { "100002" };
    Terminal {
        terminal: format!("T{number:07}"),
        merchant: format!("SHOP{merchant:011}"),
        network: network.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_those_of_the_demonstration() {
        let profile = Profile::demonstration();
        let shown = |number: usize| {
            let Terminal { terminal, merchant, network } = &profile.terminals[number - 1];
            format!("{terminal} {merchant} {network}")
        };
        assert_eq!(profile.terminals.len(), 999);
        assert_eq!(shown(1), "T0000001 SHOP00000000001 100001");
        assert_eq!(shown(100), "T0000100 SHOP00000000010 100001");
        assert_eq!(shown(101), "T0000101 SHOP00000000011 100002");
        assert_eq!(shown(201), "T0000201 SHOP00000000021 100001");
        assert_eq!(shown(999), "T0001000 SHOP00000000100 100002");
    }

    #[test]
    fn endings_come_as_often_as_they_weigh() {
        let endings = Endings::weighted(&[(0..=79, 8), (80..=82, 1), (85..=85, 1)]);
        let share = |range: RangeInclusive<u8>| {
            let among = endings.table().iter().filter(|ending| range.contains(ending)).count();
            among * 10 == endings.table().len() * usize::from(range.len() == 80) * 8
                || among * 10 == endings.table().len()
        };
        assert!(share(0..=79) && share(80..=82) && share(85..=85), "{:?}", endings.table().len());
        assert_eq!(Endings::from(5..=6).table(), [5, 6]);
    }

    #[test]
    fn a_mix_names_known_products_only() {
        let mut profile = Profile::demonstration();
        assert_eq!(profile.mix(&[("TOPUP".into(), 3)]), Ok(()));
        assert_eq!(profile.items.iter().map(|item| item.weight).sum::<u32>(), 3);
        assert_eq!(profile.mix(&[("TOPPED".into(), 1)]), Err("TOPPED".into()));
    }
}
